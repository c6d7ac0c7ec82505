/** `NonceAccounts` on the coordinator's PostgreSQL. Every change is one statement, so several coordinators may share it. */
import { and, asc, eq, lte, ne, sql } from 'drizzle-orm';
import type { PgDatabase, PgQueryResultHKT } from 'drizzle-orm/pg-core';
import type { NonceAccounts } from '../core/ports/nonce-accounts.ts';
import { solanaNonceAccounts as t } from '../schema/db/coordinator-solana.ts';

const keptHints = 16;

/** `db`: any Drizzle handle on a database that holds the `solana_nonce_accounts` table. */
export function createNonceAccounts<S extends Record<string, unknown>>(
  db: PgDatabase<PgQueryResultHKT, S>,
): NonceAccounts {
  const row = (network: string, account: string) =>
    and(eq(t.network, network), eq(t.account, account), ne(t.state, 'retired'));
  return {
    list: (network, walletId) =>
      db
        .select()
        .from(t)
        .where(
          and(
            eq(t.network, network),
            walletId === undefined ? undefined : eq(t.walletId, walletId),
          ),
        )
        .orderBy(asc(t.walletId), asc(t.index)),

    async add({ at, ...account }) {
      await db
        .insert(t)
        .values({ ...account, state: 'pending', changedAt: at })
        .onConflictDoNothing();
    },

    async hint(network, account, blockhash) {
      await db
        .update(t)
        .set({
          hints: sql`(array_append(array_remove(${t.hints}, ${blockhash}), ${blockhash}))[greatest(1, cardinality(array_remove(${t.hints}, ${blockhash})) + 2 - ${keptHints}::int):]`,
        })
        .where(row(network, account));
    },

    async record(network, account, { at, ...reading }) {
      const stored = await db
        .update(t)
        .set({
          ...reading,
          changedAt: sql`case when ${t.state} = ${reading.state} and ${t.value} is not distinct from ${reading.value} then ${t.changedAt} else ${at}::bigint end`,
        })
        .where(and(row(network, account), lte(t.slot, reading.slot)))
        .returning({ account: t.account });
      return stored.length === 1;
    },

    async lost(network, account, at) {
      // Value and preimage stay: a node that merely lagged behind shows the same value again.
      await db
        .update(t)
        .set({ state: 'pending', slot: 0, changedAt: at })
        .where(and(row(network, account), ne(t.state, 'pending')));
    },

    async retire(network, account, at) {
      await db.update(t).set({ state: 'retired', changedAt: at }).where(row(network, account));
    },
  };
}
