/** What the two halves of a party's queries share. */
import { inArray, sql } from 'drizzle-orm';
import type { PostgresJsDatabase } from 'drizzle-orm/postgres-js';
import * as t from '../../schema/db/party.ts';

export type Db = PostgresJsDatabase<typeof t>;
export type Tx = Parameters<Parameters<Db['transaction']>[0]>[0];

/** Sessions that may still answer. */
export const openSession = inArray(t.sessions.state, ['prepared', 'running']);

/** An advisory lock on a name, until the transaction ends. */
export const lockName = (tx: Tx, name: string, shared = false) =>
  tx.execute(
    shared
      ? sql`select pg_advisory_xact_lock_shared(hashtextextended(${name}, 0))`
      : sql`select pg_advisory_xact_lock(hashtextextended(${name}, 0))`,
  );
