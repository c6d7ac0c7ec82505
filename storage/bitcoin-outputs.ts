/** `BitcoinOutputs` on the coordinator's PostgreSQL; any number of coordinators may share it. */
import { and, asc, desc, eq, gt, isNull, lte, sql } from 'drizzle-orm';
import type { PgDatabase, PgQueryResultHKT } from 'drizzle-orm/pg-core';
import type {
  BitcoinBlock,
  BitcoinOutputs,
  BitcoinOutputsReader,
  BitcoinOutputsWriter,
} from '../core/ports/bitcoin-outputs.ts';
import {
  bitcoinBlocks as blocks,
  bitcoinOutputs as outputs,
  bitcoinScripts as scripts,
} from '../schema/db/coordinator-bitcoin.ts';

type Handle<S extends Record<string, unknown>> = PgDatabase<PgQueryResultHKT, S>;

const columns = {
  txid: outputs.txid,
  vout: outputs.vout,
  script: outputs.script,
  amount: outputs.amount,
  coinbase: outputs.coinbase,
  blockHeight: outputs.blockHeight,
  blockHash: outputs.blockHash,
  spentBy: outputs.spentBy,
  spentHeight: outputs.spentHeight,
};

/** Rows of an INSERT and outpoints of an UPDATE: PostgreSQL takes 65,535 parameters. */
const CHUNK = 2_000;
const chunks = <T>(items: readonly T[]): T[][] =>
  Array.from({ length: Math.ceil(items.length / CHUNK) }, (_, i) =>
    items.slice(i * CHUNK, (i + 1) * CHUNK),
  );

function reader<S extends Record<string, unknown>>(
  db: Handle<S>,
  network: string,
): BitcoinOutputsReader {
  return {
    async followed(atOrBelow) {
      const [row] = await db
        .select({ height: blocks.height, hash: blocks.hash })
        .from(blocks)
        .where(
          and(
            eq(blocks.network, network),
            atOrBelow === undefined ? undefined : lte(blocks.height, atOrBelow),
          ),
        )
        .orderBy(desc(blocks.height))
        .limit(1);
      return row;
    },
    async nextHeight() {
      const [row] = await db
        .select({ least: sql<number | null>`min(${scripts.scannedHeight})` })
        .from(scripts)
        .where(eq(scripts.network, network));
      return row === undefined || row.least === null ? undefined : Number(row.least) + 1;
    },
  };
}

/** What a block holds for the given scripts (script → wallet), and everything that it spends. */
function touched(
  network: string,
  height: number,
  block: BitcoinBlock,
  wallets: ReadonlyMap<string, string>,
) {
  const found: (typeof outputs.$inferInsert)[] = [];
  const spends: { txid: string; vout: number; by: string }[] = [];
  for (const tx of block.transactions) {
    for (const input of tx.spends) spends.push({ ...input, by: tx.txid });
    tx.outputs.forEach(({ amount, script: bytes }, vout) => {
      const script = Buffer.from(bytes).toString('hex');
      const walletId = wallets.get(script);
      // Outputs of 0 sats are worth nothing, and cost a stranger who wants to fill the table nothing either.
      if (walletId === undefined || amount === 0n) return;
      found.push({
        network,
        txid: tx.txid,
        vout,
        script,
        walletId,
        amount,
        coinbase: tx.coinbase,
        blockHeight: height,
        blockHash: block.hash,
      });
    });
  }
  return { found, spends };
}

function writer<S extends Record<string, unknown>>(
  tx: Handle<S>,
  network: string,
): BitcoinOutputsWriter {
  return {
    ...reader(tx, network),

    async rollBack(height) {
      await tx.delete(blocks).where(and(eq(blocks.network, network), gt(blocks.height, height)));
      await tx
        .delete(outputs)
        .where(and(eq(outputs.network, network), gt(outputs.blockHeight, height)));
      await tx
        .update(outputs)
        .set({ spentBy: null, spentHeight: null })
        .where(and(eq(outputs.network, network), gt(outputs.spentHeight, height)));
      // Also for scripts born above it: the blocks that replace these may pay them earlier.
      await tx
        .update(scripts)
        .set({ scannedHeight: height })
        .where(and(eq(scripts.network, network), gt(scripts.scannedHeight, height)));
    },

    async apply(height, block) {
      // One statement moves the scripts on and says which they are: one that is watched meanwhile is in both or neither.
      const moved = await tx
        .update(scripts)
        .set({ scannedHeight: height })
        .where(and(eq(scripts.network, network), eq(scripts.scannedHeight, height - 1)))
        .returning({ script: scripts.script, walletId: scripts.walletId });
      const wallets = new Map(moved.map(({ script, walletId }) => [script, walletId]));
      const { found, spends } = touched(network, height, block, wallets);
      // Outputs first: a transaction may spend an output of the same block.
      for (const part of chunks(found)) {
        await tx.insert(outputs).values(part).onConflictDoNothing();
      }
      for (const part of chunks(spends)) {
        const rows = sql.join(
          part.map(({ txid, vout, by }) => sql`(${txid}::text, ${vout}::bigint, ${by}::text)`),
          sql`, `,
        );
        await tx.execute(sql`
          update ${outputs} set spent_by = spend.by, spent_height = ${height}
          from (values ${rows}) as spend (txid, vout, by)
          where ${outputs.network} = ${network}
            and ${outputs.txid} = spend.txid and ${outputs.vout} = spend.vout`);
      }
      await tx.insert(blocks).values({ network, height, hash: block.hash }).onConflictDoNothing();
    },
  };
}

/**
 * `db`: any Drizzle handle on a database with the tables of `schema/db/coordinator-bitcoin.ts`, over a pool that is not
 * the ledger's: `Blockchain.build` runs inside a ledger transaction and uses this one, so with a single pool as many
 * builds as it has connections would wait for each other for ever. `network`: CAIP-2 id.
 */
export function createBitcoinOutputs<S extends Record<string, unknown>>(
  db: Handle<S>,
  network: string,
): BitcoinOutputs {
  return {
    ...reader(db, network),

    unspent: (script) =>
      db
        .select(columns)
        .from(outputs)
        .where(
          and(
            eq(outputs.network, network),
            eq(outputs.script, script),
            isNull(outputs.spentHeight),
          ),
        )
        .orderBy(desc(outputs.amount), asc(outputs.txid), asc(outputs.vout)),

    async at({ txid, vout }) {
      const [row] = await db
        .select(columns)
        .from(outputs)
        .where(and(eq(outputs.network, network), eq(outputs.txid, txid), eq(outputs.vout, vout)));
      return row;
    },

    async watchedFrom(script) {
      const [row] = await db
        .select({ from: scripts.fromHeight })
        .from(scripts)
        .where(and(eq(scripts.network, network), eq(scripts.script, script)));
      return row?.from;
    },

    async watch({ script, walletId, fromHeight }) {
      const born = { fromHeight, scannedHeight: fromHeight - 1 };
      await db
        .insert(scripts)
        .values({ network, script, walletId, ...born })
        .onConflictDoUpdate({
          target: [scripts.network, scripts.script],
          set: born,
          setWhere: gt(scripts.fromHeight, fromHeight),
        });
    },

    exclusively: (work) =>
      db.transaction(async (tx) => {
        const [row] = await tx
          .select({
            mine: sql<boolean>`pg_try_advisory_xact_lock(hashtextextended(${`keysaga/bitcoin-follower/${network}`}, 0))`,
          })
          .from(sql`(values (1)) as one (n)`);
        return row?.mine === true ? { result: await work(writer(tx, network)) } : undefined;
      }),
  };
}
