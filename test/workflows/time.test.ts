/** What takes hours or days, on the time-skipping server. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { approval, inputOf, intent, iso, policy } from './support/fixtures.ts';
import { codeOf, Stage, untilStatus } from './support/stage.ts';
import { PAYMENT_ID } from './support/world.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
let stage: Stage;
beforeAll(async () => {
  stage = await Stage.open('time-skipping');
});
afterAll(() => stage?.close());

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
