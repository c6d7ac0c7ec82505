/**
 * `saga/transfer-throughput`: transfers a second at saturation beside a saga of the same shape with empty activities, in
 * turns, and where the CPU of a transfer goes. The last figure is what the machine would do if signing were free.
 */
import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { WorkflowHandle } from '@temporalio/client';
import type { Wallet } from '../client/index.ts';
import { hexToBytes, publicKeyOf, signObject, verifyEd25519 } from '../core/signed.ts';
import { until } from '../dev/until.ts';
import { signedBytes } from '../schema/contracts/canonical.ts';
import { type Benchmark, cpuMilliseconds, type Figure, figure, quantile } from './figures.ts';
import { solanaSignature } from './frost.ts';
import { type Bench, empty, open, real } from './stack.ts';

/** Transfers at once: more than two cores can do, while some of them only wait for their confirmations. */
const CONCURRENCY = 16;
const TURNS = 3;
const WALLETS = 2;
/** A nonce is back 32 slots after its transfer. */
const SLOT_MS = 50;
/** What a Solana transfer of one payment on a durable nonce has to sign, about. */
const MESSAGE_BYTES = 330;

/** CPU milliseconds of a process so far, user and system, to the nanosecond; 0 when it is gone. */
function cpuOf(pid: number): number {
  let total = 0;
  try {
    for (const task of readdirSync(`/proc/${pid}/task`))
      total += Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')[0]);
  } catch {
    // A thread, or the process, has ended meanwhile.
  }
  return total / 1e6;
}

const childrenOf = (pid: number): number[] => {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
      .trim()
      .split(' ')
      .filter(Boolean)
      .map(Number);
  } catch {
    return [];
  }
};

const PARTS = ['temporal', 'postgres', 'parties', 'coordinator'] as const;
type Part = (typeof PARTS)[number];

/** Of each process by itself, so that one that ends between two readings takes nothing away from the others. */
function cpuNow({ platform }: Bench): Map<Part, Map<number, number>> {
  const { record } = platform.stack;
  const pidOf = (name: string) => record.processes.find((p) => p.name === name)?.pid ?? 0;
  const postgres = pidOf('postgres');
  const node = (name: string) => platform.workers.get(name)?.pid ?? 0;
  const pids: Record<Part, number[]> = {
    temporal: [pidOf('temporal')],
    postgres: [postgres, ...childrenOf(postgres)],
    parties: platform.cast.parties.map(node),
    coordinator: [node('coordinator')],
  };
  return new Map(PARTS.map((part) => [part, new Map(pids[part].map((pid) => [pid, cpuOf(pid)]))]));
}

function spent(
  before: ReturnType<typeof cpuNow>,
  after: ReturnType<typeof cpuNow>,
  part: Part,
): number {
  let total = 0;
  for (const [pid, now] of after.get(part) ?? [])
    total += Math.max(0, now - (before.get(part)?.get(pid) ?? 0));
  return total;
}

/** How long is measured, in milliseconds, once half of the first sagas have ended: then they are in all phases at once. */
const WINDOW_MS = { empty: 8_000, real: 15_000 } as const;
const RAMP = { deadlineMs: 60_000, intervalMs: 20, what: 'the first sagas end' };

/**
 * Keeps `CONCURRENCY` sagas under way for a fixed time, however slow the machine is: sagas a second that ended in the
 * window, and the CPU that each took of every part. Resolves when all of them have ended.
 */
async function saturate(
  bench: Bench,
  windowMs: number,
  start: (i: number) => Promise<WorkflowHandle>,
): Promise<{ readonly rate: number; readonly split: Record<Part, number> }> {
  let next = 0;
  let ended = 0;
  let over = false;
  const one = async () => {
    while (!over) {
      await (await start(next++)).result();
      ended += 1;
    }
  };
  const all = Promise.all(Array.from({ length: CONCURRENCY }, one));
  const window = async () => {
    await until(() => ended >= CONCURRENCY / 2, RAMP);
    const opened = performance.now();
    const [cpuBefore, endedBefore] = [cpuNow(bench), ended];
    await sleep(windowMs);
    const [cpuAfter, count] = [cpuNow(bench), ended - endedBefore];
    over = true;
    if (count === 0) throw new Error('no saga ended in the window');
    const split = PARTS.map((part) => [part, spent(cpuBefore, cpuAfter, part) / count]);
    return {
      rate: count / ((performance.now() - opened) / 1_000),
      split: Object.fromEntries(split) as Record<Part, number>,
    };
  };
  try {
    // A saga that fails ends the benchmark at once.
    const [measured] = await Promise.all([window(), all]);
    return measured;
  } finally {
    over = true;
  }
}

/**
 * CPU milliseconds of a transfer's curve arithmetic: the threshold signature at both parties with its aggregation and
 * check, and the saga's own check of two approvals. Measured here, alone in its process; what OpenSSL does in the parties
 * (their checks of signatures, envelopes, seals) is not in it, so that it is rather too small than too large.
 */
function cryptoMilliseconds(samples: number): number[] {
  const signature = solanaSignature(MESSAGE_BYTES);
  const secret = new Uint8Array(randomBytes(32));
  const document = { note: randomBytes(128).toString('hex') };
  const publicKey = hexToBytes(publicKeyOf(secret));
  const bytes = signedBytes('approval', document);
  const approval = hexToBytes(signObject('approval', document, secret));
  const work = () => {
    signature();
    for (let i = 0; i < 2; i++)
      if (!verifyEd25519(publicKey, bytes, approval))
        throw new Error('a signature does not verify');
  };
  // The code of a worker that has served a while is compiled.
  for (let i = 0; i < 20; i++) work();
  return Array.from({ length: samples }, () => cpuMilliseconds(work));
}

async function throughput(): Promise<readonly Figure[]> {
  const bench = await open('solana', WALLETS, {
    slotTimeMs: SLOT_MS,
    poolSize: (CONCURRENCY * 2) / WALLETS,
  });
  try {
    const ours: number[] = [];
    const theirs: number[] = [];
    const splits: Record<Part, number>[] = [];
    const wallet = (i: number) => bench.wallets[i % bench.wallets.length] as Wallet;
    const emptySaga = () => empty(bench);
    const transfer = (i: number) => real(bench, wallet(i));
    for (let turn = 0; turn < TURNS; turn++) {
      theirs.push((await saturate(bench, WINDOW_MS.empty, emptySaga)).rate);
      const { rate, split } = await saturate(bench, WINDOW_MS.real, transfer);
      ours.push(rate);
      splits.push(split);
    }
    const crypto = quantile(cryptoMilliseconds(30), 0.5);
    const all = splits.map((split) => PARTS.reduce((sum, part) => sum + split[part], 0));
    const ownCode = (split: Record<Part, number>) => split.parties + split.coordinator - crypto;
    const share = (name: string, samples: readonly number[]): Figure =>
      figure(`saga/transfer-throughput(cpu ${name})`, 'CPU ms', samples, {
        name: 'all processes, a transfer',
        samples: all,
      });
    const yardstick = { name: 'the same shape, empty activities', samples: theirs };
    return [
      figure('saga/transfer-throughput', '1/s', ours, yardstick),
      // On a machine whose CPU is used up, a transfer without that work takes that much less of it.
      figure(
        'saga/transfer-throughput(crypto subtracted)',
        '1/s',
        ours.map((rate, i) => rate / (1 - crypto / (all[i] as number))),
        yardstick,
      ),
      share(
        'temporal',
        splits.map(({ temporal }) => temporal),
      ),
      share(
        'postgres',
        splits.map(({ postgres }) => postgres),
      ),
      share('crypto', [crypto]),
      share('rest', splits.map(ownCode)),
      share(
        'parties',
        splits.map(({ parties }) => parties),
      ),
      share(
        'coordinator',
        splits.map(({ coordinator }) => coordinator),
      ),
    ];
  } finally {
    await bench.close();
  }
}

export const sagaThroughput: Benchmark = { name: 'saga/transfer-throughput', figures: throughput };
