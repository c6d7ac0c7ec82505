/** Shares, words, policies and audit of one party's database. */
import { and, asc, count, desc, eq, inArray, sql } from 'drizzle-orm';
import type { PartyTransaction } from '../../core/ports/party-store.ts';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import * as t from '../../schema/db/party.ts';
import { unawaited } from '../postgres-client.ts';
import { lockName, openSession, type Tx } from './queries.ts';

type Queries = Pick<
  PartyTransaction,
  | 'liveShare'
  | 'shareOfAttempt'
  | 'insertShare'
  | 'setShareState'
  | 'shareDataKeys'
  | 'shareAccess'
  | 'countOpenFailure'
  | 'lockShareAccess'
  | 'clearOpenFailures'
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
  | 'audit'
>;

const accessOf = (keyId: string, epoch: number) =>
  and(eq(t.shareAccess.keyId, keyId), eq(t.shareAccess.epoch, epoch));

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
    unawaited(
      tx
        .update(t.shares)
        .set(
          state === 'active'
            ? { state, activatedAt: at }
            : state === 'destroyed'
              ? { state, sealed: null }
              : { state },
        )
        .where(and(eq(t.shares.keyId, keyId), eq(t.shares.attempt, attempt))),
    );
  },
  shareDataKeys: () =>
    tx.select({ dataKeyId: t.shares.dataKeyId, state: t.shares.state }).from(t.shares),
  async shareAccess(keyId, epoch) {
    const [row] = await tx
      .select({ failures: t.shareAccess.failures, lockedUntil: t.shareAccess.lockedUntil })
      .from(t.shareAccess)
      .where(accessOf(keyId, epoch));
    return row;
  },
  async countOpenFailure(keyId, epoch, now) {
    const [row] = await tx
      .insert(t.shareAccess)
      .values({ keyId, epoch, failures: 1, lockedUntil: null, failedAt: now })
      .onConflictDoUpdate({
        target: [t.shareAccess.keyId, t.shareAccess.epoch],
        set: { failures: sql`${t.shareAccess.failures} + 1`, failedAt: now },
      })
      .returning({ failures: t.shareAccess.failures });
    return row?.failures ?? 1;
  },
  async lockShareAccess(keyId, epoch, until) {
    await tx.update(t.shareAccess).set({ lockedUntil: until }).where(accessOf(keyId, epoch));
  },
  async clearOpenFailures(keyId, epoch) {
    await tx.delete(t.shareAccess).where(accessOf(keyId, epoch));
  },
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
    unawaited(lockName(tx, `policy ${policyId}`, mode === 'share'));
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
    unawaited(
      tx.insert(t.policies).values({
        policyId: row.policyId,
        version: row.version,
        hash: row.hash,
        document: row.document,
        receivedAt: row.at,
      }),
    );
  },

  async rejectionsOf(intentDigest) {
    const rows = await tx
      .select()
      .from(t.rejections)
      .where(eq(t.rejections.intentDigest, intentDigest));
    return rows.map((r) => r.signed);
  },
  async insertRejection(signed, at) {
    unawaited(
      tx
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
        }),
    );
  },

  async audit({ kind, keyId, attempt, detail, at }) {
    unawaited(
      tx
        .insert(t.auditEntries)
        .values({ kind, keyId: keyId ?? null, attempt: attempt ?? null, detail: detail ?? {}, at }),
    );
  },
});
