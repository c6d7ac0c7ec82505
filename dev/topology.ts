/** The local topology: `temporal-dev.yaml`, checked, with the environment's replacements applied. */
import { readFileSync } from 'node:fs';
import { parse, YAMLParseError } from 'yaml';
import * as z from 'zod';
import { KeysagaError } from '../schema/contracts/errors.ts';
import {
  AdministratorId,
  ApproverId,
  Caip2,
  Decimal,
  PartyId,
  PolicyId,
} from '../schema/contracts/primitives.ts';
import { dataFolder, Folders, topologyFile } from './paths.ts';

/** A wish; another free port is taken when it is in use. 0 asks for any. */
const Port = z.int().min(0).max(65_535);
const milliseconds = (min: number) => z.int().min(min).max(3_600_000);
const unique = (names: readonly string[]): boolean => new Set(names).size === names.length;

/** Mining of the local Bitcoin and Ethereum nodes. `demand`: while transactions wait, then `settleBlocks` more. */
export const Mining = z.strictObject({
  mode: z.enum(['demand', 'always', 'off']),
  blockIntervalMs: milliseconds(50),
  settleBlocks: z.int().min(0).max(1000),
});
export type Mining = z.infer<typeof Mining>;

const ChainName = z.enum(['bitcoin', 'solana', 'ethereum']);

export const Topology = z
  .strictObject({
    folders: Folders,
    temporal: z.strictObject({
      port: Port,
      uiPort: Port,
      namespace: z.string().regex(/^[a-z0-9][-a-z0-9]{1,63}$/, '2 to 64 of a-z 0-9 -'),
      retentionDays: z.int().min(1).max(3650),
      searchAttributes: z.record(
        z.string().regex(/^[A-Za-z]\w*$/, 'a search attribute name'),
        z.enum(['Keyword', 'KeywordList', 'Text', 'Int', 'Double', 'Bool', 'Datetime']),
      ),
      dynamicConfig: z.record(
        z.string().regex(/^[A-Za-z][\w.]*$/, 'a dynamic config key'),
        z.union([z.number(), z.boolean(), z.string()]),
      ),
      sqlitePragmas: z.record(
        z.string().regex(/^[a-z_]+$/, 'a pragma name'),
        z.union([z.number(), z.string().regex(/^\w+$/, 'a pragma value')]),
      ),
      codec: z.strictObject({ port: Port }),
    }),
    postgres: z.strictObject({ port: Port, maxConnections: z.int().min(20).max(2000) }),
    chains: z.strictObject({
      bitcoin: z.strictObject({ network: Caip2, rpcPort: Port, mining: Mining }),
      solana: z.strictObject({
        network: Caip2,
        rpcPort: Port,
        wsPort: Port,
        slotTimeMs: milliseconds(10),
        sponsorLamports: Decimal,
      }),
      ethereum: z.strictObject({ network: Caip2, rpcPort: Port, mining: Mining }),
    }),
    parties: z
      .strictObject({
        threshold: z.int().min(2).max(16),
        names: z.array(PartyId).min(2).max(16).refine(unique, 'names must differ'),
      })
      .refine(({ threshold, names }) => threshold <= names.length, {
        path: ['threshold'],
        message: 'at most the number of parties',
      })
      .refine(({ threshold, names }) => 2 * threshold > names.length, {
        path: ['threshold'],
        message: 'more than half of the parties, so that any two signer sets share one',
      }),
    administrators: z
      .strictObject({
        quorum: z.int().min(1).max(64),
        names: z.array(AdministratorId).min(1).max(64).refine(unique, 'names must differ'),
      })
      .refine(({ quorum, names }) => quorum <= names.length, {
        path: ['quorum'],
        message: 'at most the number of administrators',
      }),
    approvers: z
      .strictObject({
        quorum: z.int().min(1).max(64),
        names: z.array(ApproverId).min(1).max(64).refine(unique, 'names must differ'),
      })
      .refine(({ quorum, names }) => quorum <= names.length, {
        path: ['quorum'],
        message: 'at most the number of approvers',
      }),
    policy: z.strictObject({
      id: PolicyId,
      strictDailyLimit: z.boolean(),
      startDelaySeconds: z.int().min(0).max(604_800),
      limits: z.array(
        z
          .strictObject({
            chain: ChainName,
            asset: z.string().min(3).max(128),
            perTransfer: Decimal,
            perDay: Decimal,
          })
          .refine(({ perTransfer, perDay }) => BigInt(perTransfer) <= BigInt(perDay), {
            path: ['perTransfer'],
            message: 'at most perDay',
          }),
      ),
      voidFeeCaps: z.array(z.strictObject({ chain: ChainName, cap: Decimal })),
    }),
  })
  .readonly();
export type Topology = z.infer<typeof Topology>;
export type ChainName = z.infer<typeof ChainName>;

/** Addresses of the user's own; a part that has one is not started. */
export interface Externals {
  readonly temporalAddress?: string;
  readonly databaseUrl?: string;
  readonly bitcoinRpcUrl?: string;
  readonly solanaRpcUrl?: string;
  readonly solanaWsUrl?: string;
  readonly ethereumRpcUrl?: string;
}

export interface LocalTopology {
  readonly topology: Topology;
  readonly external: Externals;
  /** Data folder, absolute. */
  readonly dataDir: string;
}

const invalid = (field: string, message: string, cause?: unknown): KeysagaError =>
  new KeysagaError(
    'InvalidInput',
    `${field}: ${message}`,
    { field },
    cause === undefined ? {} : { cause },
  );

/** Parses and checks the text of a topology. @throws KeysagaError `InvalidInput`; `field` is the dotted path in the file. */
export function parseTopology(text: string, source = 'temporal-dev.yaml'): Topology {
  let document: unknown;
  try {
    document = parse(text);
  } catch (error) {
    if (!(error instanceof YAMLParseError)) throw error;
    throw invalid(source, error.message.split('\n')[0] ?? 'not YAML', error);
  }
  const result = Topology.safeParse(document);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const path = issue?.path.map(String) ?? [];
  if (issue?.code === 'unrecognized_keys') path.push(issue.keys[0] ?? '');
  throw invalid(path.join('.') || source, `${issue?.message ?? 'invalid'} (in ${source})`);
}

function address(
  env: NodeJS.ProcessEnv,
  name: string,
  protocols?: readonly string[],
): string | undefined {
  const value = env[name]?.trim();
  if (!value) return undefined;
  if (!protocols) {
    if (!/^[^\s:/]+:\d{1,5}$|^\[[0-9a-fA-F:]+\]:\d{1,5}$/.test(value))
      throw invalid(name, 'must be host:port');
    return value;
  }
  // The value may hold a password, so a message must not repeat it.
  if (!URL.canParse(value)) throw invalid(name, 'is not a URL');
  if (!protocols.includes(new URL(value).protocol)) {
    throw invalid(name, `must begin with ${protocols.map((p) => `${p}//`).join(' or ')}`);
  }
  return value;
}

/**
 * Reads the file and the environment.
 * @throws KeysagaError `InvalidInput` naming the field of the file, or the variable.
 */
export function loadTopology(
  file = topologyFile,
  env: NodeJS.ProcessEnv = process.env,
): LocalTopology {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw invalid(file, 'cannot be read', error);
  }
  const topology = parseTopology(text, file.split('/').pop());
  const namespace = env.TEMPORAL_NAMESPACE?.trim();
  const http = ['http:', 'https:'];
  const found = {
    temporalAddress: address(env, 'TEMPORAL_ADDRESS'),
    databaseUrl: address(env, 'DATABASE_URL', ['postgres:', 'postgresql:']),
    bitcoinRpcUrl: address(env, 'BITCOIN_RPC_URL', http),
    solanaRpcUrl: address(env, 'SOLANA_RPC_URL', http),
    solanaWsUrl: address(env, 'SOLANA_WS_URL', ['ws:', 'wss:']),
    ethereumRpcUrl: address(env, 'ETHEREUM_RPC_URL', http),
  };
  return {
    topology: namespace
      ? parseNamespace({ ...topology, temporal: { ...topology.temporal, namespace } })
      : topology,
    external: Object.fromEntries(Object.entries(found).filter(([, value]) => value !== undefined)),
    dataDir: dataFolder(env, topology.folders),
  };
}

function parseNamespace(topology: Topology): Topology {
  const result = Topology.safeParse(topology);
  if (result.success) return result.data;
  throw invalid('TEMPORAL_NAMESPACE', result.error.issues[0]?.message ?? 'invalid');
}
