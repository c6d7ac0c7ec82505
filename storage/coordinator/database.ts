/** The coordinator's connection pool, and what its errors mean. */
import { drizzle, type PostgresJsDatabase } from 'drizzle-orm/postgres-js';
import postgres from 'postgres';
import * as schema from '../../schema/db/coordinator.ts';
import { openPool } from '../postgres-client.ts';

export { isConnectionLoss, isRetryableState, sqlState, violatedConstraint } from '../sql-state.ts';

export type Database = PostgresJsDatabase<typeof schema>;

export type CoordinatorDatabase = {
  readonly db: Database;
  /** LISTEN on a connection of its own. Resolves once it listens; answers with the end of it. */
  listen(channel: string, heard: () => void): Promise<() => Promise<void>>;
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
export function openCoordinatorDatabase(
  url: string,
  options: DatabaseOptions = {},
): CoordinatorDatabase {
  const connection = {
    application_name: options.applicationName ?? 'keysaga-coordinator',
    TimeZone: 'UTC',
    idle_in_transaction_session_timeout: 30_000,
    lock_timeout: 20_000,
    statement_timeout: 60_000,
  };
  const pool = openPool(url, { max: Math.max(2, options.max ?? 10), connection });
  const listeners = new Set<postgres.Sql>();
  return {
    // drizzle uses no more of a client than the pool has.
    db: drizzle(pool.client as unknown as postgres.Sql, { schema }),
    listen: async (channel, heard) => {
      const sql = postgres(url, { max: 1, connect_timeout: 10, onnotice: () => {}, connection });
      listeners.add(sql);
      const end = async () => {
        listeners.delete(sql);
        await sql.end({ timeout: 1 });
      };
      try {
        await sql.listen(channel, heard);
        return end;
      } catch (error) {
        await end();
        throw error;
      }
    },
    close: async () => {
      await Promise.all([pool.close(), ...[...listeners].map((sql) => sql.end({ timeout: 1 }))]);
    },
  };
}
