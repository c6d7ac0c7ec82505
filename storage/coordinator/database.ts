/** The coordinator's connection pool, and what its errors mean. */
import { drizzle, type PostgresJsDatabase } from 'drizzle-orm/postgres-js';
import postgres from 'postgres';
import * as schema from '../../schema/db/coordinator.ts';

export type Database = PostgresJsDatabase<typeof schema>;

export type CoordinatorDatabase = {
  readonly db: Database;
  /** The driver beneath, for LISTEN only: drizzle has replaced its type parsers. */
  readonly sql: postgres.Sql;
  close(): Promise<void>;
};

export type DatabaseOptions = {
  /** Connections of the pool, at least 2 (the projector holds one while it asks another); default 10. */
  readonly max?: number;
  /** Shown in pg_stat_activity; default `keysaga-coordinator`. */
  readonly applicationName?: string;
};

/**
 * Opens the pool; connects lazily. A process that stops in the middle of a transaction must not hold its locks for
 * ever: PostgreSQL ends an idle transaction after 30 s and a wait for a lock after 20 s, and both are tried again.
 */
export function openCoordinatorDatabase(url: string, options: DatabaseOptions = {}): CoordinatorDatabase {
  const sql = postgres(url, {
    max: Math.max(2, options.max ?? 10),
    connect_timeout: 10,
    // A pooled connection is replaced now and then, so that a failover's new server is found.
    max_lifetime: 30 * 60,
    onnotice: () => {},
    connection: {
      application_name: options.applicationName ?? 'keysaga-coordinator',
      TimeZone: 'UTC',
      idle_in_transaction_session_timeout: 30_000,
      lock_timeout: 20_000,
      statement_timeout: 60_000,
    },
  });
  return { db: drizzle(sql, { schema }), sql, close: () => sql.end({ timeout: 5 }) };
}

/** The SQLSTATE or driver code beneath drizzle's wrapper. */
export function sqlState(error: unknown): string | undefined {
  for (let e: unknown = error; e instanceof Error; e = e.cause) {
    const { code } = e as { code?: unknown };
    if (typeof code === 'string' && !('details' in e && 'retryable' in e)) return code;
  }
  return undefined;
}

/** Name of the violated constraint, for SQLSTATE 23xxx. */
export function violatedConstraint(error: unknown): string | undefined {
  for (let e: unknown = error; e instanceof Error; e = e.cause) {
    const { constraint_name } = e as { constraint_name?: unknown };
    if (typeof constraint_name === 'string') return constraint_name;
  }
  return undefined;
}

/** Serialization failure, deadlock, lock time-out: nothing was committed, and the same work may succeed now. */
export const isRetryableState = (state: string | undefined): boolean =>
  state === '40001' || state === '40P01' || state === '55P03';

/** The connection went away; whether the last commit arrived is unknown, so only an idempotent caller may repeat. */
export const isConnectionLoss = (state: string | undefined): boolean =>
  state !== undefined &&
  (state.startsWith('08') ||
    ['57P01', '57P02', '57P03', '25P03', '57P05'].includes(state) ||
    [
      'CONNECTION_CLOSED',
      'CONNECTION_ENDED',
      'CONNECTION_DESTROYED',
      'CONNECT_TIMEOUT',
      'ECONNREFUSED',
      'ECONNRESET',
      'EPIPE',
      'ETIMEDOUT',
    ].includes(state));
