/** What takes hours or days, on the time-skipping server. */
import type { WorkflowHandle } from '@temporalio/client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { approval, inputOf, intent, iso, policy, uniqueId } from './support/fixtures.ts';
import { codeOf, Stage, untilStatus } from './support/stage.ts';
import { PAYMENT_ID } from './support/world.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
let stage: Stage;
beforeAll(async () => {
  stage = await Stage.open('time-skipping');
});
afterAll(() => stage?.close());

/** The test server does not skip time by itself while a task waits in a stopped party's queue. */
async function passTime(handle: WorkflowHandle, stepMs: number): Promise<void> {
  for (let steps = 0; (await handle.describe()).status.name === 'RUNNING'; steps++) {
    expect(steps).toBeLessThan(400);
    await stage.env.sleep(stepMs);
  }
}

describe('waiting', () => {
  it('three days for approvals, and then it pays', async () => {
    const i = intent(await stage.now());
    const handle = await stage.transfer(inputOf(i));
    await untilStatus(handle, 'waiting', (s) => s.phase === 'AwaitingApprovals');
    await handle.signal('approve', approval(i, 'alice', await stage.now()));
    const before = await stage.now();
    await stage.env.sleep(3 * DAY);
    expect((await stage.now()) - before).toBeGreaterThanOrEqual(3 * DAY);
    await handle.signal('approve', approval(i, 'carol', await stage.now()));
    const result = (await handle.result()) as {
      transactionId: string;
      phasesMs: Record<string, number>;
    };
    expect(result.transactionId).toBe(PAYMENT_ID);
    expect(result.phasesMs.AwaitingApprovals).toBeGreaterThanOrEqual(3 * DAY);
  });

  it('an intent that expires is released', async () => {
    const now = await stage.now();
    const i = intent(now, { expiresAt: iso(now + 5 * HOUR) });
    const handle = await stage.transfer(inputOf(i));
    await untilStatus(handle, 'waiting', (s) => s.phase === 'AwaitingApprovals');
    await handle.signal('approve', approval(i, 'alice', now));
    expect(await codeOf(handle.result())).toBe('IntentExpired');
    expect(stage.worlds.for(i.requestId).hops).toEqual(['reserve', 'release', 'fail']);
  });

  it('an approval that ran out meanwhile no longer counts, and can be renewed', async () => {
    const now = await stage.now();
    const i = intent(now);
    const handle = await stage.transfer(inputOf(i));
    await untilStatus(handle, 'waiting', (s) => s.phase === 'AwaitingApprovals');
    await handle.signal('approve', approval(i, 'alice', now, { validUntil: iso(now + HOUR) }));
    await stage.env.sleep(2 * HOUR);
    await handle.signal('approve', approval(i, 'bob', await stage.now()));
    const waiting = await untilStatus(handle, 'bob counted', (s) => s.approvals.length === 2);
    expect(waiting.phase).toBe('AwaitingApprovals');
    expect(waiting.missing).toContain('alice');
    await handle.signal('approve', approval(i, 'alice', await stage.now()));
    await expect(handle.result()).resolves.toMatchObject({ transactionId: PAYMENT_ID });
    const request = stage.worlds.for(i.requestId).inputs('prepare')[0];
    expect(request?.kind).toBe('sign');
  });

  it('the policy’s start delay runs between quorum and signing', async () => {
    const now = await stage.now();
    const i = intent(now);
    stage.worlds.for(i.requestId).policy = policy({ startDelaySeconds: 7_200 });
    const handle = await stage.transfer(inputOf(i));
    await untilStatus(handle, 'waiting', (s) => s.phase === 'AwaitingApprovals');
    for (const name of ['alice', 'bob'] as const)
      await handle.signal('approve', approval(i, name, await stage.now()));
    const begun = await stage.now();
    await expect(handle.result()).resolves.toMatchObject({ transactionId: PAYMENT_ID });
    expect((await stage.now()) - begun).toBeGreaterThanOrEqual(7_200_000);
  });
});

describe('absent parties', () => {
  const stopped = [uniqueId('p'), uniqueId('p')];
  it('two of three stopped: compensates at its limit, not before', async () => {
    const now = await stage.now();
    const i = intent(now);
    const world = stage.worlds.for(i.requestId);
    world.parties = ['alpha', ...stopped];
    const handle = await stage.transfer(inputOf(i, { waitForParties: 1_200 }));
    for (const name of ['alice', 'bob'] as const)
      await handle.signal('approve', approval(i, name, await stage.now()));
    const begun = await stage.now();
    await passTime(handle, 20_000);
    expect(await codeOf(handle.result())).toBe('PartyUnavailable');
    expect((await stage.now()) - begun).toBeGreaterThanOrEqual(1_200_000);
    expect(world.hops.slice(-3)).toEqual(['releaseLease', 'release', 'fail']);
    expect(world.count('passPivot')).toBe(0);
    const { events } = await handle.fetchHistory();
    expect(events?.length, 'a long wait leaves a short history').toBeLessThan(300);
  });

  it('after the pivot no time-out releases anything', async () => {
    const now = await stage.now();
    const i = intent(now, { expiresAt: iso(now + 5 * HOUR) });
    const world = stage.worlds.for(i.requestId);
    world.on('round', (input: never) => {
      // Shares may be out, but none ever arrives.
      if ((input as { round: number }).round === 2 && world.pivotPassed) return { lost: true };
      return undefined;
    });
    const handle = await stage.transfer(inputOf(i, { waitForParties: 60 }));
    for (const name of ['alice', 'bob'] as const)
      await handle.signal('approve', approval(i, name, await stage.now()));
    const begun = await stage.now();
    while ((await stage.now()) - begun < 6 * HOUR) {
      await untilStatus(handle, 'alert', (s) => s.waitingFor.includes('ALERT past the pivot'));
      await stage.env.sleep(HOUR / 2);
    }
    const status = await untilStatus(handle, 'still there', (s) => s.pivotPassed);
    expect(status.phase).not.toBe('Failed');
    for (const step of ['release', 'releaseLease', 'fail'] as const)
      expect(world.count(step)).toBe(0);
    const { events } = await handle.fetchHistory();
    expect(events?.length, 'back-off keeps the history short').toBeLessThan(1_000 + 24 * 60);
    await handle.terminate();
  }, 120_000);
});
