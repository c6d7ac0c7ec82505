/** Sessions, round log, lines and limits of one party's database. */
import { and, asc, eq, gt, gte, inArray, lte, ne, or, sql } from 'drizzle-orm';
import type { PartyTransaction, SessionRow } from '../../core/ports/party-store.ts';
import { isOpen } from '../../core/ports/party-store.ts';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import * as t from '../../schema/db/party.ts';
import { unawaited } from '../postgres-client.ts';
import { lockName, openSession, type Tx } from './queries.ts';

/** A clock that runs this far ahead and is then set right must not leave sessions behind that nobody may end. */
const CLOCK_SET_BACK_MS = 300_000;
/** Of one sweep: its locks are held until it commits. */
const EXPIRED_AT_ONCE = 100;

type Queries = Pick<
  PartyTransaction,
  | 'lockAttempt'
  | 'session'
  | 'insertSession'
  | 'updateSession'
  | 'openSessionsOfLine'
  | 'openSessionsOfKey'
  | 'openSessionsOfPolicy'
  | 'expiredSessions'
  | 'sessionsWithDataKey'
  | 'markDataKeysDestroyed'
  | 'closedAttempts'
  | 'rounds'
  | 'insertInbox'
  | 'setOutbox'
  | 'lockLine'
  | 'setLineState'
  | 'lineTransactions'
  | 'insertLineTransaction'
  | 'setLineTransactionState'
  | 'voidFeesSince'
  | 'lockLimit'
  | 'spentSince'
  | 'reserveSpend'
  | 'markSpent'
  | 'releaseSpend'
>;

export const sessionQueries = (tx: Tx): Queries => ({
  async lockAttempt(attempt) {
    unawaited(lockName(tx, `attempt ${attempt}`));
  },
  async session(attempt, options) {
    const query = tx.select().from(t.sessions).where(eq(t.sessions.attempt, attempt));
    const [row] = options?.lock === true ? await query.for('update') : await query;
    return row;
  },
  async insertSession(row) {
    unawaited(tx.insert(t.sessions).values(row));
  },
  async updateSession(attempt, patch) {
    unawaited(tx.update(t.sessions).set(patch).where(eq(t.sessions.attempt, attempt)));
  },
  openSessionsOfLine: (intentDigest, line): Promise<SessionRow[]> =>
    tx
      .select()
      .from(t.sessions)
      .where(and(eq(t.sessions.intentDigest, intentDigest), eq(t.sessions.line, line), openSession))
      .for('update'),
  async openSessionsOfKey(keyId, epoch, options): Promise<SessionRow[]> {
    const ofEpoch = epoch === undefined ? undefined : eq(t.sessions.epoch, epoch);
    const query = tx
      .select()
      .from(t.sessions)
      .where(and(eq(t.sessions.keyId, keyId), ofEpoch, openSession));
    return options?.lock === true ? query.for('update') : query;
  },
  openSessionsOfPolicy: (policyId): Promise<SessionRow[]> =>
    tx
      .select()
      .from(t.sessions)
      .where(and(eq(t.sessions.policyId, policyId), openSession))
      .for('update'),
  expiredSessions: (now): Promise<SessionRow[]> =>
    tx
      .select()
      .from(t.sessions)
      .where(
        and(
          openSession,
          or(lte(t.sessions.expiresAt, now), gt(t.sessions.createdAt, now + CLOCK_SET_BACK_MS)),
        ),
      )
      .orderBy(asc(t.sessions.expiresAt))
      .limit(EXPIRED_AT_ONCE)
      .for('update', { skipLocked: true }),
  async sessionsWithDataKey() {
    const rows = await tx
      .select({
        kind: t.sessions.kind,
        keyId: t.sessions.keyId,
        epoch: t.sessions.epoch,
        attempt: t.sessions.attempt,
        dataKeyId: t.sessions.dataKeyId,
        pooledKeys: t.sessions.pooledKeys,
        state: t.sessions.state,
        failureCode: t.sessions.failureCode,
        share: t.shares.attempt,
      })
      .from(t.sessions)
      .leftJoin(
        t.shares,
        and(
          eq(t.shares.keyId, t.sessions.keyId),
          eq(t.shares.epoch, t.sessions.epoch),
          eq(t.shares.attempt, t.sessions.attempt),
        ),
      )
      .where(eq(t.sessions.dataKeyDestroyed, false));
    return rows.map(({ share, state, ...row }) => {
      const open = isOpen(state);
      const ended = !open && state !== 'released' && row.failureCode !== 'PartyFenced';
      return { ...row, open, shareless: row.kind === 'keygen' && ended && share === null };
    });
  },
  async markDataKeysDestroyed(attempts) {
    if (attempts.length === 0) return;
    unawaited(
      tx
        .update(t.sessions)
        .set({ dataKeyDestroyed: true })
        .where(inArray(t.sessions.attempt, [...attempts])),
    );
  },
  async closedAttempts(attempts) {
    if (attempts.length === 0) return [];
    const rows = await tx
      .select({
        attempt: t.sessions.attempt,
        state: t.sessions.state,
        failureCode: t.sessions.failureCode,
      })
      .from(t.sessions)
      .where(inArray(t.sessions.attempt, [...attempts]));
    const over = rows.filter((r) => !isOpen(r.state) && r.failureCode !== 'PartyFenced');
    return over.map((r) => r.attempt);
  },

  rounds: (attempt) =>
    tx.select().from(t.rounds).where(eq(t.rounds.attempt, attempt)).orderBy(asc(t.rounds.round)),
  async insertInbox(attempt, row) {
    unawaited(
      tx.insert(t.rounds).values({
        attempt,
        round: row.round,
        inboxHash: row.inboxHash,
        inbox: row.inbox,
        committedAt: row.at,
      }),
    );
  },
  async setOutbox(attempt, round, row) {
    unawaited(
      tx
        .update(t.rounds)
        .set({
          outboxHash: row.outboxHash,
          outbox: row.outbox,
          keygen: row.keygen,
          answeredAt: row.at,
        })
        .where(and(eq(t.rounds.attempt, attempt), eq(t.rounds.round, round))),
    );
  },

  async lockLine(intentDigest, line, keyId, now) {
    // One statement that creates or locks: the update changes nothing but takes the row's lock.
    const [row] = await tx
      .insert(t.lines)
      .values({ intentDigest, line, keyId, state: 'open', createdAt: now })
      .onConflictDoUpdate({
        target: [t.lines.intentDigest, t.lines.line],
        set: { state: sql`${t.lines.state}` },
      })
      .returning();
    if (row === undefined) throw new KeysagaError('Internal', 'A line vanished under its lock.');
    return row;
  },
  async setLineState(intentDigest, line, state) {
    unawaited(
      tx
        .update(t.lines)
        .set({ state })
        .where(and(eq(t.lines.intentDigest, intentDigest), eq(t.lines.line, line))),
    );
  },
  lineTransactions: (intentDigest, line) =>
    tx
      .select()
      .from(t.lineTransactions)
      .where(
        and(
          eq(t.lineTransactions.intentDigest, intentDigest),
          eq(t.lineTransactions.line, line),
          ne(t.lineTransactions.state, 'closed'),
        ),
      ),
  async insertLineTransaction(row) {
    unawaited(
      tx.insert(t.lineTransactions).values({ ...row, conflictKeys: [...row.conflictKeys] }),
    );
  },
  async setLineTransactionState(attempt, state) {
    unawaited(
      tx.update(t.lineTransactions).set({ state }).where(eq(t.lineTransactions.attempt, attempt)),
    );
  },

  async voidFeesSince(keyId, since) {
    const rows = await tx
      .select({ fee: t.lineTransactions.fee })
      .from(t.lineTransactions)
      .innerJoin(
        t.lines,
        and(
          eq(t.lines.intentDigest, t.lineTransactions.intentDigest),
          eq(t.lines.line, t.lineTransactions.line),
        ),
      )
      .where(
        and(
          eq(t.lines.keyId, keyId),
          eq(t.lineTransactions.purpose, 'void'),
          ne(t.lineTransactions.state, 'closed'),
          gte(t.lineTransactions.at, since),
        ),
      );
    return rows.reduce((sum, { fee }) => sum + BigInt(fee), 0n);
  },
  async lockLimit(keyId, asset) {
    unawaited(lockName(tx, `limit ${keyId} ${asset}`));
  },
  spentSince: (keyId, asset, since, own) =>
    tx
      .select()
      .from(t.spent)
      .where(
        and(
          eq(t.spent.keyId, keyId),
          eq(t.spent.asset, asset),
          or(
            eq(t.spent.state, 'reserved'),
            gte(t.spent.at, since),
            and(eq(t.spent.intentDigest, own.intentDigest), eq(t.spent.line, own.line)),
          ),
        ),
      ),
  async reserveSpend(row) {
    unawaited(
      tx
        .insert(t.spent)
        .values({ ...row, state: 'reserved' })
        .onConflictDoNothing(),
    );
  },
  async markSpent(intentDigest, line, at) {
    // The first release starts the window; a later release of the same line does not count again.
    unawaited(
      tx
        .update(t.spent)
        .set({ state: 'spent', at })
        .where(
          and(
            eq(t.spent.intentDigest, intentDigest),
            eq(t.spent.line, line),
            eq(t.spent.state, 'reserved'),
          ),
        ),
    );
  },
  async releaseSpend(intentDigest, line) {
    unawaited(
      tx
        .delete(t.spent)
        .where(
          and(
            eq(t.spent.intentDigest, intentDigest),
            eq(t.spent.line, line),
            eq(t.spent.state, 'reserved'),
          ),
        ),
    );
  },
});
