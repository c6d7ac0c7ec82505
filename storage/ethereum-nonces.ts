/** `EthereumNonces` on the coordinator's PostgreSQL; any number of coordinators may share it. */
import { and, asc, eq, sql } from 'drizzle-orm';
import type { PgDatabase, PgQueryResultHKT } from 'drizzle-orm/pg-core';
import {
  type EthereumNonces,
  isTaken,
  type NonceCounts,
  type NonceGap,
  nonceResource,
} from '../core/ports/ethereum-nonces.ts';
import { KeysagaError } from '../schema/contracts/errors.ts';
import { leases } from '../schema/db/coordinator.ts';
import {
  ethereumAccounts as accounts,
  ethereumNonces as nonces,
} from '../schema/db/coordinator-ethereum.ts';

type Handle<S extends Record<string, unknown>> = PgDatabase<PgQueryResultHKT, S>;

const larger = (a: bigint, b: bigint): bigint => (a > b ? a : b);

/** Another coordinator may be faster for some; so many do not happen by accident. */
const MOST_REFUSALS = 1_000;

/** `db`: any Drizzle handle on a database with `ethereum_accounts`, `ethereum_nonces` and the ledger's `leases`. */
export function createEthereumNonces<S extends Record<string, unknown>>(
  db: Handle<S>,
): EthereumNonces {
  /** Takers of this process come one after another, so that each finds the lowest free nonce at once. */
  const queues = new Map<string, Promise<unknown>>();
  const inTurn = <T>(key: string, work: () => Promise<T>): Promise<T> => {
    const turn = (queues.get(key) ?? Promise.resolve()).then(work, work);
    const settled = turn.catch(() => {});
    queues.set(key, settled);
    void settled.then(() => {
      if (queues.get(key) === settled) queues.delete(key);
    });
    return turn;
  };

  const row = (network: string, address: string) =>
    and(eq(accounts.network, network), eq(accounts.address, address));

  const values = (counts: NonceCounts, at: number) => ({
    finalCount: sql`greatest(${accounts.finalCount}, ${counts.final.toString()}::numeric)`,
    latestCount: counts.latest,
    pendingCount: counts.pending,
    readAt: at,
  });

  /** Recorded nonces from `floor` on with what the ledger says of them. */
  const lent = (network: string, address: string, floor: bigint) =>
    db
      .select({ nonce: nonces.nonce, state: leases.state, owner: leases.owner })
      .from(nonces)
      .leftJoin(leases, eq(leases.resource, nonces.resource))
      .where(
        and(
          eq(nonces.network, network),
          eq(nonces.address, address),
          sql`${nonces.nonce} >= ${floor.toString()}::numeric`,
        ),
      )
      .orderBy(asc(nonces.nonce));

  return {
    async accounts(network) {
      const rows = await db
        .select()
        .from(accounts)
        .where(eq(accounts.network, network))
        .orderBy(asc(accounts.address));
      return rows.map(({ finalCount, latestCount, pendingCount, ...rest }) => ({
        ...rest,
        counts: { final: finalCount, latest: latestCount, pending: pendingCount },
      }));
    },

    async open({ network, address, walletId, at }) {
      const none = { finalCount: 0n, latestCount: 0n, pendingCount: 0n };
      await db
        .insert(accounts)
        .values({ network, address, walletId, ...none, readAt: at })
        .onConflictDoNothing();
    },

    async record(network, address, counts, at) {
      const stored = await db
        .update(accounts)
        .set(values(counts, at))
        .where(row(network, address))
        .returning({ final: accounts.finalCount });
      const [account] = stored;
      if (account === undefined) return false;
      // What is final is never offered again, with or without a row.
      await db
        .delete(nonces)
        .where(
          and(
            eq(nonces.network, network),
            eq(nonces.address, address),
            sql`${nonces.nonce} < ${account.final.toString()}::numeric`,
          ),
        );
      return true;
    },

    lend: (network, address, counts, at, take, only) =>
      inTurn(`${network} ${address}`, async () => {
        // No transaction is held open while `take` works: that a nonce is nobody else's is the lease's business.
        const [account] = await db
          .update(accounts)
          .set(values(counts, at))
          .where(row(network, address))
          .returning({ final: accounts.finalCount });
        if (account === undefined) {
          throw new KeysagaError('WalletUnknown', 'the account is not followed: provision it', {
            field: 'address',
            network,
          });
        }
        const floor = larger(account.final, counts.latest);
        const standing = async () => {
          const known = await lent(network, address, floor);
          const nonces = (of: typeof known) => of.map(({ nonce }) => nonce);
          return {
            taken: new Set(nonces(known.filter(({ state }) => isTaken(state)))),
            givenBack: nonces(known.filter(({ state }) => state === 'released')),
          };
        };
        /** The row comes before the lease, so that every lease is found by its row. */
        const offer = async (nonce: bigint): Promise<boolean> => {
          const resource = nonceResource(network, address, nonce);
          await db
            .insert(nonces)
            .values({ network, address, nonce, resource, lentAt: at })
            .onConflictDoUpdate({
              target: [nonces.network, nonces.address, nonces.nonce],
              set: { lentAt: at },
            });
          return take(nonce);
        };
        // From `latest` to `pending` the mempool has a transaction for each, also one that no lease tells of. But a
        // nonce that was given back was never signed, whatever a node makes of the transactions above it.
        const fresh = larger(floor, counts.pending);
        if (only !== undefined) {
          const { taken, givenBack } = await standing();
          const free = givenBack.includes(only) || (only >= fresh && !taken.has(only));
          return free && (await offer(only)) ? only : undefined;
        }
        for (let refused = 0; refused < MOST_REFUSALS; refused++) {
          // Looked at anew each time: whoever refuses knows of a lower one by now, or somebody was faster.
          const { taken, givenBack } = await standing();
          let [nonce = fresh] = givenBack;
          while (taken.has(nonce)) nonce++;
          if (await offer(nonce)) return nonce;
        }
        throw new KeysagaError('LeaseUnavailable', 'no nonce of the account is free', {
          resource: 'nonce',
          network,
        });
      }),

    async gaps(network, address) {
      const [account] = await db.select().from(accounts).where(row(network, address));
      if (account === undefined) return [];
      const floor = larger(account.finalCount, account.latestCount);
      const rows = await lent(network, address, floor);
      const used = rows.filter(({ state }) => isTaken(state));
      const highest = used.at(-1)?.nonce;
      if (highest === undefined) return [];
      const byNonce = new Map(rows.map((one) => [one.nonce, one]));
      const gaps: NonceGap[] = [];
      for (let nonce = floor; nonce < highest; nonce++) {
        const known = byNonce.get(nonce);
        const state = known?.state ?? null;
        if (isTaken(state)) continue;
        // Unknown here, but in the mempool.
        if (state === null && nonce < account.pendingCount) continue;
        gaps.push({ nonce, lastOwner: known?.owner ?? null });
      }
      return gaps;
    },
  };
}
