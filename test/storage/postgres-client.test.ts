/** The pool's transactions against a real server: order, statements that nobody awaits, and what their failure means. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openPool, type Pool, type PoolClient } from '../../storage/postgres-client.ts';
import { sqlState } from '../../storage/sql-state.ts';
import { startTestPostgres, type TestPostgres } from '../support/postgres.ts';

let postgres: TestPostgres;
let pool: Pool;
beforeAll(async () => {
  postgres = await startTestPostgres();
  const url = await postgres.stack.postgres.createDatabase('pool');
  pool = openPool(url, { max: 2, connection: { application_name: 'pool-test' } });
  await pool.client.unsafe('create table things (id int primary key, note text not null)');
});
afterAll(async () => {
  await pool?.close();
  await postgres?.stop();
});

const count = async (): Promise<number> => {
  const [row] = await pool.client.unsafe('select count(*)::int as n from things');
  return row?.n as number;
};
type Transaction = Parameters<Parameters<PoolClient['begin']>[0]>[0];
const insert = (tx: Pick<Transaction, 'unsafe'>, id: number | null, note: string) =>
  tx.unsafe('insert into things (id, note) values ($1::int, $2) returning id', [id, note]);

it('runs statements in the order of the calls, awaited or not, rows or values', async () => {
  const seen = await pool.client.begin(async (tx) => {
    void insert(tx, 1, 'not awaited');
    // `values` is asked for later than the statement leaves; the read must still see the write before it.
    const values = await tx.unsafe('select id, note from things order by id').values();
    void insert(tx, 2, 'not awaited either');
    const both = await Promise.all([
      tx.unsafe('select count(*)::int as n from things'),
      tx.unsafe('delete from things where id = $1 returning note', [2]),
      tx.unsafe('select count(*)::int as n from things').values(),
    ]);
    return { values: [...values], both: both.map((rows) => [...rows]) };
  });
  expect(seen.values).toEqual([[1, 'not awaited']]);
  expect(seen.both).toEqual([[{ n: 2 }], [{ note: 'not awaited either' }], [[1]]]);
  expect(await count()).toBe(1);
});

it('waits for what nobody awaited before it commits', async () => {
  await pool.client.begin(async (tx) => {
    void tx.unsafe('select pg_sleep(0.2)');
    void insert(tx, 10, 'last');
  });
  expect(await count()).toBe(2);
});

it('commits nothing when a statement that nobody awaited fails, and says why', async () => {
  const before = await count();
  const failing = pool.client.begin(async (tx) => {
    void insert(tx, 20, 'lost with the rest');
    void insert(tx, 10, 'twice the same');
  });
  await expect(failing).rejects.toSatisfy((error) => sqlState(error) === '23505');
  expect(await count()).toBe(before);
});

it('tells the first failure, not what the server answers to the statements after it', async () => {
  const before = await count();
  const failing = pool.client.begin(async (tx) => {
    void insert(tx, null, 'no id');
    await tx.unsafe('select 1');
  });
  await expect(failing).rejects.toSatisfy((error) => sqlState(error) === '23502');
  expect(await count()).toBe(before);
  // The connection is whole again.
  await pool.client.begin(async (tx) => void (await insert(tx, 30, 'after a failure')));
  expect(await count()).toBe(before + 1);
});

it("keeps the caller's own error when no statement failed", async () => {
  const own = new Error('decided against it');
  const before = await count();
  const failing = pool.client.begin(async (tx) => {
    void insert(tx, 40, 'given up');
    throw own;
  });
  await expect(failing).rejects.toBe(own);
  expect(await count()).toBe(before);
});

it('refuses a statement of a transaction that is over', async () => {
  let kept: Transaction | undefined;
  await pool.client.begin(async (tx) => {
    kept = tx;
    await insert(tx, 50, 'in time');
  });
  const before = await count();
  await expect(insert(kept as Transaction, 51, 'too late')).rejects.toSatisfy(
    (error) => sqlState(error) === 'CONNECTION_CLOSED',
  );
  expect(await count()).toBe(before);
});

it('answers when the connection is lost under statements that nobody awaits', async () => {
  const before = await count();
  const failing = pool.client.begin(async (tx) => {
    const [row] = await tx.unsafe('select pg_backend_pid() as pid');
    void insert(tx, 60, 'lost with the connection');
    void tx.unsafe('select pg_sleep(20)');
    await pool.client.unsafe('select pg_terminate_backend($1::int)', [row?.pid]);
  });
  await expect(failing).rejects.toSatisfy((error) => sqlState(error) !== undefined);
  expect(await count()).toBe(before);
});
