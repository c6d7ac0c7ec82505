/** `Pools`: names of presignatures in stock. A row that is not `available` never is again. */
import { sql } from 'drizzle-orm';
import type { Clock } from '../../core/ports/clock.ts';
import type { Pools } from '../../core/ports/ledger.ts';
import type { PooledPresignature, PoolRef, PoolStock } from '../../schema/contracts/pool.ts';
import { unawaited } from '../postgres-client.ts';
import type { Executor } from './event-log.ts';

/** Names of what has expired are kept for this long, for the counts that people read. */
const KEPT_MS = 7 * 24 * 3_600_000;

type Counted = {
  readonly keyId: string;
  readonly epoch: number;
  readonly signers: string;
  readonly available: number;
  readonly leased: number;
  readonly spent: number;
  readonly dropped: number;
  readonly expiresAt: Date | string | null;
};

const counts = sql`
  count(*) filter (where state = 'available')::int as available,
  count(*) filter (where state = 'leased')::int as leased,
  count(*) filter (where state = 'spent')::int as spent,
  count(*) filter (where state = 'dropped')::int as dropped,
  min(expires_at) filter (where state = 'available') as "expiresAt"`;

const nameOf = (signers: PoolRef['signers']): string => signers.join(',');

const stockOf = (row: Counted): PoolStock => {
  const { expiresAt, signers, keyId, ...rest } = row;
  return {
    ...rest,
    keyId: keyId as PoolStock['keyId'],
    signers: signers.split(',') as PoolStock['signers'],
    ...(expiresAt === null ? {} : { expiresAt: new Date(expiresAt).toISOString() }),
  };
};

export function createPools(executor: Executor, clock: Clock): Pools {
  const now = () => new Date(clock.now()).toISOString();
  const ofPool = ({ keyId, epoch, signers }: PoolRef) =>
    sql`key_id = ${keyId} and epoch = ${epoch} and signers = ${nameOf(signers)}`;
  return {
    add: async ({ pool, packId, count, expiresAt }) => {
      await executor.execute(sql`
        insert into pool_stock
          (pack_id, index, key_id, epoch, signers, state, owner, expires_at, changed_at)
        select ${packId}, i, ${pool.keyId}, ${pool.epoch}, ${nameOf(pool.signers)}, 'available',
          null, ${expiresAt}, ${now()}
        from generate_series(0, ${count - 1}::int) as i
        on conflict (pack_id, index) do nothing`);
    },

    holding: async ({ keyId, epoch }, leastMs) => {
      const until = new Date(clock.now() + leastMs).toISOString();
      const rows = await executor.execute<{ signers: string }>(sql`
        select distinct signers from pool_stock
        where key_id = ${keyId} and epoch = ${epoch} and state = 'available' and expires_at > ${until}
        order by signers`);
      return rows.map(({ signers }) => signers.split(',') as PoolRef['signers']);
    },

    lentTo: async (owner) => {
      const rows = await executor.execute<PooledPresignature & { signers: string }>(sql`
        select pack_id as "packId", index, signers from pool_stock
        where owner = ${owner} order by pack_id, index`);
      const [first] = rows;
      if (first === undefined) return undefined;
      return {
        signers: first.signers.split(',') as PoolRef['signers'],
        presignatures: rows.map(({ packId, index }) => ({ packId, index })),
      };
    },

    lend: async (pool, owner, count, leastMs) => {
      const until = new Date(clock.now() + leastMs).toISOString();
      // Rows that another taker holds are passed over: they will be its own.
      const found = await executor.execute<PooledPresignature>(sql`
        select pack_id as "packId", index from pool_stock
        where ${ofPool(pool)} and state = 'available' and expires_at > ${until}
        order by expires_at, pack_id, index limit ${count} for update skip locked`);
      if (found.length < count) return [];
      const taken = await executor.execute<PooledPresignature>(sql`
        update pool_stock set state = 'leased', owner = ${owner}, changed_at = ${now()}
        where state = 'available' and (pack_id, index) in (${sql.join(
          found.map(({ packId, index }) => sql`(${packId}, ${index})`),
          sql`, `,
        )})
        returning pack_id as "packId", index`);
      return [...taken].sort((a, b) =>
        a.packId === b.packId ? a.index - b.index : a.packId < b.packId ? -1 : 1,
      );
    },

    spent: async (owner) => {
      unawaited(
        executor.execute(sql`
          update pool_stock set state = 'spent', changed_at = ${now()}
          where owner = ${owner} and state = 'leased'`),
      );
    },

    expire: async (pool) => {
      await executor.execute(sql`
        update pool_stock set state = 'dropped', changed_at = ${now()}
        where ${ofPool(pool)} and state in ('available', 'leased') and expires_at <= ${now()}`);
      const old = new Date(clock.now() - KEPT_MS).toISOString();
      await executor.execute(sql`
        delete from pool_stock where ${ofPool(pool)} and expires_at <= ${old}`);
    },

    drop: async ({ keyId, signers, packId }) => {
      const dropped = await executor.execute(sql`
        update pool_stock set state = 'dropped', changed_at = ${now()}
        where key_id = ${keyId} and state = 'available'
          ${signers === undefined ? sql`` : sql`and signers = ${nameOf(signers)}`}
          ${packId === undefined ? sql`` : sql`and pack_id = ${packId}`}
        returning index`);
      return dropped.length;
    },

    stock: async (pool) => {
      const [row] = await executor.execute<Counted>(sql`
        select ${pool.keyId} as "keyId", ${pool.epoch}::int as epoch,
          ${nameOf(pool.signers)} as signers, ${counts}
        from pool_stock where ${ofPool(pool)}`);
      return stockOf(row as Counted);
    },

    stocks: async (keyId) => {
      const rows = await executor.execute<Counted>(sql`
        select key_id as "keyId", epoch, signers, ${counts} from pool_stock
        ${keyId === undefined ? sql`` : sql`where key_id = ${keyId}`}
        group by key_id, epoch, signers order by key_id, epoch, signers`);
      return [...rows].map(stockOf);
    },
  };
}
