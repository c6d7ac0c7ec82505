/** What a policy rules: its keys and its waiting transfers, from the projections. */
import { setTimeout as sleep } from 'node:timers/promises';
import { and, asc, count, eq, inArray, isNull, max } from 'drizzle-orm';
import type { PolicySubjects } from '../../core/ports/policy-source.ts';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import { checkpoints, events, transfers, wallets } from '../../schema/db/coordinator.ts';
import type { CoordinatorDatabase } from './database.ts';
import { PROJECTIONS } from './projector.ts';

const CAUGHT_UP_MS = 5_000;
const LOOK_MS = 100;

/** Resolves when the read tables show every event that stands in the log now. */
async function caughtUp({ db }: Pick<CoordinatorDatabase, 'db'>): Promise<void> {
  const [last] = await db.select({ position: max(events.position) }).from(events);
  const position = last?.position ?? 0;
  for (const deadline = Date.now() + CAUGHT_UP_MS; ; await sleep(LOOK_MS)) {
    const [seen] = await db
      .select({ position: checkpoints.position })
      .from(checkpoints)
      .where(eq(checkpoints.name, PROJECTIONS));
    if ((seen?.position ?? 0) >= position) return;
    if (Date.now() >= deadline)
      throw new KeysagaError('PartFailed', 'The read tables are behind the log.', {
        part: PROJECTIONS,
      });
  }
}

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
    // Whom an announcement misses learns of the change an hour later.
    await caughtUp({ db });
    const rows = await db
      .select({ requestId: transfers.requestId, workflowId: transfers.workflowId })
      .from(transfers)
      .innerJoin(wallets, eq(wallets.walletId, transfers.walletId))
      .where(
        and(eq(wallets.policyId, policyId), isNull(transfers.endedAt), isNull(transfers.payment)),
      )
      .orderBy(asc(transfers.position))
      .limit(limit);
    return rows;
  },
});
