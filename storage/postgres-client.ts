/**
 * A pool of postgres.js connections that survives the loss of its server.
 *
 * postgres.js 3.4.9 does not: a transaction whose connection has died still sends its ROLLBACK, which writes to a
 * socket that is null, in a timer, so that the whole process ends (porsager/postgres 1154, 1208); and a connection
 * that dies with a write pending never sends anything again. So each connection here is a client of its own, with
 * `max: 1`, that is thrown away at the first sign of loss, and transactions are plain BEGIN, COMMIT and ROLLBACK on
 * it, none of which is sent to a connection that is known to be gone.
 *
 * Within a transaction statements leave in the order in which they were asked for, and nobody needs to await one before
 * the next: the server runs them one after another. COMMIT waits for all of them and is not sent when one failed, so a
 * write or a lock whose answer says nothing may be left unawaited (`unawaited`), which saves its round trip.
 */
import { drizzle } from 'drizzle-orm/postgres-js';
import postgres from 'postgres';
import { sqlState } from './sql-state.ts';

export type PoolOptions = {
  /** Most connections at once. */
  readonly max: number;
  /** Session settings of every connection. */
  readonly connection: Readonly<Record<string, string | number | boolean>>;
  /** Connections older than this are replaced when they are idle, in milliseconds; default 30 minutes. */
  readonly maxAgeMs?: number;
};

type Row = Record<string, unknown>;
type Pending = PromiseLike<Row[]> & { values(): Promise<unknown[][]> };
type Unsafe = (query: string, params?: unknown[]) => Pending;

/** The part of a postgres.js client that drizzle uses. */
export type PoolClient = {
  readonly options: { readonly parsers: Row; readonly serializers: Row };
  readonly unsafe: Unsafe;
  begin<T>(work: (client: TransactionClient) => Promise<T>): Promise<T>;
};
type TransactionClient = Pick<PoolClient, 'options' | 'unsafe'> & {
  savepoint<T>(work: (client: TransactionClient) => Promise<T>): Promise<T>;
};

export type Pool = {
  /** Give it to `drizzle(…)`. */
  readonly client: PoolClient;
  close(): Promise<void>;
};

type Slot = {
  readonly sql: postgres.Sql;
  readonly since: number;
  /** Called when the connection has closed: what was under way on it may never be answered. */
  readonly onGone: Set<() => void>;
  dead: boolean;
};

/** "Current transaction is aborted": what every statement after the one that failed is answered. */
const IN_FAILED_TRANSACTION = '25P02';

/** Starts a statement of a transaction now and does not wait for it; the transaction does, and fails with it. */
export function unawaited(statement: { execute(): Promise<unknown> }): void {
  statement.execute().catch(() => {});
}

/** What callers see when a statement is asked of a connection that has gone; the code is postgres.js' own. */
const lost = (): Error =>
  Object.assign(new Error('The database connection was lost.'), { code: 'CONNECTION_CLOSED' });

type TransactionState = {
  /** Statements whose answer has not come. */
  readonly inFlight: Set<Promise<void>>;
  failed?: unknown;
  ended: boolean;
  depth: number;
};
/** Resolves when every statement has its answer, or the connection is gone. */
const settled = async ({ onGone }: Slot, { inFlight }: TransactionState): Promise<void> => {
  if (inFlight.size === 0) return;
  await new Promise<void>((resolve) => {
    onGone.add(resolve);
    void Promise.all(inFlight).then(() => {
      onGone.delete(resolve);
      resolve();
    });
  });
};
/** A statement that nobody awaited has failed, and the caller met only what follows from it. */
const causeOf = (error: unknown, { failed }: TransactionState): unknown =>
  failed !== undefined && sqlState(error) === IN_FAILED_TRANSACTION ? failed : error;

/** Prepared once a connection: otherwise each statement with parameters asks for their types first, a second trip. */
const prepared = (params: readonly unknown[]) => ({ prepare: params.length > 0 });

export function openPool(url: string, options: PoolOptions): Pool {
  const { max, connection, maxAgeMs = 30 * 60_000 } = options;
  const idle: Slot[] = [];
  const slots = new Set<Slot>();
  const waiting: { resolve: (slot: Slot) => void; reject: (error: Error) => void }[] = [];
  let closed = false;

  const open = (): Slot => {
    const slot: Slot = {
      sql: postgres(url, {
        max: 1,
        connect_timeout: 10,
        // A connection ends between transactions only: the pool decides when.
        idle_timeout: 0,
        max_lifetime: 0,
        fetch_types: false,
        onnotice: () => {},
        onclose: () => {
          slot.dead = true;
          for (const call of slot.onGone) call();
        },
        connection,
      }),
      since: performance.now(),
      onGone: new Set(),
      dead: false,
    };
    // Sets the type parsers that drizzle expects on this client.
    drizzle(slot.sql);
    slots.add(slot);
    return slot;
  };
  const discard = (slot: Slot): void => {
    slots.delete(slot);
    void slot.sql.end({ timeout: 0 }).catch(() => {});
  };
  const acquire = async (): Promise<Slot> => {
    if (closed) throw lost();
    for (let slot = idle.pop(); slot !== undefined; slot = idle.pop()) {
      if (!slot.dead && performance.now() - slot.since < maxAgeMs) return slot;
      discard(slot);
    }
    if (slots.size < max) return open();
    return new Promise((resolve, reject) => waiting.push({ resolve, reject }));
  };
  const release = (slot: Slot): void => {
    let free: Slot | undefined = slot;
    if (slot.dead || closed) {
      discard(slot);
      free = undefined;
    }
    const next = closed ? undefined : waiting.shift();
    if (next !== undefined) next.resolve(free ?? open());
    else if (free !== undefined) idle.push(free);
  };

  /** One statement; a failure that is not PostgreSQL's own answer condemns the connection. */
  const send = async <T>(slot: Slot, start: () => Promise<T>): Promise<T> => {
    if (slot.dead) throw lost();
    try {
      return await start();
    } catch (error) {
      if (!(error instanceof postgres.PostgresError) || error.severity_local === 'FATAL')
        slot.dead = true;
      throw error;
    }
  };
  const withSlot = async <T>(work: (slot: Slot) => Promise<T>): Promise<T> => {
    const slot = await acquire();
    try {
      return await work(slot);
    } finally {
      release(slot);
    }
  };

  /** Like postgres.js' pending query: awaited for rows as objects, or `.values()` for rows as arrays. */
  const pending = (
    run: <T>(start: (sql: postgres.Sql) => Promise<T>) => Promise<T>,
    query: string,
    params: unknown[] = [],
  ): Pending => {
    const given = params as postgres.ParameterOrJSON<never>[];
    const how = prepared(params);
    const rows = () => run<Row[]>(async (sql) => sql.unsafe<Row[]>(query, given, how));
    return {
      // biome-ignore lint/suspicious/noThenProperty: a pending query is awaited, as drizzle does.
      then: (resolve, reject) => rows().then(resolve, reject),
      values: () => run<unknown[][]>(async (sql) => sql.unsafe(query, given, how).values()),
    };
  };

  // drizzle writes its parsers here; the slots have theirs.
  const clientOptions = { parsers: {}, serializers: {} };

  const transactionClient = (slot: Slot, state: TransactionState): TransactionClient => {
    const run = async <T>(start: () => PromiseLike<T>): Promise<T> => {
      // A statement that comes too late must not land in the next transaction of this connection.
      if (state.ended) throw lost();
      try {
        return await send(slot, async () => start());
      } catch (error) {
        // Answers come in order, so the first failure is the cause of those that follow.
        state.failed ??= error;
        throw error;
      }
    };
    const client: TransactionClient = {
      options: clientOptions,
      unsafe: (query, params = []) => {
        // Sent at once, whatever the caller does with the answer: the order of the calls is the order at the server.
        const statement = slot.sql.unsafe(
          query,
          params as postgres.ParameterOrJSON<never>[],
          prepared(params),
        );
        const outcome = run<unknown>(() => statement.execute());
        const noted = outcome.then(
          () => {},
          () => {},
        );
        state.inFlight.add(noted);
        void noted.then(() => state.inFlight.delete(noted));
        return {
          // biome-ignore lint/suspicious/noThenProperty: a pending query is awaited, as drizzle does.
          then: (resolve, reject) => (outcome as Promise<Row[]>).then(resolve, reject),
          values: () => {
            void statement.values();
            return outcome as Promise<unknown[][]>;
          },
        };
      },
      savepoint: async (work) => {
        const name = `s${state.depth++}`;
        await client.unsafe(`savepoint ${name}`);
        try {
          const result = await work(client);
          await settled(slot, state);
          if (state.failed !== undefined) throw state.failed;
          return result;
        } catch (error) {
          // Answers come in order: after this one none of the work's own is missing.
          await send(slot, async () => slot.sql.unsafe(`rollback to ${name}`));
          const cause = causeOf(error, state);
          delete state.failed;
          throw cause;
        }
      },
    };
    return client;
  };

  const begin = <T>(work: (client: TransactionClient) => Promise<T>): Promise<T> =>
    withSlot(async (slot) => {
      const state: TransactionState = { inFlight: new Set(), ended: false, depth: 0 };
      await send(slot, async () => slot.sql.unsafe('begin'));
      try {
        const result = await work(transactionClient(slot, state));
        await settled(slot, state);
        // COMMIT of a transaction in which a statement failed is a ROLLBACK that says nothing.
        if (state.failed !== undefined) throw state.failed;
        state.ended = true;
        const { command } = await send(slot, async () => slot.sql.unsafe('commit'));
        if (command !== 'COMMIT') throw state.failed ?? lost();
        return result;
      } catch (error) {
        state.ended = true;
        // A connection that cannot roll back is not used again; its end rolls back.
        if (!slot.dead)
          await send(slot, async () => slot.sql.unsafe('rollback')).catch(() => {
            slot.dead = true;
          });
        throw causeOf(error, state);
      }
    });

  return {
    client: {
      options: clientOptions,
      unsafe: (query, params) =>
        pending((start) => withSlot((slot) => send(slot, () => start(slot.sql))), query, params),
      begin,
    },
    close: async () => {
      closed = true;
      for (const { reject } of waiting.splice(0)) reject(lost());
      await Promise.all([...slots].map((slot) => slot.sql.end({ timeout: 5 }).catch(() => {})));
    },
  };
}
