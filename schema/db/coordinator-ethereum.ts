/**
 * Coordinator database, Ethereum: the wallets' accounts with the chain's counts, and the nonces that were lent. Who holds
 * a nonce is in `leases`. Everything here can be read again from a node and the leases.
 */
import { sql } from 'drizzle-orm';
import { bigint, check, numeric, pgTable, primaryKey, text } from 'drizzle-orm/pg-core';

/** A nonce goes up to 2^64 − 2 (EIP-2681), beyond PostgreSQL's bigint. */
const nonce = (name: string) => numeric(name, { precision: 20, scale: 0, mode: 'bigint' });

export const ethereumAccounts = pgTable(
  'ethereum_accounts',
  {
    network: text('network').notNull(),
    /** EIP-55. */
    address: text('address').notNull(),
    walletId: text('wallet_id').notNull(),
    /** Next nonce by what is final; never falls. */
    finalCount: nonce('final_count').notNull(),
    latestCount: nonce('latest_count').notNull(),
    pendingCount: nonce('pending_count').notNull(),
    /** Milliseconds since the epoch, by the coordinator's clock. */
    readAt: bigint('read_at', { mode: 'number' }).notNull(),
  },
  (t) => [
    primaryKey({ columns: [t.network, t.address] }),
    check(
      'ethereum_accounts_counts',
      sql`${t.finalCount} >= 0 and ${t.latestCount} >= 0 and ${t.pendingCount} >= 0`,
    ),
  ],
);

/** Every nonce that was ever offered, until it is final. */
export const ethereumNonces = pgTable(
  'ethereum_nonces',
  {
    network: text('network').notNull(),
    address: text('address').notNull(),
    nonce: nonce('nonce').notNull(),
    /** Its row in `leases`, once somebody took it. */
    resource: text('resource').notNull(),
    /** Milliseconds since the epoch: when it was last offered. */
    lentAt: bigint('lent_at', { mode: 'number' }).notNull(),
  },
  (t) => [primaryKey({ columns: [t.network, t.address, t.nonce] })],
);
