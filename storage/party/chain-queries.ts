/** Release chain, fences, witnesses, administrators' orders and what they bar, of one party's database. */
import { and, asc, desc, eq, inArray, isNull, type SQL, sql } from 'drizzle-orm';
import type { PartyTransaction, SessionRow, ShareRow } from '../../core/ports/party-store.ts';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import * as t from '../../schema/db/party.ts';
import { lockName, openSession, type Tx } from './queries.ts';

type Queries = Pick<
  PartyTransaction,
  | 'chain'
  | 'standing'
  | 'advanceHead'
  | 'recall'
  | 'witnessed'
  | 'witness'
  | 'insertFence'
  | 'fence'
  | 'liftFence'
  | 'openSessions'
  | 'order'
  | 'insertOrder'
  | 'lockKey'
  | 'sharesOfKey'
  | 'destroyedShare'
  | 'quarantine'
  | 'quarantineOrder'
  | 'endQuarantine'
  | 'quarantinedKeys'
  | 'lockBars'
  | 'insertBar'
>;

type HeadRow = typeof t.releaseHead.$inferSelect;
const stateOf = ({ chainEpoch, sequence, hash, fenced, intentsAfter }: HeadRow) => ({
  head: { chainEpoch, sequence, hash },
  fenced,
  intentsAfter,
});

export const chainQueries = (tx: Tx): Queries => {
  /** The row is made by the first to look for it. */
  async function made<T>(read: () => Promise<T | undefined>): Promise<T> {
    const found = await read();
    if (found !== undefined) return found;
    await tx
      .insert(t.releaseHead)
      .values({ only: true, chainEpoch: 0, sequence: 0, hash: '00'.repeat(32) })
      .onConflictDoNothing();
    const there = await read();
    if (there === undefined)
      throw new KeysagaError('Internal', 'The row of the release head is missing.');
    return there;
  }
  const first = async <T>(rows: PromiseLike<T[]>): Promise<T | undefined> => (await rows)[0];

  return {
    async chain(options) {
      const row = await made(() => {
        const query = tx.select().from(t.releaseHead);
        return first(options?.lock === true ? query.for('update') : query);
      });
      return stateOf(row);
    },
    async standing(keyId, epoch) {
      // One statement, since every prepare asks it.
      const row = await made(() =>
        first(
          tx
            .select({
              row: t.releaseHead,
              quarantined: sql<boolean>`exists (select 1 from ${t.quarantines} where ${t.quarantines.keyId} = ${keyId})`,
              barred: sql<
                string[] | null
              >`(select json_agg(${t.bars.peer}) from ${t.bars} where ${t.bars.keyId} = ${keyId} and ${t.bars.epoch} = ${epoch})`,
              daySpentAt: sql<
                string | null
              >`(select (extract(epoch from ${t.spentDays.at}) * 1000)::bigint::text from ${t.spentDays} where ${t.spentDays.keyId} = ${keyId})`,
            })
            .from(t.releaseHead),
        ),
      );
      return {
        ...stateOf(row.row),
        quarantined: row.quarantined,
        barred: row.barred ?? [],
        daySpentAt: row.daySpentAt === null ? null : Number(row.daySpentAt),
      };
    },
    async advanceHead({ next, ...link }) {
      await Promise.all([
        tx.insert(t.releases).values({ ...link, ...next }),
        tx.update(t.releaseHead).set(next),
      ]);
    },
    async recall({ chainEpoch, sequence, opened }) {
      const row = await made(() =>
        first(
          tx
            .select({
              row: t.releaseHead,
              hash: sql<
                string | null
              >`(select ${t.releases.hash} from ${t.releases} where ${t.releases.chainEpoch} = ${chainEpoch} and ${t.releases.sequence} = ${sequence})`,
              opened:
                opened === undefined
                  ? sql<boolean>`true`
                  : sql<boolean>`exists (select 1 from ${t.sessions} where ${t.sessions.attempt} = ${opened})`,
            })
            .from(t.releaseHead),
        ),
      );
      return { ...stateOf(row.row), hash: row.hash, opened: row.opened };
    },

    async witnessed() {
      const rows = await tx.select().from(t.witnessedHeads).orderBy(asc(t.witnessedHeads.party));
      return rows.map((r) => r.signed);
    },
    async witness(heads, at) {
      if (heads.length === 0) return;
      // In one order everywhere, since the rows stay locked until the commit.
      const sorted = [...heads].sort((a, b) => (a.head.party < b.head.party ? -1 : 1));
      const position = (head: SQL) =>
        sql`((${head} -> 'head' ->> 'chainEpoch')::bigint, (${head} -> 'head' ->> 'sequence')::bigint)`;
      await tx
        .insert(t.witnessedHeads)
        .values(sorted.map((signed) => ({ party: signed.head.party, signed, seenAt: at })))
        .onConflictDoUpdate({
          target: t.witnessedHeads.party,
          set: { signed: sql`excluded.signed`, seenAt: sql`excluded.seen_at` },
          // Only ever forward: an older head shown later must not overwrite a newer one.
          setWhere: sql`${position(sql`${t.witnessedHeads.signed}`)} <= ${position(sql`excluded.signed`)}`,
        });
    },

    async insertFence(row) {
      await tx.insert(t.fences).values(row);
      await tx.update(t.releaseHead).set({ fenced: true });
    },
    async fence() {
      const [row] = await tx
        .select()
        .from(t.fences)
        .where(isNull(t.fences.unfencedAt))
        .orderBy(desc(t.fences.chainEpoch), desc(t.fences.id))
        .limit(1);
      return row;
    },
    async liftFence({ orderId, at, intentsAfter, link, next }) {
      await tx.insert(t.releases).values({ ...link, ...next, at });
      await tx.update(t.releaseHead).set({ ...next, fenced: false, intentsAfter });
      await tx.update(t.fences).set({ orderId, unfencedAt: at }).where(isNull(t.fences.unfencedAt));
      const keys = await tx
        .selectDistinct({ keyId: t.shares.keyId })
        .from(t.shares)
        .where(inArray(t.shares.state, ['certified', 'active']));
      for (let i = 0; i < keys.length; i += 1000)
        await tx
          .insert(t.spentDays)
          .values(keys.slice(i, i + 1000).map(({ keyId }) => ({ keyId, at })))
          .onConflictDoUpdate({ target: t.spentDays.keyId, set: { at } });
    },
    openSessions: (limit): Promise<SessionRow[]> =>
      tx
        .select()
        .from(t.sessions)
        .where(openSession)
        .orderBy(asc(t.sessions.createdAt))
        .limit(limit)
        .for('update', { skipLocked: true }),

    async order(orderId) {
      const [row] = await tx.select().from(t.orders).where(eq(t.orders.orderId, orderId));
      return row;
    },
    async insertOrder(signed, receipt, at) {
      await tx.insert(t.orders).values({ orderId: signed.order.orderId, signed, receipt, at });
    },
    async lockKey(keyId, mode) {
      await lockName(tx, `key ${keyId}`, mode === 'share');
    },
    sharesOfKey: (keyId): Promise<ShareRow[]> =>
      tx
        .select()
        .from(t.shares)
        .where(and(eq(t.shares.keyId, keyId), inArray(t.shares.state, ['certified', 'active'])))
        .orderBy(asc(t.shares.epoch))
        .for('update'),
    async destroyedShare(keyId, epoch) {
      const [row] = await tx
        .select()
        .from(t.shares)
        .where(
          and(
            eq(t.shares.keyId, keyId),
            eq(t.shares.epoch, epoch),
            eq(t.shares.state, 'destroyed'),
          ),
        );
      return row;
    },
    async quarantine(keyId, orderId, at) {
      await tx
        .insert(t.quarantines)
        .values({ keyId, orderId, at })
        .onConflictDoUpdate({ target: t.quarantines.keyId, set: { orderId, at } });
    },
    async quarantineOrder(keyId) {
      const [row] = await tx
        .select({ signed: t.orders.signed })
        .from(t.quarantines)
        .innerJoin(t.orders, eq(t.orders.orderId, t.quarantines.orderId))
        .where(eq(t.quarantines.keyId, keyId));
      return row?.signed.order;
    },
    async endQuarantine(keyId) {
      const gone = await tx
        .delete(t.quarantines)
        .where(eq(t.quarantines.keyId, keyId))
        .returning({ keyId: t.quarantines.keyId });
      return gone.length > 0;
    },
    async quarantinedKeys() {
      const rows = await tx.select().from(t.quarantines).orderBy(asc(t.quarantines.keyId));
      return rows.map((r) => r.keyId);
    },
    async lockBars(keyId, epoch, mode) {
      await lockName(tx, `bars ${keyId} ${epoch}`, mode === 'share');
    },
    async insertBar(row) {
      await tx.insert(t.bars).values(row).onConflictDoNothing();
    },
  };
};
