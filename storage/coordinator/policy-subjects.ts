/** What a policy rules: its keys and its waiting transfers, from the projections. */
import { and, asc, count, eq, inArray, isNull } from 'drizzle-orm';
import type { PolicySubjects } from '../../core/ports/policy-source.ts';
import { transfers, wallets } from '../../schema/db/coordinator.ts';
import type { CoordinatorDatabase } from './database.ts';

export const createPolicySubjects = ({ db }: Pick<CoordinatorDatabase, 'db'>): PolicySubjects => ({
  keys: (policyId) =>
    db
      .select({
        parties: wallets.parties,
        threshold: wallets.threshold,
        wallets: count(),
      })
      .from(wallets)
      .where(and(eq(wallets.policyId, policyId), inArray(wallets.status, ['certified', 'active'])))
      .groupBy(wallets.parties, wallets.threshold),
  waiting: async (policyId, limit) => {
    const rows = await db
      .select({ requestId: transfers.requestId })
      .from(transfers)
      .innerJoin(wallets, eq(wallets.walletId, transfers.walletId))
      .where(
        and(eq(wallets.policyId, policyId), isNull(transfers.endedAt), isNull(transfers.payment)),
      )
      .orderBy(asc(transfers.position))
      .limit(limit);
    return rows.map(({ requestId }) => requestId);
  },
});
