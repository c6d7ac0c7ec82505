/**
 * Coordinator database, Bitcoin: what the block follower keeps. All rows can be rebuilt from the node, except
 * `bitcoin_scripts`. Hashes and transaction ids in display order, amounts in sats, scripts in lower-case hex.
 */
import { bigint, boolean, index, integer, pgTable, primaryKey, text } from 'drizzle-orm/pg-core';

/** Blocks that were read, so that a reorganisation is noticed and its fork point found. */
export const bitcoinBlocks = pgTable(
  'bitcoin_blocks',
  {
    network: text('network').notNull(),
    height: integer('height').notNull(),
    hash: text('hash').notNull(),
  },
  (table) => [primaryKey({ columns: [table.network, table.height] })],
);

/** The wallets' scripts. */
export const bitcoinScripts = pgTable(
  'bitcoin_scripts',
  {
    network: text('network').notNull(),
    script: text('script').notNull(),
    walletId: text('wallet_id').notNull(),
    /** Birth: blocks below it hold nothing for this script. */
    fromHeight: integer('from_height').notNull(),
    /** Last block that was read for this script; `from_height - 1` at first. */
    scannedHeight: integer('scanned_height').notNull(),
  },
  (table) => [primaryKey({ columns: [table.network, table.script] })],
);

/** Outputs to watched scripts, and which mined transaction spent them. */
export const bitcoinOutputs = pgTable(
  'bitcoin_outputs',
  {
    network: text('network').notNull(),
    txid: text('txid').notNull(),
    vout: bigint('vout', { mode: 'number' }).notNull(),
    script: text('script').notNull(),
    walletId: text('wallet_id').notNull(),
    amount: bigint('amount', { mode: 'bigint' }).notNull(),
    /** Coinbase outputs mature after 100 blocks. */
    coinbase: boolean('coinbase').notNull(),
    blockHeight: integer('block_height').notNull(),
    blockHash: text('block_hash').notNull(),
    spentBy: text('spent_by'),
    spentHeight: integer('spent_height'),
  },
  (table) => [
    primaryKey({ columns: [table.network, table.txid, table.vout] }),
    index('bitcoin_outputs_script').on(table.network, table.script),
    index('bitcoin_outputs_height').on(table.network, table.blockHeight),
    index('bitcoin_outputs_spent').on(table.network, table.spentHeight),
  ],
);
