/**
 * `<data>/stack.json`: what runs, where, and who owns it. Other processes (the CLI in a second terminal, tests) attach by
 * it; the next start finds by it what a killed owner left behind. It holds passwords of the local servers: mode 0600.
 */
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import * as z from 'zod';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import { readIfThere, writeAtomic } from '../files.ts';
import { identify, isAlive } from '../process/identity.ts';

const Identity = z.object({ pid: z.int().positive(), startTime: z.string() });

export const StackRecord = z.object({
  version: z.literal(1),
  /** Random, per data folder; in the environment of each process of the stack. */
  stackId: z.string(),
  owner: Identity,
  startedAt: z.string(),
  temporal: z
    .object({
      external: z.boolean(),
      /** host:port of the gRPC front end. */
      address: z.string(),
      namespace: z.string(),
      uiUrl: z.string().exactOptional(),
      /** Where the codec server is to listen, and the address the UI was given. */
      codec: z.object({ host: z.string(), port: z.int(), token: z.string(), endpoint: z.string() }),
    })
    .exactOptional(),
  postgres: z.object({ external: z.boolean(), adminUrl: z.string() }).exactOptional(),
  bitcoin: z
    .object({ external: z.boolean(), network: z.string(), rpcUrl: z.string() })
    .exactOptional(),
  solana: z
    .object({
      external: z.boolean(),
      network: z.string(),
      rpcUrl: z.string(),
      wsUrl: z.string(),
      sponsorFile: z.string(),
    })
    .exactOptional(),
  ethereum: z
    .object({ external: z.boolean(), network: z.string(), rpcUrl: z.string() })
    .exactOptional(),
  processes: z.array(
    Identity.extend({ name: z.string(), stopSignal: z.enum(['SIGTERM', 'SIGINT']) }),
  ),
});
export type StackRecord = z.infer<typeof StackRecord>;

const recordFile = (dataDir: string): string => join(dataDir, 'stack.json');

export function writeRecord(dataDir: string, record: StackRecord): void {
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  writeAtomic(recordFile(dataDir), `${JSON.stringify(record, null, 2)}\n`);
}

export const removeRecord = (dataDir: string): void => rmSync(recordFile(dataDir), { force: true });

/** The record as it lies there, whether its owner lives or not; `undefined` when there is none that can be read. */
export function lastRecord(dataDir: string): StackRecord | undefined {
  const text = readIfThere(recordFile(dataDir));
  if (text === undefined) return undefined;
  try {
    return StackRecord.parse(JSON.parse(text));
  } catch {
    return undefined; // of another version, or damaged: leftovers are still found by the stack's id
  }
}

/** The record of a running stack; `undefined` when none runs on this data folder. */
export function readStack(dataDir: string): StackRecord | undefined {
  const record = lastRecord(dataDir);
  return record && isAlive(record.owner) ? record : undefined;
}

/** This process as an owner. */
export function self(): StackRecord['owner'] {
  const identity = identify(process.pid);
  if (!identity) throw new KeysagaError('Internal', 'this process has no identity', {});
  return identity;
}
