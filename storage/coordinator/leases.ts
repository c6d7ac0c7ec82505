/** `Leases`: who holds which nonce or output. Row locks make a pivot and a release of one lease exclude each other. */
import { sql } from 'drizzle-orm';
import type { LeaseRequest } from '../../core/ports/blockchain.ts';
import type { Clock } from '../../core/ports/clock.ts';
import type { AccountNonces } from '../../core/ports/ethereum-nonces.ts';
import type { Lease, LeaseState, Leases } from '../../core/ports/ledger.ts';
import { unawaited } from '../postgres-client.ts';
import type { Executor } from './event-log.ts';

type Row = {
  readonly resource: string;
  readonly network: string;
  readonly walletId: string;
  readonly owner: string;
  readonly state: LeaseState;
  readonly detail: Record<string, string>;
};

export function createLeases(executor: Executor, clock: Clock): Leases {
  const now = () => new Date(clock.now()).toISOString();
  return {
    // Ordered, so that two lockers of one owner cannot wait for each other.
    lockByOwner: async (owner: string): Promise<Lease[]> => [
      ...(await executor.execute<Row>(sql`
        select resource, network, wallet_id as "walletId", owner, state, detail from leases
        where owner = ${owner} order by resource for update`)),
    ],

    tryTake: async (
      owner: string,
      walletId: string,
      network: string,
      { resource, detail }: LeaseRequest,
    ): Promise<boolean> => {
      // `consumed` is never lent again: its resource left the chain with a final transaction.
      const taken = await executor.execute(sql`
        insert into leases (resource, network, wallet_id, owner, state, detail, changed_at)
        values (${resource}, ${network}, ${walletId}, ${owner}, 'held', ${JSON.stringify(detail)}::jsonb, ${now()})
        on conflict (resource) do update
          set network = excluded.network, wallet_id = excluded.wallet_id, owner = excluded.owner,
              state = 'held', detail = excluded.detail, changed_at = excluded.changed_at
          where leases.state = 'released' or (leases.state = 'held' and leases.owner = excluded.owner)
        returning resource`);
      if (taken.length > 0) return true;
      const own = await executor.execute(
        sql`select from leases where resource = ${resource} and owner = ${owner} and state = 'pivoted'`,
      );
      return own.length > 0;
    },

    lockNonces: async (network: string, address: string): Promise<AccountNonces> => {
      await executor.execute(
        sql`select pg_advisory_xact_lock(hashtextextended(${`nonces-${network}-${address}`}, 0))`,
      );
      // A statement of its own after the lock: it sees what others committed under it.
      const [account] = await executor.execute<{ floor: string }>(sql`
        select greatest(final_count, latest_count)::text as floor from ethereum_accounts
        where network = ${network} and address = ${address}`);
      const lent = await executor.execute<{ nonce: string; owner: string; state: LeaseState }>(sql`
        select n.nonce::text as nonce, l.owner, l.state
        from ethereum_nonces n join leases l on l.resource = n.resource
        where n.network = ${network} and n.address = ${address} order by n.nonce`);
      return {
        floor: BigInt(account?.floor ?? 0),
        lent: [...lent].map(({ nonce, owner, state }) => ({ nonce: BigInt(nonce), owner, state })),
      };
    },

    setState: async (
      owner: string,
      state: LeaseState,
      resources?: readonly string[],
    ): Promise<void> => {
      if (resources?.length === 0) return;
      const only =
        resources === undefined
          ? sql``
          : sql` and resource in (${sql.join(
              resources.map((r) => sql`${r}`),
              sql`, `,
            )})`;
      unawaited(
        executor.execute(
          sql`update leases set state = ${state}, changed_at = ${now()} where owner = ${owner} and state <> ${state}${only}`,
        ),
      );
    },
  };
}
