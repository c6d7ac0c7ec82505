/**
 * Following the log without missing an event.
 *
 * Positions are drawn when an event is written and become visible when its transaction commits, so position 7 may
 * be visible while 6 is still under way; a follower that remembers only "7" would never see 6. Making appends queue
 * for a lock until they have committed would cure that at one fsync an append. Instead the follower stops at a gap:
 * the gap is either a transaction under way, which it waits for, or one rolled back, which it may pass. Which one is
 * known once every transaction that was running when the gap was seen has ended: a position is drawn only by a
 * transaction that has its id already (`next_event_position`), so the follower draws an id after seeing the gap and
 * passes when the oldest running transaction is newer than that (`pg_snapshot_xmin`). Appends pay nothing, and
 * without gaps the follower never waits.
 */
import { type SQL, sql } from 'drizzle-orm';
import type { StoredEvent } from '../../core/ports/ledger.ts';
import type { CoordinatorDatabase, Database } from './database.ts';
import { EVENT_COLUMNS, type EventRow, toStoredEvent } from './event-log.ts';
import { EVENTS_CHANNEL } from './unit-of-work.ts';

export type FollowTransaction = Parameters<Parameters<Database['transaction']>[0]>[0];

export type FollowerOptions = {
  /** Names the checkpoint; at most one process at a time follows under a name. */
  readonly name: string;
  /** Applies events, in order of position, in the transaction that moves the checkpoint. */
  readonly apply: (tx: FollowTransaction, events: readonly StoredEvent[]) => Promise<void>;
  /** Most events in one transaction; default 500. */
  readonly batch?: number;
  /** Longest wait between two looks, in milliseconds; default 500. NOTIFY makes it shorter. */
  readonly pollMs?: number;
  /** Hears of failures, which are tried again; default: none hears. */
  readonly onError?: (error: unknown) => void;
};

export type FollowResult = {
  readonly applied: number;
  /** A gap holds it up. */
  readonly waiting: boolean;
  /** False: another process follows under this name just now. */
  readonly mine: boolean;
};

export interface Follower {
  /** Applies what can be applied now, at most one batch. */
  runOnce(): Promise<FollowResult>;
  /** Follows until `stop`. Resolves once it listens. */
  start(): Promise<void>;
  /** Resolves when the batch under way has ended. */
  stop(): Promise<void>;
}

type Row = EventRow & { readonly xmin: string };

export const lockCheckpoint = async (
  tx: Pick<Database, 'execute'>,
  name: string,
  options: { wait: boolean },
): Promise<number | undefined> => {
  await tx.execute(
    sql`insert into checkpoints (name, position) values (${name}, 0) on conflict (name) do nothing`,
  );
  const how: SQL = options.wait ? sql`for update` : sql`for update skip locked`;
  const [row] = await tx.execute<{ position: string }>(
    sql`select position from checkpoints where name = ${name} ${how}`,
  );
  return row === undefined ? undefined : Number(row.position);
};

export const moveCheckpoint = async (
  tx: Pick<Database, 'execute'>,
  name: string,
  position: number,
): Promise<void> => {
  await tx.execute(sql`update checkpoints set position = ${position} where name = ${name}`);
};

export function createFollower(database: CoordinatorDatabase, options: FollowerOptions): Follower {
  const { name, apply, batch = 500, pollMs = 500, onError = () => {} } = options;
  /** Gaps below `below` are decided once every transaction older than `xid` has ended. */
  let pending: { readonly below: number; readonly xid: bigint } | undefined;
  let decidedBelow = 0;

  /** The rows up to the first undecided gap. */
  const ready = (rows: readonly Row[], after: number): { take: Row[]; blockedBy?: number } => {
    const xmin = BigInt(rows[0]?.xmin ?? 0);
    if (pending !== undefined && xmin >= pending.xid) {
      decidedBelow = Math.max(decidedBelow, pending.below);
      pending = undefined;
    }
    const take: Row[] = [];
    let expected = after + 1;
    for (const row of rows) {
      const position = Number(row.position);
      if (position !== expected && position > decidedBelow)
        return { take, blockedBy: Number(rows.at(-1)?.position) };
      take.push(row);
      expected = position + 1;
    }
    return { take };
  };

  const runOnce = async (): Promise<FollowResult> => {
    let blockedBy: number | undefined;
    const result = await database.db.transaction(async (tx): Promise<FollowResult> => {
      const after = await lockCheckpoint(tx, name, { wait: false });
      if (after === undefined) return { applied: 0, waiting: false, mine: false };
      const rows = await tx.execute<Row>(sql`
        select ${EVENT_COLUMNS}, pg_snapshot_xmin(pg_current_snapshot())::text as xmin
        from events e where e.position > ${after} order by e.position limit ${batch}`);
      const { take, blockedBy: gap } = ready(rows, after);
      blockedBy = gap;
      const last = take.at(-1);
      if (last !== undefined) {
        await apply(tx, take.map(toStoredEvent));
        await moveCheckpoint(tx, name, Number(last.position));
      }
      return { applied: take.length, waiting: gap !== undefined, mine: true };
    });
    if (blockedBy !== undefined && pending === undefined) {
      // Drawn after the gap was seen, in a transaction of its own: see above.
      const [row] = await database.db.execute<{ xid: string }>(
        sql`select pg_current_xact_id()::text as xid`,
      );
      if (row !== undefined) pending = { below: blockedBy, xid: BigInt(row.xid) };
    }
    return result;
  };

  let loop: Promise<void> | undefined;
  let stopped = false;
  let awake = false;
  let wake: () => void = () => {};
  let unlisten: (() => Promise<void>) | undefined;

  const pause = (milliseconds: number): Promise<void> =>
    new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        wake = () => {};
        awake = false;
        resolve();
      };
      const timer = setTimeout(done, milliseconds);
      wake = done;
      if (awake) done();
    });

  const run = async (): Promise<void> => {
    let failures = 0;
    while (!stopped) {
      try {
        const { applied, waiting } = await runOnce();
        failures = 0;
        if (applied === 0 && !stopped) await pause(waiting ? Math.min(10, pollMs) : pollMs);
      } catch (error) {
        onError(error);
        failures += 1;
        if (!stopped) await pause(Math.min(pollMs * failures, 5_000));
      }
    }
  };

  return {
    runOnce,
    start: async () => {
      if (loop !== undefined) return;
      stopped = false;
      try {
        unlisten = await database.listen(EVENTS_CHANNEL, () => {
          awake = true;
          wake();
        });
      } catch (error) {
        onError(error); // polling is enough
      }
      loop = run();
    },
    stop: async () => {
      stopped = true;
      awake = true;
      wake();
      await loop;
      loop = undefined;
      await unlisten?.().catch(onError);
      unlisten = undefined;
      awake = false;
    },
  };
}
