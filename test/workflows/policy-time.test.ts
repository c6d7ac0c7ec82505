/** What a policy change does over hours and days, on the time-skipping server. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { policyHash } from '../../core/policy.ts';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import type { SignedPolicy } from '../../schema/contracts/policy.ts';
import { TASK_QUEUES, WORKFLOWS, workflowId } from '../../schema/contracts/temporal.ts';
import { approval, inputOf, intent, iso, policy, uniqueId } from './support/fixtures.ts';
import { codeOf, Stage, untilStatus } from './support/stage.ts';
import { PAYMENT_ID, VOID_ID } from './support/world.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const v1 = policy();
let stage: Stage;
beforeAll(async () => {
  stage = await Stage.open('time-skipping');
});
afterAll(() => stage?.close());

describe('a policy change that nobody announced', () => {
  it('is found within the hour, and a lower quorum lets the transfer go on', async () => {
    const i = intent(await stage.now());
    const world = stage.worlds.for(i.requestId);
    const handle = await stage.transfer(inputOf(i));
    await untilStatus(handle, 'waiting', (s) => s.phase === 'AwaitingApprovals');
    await handle.signal('approve', approval(i, 'alice', await stage.now()));
    await untilStatus(handle, 'alice counted', (s) => s.approvals.length === 1);
    world.policy = policy({ version: 2, previous: policyHash(v1.policy), quorum: 1 });
    const result = (await handle.result()) as {
      transactionId: string;
      phasesMs: Record<string, number>;
    };
    expect(result.transactionId).toBe(PAYMENT_ID);
    expect(result.phasesMs.AwaitingApprovals).toBeLessThanOrEqual(HOUR + 60_000);
  });

  it('a transfer of days asks about once an hour, no more', async () => {
    const i = intent(await stage.now(), { expiresAt: iso((await stage.now()) + 2 * DAY) });
    const handle = await stage.transfer(inputOf(i));
    expect(await codeOf(handle.result())).toBe('IntentExpired');
    const asked = stage.worlds.for(i.requestId).count('transferPolicy');
    expect(asked).toBeGreaterThanOrEqual(46);
    expect(asked).toBeLessThanOrEqual(49);
  });
});

describe('after the pivot', () => {
  it('a transfer below the new quorum is voided when its intent expires', async () => {
    const now = await stage.now();
    const i = intent(now, { expiresAt: iso(now + 6 * HOUR) });
    const world = stage.worlds.for(i.requestId);
    let first: string | undefined;
    world.on('round', (request: never) => {
      const { round, attempt } = request as { round: number; attempt: string };
      if (round === 2 && attempt === first) throw new KeysagaError('SessionFailed', 'scripted');
      return undefined;
    });
    world.on('prepare', (request: never) => {
      const asked = request as { policyHash: string; purpose: string; attempt: string };
      first ??= asked.attempt;
      if (asked.purpose === 'payment' && asked.policyHash !== policyHash(world.policy.policy))
        throw new KeysagaError('PolicyUnknown', 'Another version is in force here.');
      return undefined;
    });
    world.on('passPivot', (input: never) => {
      world.pivotPassed = true;
      if ((input as { purpose: string }).purpose === 'payment')
        world.policy = policy({ version: 2, previous: policyHash(v1.policy), quorum: 3 });
      return null;
    });
    const handle = await stage.transfer(inputOf(i));
    await untilStatus(handle, 'waiting', (s) => s.phase === 'AwaitingApprovals');
    for (const name of ['alice', 'bob'] as const)
      await handle.signal('approve', approval(i, name, await stage.now()));
    expect(await codeOf(handle.result())).toBe('IntentExpired');
    expect(world.count('buildVoid')).toBe(1);
    expect(world.count('releaseLease')).toBe(0);
    expect(world.inputs('fail')[0]).toMatchObject({ voidTransactionId: VOID_ID });
    expect((await stage.now()) - now).toBeGreaterThanOrEqual(6 * HOUR);
  });
});

describe('a party that is away for weeks', () => {
  it('is delivered to on its return, and the saga ends then', async () => {
    const signed: SignedPolicy = {
      ...policy({
        policyId: uniqueId('p') as never,
        version: 2,
        previous: policyHash(v1.policy),
      }),
      signatures: [
        { administrator: 'ada' as never, publicKey: 'ab'.repeat(32), signature: 'cd'.repeat(64) },
      ],
    };
    const world = stage.worlds.for(signed.policy.policyId);
    const begun = await stage.now();
    world.on('receivePolicy gamma', async () => {
      if ((await stage.now()) - begun < 8 * DAY)
        throw new KeysagaError('PartyUnavailable', 'Away.');
      return undefined;
    });
    const handle = await stage.client.workflow.start(WORKFLOWS.changePolicy, {
      taskQueue: TASK_QUEUES.sagas,
      workflowId: workflowId.policy(signed.policy.policyId, 2),
      args: [{ signed, policyHash: policyHash(signed.policy) }],
    });
    // A delivery waits in the party's queue for a week at most; then the next one does.
    expect(await handle.result()).toMatchObject({ received: ['alpha', 'beta', 'gamma'] });
    expect(world.count('receivePolicy gamma')).toBeGreaterThan(100);
    expect(world.inputs('recordPolicyReceipt').at(-1)?.signed.receipt.party).toBe('gamma');
    const { events } = await handle.fetchHistory();
    const scheduled = (events ?? []).filter(
      (event) =>
        event.activityTaskScheduledEventAttributes?.activityType?.name === 'receivePolicy' &&
        event.activityTaskScheduledEventAttributes.taskQueue?.name === 'party-gamma',
    );
    expect(scheduled).toHaveLength(2);
  });
});
