/** Packs of presignatures in one party's database. */
import {
  and,
  asc,
  count,
  eq,
  exists,
  inArray,
  isNull,
  lte,
  not,
  or,
  type SQL,
  sql,
} from 'drizzle-orm';
import type { PackChoice, PartyTransaction } from '../../core/ports/party-store.ts';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import * as t from '../../schema/db/party.ts';
import { unawaited } from '../postgres-client.ts';
import type { Tx } from './queries.ts';

type Queries = Pick<
  PartyTransaction,
  | 'insertPack'
  | 'lockPresignatures'
  | 'bindPresignatures'
  | 'presignaturesOf'
  | 'endPresignatures'
  | 'dropPacks'
  | 'stockedPresignatures'
  | 'presignatureKeys'
  | 'markPresignatureKeysDestroyed'
>;

const columns = {
  packId: t.presignatures.packId,
  index: t.presignatures.index,
  state: t.presignatures.state,
  sealed: t.presignatures.sealed,
  dataKeyId: t.presignatures.dataKeyId,
  attempt: t.presignatures.attempt,
  messageHash: t.presignatures.messageHash,
};

const these = (wanted: readonly { packId: string; index: number }[]): SQL | undefined =>
  or(
    ...wanted.map(({ packId, index }) =>
      and(eq(t.presignatures.packId, packId), eq(t.presignatures.index, index)),
    ),
  );

export const poolQueries = (tx: Tx): Queries => ({
  async insertPack(pack, presignatures) {
    const inserted = await tx
      .insert(t.presignaturePacks)
      .values({ ...pack, dropped: null })
      .onConflictDoNothing()
      .returning({ packId: t.presignaturePacks.packId });
    if (inserted.length === 0)
      throw new KeysagaError('StateConflict', 'This party holds that pack already.', {
        field: 'packId',
      });
    const { packId, createdAt: changedAt } = pack;
    await tx
      .insert(t.presignatures)
      .values(
        presignatures.map((one) => ({ ...one, packId, state: 'stocked' as const, changedAt })),
      );
  },
  async lockPresignatures(wanted) {
    const packIds = [...new Set(wanted.map(({ packId }) => packId))];
    const packs = await tx
      .select()
      .from(t.presignaturePacks)
      .where(inArray(t.presignaturePacks.packId, packIds));
    const rows = await tx
      .select(columns)
      .from(t.presignatures)
      .where(these(wanted))
      .orderBy(asc(t.presignatures.packId), asc(t.presignatures.index))
      .for('update');
    return rows.flatMap((row) => {
      const pack = packs.find(({ packId }) => packId === row.packId);
      return pack === undefined ? [] : [{ ...row, pack }];
    });
  },
  async bindPresignatures(wanted, { attempt, at }) {
    const hashes = sql.join(
      wanted.map((one) => sql`(${one.packId}, ${one.index}::int, ${one.messageHash})`),
      sql`, `,
    );
    const bound = await tx
      .update(t.presignatures)
      .set({
        state: 'bound',
        attempt,
        changedAt: at,
        messageHash: sql`(select d.hash from (values ${hashes}) as d(pack, place, hash)
          where d.pack = ${t.presignatures.packId} and d.place = ${t.presignatures.index})`,
      })
      .where(and(these(wanted), eq(t.presignatures.state, 'stocked')))
      .returning({ index: t.presignatures.index });
    if (bound.length !== wanted.length)
      throw new KeysagaError('PresignatureUsed', 'The presignature is not in stock.', {
        field: 'pooled',
      });
  },
  presignaturesOf: (attempt) =>
    tx.select(columns).from(t.presignatures).where(eq(t.presignatures.attempt, attempt)),
  async endPresignatures(attempt, state, at) {
    unawaited(
      tx
        .update(t.presignatures)
        .set({ state, sealed: null, changedAt: at })
        .where(and(eq(t.presignatures.attempt, attempt), eq(t.presignatures.state, 'bound'))),
    );
  },
  async dropPacks(which, reason, at) {
    const packs = await tx
      .update(t.presignaturePacks)
      .set({ dropped: reason })
      .where(and(isNull(t.presignaturePacks.dropped), chosen(tx, which, at)))
      .returning({ packId: t.presignaturePacks.packId });
    if (packs.length === 0) return 0;
    const dropped = await tx
      .update(t.presignatures)
      .set({ state: 'dropped', sealed: null, changedAt: at })
      .where(
        and(
          inArray(
            t.presignatures.packId,
            packs.map(({ packId }) => packId),
          ),
          eq(t.presignatures.state, 'stocked'),
        ),
      )
      .returning({ index: t.presignatures.index });
    return dropped.length;
  },
  async stockedPresignatures(keyId, epoch) {
    const [row] = await tx
      .select({ n: count() })
      .from(t.presignatures)
      .innerJoin(t.presignaturePacks, eq(t.presignaturePacks.packId, t.presignatures.packId))
      .where(
        and(
          eq(t.presignatures.state, 'stocked'),
          eq(t.presignaturePacks.keyId, keyId),
          eq(t.presignaturePacks.epoch, epoch),
        ),
      );
    return row?.n ?? 0;
  },
  async presignatureKeys() {
    const rows = await tx
      .select({ dataKeyId: t.presignatures.dataKeyId, state: t.presignatures.state })
      .from(t.presignatures)
      .where(eq(t.presignatures.dataKeyDestroyed, false));
    return rows.map(({ dataKeyId, state }) => ({
      dataKeyId,
      live: state === 'stocked' || state === 'bound',
    }));
  },
  async markPresignatureKeysDestroyed(dataKeyIds) {
    if (dataKeyIds.length === 0) return;
    unawaited(
      tx
        .update(t.presignatures)
        .set({ dataKeyDestroyed: true })
        .where(inArray(t.presignatures.dataKeyId, [...dataKeyIds])),
    );
  },
});

function chosen(tx: Tx, which: PackChoice, at: number): SQL | undefined {
  const { packId, keyId, epoch, signers, expiresAt } = t.presignaturePacks;
  if (which.by === 'all') return undefined;
  if (which.by === 'pack') return eq(packId, which.packId);
  if (which.by === 'key')
    return and(
      eq(keyId, which.keyId),
      which.epoch === undefined ? undefined : eq(epoch, which.epoch),
      which.peer === undefined ? undefined : sql`${signers} ? ${which.peer}`,
    );
  const active = tx
    .select({ keyId: t.shares.keyId })
    .from(t.shares)
    .where(and(eq(t.shares.keyId, keyId), eq(t.shares.epoch, epoch), eq(t.shares.state, 'active')));
  return or(lte(expiresAt, at), not(exists(active)));
}
