/**
 * The read side of the coordinator's database: plain queries over the projections. Nothing here locks, writes or
 * asks a party or a chain, so any number of readers may run beside the commands, on a replica too.
 */
import { and, asc, desc, eq, inArray, lt, type SQL, sql } from 'drizzle-orm';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import type { TransferPhase } from '../../schema/contracts/saga.ts';
import { approvals, parties, partyStats, transfers, wallets } from '../../schema/db/coordinator.ts';
import type { CoordinatorDatabase } from '../coordinator/database.ts';

export type WalletView = typeof wallets.$inferSelect & {
  /** Sum of amount + fee cap over the transfers that hold a reservation of the native asset, smallest unit. */
  readonly reserved: string;
  readonly openTransfers: number;
};
export type ApprovalView = typeof approvals.$inferSelect;
export type TransferView = typeof transfers.$inferSelect & {
  readonly approvals: readonly ApprovalView[];
};
export type PartyView = typeof parties.$inferSelect & {
  readonly failures: number;
  readonly consecutiveFailures: number;
  readonly lastFailureAt: string | null;
  readonly lastFailureCode: string | null;
  readonly lastOkAt: string | null;
  readonly lastMilliseconds: number | null;
};

export type TransferFilter = {
  readonly walletId?: string;
  readonly network?: string;
  readonly phase?: readonly TransferPhase[];
};
/** `next` goes into the next call's `cursor`; absent on the last page. Newest first. */
export type Page<T> = { readonly items: readonly T[]; readonly next?: string };

/** What waits for an approver: the transfer and how far its approvals are. */
export type WaitingView = TransferView;

export interface CoordinatorReads {
  wallets(): Promise<readonly WalletView[]>;
  wallet(id: string): Promise<WalletView | undefined>;
  /** At most `limit` (1 to 200, default 50). Throws `InvalidInput` (`cursor`, `limit`). */
  transfers(filter?: TransferFilter, cursor?: string, limit?: number): Promise<Page<TransferView>>;
  transfer(id: string): Promise<TransferView | undefined>;
  /** Transfers that are collecting approvals, have no rejection and lack this approver's decision; oldest first. */
  approvalsWaiting(approver: string): Promise<readonly WaitingView[]>;
  parties(): Promise<readonly PartyView[]>;
}

const AWAITING: readonly TransferPhase[] = ['Initiated', 'AwaitingApprovals'];

export function createCoordinatorReads({ db }: Pick<CoordinatorDatabase, 'db'>): CoordinatorReads {
  const walletRows = async (where?: SQL): Promise<WalletView[]> => {
    const [rows, open] = await Promise.all([
      db.select().from(wallets).where(where).orderBy(asc(wallets.createdAt), asc(wallets.walletId)),
      db
        .select({
          walletId: transfers.walletId,
          reserved: sql<string>`sum(${transfers.feeCap} + case when ${transfers.asset} = 'native' then ${transfers.amount} else 0 end)::text`,
          count: sql<number>`count(*)::int`,
        })
        .from(transfers)
        .where(eq(transfers.reservation, 'open'))
        .groupBy(transfers.walletId),
    ]);
    const sums = new Map(open.map((row) => [row.walletId, row]));
    return rows.map((row) => ({
      ...row,
      reserved: sums.get(row.walletId)?.reserved ?? '0',
      openTransfers: sums.get(row.walletId)?.count ?? 0,
    }));
  };

  const withApprovals = async (
    rows: (typeof transfers.$inferSelect)[],
  ): Promise<TransferView[]> => {
    if (rows.length === 0) return [];
    const ids = rows.map((row) => row.requestId);
    const all = await db
      .select()
      .from(approvals)
      .where(inArray(approvals.requestId, ids))
      .orderBy(asc(approvals.requestId), asc(approvals.approver));
    return rows.map((row) => ({
      ...row,
      approvals: all.filter((a) => a.requestId === row.requestId),
    }));
  };

  return {
    wallets: () => walletRows(),
    wallet: async (id) => (await walletRows(eq(wallets.walletId, id)))[0],

    transfers: async (filter = {}, cursor, limit = 50) => {
      const invalid = (field: string, message: string) =>
        new KeysagaError('InvalidInput', message, { field });
      if (!Number.isInteger(limit) || limit < 1 || limit > 200)
        throw invalid('limit', 'limit is 1 to 200.');
      if (cursor !== undefined && !/^[1-9][0-9]{0,15}$/.test(cursor))
        throw invalid('cursor', 'The cursor is not one that this query gave.');
      const rows = await db
        .select()
        .from(transfers)
        .where(
          and(
            filter.walletId === undefined ? undefined : eq(transfers.walletId, filter.walletId),
            filter.network === undefined ? undefined : eq(transfers.network, filter.network),
            filter.phase === undefined ? undefined : inArray(transfers.phase, [...filter.phase]),
            cursor === undefined ? undefined : lt(transfers.position, Number(cursor)),
          ),
        )
        .orderBy(desc(transfers.position))
        .limit(limit + 1);
      const items = await withApprovals(rows.slice(0, limit));
      const last = items.at(-1);
      return rows.length > limit && last !== undefined
        ? { items, next: String(last.position) }
        : { items };
    },

    transfer: async (id) => {
      const rows = await db.select().from(transfers).where(eq(transfers.requestId, id));
      return (await withApprovals(rows))[0];
    },

    approvalsWaiting: async (approver) => {
      const rows = await db
        .select({ transfer: transfers })
        .from(approvals)
        .innerJoin(transfers, eq(transfers.requestId, approvals.requestId))
        .where(
          and(
            eq(approvals.approver, approver),
            eq(approvals.status, 'waiting'),
            inArray(transfers.phase, [...AWAITING]),
            sql`not exists (select from ${approvals} as rejection
                where rejection.request_id = ${transfers.requestId} and rejection.status = 'reject')`,
          ),
        )
        .orderBy(asc(transfers.position))
        .limit(500);
      return withApprovals(rows.map((row) => row.transfer));
    },

    parties: async () => {
      const rows = await db
        .select({ party: parties, stats: partyStats })
        .from(parties)
        .leftJoin(partyStats, eq(partyStats.party, parties.party))
        .orderBy(asc(parties.party));
      return rows.map(({ party, stats }) => ({
        ...party,
        failures: stats?.failures ?? 0,
        consecutiveFailures: stats?.consecutiveFailures ?? 0,
        lastFailureAt: stats?.lastFailureAt ?? null,
        lastFailureCode: stats?.lastFailureCode ?? null,
        lastOkAt: stats?.lastOkAt ?? null,
        lastMilliseconds: stats?.lastMilliseconds ?? null,
      }));
    },
  };
}
