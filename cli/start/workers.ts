/** Configuration files and processes of the local coordinator and parties. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type * as z from 'zod';
import { parseWith } from '../../core/parse.ts';
import { writeAtomic } from '../../dev/files.ts';
import type { Stack } from '../../dev/stack/index.ts';
import type { Topology } from '../../dev/topology.ts';
import {
  ApiConfig,
  ClientConfig,
  CoordinatorConfig,
  PartyConfig,
} from '../../schema/contracts/config.ts';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import { clientConfigFile } from '../context.ts';
import { type LocalSecrets, networksOf } from './secrets.ts';

const save = <T>(file: string, schema: z.ZodType<T>, value: unknown): string => {
  writeAtomic(file, `${JSON.stringify(parseWith(schema, value, 'configuration'), null, 2)}\n`);
  return file;
};

/** Database names: a-z 0-9 _ only. */
const databaseName = (name: string): string => `keysaga_${name.replaceAll('-', '_')}`;

function sharedConfig(stack: Stack, topology: Topology, secrets: LocalSecrets) {
  const { address, namespace } = stack.temporal;
  return {
    temporal: { address, namespace },
    payloadKeys: [{ id: 'local-1', file: secrets.payloadKeyFile }],
    payloadStorage: { directory: join(stack.dataDir, 'payloads') },
    directory: secrets.parties.map(({ party, publicKey }) => ({ party, publicKey })),
    administrators: secrets.administrators.map(({ name, publicKey }) => ({ name, publicKey })),
    administratorQuorum: topology.administrators.quorum,
    initialPolicies: [secrets.policyFile],
  };
}

/** One origin per way of writing loopback: the browser sends the one in its address bar. */
const originsOf = (uiUrl: string | undefined): string[] => {
  if (uiUrl === undefined) return [];
  const { port } = new URL(uiUrl);
  return [`http://127.0.0.1:${port}`, `http://localhost:${port}`];
};

/** Writes the client's configuration, by which other terminals find the stack. */
export function writeClientConfig(
  stack: Stack,
  topology: Topology,
  secrets: LocalSecrets,
): ClientConfig {
  const { temporal, payloadKeys, payloadStorage, directory } = sharedConfig(
    stack,
    topology,
    secrets,
  );
  const { uiUrl } = stack.temporal;
  const config = parseWith(
    ClientConfig,
    {
      temporal,
      payloadKeys,
      payloadStorage,
      directory,
      ...(uiUrl === undefined ? {} : { uiUrl }),
      policyId: topology.policy.id,
      threshold: topology.parties.threshold,
      networks: networksOf(topology),
      approvers: secrets.approvers.map(({ name, keyFile }) => ({ name, keyFile })),
      administrators: [...secrets.administrators],
      administratorQuorum: topology.administrators.quorum,
    },
    'configuration',
  );
  save(clientConfigFile(stack.dataDir), ClientConfig, config);
  return config;
}

export async function startCoordinator(
  stack: Stack,
  topology: Topology,
  secrets: LocalSecrets,
): Promise<void> {
  const directory = join(stack.dataDir, 'coordinator');
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const file = save(join(directory, 'config.json'), CoordinatorConfig, {
    ...sharedConfig(stack, topology, secrets),
    databaseUrl: await stack.postgres.createDatabase(databaseName('coordinator')),
    chains: [
      { network: stack.bitcoin.network, kind: 'bitcoin', rpcUrl: stack.bitcoin.rpcUrl },
      {
        network: stack.solana.network,
        kind: 'solana',
        rpcUrl: stack.solana.rpcUrl,
        wsUrl: stack.solana.wsUrl,
        sponsorFile: stack.solana.sponsorFile,
      },
      { network: stack.ethereum.network, kind: 'ethereum', rpcUrl: stack.ethereum.rpcUrl },
    ],
  });
  await stack.startNode({
    name: 'coordinator',
    script: 'workers/coordinator.ts',
    args: ['--config', file],
    readyTimeoutMs: 120_000,
  });
}

/** The edge: for now the codec server of the Temporal UI. */
export async function startApi(stack: Stack): Promise<void> {
  const { codec, uiUrl } = stack.temporal;
  const directory = join(stack.dataDir, 'api');
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const file = save(join(directory, 'config.json'), ApiConfig, {
    client: clientConfigFile(stack.dataDir),
    // The token file is the stack's own, since the UI was started with the address that holds it.
    codecServer: {
      port: stack.record.temporal?.codec.port ?? codec.port,
      tokenFile: join(stack.dataDir, 'codec-token'),
      allowedOrigins: originsOf(uiUrl),
    },
  });
  await stack.startNode({ name: 'api', script: 'api/main.ts', args: ['--config', file] });
}

export async function startParty(
  stack: Stack,
  topology: Topology,
  secrets: LocalSecrets,
  party: string,
): Promise<void> {
  const own = secrets.parties.find((one) => one.party === party);
  if (own === undefined)
    throw new KeysagaError('Internal', `no secrets were made for party ${party}`);
  const file = save(join(own.directory, 'config.json'), PartyConfig, {
    ...sharedConfig(stack, topology, secrets),
    party,
    databaseUrl: await stack.postgres.createDatabase(databaseName(`party_${party}`)),
    identityKeyFile: own.identityKeyFile,
    networks: [stack.bitcoin.network, stack.solana.network, stack.ethereum.network],
    keyStoreDirectory: join(own.directory, 'keys'),
    keyStoreMasterKeyFile: own.masterKeyFile,
    backupDirectory: join(own.directory, 'backup'),
    backupKeyFile: own.backupKeyFile,
  });
  await stack.startNode({
    name: `party-${party}`,
    script: 'workers/party.ts',
    args: ['--config', file],
    readyTimeoutMs: 120_000,
  });
}
