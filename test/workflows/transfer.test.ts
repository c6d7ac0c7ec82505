import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { approval, inputOf, intent } from './support/fixtures.ts';
import { Stage, untilStatus } from './support/stage.ts';
import { PAYMENT_ID } from './support/world.ts';

let stage: Stage;
beforeAll(async () => {
  stage = await Stage.open('local');
});
afterAll(() => stage?.close());

describe('a transfer', () => {
  it('takes exactly the hops of its critical path', async () => {
    const i = intent(Date.now());
    const world = stage.worlds.for(i.requestId);
    const handle = await stage.transfer(inputOf(i));
    await untilStatus(handle, 'waiting', (s) => s.phase === 'AwaitingApprovals');
    await handle.signal('approve', approval(i, 'alice', Date.now()));
    const receipt = await handle.executeUpdate('approve', {
      args: [approval(i, 'bob', Date.now())],
    });
    expect(receipt).toMatchObject({ approved: 2, quorum: 2, missing: ['carol'] });
    await expect(handle.result()).resolves.toMatchObject({
      transactionId: PAYMENT_ID,
      confirmations: 2,
    });
    const beside = new Set(['recordDecision', 'recordPhase']);
    expect(world.order.filter((step) => !beside.has(step))).toEqual([
      'reserve',
      'build',
      'prepare alpha',
      'prepare beta',
      'round alpha',
      'round beta',
      'passPivot',
      'round alpha',
      'round beta',
      'attach',
      'broadcast',
      'confirm',
      'confirm',
      'settle',
    ]);
  });
});
