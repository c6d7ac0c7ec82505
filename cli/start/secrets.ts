/**
 * The local stack's secrets, made once and kept in the data folder, mode 0600. In a real deployment each of these lives
 * with another operator; here one folder holds them all, which is why the local stack is for development only.
 */
import { randomBytes } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { parseWith } from '../../core/parse.ts';
import { checkPolicy } from '../../core/policy.ts';
import { publicKeyOf, signObject } from '../../core/signed.ts';
import { readIfThere, readOrCreate, writeAtomic } from '../../dev/files.ts';
import type { ChainName, Topology } from '../../dev/topology.ts';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import { Policy, SignedPolicy } from '../../schema/contracts/policy.ts';
import type { AdministratorId, ApproverId, PartyId } from '../../schema/contracts/primitives.ts';
import { describeKeyFile, sealApproverKey } from '../keyfile.ts';

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
  }[];
  readonly approvers: readonly {
    readonly name: ApproverId;
    readonly publicKey: string;
    readonly keyFile: string;
  }[];
  readonly demoPassphraseFile: string;
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

async function approverKeys(names: readonly ApproverId[], dataDir: string) {
  const home = folder(dataDir, 'approvers');
  const passphrase = readOrCreate(
    demoPassphraseFile(dataDir),
    () => `${randomBytes(15).toString('base64url')}\n`,
  ).trim();
  return Promise.all(
    names.map(async (name) => {
      const keyFile = join(home, `${name}.json`);
      let text = readIfThere(keyFile);
      if (text === undefined) {
        text = await sealApproverKey(name, randomBytes(32), passphrase);
        writeAtomic(keyFile, text);
      }
      return { name, publicKey: describeKeyFile(text).publicKey, keyFile };
    }),
  );
}

/** The networks of the topology's chains. */
export const networksOf = (topology: Topology): Readonly<Record<ChainName, string>> => ({
  bitcoin: topology.chains.bitcoin.network,
  solana: topology.chains.solana.network,
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
  const signers = topology.administrators.names.map((name) => {
    const seed = keyOf(join(folder(dataDir, 'administrators'), `${name}.key`));
    return { name, seed, publicKey: publicKeyOf(seed) };
  });
  const approvers = await approverKeys(topology.approvers.names, dataDir);

  const policyFile = join(secrets, 'policy-1.json');
  readOrCreate(policyFile, () => {
    const policy = firstPolicy(topology, approvers, now);
    checkPolicy(policy);
    const signatures = signers
      .slice(0, topology.administrators.quorum)
      .map(({ name, seed, publicKey }) => ({
        administrator: name,
        publicKey,
        signature: signObject('policy', policy, seed),
      }));
    return `${JSON.stringify(parseWith(SignedPolicy, { policy, signatures }, 'policy'), null, 2)}\n`;
  });
  return {
    payloadKeyFile,
    parties,
    administrators: signers.map(({ name, publicKey }) => ({ name, publicKey })),
    approvers,
    demoPassphraseFile: demoPassphraseFile(dataDir),
    policyFile,
  };
}
