/** The read side: what the tables say, how soon, and that they can be made again from nothing. */
import { sql } from 'drizzle-orm';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { UnitOfWork } from '../../../core/ports/ledger.ts';
import { until } from '../../../dev/until.ts';
import { type DomainEvent, streams } from '../../../schema/contracts/events.ts';
import type { RequestId } from '../../../schema/contracts/primitives.ts';
import {
  type CoordinatorDatabase,
  type CoordinatorReads,
  createCoordinatorReads,
  createProjector,
  createUnitOfWork,
  type Projector,
} from '../../../storage/coordinator/index.ts';
import { startTestPostgres, type TestPostgres } from '../../support/postgres.ts';
import {
  decided,
  HASH,
  initiated,
  keyEvents,
  phaseChanged,
  policyAdopted,
  TestClock,
  walletActivated,
} from './fixtures.ts';

let postgres: TestPostgres;
let database: CoordinatorDatabase;
let uow: UnitOfWork;
let projector: Projector;
let reads: CoordinatorReads;
const clock = new TestClock();

beforeAll(async () => {
  postgres = await startTestPostgres();
});
afterAll(() => postgres?.stop());
beforeEach(async () => {
  database = await postgres.coordinator();
  uow = createUnitOfWork(database, clock);
  projector = createProjector(database);
  reads = createCoordinatorReads(database);
});

const catchUp = () =>
  until(
    async () => {
      await projector.runOnce();
      return (await projector.lag()).events === 0;
    },
    { deadlineMs: 10_000, what: 'the projections have caught up' },
  );
const transfer = (id: string) => streams.transfer(id as RequestId);
const ended = (requestId: string): DomainEvent[] =>
  [
    {
      type: 'keysaga.transfer.transaction-signed.v1',
      data: {
        requestId,
        purpose: 'payment',
        attempt: '2b1f1f5e-5a43-4b0c-9d55-0d8a4b1c9d11',
        signers: ['beta', 'alpha'],
        signed: { network: 'solana:surfnet-local', id: `tx-${requestId}`, bytes: 'aa' },
      },
    },
    {
      type: 'keysaga.transfer.undo-recorded.v1',
      data: { requestId, step: 'abort', outcome: 'owed', party: 'gamma' },
    },
    {
      type: 'keysaga.transfer.completed.v1',
      data: { requestId, transactionId: `tx-${requestId}`, confirmations: 9 },
    },
  ] as unknown as DomainEvent[];

async function history(): Promise<void> {
  await uow.events.append(streams.policy('treasury'), 0, [policyAdopted]);
  await uow.events.append(streams.key('w1'), 0, keyEvents);
  await uow.events.append('wallet-w1', 0, [walletActivated]);
  for (const id of ['t1', 't2', 't3']) {
    await uow.events.append(transfer(id), 0, [
      initiated(id),
      phaseChanged(id, 'AwaitingApprovals'),
    ]);
    clock.advance(1000);
  }
  await uow.events.append(transfer('t1'), 2, [decided('t1', 'ann', 'approve')]);
  await uow.events.append(transfer('t2'), 2, [decided('t2', 'ben', 'reject')]);
  await uow.events.append(transfer('t3'), 2, ended('t3'));
  await uow.events.append('wallet-w1', 1, [
    {
      type: 'keysaga.wallet.funds-spent.v1',
      data: { walletId: 'w1', requestId: 't3', transactionId: 'x', at: HASH },
    } as unknown as DomainEvent,
  ]);
}

describe('projections', () => {
  it('say what wallets, transfers, approvals and parties are', async () => {
    await history();
    await catchUp();
    expect(await reads.wallets()).toHaveLength(1);
    expect(await reads.wallet('w1')).toMatchObject({
      status: 'active',
      activated: ['alpha', 'beta'],
      openTransfers: 2,
      reserved: '2100',
    });
    expect(await reads.wallet('nobody')).toBeUndefined();
    expect(await reads.transfer('t1')).toMatchObject({
      phase: 'AwaitingApprovals',
      approvals: [
        { approver: 'ann', status: 'approve' },
        { approver: 'ben', status: 'waiting' },
      ],
    });
    expect(await reads.transfer('t3')).toMatchObject({
      phase: 'Completed',
      transactionId: 'tx-t3',
      confirmations: 9,
      undoOwed: 1,
      reservation: 'spent',
    });
    // t2 was rejected and t3 has ended: nobody is asked about them any more.
    expect((await reads.approvalsWaiting('ben')).map((t) => t.requestId)).toEqual(['t1']);
    expect(await reads.approvalsWaiting('ann')).toEqual([]);
    expect(await reads.parties()).toMatchObject([
      { party: 'alpha', wallets: 1, activations: 1, signatures: 1 },
      { party: 'beta', wallets: 1, activations: 1, signatures: 1 },
      { party: 'gamma', wallets: 1, activations: 0, signatures: 0, undosOwed: 1 },
    ]);
  });

  it('give transfers in pages, newest first, by wallet and phase', async () => {
    await history();
    await catchUp();
    const first = await reads.transfers({ walletId: 'w1' }, undefined, 2);
    expect(first.items.map((t) => t.requestId)).toEqual(['t3', 't2']);
    const second = await reads.transfers({ walletId: 'w1' }, first.next, 2);
    expect(second.items.map((t) => t.requestId)).toEqual(['t1']);
    expect(second.next).toBeUndefined();
    expect((await reads.transfers({ phase: ['Completed'] })).items).toHaveLength(1);
    expect((await reads.transfers({ walletId: 'other' })).items).toEqual([]);
    await expect(reads.transfers({}, 'zzz')).rejects.toMatchObject({
      code: 'InvalidInput',
      details: { field: 'cursor' },
    });
    await expect(reads.transfers({}, undefined, 0)).rejects.toMatchObject({
      details: { field: 'limit' },
    });
  });

  it('are equal after a rebuild from nothing', async () => {
    await history();
    await catchUp();
    const tables = ['wallets', 'transfers', 'approvals', 'parties', 'policies'];
    const dump = () =>
      Promise.all(
        tables.map(async (t) =>
          (
            await database.db.execute(sql.raw(`select to_jsonb(x) as row from ${t} x order by 1`))
          ).map((r) => r.row),
        ),
      );
    const before = await dump();
    await database.db.execute(sql`delete from transfers where request_id = 't1'`);
    await database.db.execute(sql`update wallets set status = 'failed', activated = '[]'`);
    expect(await dump()).not.toEqual(before);
    await projector.rebuild();
    expect(await dump()).toEqual(before);
    expect(before.every((rows) => rows.length > 0)).toBe(true);
  });

  it('follow within a second while running, woken by another process', async () => {
    await projector.start();
    const other = createUnitOfWork(database, clock);
    // Warm: the first look has set the checkpoint.
    await until(() => database.db.execute(sql`select from checkpoints`).then((r) => r.length > 0), {
      deadlineMs: 5_000,
      what: 'the projector has begun',
    });
    const started = performance.now();
    await other.events.append(transfer('quick'), 0, [initiated('quick')]);
    await until(() => reads.transfer('quick'), {
      deadlineMs: 5_000,
      intervalMs: 5,
      what: 'the transfer is projected',
    });
    expect(performance.now() - started).toBeLessThan(1_000);
    await projector.stop();
  });

  it('see a single event at once, before any other wakes them', async () => {
    await projector.start();
    const took: number[] = [];
    for (let i = 0; i < 5; i++) {
      // A process of its own each time: none has woken anybody a moment ago.
      const other = createUnitOfWork(database, clock);
      const id = `single-${i}`;
      await other.events.append(transfer(id), 0, [initiated(id)]);
      const started = performance.now();
      await until(() => reads.transfer(id), {
        deadlineMs: 5_000,
        intervalMs: 2,
        what: 'the transfer is projected',
      });
      took.push(performance.now() - started);
    }
    // The best of five, since the machine may be busy; a wake-up that waits for others takes 100 ms.
    expect(Math.min(...took)).toBeLessThan(80);
    await projector.stop();
  });

  it('keep following after the database dropped every connection', async () => {
    const errors: unknown[] = [];
    const tough = createProjector(database, { pollMs: 50, onError: (error) => errors.push(error) });
    await tough.start();
    const kill = () =>
      database.db.execute(
        sql`select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()`,
      );
    for (let i = 0; i < 5; i++) {
      await kill();
      await until(
        () => uow.events.append(transfer(`k${i}`), 0, [initiated(`k${i}`)]).then(() => true),
        {
          deadlineMs: 5_000,
          what: 'an append succeeds',
        },
      ).catch(async (error) => {
        // The append may have been committed before its answer was lost.
        if ((await uow.events.read(transfer(`k${i}`))).length === 0) throw error;
      });
    }
    await until(() => reads.transfer('k4'), { deadlineMs: 10_000, what: 'the projector is back' });
    await tough.stop();
  });
});

describe('party board', () => {
  it('ranks parties without recent failures first and forgets old ones', async () => {
    const board = <T>(
      work: (p: Parameters<Parameters<UnitOfWork['transaction']>[0]>[0]['parties']) => Promise<T>,
    ) => uow.transaction((tx) => work(tx.parties));
    const report = (party: string, ok: boolean, code?: string) =>
      ({ party, ok, step: 'prepare', ...(code === undefined ? {} : { code }) }) as never;
    await board((p) =>
      p.record([report('beta', false, 'PartyUnavailable'), report('alpha', true)]),
    );
    await board((p) =>
      p.record([report('alpha', false, 'ProtocolFault'), report('alpha', false, 'ProtocolFault')]),
    );
    const parties = ['alpha', 'beta', 'gamma'];
    expect(await board((p) => p.ranking(parties, 's'))).toEqual(['gamma', 'beta', 'alpha']);
    await board((p) => p.record([report('alpha', true)]));
    // A success ends the run, the failures still count for a while.
    expect(await board((p) => p.ranking(parties, 's'))).toEqual(['gamma', 'alpha', 'beta']);
    clock.advance(301_000);
    const spread = new Set<string>();
    for (let i = 0; i < 20; i++)
      spread.add((await board((p) => p.ranking(parties, `s${i}`)))[0] as string);
    expect(spread.size).toBe(3);
  });
});

describe('leases', () => {
  const lease = { resource: 'bitcoin:n:tx:0', detail: { amount: '1' } };
  const take = (owner: string) =>
    uow.transaction((tx) => tx.leases.tryTake(owner, 'w1', 'n', lease));
  const set = (owner: string, state: 'pivoted' | 'released' | 'consumed') =>
    uow.transaction((tx) => tx.leases.setState(owner, state));

  it('go to one of many that ask at once, and on to the next when given back', async () => {
    const results = await Promise.all(Array.from({ length: 12 }, (_, i) => take(`r${i}`)));
    expect(results.filter(Boolean)).toHaveLength(1);
    const owner = `r${results.indexOf(true)}`;
    expect(await take(owner)).toBe(true);
    expect(await take('other')).toBe(false);
    await set(owner, 'pivoted');
    expect(await take(owner)).toBe(true);
    expect(await take('other')).toBe(false);
    await set(owner, 'released');
    expect(await take('other')).toBe(true);
    await set('other', 'consumed');
    expect(await take('third')).toBe(false);
    expect(await take('other')).toBe(false);
  });
});
