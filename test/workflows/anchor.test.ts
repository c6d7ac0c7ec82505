/** The anchor's own workflow: its timer gives back what no transfer took, whoever asked and whatever became of them. */
import type { WorkflowHandle } from '@temporalio/client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import type { AnchorRequest, LeasedAnchor } from '../../schema/contracts/intent.ts';
import { TASK_QUEUES, WORKFLOWS, workflowId } from '../../schema/contracts/temporal.ts';
import { iso, uniqueId } from './support/fixtures.ts';
import { codeOf, Stage, until } from './support/stage.ts';
import type { World } from './support/world.ts';

const HOUR = 3_600_000;
let stage: Stage;
beforeAll(async () => {
  stage = await Stage.open('time-skipping');
});
afterAll(() => stage?.close());

async function begin(script: (world: World) => void = () => {}, on = stage) {
  const requestId = uniqueId('t') as AnchorRequest['requestId'];
  const request: AnchorRequest = {
    requestId,
    walletId: 'w' as AnchorRequest['walletId'],
    amount: '50000',
    feeCap: '2000',
    expiresAt: iso((await on.now()) + 5 * HOUR),
  };
  const world = on.worlds.for(requestId);
  script(world);
  const handle: WorkflowHandle = await on.client.workflow.start(WORKFLOWS.anchor, {
    taskQueue: TASK_QUEUES.sagas,
    workflowId: workflowId.anchor(requestId),
    args: [{ request }],
  });
  return { request, world, handle };
}
const ask = (handle: WorkflowHandle) => handle.executeUpdate<LeasedAnchor, []>('anchor');
const cancel = (handle: WorkflowHandle) => handle.executeUpdate('cancelTransfer');

describe('an anchor', () => {
  it('is answered as soon as it is leased, held to its time, and then given back once', async () => {
    const { request, world, handle } = await begin();
    const leased = await ask(handle);
    expect(leased.until > request.expiresAt).toBe(true);
    expect(await ask(handle)).toEqual(leased);
    expect(world.hops).toEqual(['leaseAnchor']);
    await expect(handle.result()).resolves.toEqual({ outcome: 'given-back', leased });
    expect(await stage.now()).toBeGreaterThanOrEqual(Date.parse(leased.until));
    expect(world.hops).toEqual(['leaseAnchor', 'releaseAnchor']);
    expect(world.inputs('releaseAnchor')).toEqual([
      { requestId: request.requestId, reason: 'expired' },
    ]);
  });

  it('that its transfer took is left to that one', async () => {
    const { handle } = await begin((world) =>
      world.on('releaseAnchor', () => ({ outcome: 'taken' })),
    );
    const leased = await ask(handle);
    await expect(handle.result()).resolves.toEqual({ outcome: 'taken', leased });
  });

  it('is given back for as long as it takes', async () => {
    const { world, handle } = await begin((w) =>
      w.on('releaseAnchor', (_input, n) => {
        if (n < 7) throw new KeysagaError('Internal', 'the database is away');
        return undefined;
      }),
    );
    await expect(handle.result()).resolves.toMatchObject({ outcome: 'given-back' });
    expect(world.count('releaseAnchor')).toBe(8);
  });

  it('that cannot be had fails with its reason, also for who waits, and leaves nothing leased', async () => {
    const { world, handle } = await begin((w) =>
      w.on('leaseAnchor', () => {
        throw new KeysagaError('InsufficientFunds', 'no output', { field: 'anchor' });
      }),
    );
    expect(await codeOf(ask(handle))).toBe('InsufficientFunds');
    expect(await codeOf(handle.result())).toBe('InsufficientFunds');
    expect(world.hops).toEqual(['leaseAnchor', 'releaseAnchor']);
    expect(world.inputs('releaseAnchor')[0]).toMatchObject({ reason: 'InsufficientFunds' });
  });

  it('is given back early on request, also on Temporal’s own cancel', async () => {
    for (const how of [cancel, (handle: WorkflowHandle) => handle.cancel()]) {
      const { world, handle } = await begin();
      await ask(handle);
      await how(handle);
      await expect(handle.result()).resolves.toMatchObject({ outcome: 'given-back' });
      expect(world.inputs('releaseAnchor')[0]).toMatchObject({ reason: 'Cancelled' });
    }
  });

  it('that is given up while it is being leased goes back after that step, never beside it', async () => {
    // The time-skipping server does not know how to cancel an activity that runs.
    const real = await Stage.open('local', []);
    try {
      let open = (): void => {};
      const passed = new Promise<undefined>((resolve) => {
        open = () => resolve(undefined);
      });
      const { world, handle } = await begin((w) => w.on('leaseAnchor', () => passed), real);
      await until('leasing', () => world.count('leaseAnchor') === 1);
      await handle.cancel();
      open();
      await expect(handle.result()).resolves.toMatchObject({ outcome: 'given-back' });
      expect(world.hops).toEqual(['leaseAnchor', 'releaseAnchor']);
    } finally {
      await real.close();
    }
  }, 60_000);

  it('refuses a request that is none', async () => {
    const handle = await stage.client.workflow.start(WORKFLOWS.anchor, {
      taskQueue: TASK_QUEUES.sagas,
      workflowId: workflowId.anchor(uniqueId('t') as AnchorRequest['requestId']),
      args: [{ request: { amount: '1' } }],
    });
    expect(await codeOf(handle.result())).toBe('InvalidInput');
  });
});
