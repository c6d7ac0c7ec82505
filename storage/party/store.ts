/** `PartyStore` on PostgreSQL: Drizzle over postgres.js, one connection pool a process. */
import { and, asc, count, desc, eq, gte, inArray, lt, ne, or, sql } from 'drizzle-orm';
import { drizzle, type PostgresJsDatabase } from 'drizzle-orm/postgres-js';
import postgres from 'postgres';
import type { PartyStore, PartyTransaction, SessionRow } from '../../core/ports/party-store.ts';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import * as t from '../../schema/db/party.ts';
import { migrateDatabase } from '../migrate.ts';

type Db = PostgresJsDatabase<typeof t>;
type Tx = Parameters<Parameters<Db['transaction']>[0]>[0];

const openStates = ['prepared', 'running'] as const;
const openSession = inArray(t.sessions.state, [...openStates]);

export type PartyDatabase = { readonly store: PartyStore; close(): Promise<void> };

/** Connects, migrates (safe when several instances start at once) and returns the store. */
export async function openPartyDatabase(url: string, options: { poolSize?: number } = {}): Promise<PartyDatabase> {
  const client = postgres(url, {
    max: options.poolSize ?? 8,
    onnotice: () => {},
    connection: { application_name: 'keysaga-party', TimeZone: 'UTC', synchronous_commit: 'on' },
  });
  await migrateDatabase(client, 'party');
  const db = drizzle(client, { schema: t });
  const store: PartyStore = {
    async transaction(work) {
      return db.transaction((tx) => work(transactionOf(tx)));
    },
  };
  return { store, close: () => client.end({ timeout: 5 }) };
}

function transactionOf(tx: Tx): PartyTransaction {
  return {
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
        .where(and(eq(t.sessions.intentDigest, intentDigest), eq(t.sessions.line, line), openSession))
        .for('update'),
    openSessionsOfKey: (keyId, epoch): Promise<SessionRow[]> =>
      tx.select().from(t.sessions).where(and(eq(t.sessions.keyId, keyId), eq(t.sessions.epoch, epoch), openSession)),
    openSessionsOfPolicy: (policyId): Promise<SessionRow[]> =>
      tx.select().from(t.sessions).where(and(eq(t.sessions.policyId, policyId), openSession)).for('update'),
    expiredSessions: (now): Promise<SessionRow[]> =>
      tx
        .select()
        .from(t.sessions)
        .where(and(openSession, lt(t.sessions.expiresAt, now)))
        .for('update', { skipLocked: true }),
    async sessionsWithDataKey() {
      const rows = await tx
        .select({ attempt: t.sessions.attempt, dataKeyId: t.sessions.dataKeyId, state: t.sessions.state })
        .from(t.sessions)
        .where(eq(t.sessions.dataKeyDestroyed, false));
      return rows.map((r) => ({ ...r, open: r.state === 'prepared' || r.state === 'running' }));
    },

    rounds: (attempt) => tx.select().from(t.rounds).where(eq(t.rounds.attempt, attempt)).orderBy(asc(t.rounds.round)),
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
        .set({ outboxHash: row.outboxHash, outbox: row.outbox, keygen: row.keygen, answeredAt: row.at })
        .where(and(eq(t.rounds.attempt, attempt), eq(t.rounds.round, round)));
    },

    async lockLine(intentDigest, line, keyId, now) {
      await tx
        .insert(t.lines)
        .values({ intentDigest, line, keyId, state: 'open', createdAt: now })
        .onConflictDoNothing();
      const [row] = await tx
        .select()
        .from(t.lines)
        .where(and(eq(t.lines.intentDigest, intentDigest), eq(t.lines.line, line)))
        .for('update');
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
      await tx.update(t.lineTransactions).set({ state }).where(eq(t.lineTransactions.attempt, attempt));
    },

    async lockLimit(keyId, asset) {
      await tx.execute(sql`select pg_advisory_xact_lock(hashtextextended(${`limit ${keyId} ${asset}`}, 0))`);
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
        .where(and(eq(t.spent.intentDigest, intentDigest), eq(t.spent.line, line), eq(t.spent.state, 'reserved')));
    },
    async releaseSpend(intentDigest, line) {
      await tx
        .delete(t.spent)
        .where(and(eq(t.spent.intentDigest, intentDigest), eq(t.spent.line, line), eq(t.spent.state, 'reserved')));
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
      await tx.insert(t.shares).values(row);
    },
    async setShareState(keyId, attempt, state, at) {
      await tx
        .update(t.shares)
        .set(
          state === 'active' ? { state, activatedAt: at } : state === 'destroyed' ? { state, sealed: null } : { state },
        )
        .where(and(eq(t.shares.keyId, keyId), eq(t.shares.attempt, attempt)));
    },
    shareDataKeys: () => tx.select({ dataKeyId: t.shares.dataKeyId, state: t.shares.state }).from(t.shares),
    async activeKeys() {
      const [row] = await tx.select({ n: count() }).from(t.shares).where(eq(t.shares.state, 'active'));
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
        throw new KeysagaError('StateConflict', 'This party has already given its word on the ceremony.', { attempt });
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
      tx.select().from(t.policies).where(eq(t.policies.policyId, policyId)).orderBy(desc(t.policies.version)),
    async policies() {
      const rows = await tx.select().from(t.policies).orderBy(asc(t.policies.policyId), asc(t.policies.version));
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
      const rows = await tx.select().from(t.rejections).where(eq(t.rejections.intentDigest, intentDigest));
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
        .onConflictDoNothing();
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
    async witness(signed, at) {
      await tx
        .insert(t.witnessedHeads)
        .values({ party: signed.head.party, signed, seenAt: at })
        .onConflictDoUpdate({
          target: t.witnessedHeads.party,
          set: { signed, seenAt: at },
          // Only ever forward: an older head shown later must not overwrite a newer one.
          setWhere: sql`((${t.witnessedHeads.signed} -> 'head' ->> 'chainEpoch')::bigint, (${t.witnessedHeads.signed} -> 'head' ->> 'sequence')::bigint) < (${signed.head.chainEpoch}::bigint, ${signed.head.sequence}::bigint)`,
        });
    },

    async audit({ kind, keyId, attempt, detail, at }) {
      await tx
        .insert(t.auditEntries)
        .values({ kind, keyId: keyId ?? null, attempt: attempt ?? null, detail: detail ?? {}, at });
    },
  };
}
