/** Shares, words, policies, release chain and audit of one party's database. */
import { and, asc, count, desc, eq, inArray, type SQL, sql } from 'drizzle-orm';
import type { PartyTransaction } from '../../core/ports/party-store.ts';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import * as t from '../../schema/db/party.ts';
import { lockName, openSession, type Tx } from './queries.ts';

type Queries = Pick<
  PartyTransaction,
  | 'liveShare'
  | 'shareOfAttempt'
  | 'insertShare'
  | 'setShareState'
  | 'shareDataKeys'
  | 'activeKeys'
  | 'openSessionCount'
  | 'word'
  | 'insertWord'
  | 'lockPolicy'
  | 'policy'
  | 'policyVersions'
  | 'policies'
  | 'insertPolicy'
  | 'rejectionsOf'
  | 'insertRejection'
  | 'head'
  | 'advanceHead'
  | 'witnessed'
  | 'witness'
  | 'audit'
>;

export const keyQueries = (tx: Tx): Queries => ({
  async liveShare(keyId, epoch, lock) {
    const query = tx
      .select()
      .from(t.shares)
      .where(
        and(
          eq(t.shares.keyId, keyId),
          eq(t.shares.epoch, epoch),
          inArray(t.shares.state, ['certified', 'active']),
        ),
      );
    const [row] = lock === undefined ? await query : await query.for(lock);
    return row;
  },
  async shareOfAttempt(keyId, attempt) {
    const [row] = await tx
      .select()
      .from(t.shares)
      .where(and(eq(t.shares.keyId, keyId), eq(t.shares.attempt, attempt)))
      .for('update');
    return row;
  },
  async insertShare(row) {
    const inserted = await tx
      .insert(t.shares)
      .values(row)
      .onConflictDoNothing()
      .returning({ attempt: t.shares.attempt });
    if (inserted.length === 0)
      throw new KeysagaError(
        'StateConflict',
        'This party already holds a certified share of the key.',
        { field: 'keyId' },
      );
  },
  async setShareState(keyId, attempt, state, at) {
    await tx
      .update(t.shares)
      .set(
        state === 'active'
          ? { state, activatedAt: at }
          : state === 'destroyed'
            ? { state, sealed: null }
            : { state },
      )
      .where(and(eq(t.shares.keyId, keyId), eq(t.shares.attempt, attempt)));
  },
  shareDataKeys: () =>
    tx.select({ dataKeyId: t.shares.dataKeyId, state: t.shares.state }).from(t.shares),
  async activeKeys() {
    const [row] = await tx
      .select({ n: count() })
      .from(t.shares)
      .where(eq(t.shares.state, 'active'));
    return row?.n ?? 0;
  },
  async openSessionCount() {
    const [row] = await tx.select({ n: count() }).from(t.sessions).where(openSession);
    return row?.n ?? 0;
  },

  async word(keyId, attempt) {
    const [row] = await tx
      .select()
      .from(t.ceremonyWords)
      .where(and(eq(t.ceremonyWords.keyId, keyId), eq(t.ceremonyWords.attempt, attempt)));
    return row;
  },
  async insertWord(keyId, attempt, word) {
    const inserted = await tx
      .insert(t.ceremonyWords)
      .values({ keyId, attempt, ...word })
      .onConflictDoNothing()
      .returning({ kind: t.ceremonyWords.kind });
    if (inserted.length === 0)
      throw new KeysagaError(
        'StateConflict',
        'This party has already given its word on the ceremony.',
        { attempt },
      );
  },

  async lockPolicy(policyId, mode) {
    await lockName(tx, `policy ${policyId}`, mode === 'share');
  },
  async policy(policyId) {
    const [row] = await tx
      .select()
      .from(t.policies)
      .where(eq(t.policies.policyId, policyId))
      .orderBy(desc(t.policies.version))
      .limit(1);
    return row;
  },
  policyVersions: (policyId) =>
    tx
      .select()
      .from(t.policies)
      .where(eq(t.policies.policyId, policyId))
      .orderBy(desc(t.policies.version)),
  async policies() {
    const rows = await tx
      .select()
      .from(t.policies)
      .orderBy(asc(t.policies.policyId), asc(t.policies.version));
    return rows.map(({ policyId, version, hash }) => ({ policyId, version, hash }));
  },
  async insertPolicy(row) {
    await tx.insert(t.policies).values({
      policyId: row.policyId,
      version: row.version,
      hash: row.hash,
      document: row.document,
      receivedAt: row.at,
    });
  },

  async rejectionsOf(intentDigest) {
    const rows = await tx
      .select()
      .from(t.rejections)
      .where(eq(t.rejections.intentDigest, intentDigest));
    return rows.map((r) => r.signed);
  },
  async insertRejection(signed, at) {
    await tx
      .insert(t.rejections)
      .values({
        intentDigest: signed.approval.intentDigest,
        approver: signed.approval.approver,
        signed,
        receivedAt: at,
      })
      // The caller verified it under the policy in force; what stands there may be of a key that has been replaced.
      .onConflictDoUpdate({
        target: [t.rejections.intentDigest, t.rejections.approver],
        set: { signed, receivedAt: at },
      });
  },

  async head(options) {
    const read = () => {
      const query = tx.select().from(t.releaseHead);
      return options?.lock === true ? query.for('update') : query;
    };
    let [row] = await read();
    if (row === undefined) {
      await tx
        .insert(t.releaseHead)
        .values({ only: true, chainEpoch: 0, sequence: 0, hash: '00'.repeat(32) })
        .onConflictDoNothing();
      [row] = await read();
    }
    if (row === undefined) throw new KeysagaError('Internal', 'The release head is missing.');
    return { chainEpoch: row.chainEpoch, sequence: row.sequence, hash: row.hash };
  },
  async advanceHead({ next, ...entry }) {
    await tx.insert(t.releases).values({ ...entry, ...next });
    await tx.update(t.releaseHead).set(next);
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
        setWhere: sql`${position(sql`${t.witnessedHeads.signed}`)} < ${position(sql`excluded.signed`)}`,
      });
  },

  async audit({ kind, keyId, attempt, detail, at }) {
    await tx
      .insert(t.auditEntries)
      .values({ kind, keyId: keyId ?? null, attempt: attempt ?? null, detail: detail ?? {}, at });
  },
});
