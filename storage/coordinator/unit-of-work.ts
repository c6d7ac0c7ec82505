/** `UnitOfWork`: one database transaction for events, outbox, leases, claims and party reports. */
import { sql } from 'drizzle-orm';
import type { Clock } from '../../core/ports/clock.ts';
import type { Transaction, UnitOfWork } from '../../core/ports/ledger.ts';
import { isKeysagaError, KeysagaError } from '../../schema/contracts/errors.ts';
import { unawaited } from '../postgres-client.ts';
import {
  type CoordinatorDatabase,
  isConnectionLoss,
  isRetryableState,
  sqlState,
} from './database.ts';
import { createEventLog, type Executor } from './event-log.ts';
import { createLeases } from './leases.ts';
import { createPartyBoard } from './party-board.ts';
import { createPools } from './pools.ts';

/** Channel on which followers of the log are woken. */
export const EVENTS_CHANNEL = 'keysaga_events';
const TRIES = 5;

/** Between two wake-ups of one process: a busy log wakes its followers a few times a second, not at each append. */
const WAKE_EVERY_MS = 100;

/**
 * NOTIFY inside the appending transaction would make commits queue for one lock of the whole cluster. So it is sent
 * after the commit, by itself: at once for an append after a quiet moment, and for those that follow within the moment
 * once, at its end. When it is lost, the followers' polling finds the events.
 */
function createWakeUp(database: CoordinatorDatabase): () => void {
  let due: NodeJS.Timeout | undefined;
  let quietAt = 0;
  const send = async (): Promise<void> => {
    due = undefined;
    quietAt = performance.now() + WAKE_EVERY_MS;
    try {
      await database.db.execute(sql`select pg_notify(${EVENTS_CHANNEL}, '')`);
    } catch {
      // The database is away or closing: polling covers it.
    }
  };
  return () => {
    if (due !== undefined) return;
    const left = quietAt - performance.now();
    if (left <= 0) void send();
    else due = setTimeout(() => void send(), left).unref();
  };
}

async function claim(executor: Executor, now: string, kind: string, id: string, bodyHash: string) {
  const inserted = await executor.execute(sql`
    insert into claims (kind, id, body_hash, at) values (${kind}, ${id}, ${bodyHash}, ${now})
    on conflict (kind, id) do nothing returning id`);
  if (inserted.length > 0) return { fresh: true };
  const [row] = await executor.execute<{ bodyHash: string }>(
    sql`select body_hash as "bodyHash" from claims where kind = ${kind} and id = ${id}`,
  );
  if (row?.bodyHash !== bodyHash)
    throw new KeysagaError('RequestConflict', `${kind} ${id} was used with another body.`, {
      field: 'requestId',
      kind,
      id,
    });
  return { fresh: false };
}

/** What a driver's failure means to the callers of this port. */
function translated(error: unknown): unknown {
  if (isKeysagaError(error)) return error;
  const state = sqlState(error);
  if (isConnectionLoss(state) || isRetryableState(state))
    return new KeysagaError(
      'Internal',
      'The coordinator database did not answer.',
      { part: 'postgres', ...(state === undefined ? {} : { state }) },
      { cause: error },
    );
  return error;
}

/**
 * Isolation is READ COMMITTED: what must not change under a command is guarded by the expected version of a stream,
 * a row lock or `lock`. Deadlocks, serialization failures and lock time-outs are tried again, up to five times in
 * all. A lost connection is not, since the commit may have arrived: it becomes a retryable `Internal`, and the
 * activities' idempotency settles it.
 */
export function createUnitOfWork(database: CoordinatorDatabase, clock: Clock): UnitOfWork {
  const wake = createWakeUp(database);
  const once = async <T>(work: (tx: Transaction) => Promise<T>): Promise<T> => {
    let appended = false;
    const result = await database.db.transaction((executor) => {
      const onAppend = () => {
        appended = true;
      };
      return work({
        events: createEventLog({ executor, clock, onAppend }),
        leases: createLeases(executor, clock),
        parties: createPartyBoard(executor, clock),
        pools: createPools(executor, clock),
        claim: (kind, id, hash) =>
          claim(executor, new Date(clock.now()).toISOString(), kind, id, hash),
        lock: async (name) => {
          // What the caller reads next waits for it at the server.
          unawaited(
            executor.execute(sql`select pg_advisory_xact_lock(hashtextextended(${name}, 0))`),
          );
        },
      });
    });
    if (appended) wake();
    return result;
  };

  return {
    transaction: async (work) => {
      for (let attempt = 1; ; attempt++) {
        try {
          return await once(work);
        } catch (error) {
          if (attempt < TRIES && !isKeysagaError(error) && isRetryableState(sqlState(error)))
            continue;
          throw translated(error);
        }
      }
    },
    events: createEventLog({ executor: database.db, clock, onAppend: wake }),
  };
}
