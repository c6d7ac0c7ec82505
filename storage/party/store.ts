/** `PartyStore` on PostgreSQL: Drizzle over postgres.js, one connection pool a process. */
import { drizzle } from 'drizzle-orm/postgres-js';
import type postgres from 'postgres';
import type { PartyStore, PartyTransaction } from '../../core/ports/party-store.ts';
import { isKeysagaError, KeysagaError } from '../../schema/contracts/errors.ts';
import * as t from '../../schema/db/party.ts';
import { migrateDatabase } from '../migrate.ts';
import { openPool } from '../postgres-client.ts';
import { isConnectionLoss, isRetryableState, sqlState } from '../sql-state.ts';
import { chainQueries } from './chain-queries.ts';
import { keyQueries } from './key-queries.ts';
import { poolQueries } from './pool-queries.ts';
import type { Tx } from './queries.ts';
import { sessionQueries } from './session-queries.ts';

export type PartyDatabase = { readonly store: PartyStore; close(): Promise<void> };

/**
 * Migrates (safe when several instances start at once), connects and returns the store. An instance that stops in the
 * middle of a transaction must not hold its locks for ever: PostgreSQL ends an idle transaction after 10 s, and whoever
 * waits for a lock waits longer than that.
 */
export async function openPartyDatabase(
  url: string,
  options: { poolSize?: number } = {},
): Promise<PartyDatabase> {
  try {
    await migrateDatabase(url, 'party');
  } catch (error) {
    throw storeError(error);
  }
  const pool = openPool(url, {
    max: options.poolSize ?? 8,
    connection: {
      application_name: 'keysaga-party',
      TimeZone: 'UTC',
      synchronous_commit: 'on',
      idle_in_transaction_session_timeout: 10_000,
      lock_timeout: 15_000,
      statement_timeout: 30_000,
    },
  });
  // drizzle uses no more of a client than the pool has.
  const db = drizzle(pool.client as unknown as postgres.Sql, { schema: t });
  const store: PartyStore = {
    async transaction(work) {
      try {
        return await db.transaction((tx) => work(transactionOf(tx)));
      } catch (error) {
        throw storeError(error);
      }
    },
  };
  return { store, close: () => pool.close() };
}

/** The driver's message quotes statements and parameters, so only its code goes on. */
function storeError(error: unknown): unknown {
  const state = isKeysagaError(error) ? undefined : sqlState(error);
  if (state === undefined) return error;
  if (isConnectionLoss(state) || isRetryableState(state))
    return new KeysagaError('PartyUnavailable', "The party's database is away or busy.", {
      sqlState: state,
    });
  // Class 22 is about the data itself, e.g. a character that no text column takes.
  if (/^22[0-9A-Z]{3}$/.test(state))
    return new KeysagaError('InvalidInput', 'The request holds a value that cannot be stored.', {
      sqlState: state,
    });
  return new KeysagaError('Internal', "The party's storage failed.", { sqlState: state });
}

const transactionOf = (tx: Tx): PartyTransaction => ({
  ...sessionQueries(tx),
  ...keyQueries(tx),
  ...chainQueries(tx),
  ...poolQueries(tx),
});
