/** What takes hours or days, on the time-skipping server. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { KeysagaError } from '../../schema/contracts/errors.ts';
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

describe('a phase', () => {
  it('that lasts longer than its limit says so, and what ends the saga is another limit', async () => {
    const i = intent(await stage.now());
    const { requestId } = i;
    stage.worlds.for(requestId).on('prepare', () => {
      throw new KeysagaError('PartyFenced', 'every party was restored');
    });
    const handle = await stage.transfer(inputOf(i, { waitForParties: 120 }));
    for (const name of ['alice', 'bob'] as const)
      await handle.signal('approve', approval(i, name, await stage.now()));
    await untilStatus(handle, 'every set failed', (s) => s.waitingFor.startsWith('parties'));
    await stage.env.sleep(90_000);
    const late = await untilStatus(handle, 'late', (s) => s.waitingFor.startsWith('ALERT'));
    expect(late.waitingFor).toMatch(/^ALERT: Preparing for longer than 60 s; parties/);
    expect(late).toMatchObject({ phase: 'Preparing', pivotPassed: false });
    const { currentDetails } = await handle.query<{ currentDetails: string }>(
      '__temporal_workflow_metadata',
    );
    expect(currentDetails).toContain('ALERT: Preparing for longer than 60 s');
    expect(await codeOf(handle.result())).toBe('PartyUnavailable');
    const ended = await untilStatus(handle, 'ended', (s) => s.phase === 'Failed');
    expect(ended.waitingFor).not.toContain('ALERT');
  });
});
