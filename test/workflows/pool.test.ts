/** The workflow of a presignature pool, and transfers that are lent presignatures, with scripted parts. */
import type { WorkflowHandle } from '@temporalio/client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { until as asked } from '../../dev/until.ts';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import type { PoolInput, PoolStatus } from '../../schema/contracts/pool.ts';
import type { AttemptId, PartyId } from '../../schema/contracts/primitives.ts';
import { TASK_QUEUES, WORKFLOWS, workflowId } from '../../schema/contracts/temporal.ts';
import { approval, inputOf, intent, uniqueId } from './support/fixtures.ts';
import { codeOf, Stage, until } from './support/stage.ts';
import type { World } from './support/world.ts';

let stage: Stage;
beforeAll(async () => {
  stage = await Stage.open('local');
});
afterAll(() => stage?.close());

const SIGNERS = ['alpha', 'beta'] as PartyId[];
const MARKS = { low: 4, high: 8, batch: 4, lifeSeconds: 3_600 };
type Pool = { readonly world: World; readonly handle: WorkflowHandle };

async function begin(
  prepare: (world: World) => void = () => {},
  change: Partial<PoolInput> = {},
): Promise<Pool> {
  const walletId = uniqueId('w') as PoolInput['walletId'];
  const world = stage.worlds.for(walletId);
  prepare(world);
  const input = { walletId, signers: SIGNERS, marks: MARKS, ...change };
  const handle = await stage.client.workflow.start(WORKFLOWS.presignaturePool, {
    taskQueue: TASK_QUEUES.sagas,
    workflowId: workflowId.pool(walletId as never, SIGNERS),
    args: [input],
  });
  return { world, handle };
}
const status = async ({ handle }: Pool, what: string, met: (status: PoolStatus) => boolean) => {
  const look = async () => {
    const last = await handle.query<PoolStatus>('status').catch(() => undefined);
    return last !== undefined && met(last) ? last : undefined;
  };
  return asked(look, { deadlineMs: 30_000, intervalMs: 20, what });
};
const hex = (n: number): string => n.toString(16).padStart(2, '0').repeat(32);
const full = (pool: Pool, packs: number) =>
  status(pool, 'full', (s) => s.phase === 'Stocked' && s.packs === packs);

describe('a pool', () => {
  it('is filled up to the high mark, again below the low one, and dropped on request', async () => {
    const pool = await begin();
    const { world, handle } = pool;
    expect(await full(pool, 2)).toMatchObject({ stock: { available: 8 }, waitingFor: '' });
    const requests = world.inputs('prepare');
    expect(new Set(requests.map(({ attempt }) => attempt)).size).toBe(2);
    for (const request of requests)
      expect(request).toMatchObject({ kind: 'presign', count: 4, signers: SIGNERS });
    expect(world.inputs('stockPack')).toMatchObject([
      { packId: hex(7), count: 4 },
      { packId: hex(7), count: 4 },
    ]);
    world.stock = 4;
    await handle.signal('fillPool', 'nonsense only makes it look');
    await until('it has looked', () => world.count('lookAtPool') >= 4);
    expect(world.count('stockPack')).toBe(2);
    world.stock = 3;
    await handle.signal('fillPool', { ...MARKS, high: 5, batch: 2 });
    expect(await full(pool, 3)).toMatchObject({ stock: { available: 5 }, marks: { high: 5 } });
    await handle.signal('dropPool', 'enough');
    expect(await handle.result()).toEqual({ dropped: 5 });
    expect(await handle.query<PoolStatus>('status')).toMatchObject({ phase: 'Closed' });
    expect(world.inputs('dropPool')).toMatchObject([{ signers: SIGNERS }]);
  });

  it('undoes a pack that a party refuses, says who it waits for, and goes on when the party does', async () => {
    let refusing = true;
    const pool = await begin((world) =>
      world.on('round beta', (request) => {
        if (refusing && (request as { round: number }).round === 3)
          throw new KeysagaError('ProtocolFault', 'Not now.');
        return undefined;
      }),
    );
    const { world, handle } = pool;
    const waiting = await status(pool, 'waits', (s) => s.phase === 'Waiting');
    expect(waiting.waitingFor).toContain('beta: ProtocolFault');
    await until('undone at both', () => world.count('abort') >= 2);
    const [failed] = world.inputs('prepare');
    expect(world.inputs('abort').map(({ attempt }) => attempt)).toContain(failed?.attempt);
    expect(world.count('stockPack')).toBe(0);
    refusing = false;
    await handle.signal('fillPool');
    await full(pool, 2);
    expect(world.inputs('stockPack')).toHaveLength(2);
    await handle.cancel();
    expect(await handle.result()).toEqual({ dropped: 8 });
  });

  it('waits for a ledger that does not know the wallet yet as active, and ends where none can be', async () => {
    const unknown = await begin((world) =>
      world.on('lookAtPool', () => {
        throw new KeysagaError('WalletUnknown', 'No such wallet.');
      }),
    );
    expect(await codeOf(unknown.handle.result())).toBe('WalletUnknown');
    const waits = await begin((world) =>
      world.on('lookAtPool', (_input, n) => {
        if (n === 0) throw new KeysagaError('WalletNotActive', 'Not yet.');
        return undefined;
      }),
    );
    await full(waits, 2);
    await waits.handle.signal('dropPool');
    await waits.handle.result();
    const malformed = await begin(() => {}, { marks: { ...MARKS, low: 9 } });
    expect(await codeOf(malformed.handle.result())).toBe('InvalidInput');
  });
});

describe('a transfer that is lent presignatures', () => {
  const ATTEMPT = 'b7a4f0de-43c2-4c43-9d55-0a1b2c3d4e5f' as AttemptId;
  const lent = (signers: readonly string[]) => ({
    attempt: ATTEMPT,
    signers,
    presignatures: [{ packId: hex(20), index: 3 }],
    rounds: 1,
  });
  async function transfer(prepare: (world: World) => void) {
    const i = intent(Date.now());
    const world = stage.worlds.for(i.requestId);
    prepare(world);
    const handle = await stage.transfer(inputOf(i));
    for (const name of ['alice', 'bob'] as const)
      await handle.executeUpdate('approve', { args: [approval(i, name, Date.now())] });
    return { world, result: await handle.result() };
  }
  const built = (world: World, signers: readonly string[]) =>
    world.on('build', (input) => {
      expect((input as { usePool?: string }).usePool).toMatch(/^[0-9a-f-]{36}$/);
      return { ...world.usualBuilt, pooled: lent(signers) };
    });

  it('signs in one round, with the pivot before it', async () => {
    const { world } = await transfer((w) => built(w, SIGNERS));
    expect(world.hops).toEqual([
      'reserve',
      'build',
      'prepare',
      'passPivot',
      'round',
      'attach',
      'broadcast',
      'confirm',
      'settle',
    ]);
    for (const request of world.inputs('prepare'))
      expect(request).toMatchObject({ attempt: ATTEMPT, pooled: lent(SIGNERS).presignatures });
    expect(world.inputs('attach')).toMatchObject([{ attempt: ATTEMPT, pooled: true }]);
  });

  it.each(['PresignatureUsed', 'PresignatureStale'] as const)(
    'signs in all rounds, with the same parties, when one says %s',
    async (code) => {
      const { world } = await transfer((w) => {
        built(w, SIGNERS);
        w.on('prepare beta', (request) => {
          if ((request as { pooled?: unknown }).pooled !== undefined)
            throw new KeysagaError(code, 'Not this one.', { field: 'pooled' });
          return undefined;
        });
      });
      const attempts = [...new Set(world.inputs('prepare').map(({ attempt }) => attempt))];
      expect(attempts).toHaveLength(2);
      expect(attempts[0]).toBe(ATTEMPT);
      const second = world.inputs('prepare').filter(({ attempt }) => attempt === attempts[1]);
      expect(second.map(({ signers }) => signers)).toEqual([SIGNERS, SIGNERS]);
      for (const request of second) expect(request).not.toHaveProperty('pooled');
      expect(world.inputs('abort').map(({ attempt }) => attempt)).toEqual([ATTEMPT, ATTEMPT]);
      expect(world.inputs('attach')).toHaveLength(1);
      expect(world.inputs('attach')[0]).not.toHaveProperty('pooled');
    },
  );

  it('does without where other parties are asked first', async () => {
    const { world } = await transfer((w) => built(w, ['beta', 'gamma']));
    for (const request of world.inputs('prepare')) expect(request).not.toHaveProperty('pooled');
    expect(world.inputs('attach')[0]).not.toHaveProperty('pooled');
  });
});
