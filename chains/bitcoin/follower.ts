/**
 * Follows the node's active chain and keeps the wallets' outputs in the coordinator database, whose rows mirror what
 * the node says now: state is a function of its active chain and the watched scripts, however it was reached.
 *
 * Any number of coordinators may run one. `BitcoinOutputs.exclusively` lets one work at a time; blocks, outputs
 * and progress change in that one transaction, so a crash at any point leaves the state of some earlier block.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type {
  BitcoinOutputs,
  BitcoinOutputsReader,
  BitcoinOutputsWriter,
  FollowedBlock,
} from '../../core/ports/bitcoin-outputs.ts';
import { isKeysagaError } from '../../schema/contracts/errors.ts';
import type { BitcoinNode, Tip } from './node.ts';

export type Logger = {
  warn(details: Readonly<Record<string, unknown>>, message: string): void;
};
export type FollowerOptions = {
  /** CAIP-2 id. */
  readonly network: string;
  readonly node: Pick<BitcoinNode, 'tip' | 'blockHash' | 'block'>;
  readonly outputs: BitcoinOutputs;
  readonly logger?: Logger;
  /** Blocks per database transaction; default 32. More holds the lock longer, fewer commits more often. */
  readonly batch?: number;
};

export type SyncResult = {
  /** False: another follower holds the lock; the state may be a little behind. */
  readonly worked: boolean;
  /** Blocks that were read. */
  readonly blocks: number;
  /** Height down to which a reorganisation was rolled back. */
  readonly rolledBackTo?: number;
  /** The node's tip as it was last seen. */
  readonly tip: Tip;
};

export type BitcoinFollower = {
  /** Brings the tables to the node's tip. @throws KeysagaError `ChainUnavailable`, `ChainMismatch`. */
  syncOnce(options?: { readonly signal?: AbortSignal }): Promise<SyncResult>;
  /** Syncs every `pollMs` until stopped. Failures are logged and tried again. */
  start(options: { readonly pollMs: number }): void;
  /** Resolves when the running sync has ended. */
  stop(): Promise<void>;
};

type Step = {
  readonly done: boolean;
  readonly blocks: number;
  readonly tip: Tip;
  readonly rolledBackTo?: number;
};

/** The followed block at a height. */
export async function followedAt(
  outputs: BitcoinOutputsReader,
  height: number,
): Promise<FollowedBlock | undefined> {
  const block = await outputs.followed(height);
  return block?.height === height ? block : undefined;
}

export function createFollower({
  network,
  node,
  outputs,
  logger,
  batch = 32,
}: FollowerOptions): BitcoinFollower {
  /**
   * Height of the highest followed block that is still in the active chain. When none is: below the lowest one, whose
   * predecessors hold nothing for any script by its birth height.
   */
  async function forkPoint(
    tx: BitcoinOutputsWriter,
    tip: number,
    options: { signal?: AbortSignal },
  ): Promise<number> {
    let height = Number.POSITIVE_INFINITY;
    for (;;) {
      const below = Number.isFinite(height) ? height - 1 : undefined;
      const followed = await tx.followed(below);
      if (followed === undefined) return height - 1;
      height = followed.height;
      if (height <= tip && (await node.blockHash(height, options)) === followed.hash) return height;
    }
  }

  async function step(tx: BitcoinOutputsWriter, options: { signal?: AbortSignal }): Promise<Step> {
    const tip = await node.tip(options);
    const top = await tx.followed();
    let rolledBackTo: number | undefined;
    if (top !== undefined) {
      const stands =
        top.height <= tip.height && (await node.blockHash(top.height, options)) === top.hash;
      if (!stands) {
        rolledBackTo = await forkPoint(tx, tip.height, options);
        await tx.rollBack(rolledBackTo);
      }
    }
    const back = rolledBackTo === undefined ? {} : { rolledBackTo };
    let blocks = 0;
    for (; blocks < batch; blocks++) {
      const height = await tx.nextHeight();
      if (height === undefined || height > tip.height) return { done: true, blocks, tip, ...back };
      const hash = await node.blockHash(height, options);
      const block = hash === undefined ? undefined : await node.block(hash, options);
      const known = await followedAt(tx, height);
      const below = await followedAt(tx, height - 1);
      // The chain changed while we read: what is recorded so far was valid when it was read; the next step finds the fork.
      if (block === undefined || (known !== undefined && known.hash !== block.hash)) break;
      if (below !== undefined && below.hash !== block.previous) break;
      await tx.apply(height, block);
    }
    return { done: false, blocks, tip, ...back };
  }

  /** Nothing to do, seen without the lock: the common case, on the path of every transfer. */
  async function upToDate(options: { signal?: AbortSignal }): Promise<Tip | undefined> {
    const [tip, top, next] = await Promise.all([
      node.tip(options),
      outputs.followed(),
      outputs.nextHeight(),
    ]);
    return top?.hash === tip.id && next !== undefined && next > tip.height ? tip : undefined;
  }

  const syncOnce: BitcoinFollower['syncOnce'] = async (options = {}) => {
    const current = await upToDate(options);
    if (current !== undefined) return { worked: true, blocks: 0, tip: current };
    let blocks = 0;
    let rolledBackTo: number | undefined;
    for (;;) {
      const turn = await outputs.exclusively((tx) => step(tx, options));
      if (turn === undefined) return summary(false, await node.tip(options));
      const did = turn.result;
      blocks += did.blocks;
      rolledBackTo =
        did.rolledBackTo === undefined
          ? rolledBackTo
          : Math.min(did.rolledBackTo, rolledBackTo ?? did.rolledBackTo);
      if (did.done) return summary(true, did.tip);
    }
    function summary(worked: boolean, tip: Tip): SyncResult {
      return { worked, blocks, tip, ...(rolledBackTo === undefined ? {} : { rolledBackTo }) };
    }
  };

  let running: { readonly abort: AbortController; readonly ended: Promise<void> } | undefined;

  async function loop(pollMs: number, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        await syncOnce({ signal });
      } catch (error) {
        if (!signal.aborted) {
          const code = isKeysagaError(error) ? error.code : 'Internal';
          logger?.warn(
            { network, code, reason: error instanceof Error ? error.message : String(error) },
            'the Bitcoin follower could not sync and tries again',
          );
        }
      }
      await sleep(pollMs, undefined, { signal, ref: false }).catch(() => {});
    }
  }

  return {
    syncOnce,
    start({ pollMs }) {
      if (running !== undefined) return;
      const abort = new AbortController();
      running = { abort, ended: loop(pollMs, abort.signal) };
    },
    async stop() {
      const was = running;
      running = undefined;
      was?.abort.abort();
      await was?.ended;
    },
  };
}
