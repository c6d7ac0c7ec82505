/**
 * The local stack's secrets, made once and kept in the data folder, mode 0600. In a real deployment each of these lives
 * with another operator; here one folder holds them all, which is why the local stack is for development only.
 */
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { parseWith } from '../../core/parse.ts';
import { checkPolicy } from '../../core/policy.ts';
import { publicKeyOf, signObject } from '../../core/signed.ts';
import { readIfThere, readOrCreate, writeAtomic } from '../../dev/files.ts';
import type { ChainName, Topology } from '../../dev/topology.ts';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import { Policy, SignedPolicy } from '../../schema/contracts/policy.ts';
import type { AdministratorId, ApproverId, PartyId } from '../../schema/contracts/primitives.ts';
import { describeKeyFile, type KeyRole, openKey, sealKey } from '../keyfile.ts';

export type PartyFiles = {
  readonly party: PartyId;
  readonly publicKey: string;
  readonly directory: string;
  readonly identityKeyFile: string;
  readonly masterKeyFile: string;
  readonly backupKeyFile: string;
};
export type LocalSecrets = {
  readonly payloadKeyFile: string;
  readonly parties: readonly PartyFiles[];
  readonly administrators: readonly {
    readonly name: AdministratorId;
    readonly publicKey: string;
    readonly keyFile: string;
  }[];
  readonly approvers: readonly {
    readonly name: ApproverId;
    readonly publicKey: string;
    readonly keyFile: string;
  }[];
  readonly demoPassphraseFile: string;
  readonly administratorPassphraseFile: string;
  /** Version 1, signed by a quorum of the administrators. */
  readonly policyFile: string;
};

const folder = (...parts: readonly string[]): string => {
  const path = join(...parts);
  mkdirSync(path, { recursive: true, mode: 0o700 });
  return path;
};
const freshKey = (): string => `${randomBytes(32).toString('hex')}\n`;

/** 32 bytes of a key file, made when absent. Throws `SealBroken` for a damaged one rather than replacing it. */
function keyOf(file: string): Uint8Array {
  const text = readOrCreate(file, freshKey).trim();
  if (!/^[0-9a-f]{64}$/.test(text))
    throw new KeysagaError('SealBroken', `${file} is damaged.`, {
      field: 'file',
      remedy: 'Restore it, or clear the local stack with `npm run reset`.',
    });
  return Uint8Array.from(Buffer.from(text, 'hex'));
}

export const demoPassphraseFile = (dataDir: string): string =>
  join(dataDir, 'approvers', 'passphrase');
export const administratorPassphraseFile = (dataDir: string): string =>
  join(dataDir, 'administrators', 'passphrase');

/** The passphrase that all of the role's files on this machine share. */
const passphraseOf = (home: string): string =>
  readOrCreate(join(home, 'passphrase'), () => `${randomBytes(15).toString('base64url')}\n`).trim();

type PersonKey<N> = {
  readonly name: N;
  readonly publicKey: string;
  readonly keyFile: string;
  /** Only of a key that was made just now: opening a file takes a fraction of a second. */
  readonly seed?: Uint8Array;
};

/** One passphrase-protected file a name, made when absent. */
function personKeys<N extends string>(
  role: KeyRole,
  names: readonly N[],
  home: string,
): Promise<PersonKey<N>[]> {
  const passphrase = passphraseOf(home);
  return Promise.all(
    names.map(async (name) => {
      const keyFile = join(home, `${name}.json`);
      const text = readIfThere(keyFile);
      if (text !== undefined) return { name, publicKey: describeKeyFile(text).publicKey, keyFile };
      // Stacks of earlier versions kept an administrator's seed in the open.
      const old = join(home, `${name}.key`);
      const seed = role === 'administrator' && existsSync(old) ? keyOf(old) : randomBytes(32);
      const sealed = await sealKey({ role, name }, seed, passphrase);
      writeAtomic(keyFile, sealed);
      rmSync(old, { force: true });
      return { name, publicKey: describeKeyFile(sealed).publicKey, keyFile, seed };
    }),
  );
}

/** The networks of the topology's chains. */
export const networksOf = (topology: Topology): Readonly<Record<ChainName, string>> => ({
  bitcoin: topology.chains.bitcoin.network,
  solana: topology.chains.solana.network,
  ethereum: topology.chains.ethereum.network,
});

function firstPolicy(
  topology: Topology,
  approvers: LocalSecrets['approvers'],
  now: number,
): Policy {
  const { policy } = topology;
  const networks = networksOf(topology);
  return parseWith(
    Policy,
    {
      policyId: policy.id,
      version: 1,
      issuedAt: new Date(now).toISOString(),
      approvers: approvers.map(({ name, publicKey }) => ({ name, publicKey })),
      quorum: topology.approvers.quorum,
      limits: policy.limits.map(({ chain, ...limit }) => ({ network: networks[chain], ...limit })),
      strictDailyLimit: policy.strictDailyLimit,
      voidFeeCaps: policy.voidFeeCaps.map(({ chain, cap }) => ({ network: networks[chain], cap })),
      startDelaySeconds: policy.startDelaySeconds,
    },
    'policy',
  );
}

/** Makes what is missing. Existing secrets are never replaced, and neither is the signed policy. */
export async function localSecrets(
  dataDir: string,
  topology: Topology,
  now: number,
): Promise<LocalSecrets> {
  const parties = topology.parties.names.map((party): PartyFiles => {
    const directory = folder(dataDir, 'parties', party);
    const identityKeyFile = join(directory, 'identity.key');
    const masterKeyFile = join(directory, 'master.key');
    const backupKeyFile = join(directory, 'backup.key');
    keyOf(masterKeyFile);
    keyOf(backupKeyFile);
    return {
      party,
      publicKey: publicKeyOf(keyOf(identityKeyFile)),
      directory,
      identityKeyFile,
      masterKeyFile,
      backupKeyFile,
    };
  });

  const secrets = folder(dataDir, 'secrets');
  const payloadKeyFile = join(secrets, 'payload.key');
  keyOf(payloadKeyFile);
  const home = folder(dataDir, 'administrators');
  const administrators = await personKeys('administrator', topology.administrators.names, home);
  const approvers = (
    await personKeys('approver', topology.approvers.names, folder(dataDir, 'approvers'))
  ).map(({ name, publicKey, keyFile }) => ({ name, publicKey, keyFile }));

  const policyFile = join(secrets, 'policy-1.json');
  if (!readIfThere(policyFile)) {
    const policy = firstPolicy(topology, approvers, now);
    checkPolicy(policy);
    const signatures = [];
    for (const { name, publicKey, keyFile, seed } of administrators.slice(
      0,
      topology.administrators.quorum,
    )) {
      const opened =
        seed ??
        (await openKey(readIfThere(keyFile) ?? '', passphraseOf(home), 'administrator')).seed;
      const signature = signObject('policy', policy, opened);
      signatures.push({ administrator: name, publicKey, signature });
    }
    writeAtomic(
      policyFile,
      `${JSON.stringify(parseWith(SignedPolicy, { policy, signatures }, 'policy'), null, 2)}\n`,
    );
  }
  for (const { seed } of administrators) seed?.fill(0);
  return {
    payloadKeyFile,
    parties,
    administrators: administrators.map(({ name, publicKey, keyFile }) => ({
      name,
      publicKey,
      keyFile,
    })),
    approvers,
    demoPassphraseFile: demoPassphraseFile(dataDir),
    administratorPassphraseFile: administratorPassphraseFile(dataDir),
    policyFile,
  };
}
