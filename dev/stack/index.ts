/** The local stack: start, attach, stop. */
import { randomBytes } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import { readOrCreate } from '../files.ts';
import { withLock } from '../process/lock.ts';
import type { ExitInfo, ManagedProcess } from '../process/managed.ts';
import { type Progress, silent } from '../progress.ts';
import { type LocalTopology, loadTopology, type Mining } from '../topology.ts';
import { type BitcoinClient, bitcoinClient, startBitcoin } from './bitcoin.ts';
import type { StackContext } from './context.ts';
import { type EthereumClient, ethereumClient, startEthereum } from './ethereum.ts';
import { type NodeOptions, type NodeProcess, spawnNode } from './node.ts';
import { type PostgresClient, postgresClient, startPostgres } from './postgres.ts';
import { readStack, removeRecord, type StackRecord, self, writeRecord } from './record.ts';
import { recover } from './recover.ts';
import { type SolanaClient, solanaClient, startSolana } from './solana.ts';
import { type StartedPart, startTemporal } from './temporal.ts';

export type PartName = 'temporal' | 'postgres' | 'bitcoin' | 'solana' | 'ethereum';
export const partNames: readonly PartName[] = [
  'temporal',
  'postgres',
  'bitcoin',
  'solana',
  'ethereum',
];

export type TemporalAccess = NonNullable<StackRecord['temporal']>;

/** What is up and how to use it. A part that was not asked for throws `NotFound` when it is touched. */
export interface StackAccess {
  readonly dataDir: string;
  readonly record: StackRecord;
  readonly temporal: TemporalAccess;
  readonly postgres: PostgresClient;
  readonly bitcoin: BitcoinClient;
  readonly solana: SolanaClient;
  readonly ethereum: EthereumClient;
}

export interface Stack extends StackAccess {
  /** Milliseconds each part took from the call of `startStack` until it was ready, installation included. */
  readonly readyMs: Readonly<Partial<Record<PartName, number>>>;
  /** Runs one of our own programs under the stack's supervision; it is stopped before the parts. */
  startNode(options: NodeOptions): Promise<NodeProcess>;
  /** Live or ended programs started with `startNode`. */
  readonly nodes: ReadonlyMap<string, NodeProcess>;
  /** Same port, same data (Solana begins anew, sponsor funded). For a part or a program. */
  restart(name: string): Promise<void>;
  /** As a crash would; resolves once it is gone. For a part or a program. */
  kill(name: string, signal?: NodeJS.Signals): Promise<void>;
  /** Stops everything in order. Safe to call twice. */
  stop(): Promise<void>;
}

export interface StartOptions extends Partial<LocalTopology> {
  /** Default: all. */
  readonly parts?: readonly PartName[];
  /** Replaces the topology's; tests use `{ mode: 'off', … }` and call `mine`. */
  readonly mining?: Mining;
  readonly onProgress?: Progress;
}

function access(dataDir: string, read: () => StackRecord): StackAccess {
  const made = new Map<string, unknown>();
  const lazily = <T>(name: PartName, make: (record: StackRecord) => T | undefined): T => {
    const client = made.get(name) ?? make(read());
    if (client === undefined) {
      throw new KeysagaError('NotFound', `this stack runs without ${name}`, {
        field: 'parts',
        part: name,
      });
    }
    made.set(name, client);
    return client as T;
  };
  return {
    dataDir,
    get record() {
      return read();
    },
    get temporal() {
      return lazily('temporal', (record) => record.temporal);
    },
    get postgres() {
      return lazily('postgres', ({ postgres }) => postgres && postgresClient(postgres, dataDir));
    },
    get bitcoin() {
      return lazily('bitcoin', ({ bitcoin }) => bitcoin && bitcoinClient(bitcoin, dataDir));
    },
    get solana() {
      return lazily('solana', ({ solana }) => solana && solanaClient(solana));
    },
    get ethereum() {
      return lazily('ethereum', ({ ethereum }) => ethereum && ethereumClient(ethereum, dataDir));
    },
  };
}

/** The stack that runs on a data folder, from another process. @throws KeysagaError `PartMissing` when none runs there. */
export function attachStack(dataDir: string): StackAccess {
  const record = readStack(dataDir);
  if (!record) {
    throw new KeysagaError(
      'PartMissing',
      `no stack runs on ${dataDir}; start one with \`npm start\``,
      {
        remedy: 'npm start',
        field: 'KEYSAGA_DATA',
      },
    );
  }
  return access(dataDir, () => record);
}

/**
 * Starts the parts side by side, each reusing what its data folder holds, and owns them until `stop`.
 * Defaults: `temporal-dev.yaml`, the environment's addresses, the checkout's data folder.
 * @throws KeysagaError `StateConflict` when a live stack has the folder, `PartMissing`, `PartFailed`, `ChainMismatch`.
 * Nothing is left running when it throws.
 */
export async function startStack(options: StartOptions = {}): Promise<Stack> {
  const defaults = options.topology && options.dataDir ? undefined : loadTopology();
  const topology = options.topology ?? (defaults as LocalTopology).topology;
  const dataDir = options.dataDir ?? (defaults as LocalTopology).dataDir;
  const external = options.external ?? defaults?.external ?? {};
  const progress = options.onProgress ?? silent;
  const parts = options.parts ?? partNames;
  const begun = Date.now();

  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const stackId = readOrCreate(join(dataDir, 'stack-id'), () =>
    randomBytes(8).toString('hex'),
  ).trim();

  const processes = new Map<string, ManagedProcess>();
  let record: StackRecord;
  let recording = false;
  const save = () => {
    if (recording) writeRecord(dataDir, record);
  };
  const onChange = (process: ManagedProcess, exit?: ExitInfo): void => {
    const { name, stopSignal } = process.spec;
    const others = record.processes.filter((one) => one.name !== name);
    const { identity } = process;
    if (identity) processes.set(name, process);
    record = {
      ...record,
      processes: identity
        ? [
            ...others,
            { ...identity, name, stopSignal: stopSignal === 'SIGINT' ? 'SIGINT' : 'SIGTERM' },
          ]
        : others,
    };
    save();
    if (exit?.unexpected) {
      const how = exit.signal ?? `code ${exit.code}`;
      progress({
        part: name,
        phase: 'exited',
        message: `${name} ended by itself with ${how}; see ${process.spec.logFile}`,
      });
    }
  };

  // Two starts at the same moment: the second one finds the first one's record.
  await withLock(
    join(dataDir, 'stack.lock'),
    async () => {
      await recover(dataDir, stackId, progress);
      record = {
        version: 1,
        stackId,
        owner: self(),
        startedAt: new Date().toISOString(),
        processes: [],
      };
      recording = true;
      save();
    },
    { deadlineMs: 30_000 },
  );

  const context: StackContext = { topology, external, dataDir, stackId, progress, onChange };
  const started = new Map<PartName, StartedPart<unknown>>();
  const nodes = new Map<string, NodeProcess>();
  const readyMs: Partial<Record<PartName, number>> = {};
  const starters: Readonly<Record<PartName, () => Promise<StartedPart<unknown>>>> = {
    temporal: () => startTemporal(context),
    postgres: () => startPostgres(context),
    bitcoin: () => startBitcoin(context, options.mining ?? topology.chains.bitcoin.mining),
    solana: () => startSolana(context),
    ethereum: () => startEthereum(context, options.mining ?? topology.chains.ethereum.mining),
  };

  // An owner that ends without `stop` (an uncaught error) still asks its children to end.
  const lastCall = () => {
    for (const one of processes.values()) one.signalNow();
  };
  process.on('exit', lastCall);

  let stopping: Promise<void> | undefined;
  const stop = (): Promise<void> => {
    stopping ??= (async () => {
      const step = async (names: readonly string[]) => {
        await Promise.all(
          names.map(async (name) => {
            const one = processes.get(name);
            if (!one?.pid) return;
            const from = Date.now();
            progress({ part: name, phase: 'stop', message: `stopping ${name}` });
            await one.stop();
            progress({
              part: name,
              phase: 'stopped',
              message: `${name} stopped`,
              ms: Date.now() - from,
            });
          }),
        );
      };
      // Workers first, while what they need still answers.
      await step([...nodes.keys()]);
      await Promise.allSettled([...started.values()].map((part) => part.close?.()));
      await step([...processes.keys()].filter((name) => !nodes.has(name)));
      process.off('exit', lastCall);
      recording = false;
      removeRecord(dataDir);
    })();
    return stopping;
  };

  const results = await Promise.allSettled(
    parts.map(async (name) => {
      const part = await starters[name]();
      started.set(name, part);
      record = { ...record, [name]: part.record };
      save();
      const ms = Date.now() - begun;
      readyMs[name] = ms;
      progress(
        part.process
          ? { part: name, phase: 'ready', message: `${name} is ready`, ms }
          : {
              part: name,
              phase: 'external',
              message: `${name}: using the address given in the environment`,
              ms,
            },
      );
    }),
  );
  const failure = results.find((result) => result.status === 'rejected');
  if (failure) {
    await stop();
    throw failure.reason;
  }

  const find = (name: string): ManagedProcess => {
    const one = processes.get(name);
    if (!one)
      throw new KeysagaError('NotFound', `this stack did not start ${name}`, { part: name });
    return one;
  };
  const clients = access(dataDir, () => record);
  return Object.create(clients, {
    ...Object.getOwnPropertyDescriptors({
      readyMs,
      nodes,
      stop,
      async startNode(node: NodeOptions) {
        if (processes.get(node.name)?.pid) {
          throw new KeysagaError('StateConflict', `${node.name} runs already`, { part: node.name });
        }
        const child = await spawnNode(context, node);
        nodes.set(node.name, child.node);
        return child.node;
      },
      async restart(name: string) {
        await find(name).restart();
        await started.get(name as PartName)?.restarted?.();
      },
      kill: async (name: string, signal: NodeJS.Signals = 'SIGKILL') => find(name).kill(signal),
    }),
  }) as Stack;
}

export type { BitcoinClient } from './bitcoin.ts';
export type { EthereumClient } from './ethereum.ts';
export type { NodeOptions, NodeProcess } from './node.ts';
export type { PostgresClient } from './postgres.ts';
export { readStack, type StackRecord } from './record.ts';
export type { SolanaClient } from './solana.ts';
