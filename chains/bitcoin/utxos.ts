/** The wallets' outputs in the coordinator database: reads for the adapter, and the writes of one block. */
import { and, asc, desc, eq, gt, isNull, lt, lte, sql } from 'drizzle-orm';
import type { PostgresJsDatabase } from 'drizzle-orm/postgres-js';
import { bitcoinBlocks, bitcoinOutputs, bitcoinScripts } from '../../schema/db/coordinator-bitcoin.ts';
import type { Block } from './block.ts';

/** A drizzle handle over postgres.js, or a transaction of one. */
export type Database = PostgresJsDatabase<Record<string, never>>;
export type DatabaseTransaction = Parameters<Parameters<Database['transaction']>[0]>[0];
type Handle = Database | DatabaseTransaction;

export type Output = {
  readonly txid: string;
  readonly vout: number;
  readonly script: string;
  readonly amount: bigint;
  readonly coinbase: boolean;
  readonly blockHeight: number;
  readonly blockHash: string;
  readonly spentBy: string | null;
  readonly spentHeight: number | null;
};
export type Followed = { readonly height: number; readonly hash: string };

const columns = {
  txid: bitcoinOutputs.txid,
  vout: bitcoinOutputs.vout,
  script: bitcoinOutputs.script,
  amount: bitcoinOutputs.amount,
  coinbase: bitcoinOutputs.coinbase,
  blockHeight: bitcoinOutputs.blockHeight,
  blockHash: bitcoinOutputs.blockHash,
  spentBy: bitcoinOutputs.spentBy,
  spentHeight: bitcoinOutputs.spentHeight,
};

/** Unspent outputs of a script, largest first, then by outpoint: one order for everybody. */
export const unspentOf = (db: Handle, network: string, script: string): Promise<Output[]> =>
  db
    .select(columns)
    .from(bitcoinOutputs)
    .where(
      and(
        eq(bitcoinOutputs.network, network),
        eq(bitcoinOutputs.script, script),
        isNull(bitcoinOutputs.spentHeight),
      ),
    )
    .orderBy(desc(bitcoinOutputs.amount), asc(bitcoinOutputs.txid), asc(bitcoinOutputs.vout));

export async function outputAt(
  db: Handle,
  network: string,
  { txid, vout }: { txid: string; vout: number },
): Promise<Output | undefined> {
  const [row] = await db
    .select(columns)
    .from(bitcoinOutputs)
    .where(
      and(
        eq(bitcoinOutputs.network, network),
        eq(bitcoinOutputs.txid, txid),
        eq(bitcoinOutputs.vout, vout),
      ),
    );
  return row;
}

export async function isWatched(db: Handle, network: string, script: string): Promise<boolean> {
  const rows = await db
    .select({ script: bitcoinScripts.script })
    .from(bitcoinScripts)
    .where(and(eq(bitcoinScripts.network, network), eq(bitcoinScripts.script, script)));
  return rows.length > 0;
}

/** Idempotent; an earlier birth than the known one leads to a new scan from there. */
export async function watchScript(
  db: Handle,
  entry: { network: string; script: string; walletId: string; fromHeight: number },
): Promise<void> {
  await db
    .insert(bitcoinScripts)
    .values({ ...entry, scannedHeight: entry.fromHeight - 1 })
    .onConflictDoUpdate({
      target: [bitcoinScripts.network, bitcoinScripts.script],
      set: { fromHeight: entry.fromHeight, scannedHeight: entry.fromHeight - 1 },
      setWhere: gt(bitcoinScripts.fromHeight, entry.fromHeight),
    });
}

/** Highest followed block at or below a height. */
export async function followedAtOrBelow(
  db: Handle,
  network: string,
  height = 0x7fffffff,
): Promise<Followed | undefined> {
  const [row] = await db
    .select({ height: bitcoinBlocks.height, hash: bitcoinBlocks.hash })
    .from(bitcoinBlocks)
    .where(and(eq(bitcoinBlocks.network, network), lte(bitcoinBlocks.height, height)))
    .orderBy(desc(bitcoinBlocks.height))
    .limit(1);
  return row;
}

export async function followedAt(
  db: Handle,
  network: string,
  height: number,
): Promise<Followed | undefined> {
  const row = await followedAtOrBelow(db, network, height);
  return row?.height === height ? row : undefined;
}

/** The next block that some script needs; undefined when no script is watched. */
export async function nextHeight(db: Handle, network: string): Promise<number | undefined> {
  const [row] = await db
    .select({ least: sql<number | null>`min(${bitcoinScripts.scannedHeight})` })
    .from(bitcoinScripts)
    .where(eq(bitcoinScripts.network, network));
  return row === undefined || row.least === null ? undefined : Number(row.least) + 1;
}

/** Scripts that have not been read up to a height. */
export async function scriptsBehind(
  db: Handle,
  network: string,
  height: number,
): Promise<Map<string, string>> {
  const rows = await db
    .select({ script: bitcoinScripts.script, walletId: bitcoinScripts.walletId })
    .from(bitcoinScripts)
    .where(and(eq(bitcoinScripts.network, network), lt(bitcoinScripts.scannedHeight, height)));
  return new Map(rows.map(({ script, walletId }) => [script, walletId]));
}

/** Forgets everything above a height. */
export async function rollBack(tx: DatabaseTransaction, network: string, height: number): Promise<void> {
  await tx
    .delete(bitcoinBlocks)
    .where(and(eq(bitcoinBlocks.network, network), gt(bitcoinBlocks.height, height)));
  await tx
    .delete(bitcoinOutputs)
    .where(and(eq(bitcoinOutputs.network, network), gt(bitcoinOutputs.blockHeight, height)));
  await tx
    .update(bitcoinOutputs)
    .set({ spentBy: null, spentHeight: null })
    .where(and(eq(bitcoinOutputs.network, network), gt(bitcoinOutputs.spentHeight, height)));
  await tx
    .update(bitcoinScripts)
    .set({ scannedHeight: height })
    .where(and(eq(bitcoinScripts.network, network), gt(bitcoinScripts.scannedHeight, height)));
}

/** Rows per INSERT and outpoints per UPDATE: PostgreSQL takes 65,535 parameters. */
const CHUNK = 2_000;
const chunks = <T>(items: readonly T[]): T[][] =>
  Array.from({ length: Math.ceil(items.length / CHUNK) }, (_, i) =>
    items.slice(i * CHUNK, (i + 1) * CHUNK),
  );

/** Records a block for the scripts that have not been read so far. Doing it twice changes nothing. */
export async function applyBlock(
  tx: DatabaseTransaction,
  network: string,
  height: number,
  block: Block,
  scripts: ReadonlyMap<string, string>,
): Promise<void> {
  const found: (typeof bitcoinOutputs.$inferInsert)[] = [];
  const spends: { txid: string; vout: number; by: string }[] = [];
  for (const { txid, coinbase, outputs, spends: inputs } of block.transactions) {
    for (const input of inputs) spends.push({ ...input, by: txid });
    outputs.forEach(({ amount, script }, vout) => {
      const hex = Buffer.from(script).toString('hex');
      const walletId = scripts.get(hex);
      // An amount of 0 is no output that can be spent usefully, and lets strangers fill the table.
      if (walletId === undefined || amount === 0n) return;
      found.push({
        network,
        txid,
        vout,
        script: hex,
        walletId,
        amount,
        coinbase,
        blockHeight: height,
        blockHash: block.hash,
      });
    });
  }
  // Outputs first: a transaction may spend an output of the same block.
  for (const part of chunks(found)) {
    await tx.insert(bitcoinOutputs).values(part).onConflictDoNothing();
  }
  for (const part of chunks(spends)) {
    const rows = sql.join(
      part.map(({ txid, vout, by }) => sql`(${txid}::text, ${vout}::bigint, ${by}::text)`),
      sql`, `,
    );
    await tx.execute(sql`
      update ${bitcoinOutputs} set spent_by = spend.by, spent_height = ${height}
      from (values ${rows}) as spend (txid, vout, by)
      where ${bitcoinOutputs.network} = ${network}
        and ${bitcoinOutputs.txid} = spend.txid and ${bitcoinOutputs.vout} = spend.vout`);
  }
  await tx
    .insert(bitcoinBlocks)
    .values({ network, height, hash: block.hash })
    .onConflictDoNothing();
  await tx
    .update(bitcoinScripts)
    .set({ scannedHeight: height })
    .where(and(eq(bitcoinScripts.network, network), eq(bitcoinScripts.scannedHeight, height - 1)));
}
