/** `PartyStore` on PostgreSQL: Drizzle over postgres.js, one connection pool a process. */
import {
  and,
  asc,
  count,
  desc,
  eq,
  gt,
  gte,
  inArray,
  lte,
  ne,
  or,
  type SQL,
  sql,
} from 'drizzle-orm';
import { drizzle, type PostgresJsDatabase } from 'drizzle-orm/postgres-js';
import type postgres from 'postgres';
import {
  isOpen,
  type PartyStore,
  type PartyTransaction,
  type SessionRow,
} from '../../core/ports/party-store.ts';
import { isKeysagaError, KeysagaError } from '../../schema/contracts/errors.ts';
import * as t from '../../schema/db/party.ts';
import { migrateDatabase } from '../migrate.ts';
import { openPool } from '../postgres-client.ts';
import { isConnectionLoss, isRetryableState, sqlState } from '../sql-state.ts';

type Db = PostgresJsDatabase<typeof t>;
type Tx = Parameters<Parameters<Db['transaction']>[0]>[0];

const openStates = ['prepared', 'running'] as const;
const openSession = inArray(t.sessions.state, [...openStates]);
/** A clock that runs this far ahead and is then set right must not leave sessions behind that nobody may end. */
const CLOCK_SET_BACK_MS = 300_000;
/** Of one sweep: its locks are held until it commits. */
const EXPIRED_AT_ONCE = 100;

export type PartyDatabase = { readonly store: PartyStore; close(): Promise<void> };

/**
 * Migrates (safe when several instances start at once), connects and returns the store. An instance that stops in the
 * middle of a transaction must not hold its locks for ever: PostgreSQL ends an idle transaction after 10 s, and whoever
 * waits for a lock waits longer than that.
 */
export async function openPartyDatabase(
  url: string,
  options: { poolSize?: number } = {},
): Promise<PartyDatabase> {
  try {
    await migrateDatabase(url, 'party');
  } catch (error) {
    throw storeError(error);
  }
  const pool = openPool(url, {
    max: options.poolSize ?? 8,
    connection: {
      application_name: 'keysaga-party',
      TimeZone: 'UTC',
      synchronous_commit: 'on',
      idle_in_transaction_session_timeout: 10_000,
      lock_timeout: 15_000,
      statement_timeout: 30_000,
    },
  });
  // drizzle uses no more of a client than the pool has.
  const db = drizzle(pool.client as unknown as postgres.Sql, { schema: t });
  const store: PartyStore = {
    async transaction(work) {
      try {
        return await db.transaction((tx) => work(transactionOf(tx)));
      } catch (error) {
        throw storeError(error);
      }
    },
  };
  return { store, close: () => pool.close() };
}

/** The driver's message quotes statements and parameters, so only its code goes on. */
function storeError(error: unknown): unknown {
  const state = isKeysagaError(error) ? undefined : sqlState(error);
  if (state === undefined) return error;
  if (isConnectionLoss(state) || isRetryableState(state))
    return new KeysagaError('PartyUnavailable', "The party's database is away or busy.", {
      sqlState: state,
    });
  // Class 22 is about the data itself, e.g. a character that no text column takes.
  if (/^22[0-9A-Z]{3}$/.test(state))
    return new KeysagaError('InvalidInput', 'The request holds a value that cannot be stored.', {
      sqlState: state,
    });
  return new KeysagaError('Internal', "The party's storage failed.", { sqlState: state });
}

function transactionOf(tx: Tx): PartyTransaction {
  const lockName = (name: string, shared = false) =>
    tx.execute(
      shared
        ? sql`select pg_advisory_xact_lock_shared(hashtextextended(${name}, 0))`
        : sql`select pg_advisory_xact_lock(hashtextextended(${name}, 0))`,
    );
  return {
    async lockAttempt(attempt) {
      await lockName(`attempt ${attempt}`);
    },
    async session(attempt, options) {
      const query = tx.select().from(t.sessions).where(eq(t.sessions.attempt, attempt));
      const [row] = options?.lock === true ? await query.for('update') : await query;
      return row;
    },
    async insertSession(row) {
      await tx.insert(t.sessions).values(row);
    },
    async updateSession(attempt, patch) {
      await tx.update(t.sessions).set(patch).where(eq(t.sessions.attempt, attempt));
    },
    openSessionsOfLine: (intentDigest, line): Promise<SessionRow[]> =>
      tx
        .select()
        .from(t.sessions)
        .where(
          and(eq(t.sessions.intentDigest, intentDigest), eq(t.sessions.line, line), openSession),
        )
        .for('update'),
    openSessionsOfKey: (keyId, epoch): Promise<SessionRow[]> =>
      tx
        .select()
        .from(t.sessions)
        .where(and(eq(t.sessions.keyId, keyId), eq(t.sessions.epoch, epoch), openSession)),
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
          attempt: t.sessions.attempt,
          dataKeyId: t.sessions.dataKeyId,
          state: t.sessions.state,
        })
        .from(t.sessions)
        .where(eq(t.sessions.dataKeyDestroyed, false));
      return rows.map((r) => ({ ...r, open: isOpen(r.state) }));
    },
    async markDataKeysDestroyed(attempts) {
      if (attempts.length === 0) return;
      await tx
        .update(t.sessions)
        .set({ dataKeyDestroyed: true })
        .where(inArray(t.sessions.attempt, [...attempts]));
    },
    async closedAttempts(attempts) {
      if (attempts.length === 0) return [];
      const rows = await tx
        .select({ attempt: t.sessions.attempt, state: t.sessions.state })
        .from(t.sessions)
        .where(inArray(t.sessions.attempt, [...attempts]));
      return rows.filter((r) => !isOpen(r.state)).map((r) => r.attempt);
    },

    rounds: (attempt) =>
      tx.select().from(t.rounds).where(eq(t.rounds.attempt, attempt)).orderBy(asc(t.rounds.round)),
    async insertInbox(attempt, row) {
      await tx.insert(t.rounds).values({
        attempt,
        round: row.round,
        inboxHash: row.inboxHash,
        inbox: row.inbox,
        committedAt: row.at,
      });
    },
    async setOutbox(attempt, round, row) {
      await tx
        .update(t.rounds)
        .set({
          outboxHash: row.outboxHash,
          outbox: row.outbox,
          keygen: row.keygen,
          answeredAt: row.at,
        })
        .where(and(eq(t.rounds.attempt, attempt), eq(t.rounds.round, round)));
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
      await tx
        .update(t.lines)
        .set({ state })
        .where(and(eq(t.lines.intentDigest, intentDigest), eq(t.lines.line, line)));
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
      await tx.insert(t.lineTransactions).values({ ...row, conflictKeys: [...row.conflictKeys] });
    },
    async setLineTransactionState(attempt, state) {
      await tx
        .update(t.lineTransactions)
        .set({ state })
        .where(eq(t.lineTransactions.attempt, attempt));
    },

    async lockLimit(keyId, asset) {
      await lockName(`limit ${keyId} ${asset}`);
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
      await tx
        .insert(t.spent)
        .values({ ...row, state: 'reserved' })
        .onConflictDoNothing();
    },
    async markSpent(intentDigest, line, at) {
      // The first release starts the window; a later release of the same line does not count again.
      await tx
        .update(t.spent)
        .set({ state: 'spent', at })
        .where(
          and(
            eq(t.spent.intentDigest, intentDigest),
            eq(t.spent.line, line),
            eq(t.spent.state, 'reserved'),
          ),
        );
    },
    async releaseSpend(intentDigest, line) {
      await tx
        .delete(t.spent)
        .where(
          and(
            eq(t.spent.intentDigest, intentDigest),
            eq(t.spent.line, line),
            eq(t.spent.state, 'reserved'),
          ),
        );
    },

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
      await lockName(`policy ${policyId}`, mode === 'share');
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
  };
}
