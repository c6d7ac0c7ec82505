/** Coordinator database, Solana: the nonce accounts of each wallet and what was last read of them. */
import { sql } from 'drizzle-orm';
import {
  bigint,
  check,
  index,
  integer,
  pgTable,
  primaryKey,
  text,
  uniqueIndex,
} from 'drizzle-orm/pg-core';

/** An account and its nonce. The chain is the truth; only the preimage cannot be read back from it. */
export const solanaNonceAccounts = pgTable(
  'solana_nonce_accounts',
  {
    network: text('network').notNull(),
    walletId: text('wallet_id').notNull(),
    /** Base58. */
    account: text('account').notNull(),
    /** Base58 address of the wallet. */
    authority: text('authority').notNull(),
    index: integer('index').notNull(),
    state: text('state').$type<'pending' | 'proven' | 'unproven' | 'retired'>().notNull(),
    /** 32 bytes in hex; null until the account was read. */
    value: text('value'),
    /** 32 bytes in hex: SHA-256(`DURABLE_NONCE` ‖ preimage) = value. */
    preimage: text('preimage'),
    /** Blockhashes in hex that may turn out to be the preimage, oldest first. */
    hints: text('hints').array().notNull().default(sql`'{}'::text[]`),
    /** Slot of the read that `value` comes from. */
    slot: bigint('slot', { mode: 'number' }).notNull().default(0),
    /** Milliseconds since the epoch, by the coordinator's clock. */
    changedAt: bigint('changed_at', { mode: 'number' }).notNull(),
  },
  (t) => [
    primaryKey({ columns: [t.network, t.account] }),
    uniqueIndex('solana_nonce_accounts_index').on(t.network, t.walletId, t.index),
    index('solana_nonce_accounts_wallet').on(t.network, t.walletId),
    check(
      'solana_nonce_accounts_state',
      sql`${t.state} in ('pending', 'proven', 'unproven', 'retired')`,
    ),
    // What is lent is proven: a row cannot say so without both halves of the proof.
    check(
      'solana_nonce_accounts_proof',
      sql`${t.state} <> 'proven' or (${t.value} is not null and ${t.preimage} is not null)`,
    ),
  ],
);
