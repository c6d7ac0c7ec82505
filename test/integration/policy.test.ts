/** A real change of the policy on the whole platform: between approval and signing, with a party away, and a fork. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Wallet } from '../../client/index.ts';
import { policyHash } from '../../core/policy.ts';
import { until } from '../../dev/until.ts';
import type { Policy } from '../../schema/contracts/policy.ts';
import { armFailPoint } from '../../workers/support/fail-points.ts';
import { FORKED, hasFired } from '../crash/cells.ts';
import { approve, person, signPolicy } from '../support/parties.ts';
import { type Platform, startPlatform } from '../support/platform.ts';
import { expectEnd, untilStatus } from './support.ts';

let platform: Platform;
let wallet: Wallet;
let current: Policy;
beforeAll(async () => {
  platform = await startPlatform({ chains: ['bitcoin'], instances: 2, coordinators: 2 });
  wallet = await platform.wallet('policy-btc', 'bitcoin', { coins: 6 });
  current = platform.cast.policy;
});
afterAll(() => platform?.close());

const following = (change: Partial<Policy> = {}): Policy => ({
  ...current,
  version: current.version + 1,
  previous: policyHash(current),
  issuedAt: new Date().toISOString(),
  ...change,
});
const policyId = () => platform.cast.policy.policyId;
async function change(next: Policy, wanted: 'usable' | 'complete' = 'complete') {
  await platform.client.changePolicy(signPolicy(platform.cast, next));
  const info = await until(
    async () => {
      const found = await platform.client
        .policyStatus({ policyId: policyId() })
        .catch(() => undefined);
      return found?.versions.find((one) => one.version === next.version)?.[wanted]
        ? found
        : undefined;
    },
    { deadlineMs: 60_000, intervalMs: 100, what: `version ${next.version} is ${wanted}` },
  );
  current = next;
  return info;
}

describe('a policy that changes', () => {
  it('under a waiting transfer: a removed approver no longer counts, the rest is asked, and it is paid', async () => {
    const { client, cast } = platform;
    const [ann, ben] = cast.approvers;
    if (ann === undefined || ben === undefined) throw new Error('no approvers');
    const dora = person('dora');
    const intent = platform.intent(wallet);
    await client.transfer(intent);
    expect(await client.approve(intent.requestId, approve(intent, ann))).toMatchObject({
      approved: 1,
    });
    const info = await change(
      following({
        approvers: [ben, dora].map(({ name, publicKey }) => ({ name, publicKey })) as never,
      }),
    );
    expect(info.parties.map(({ holds }) => holds)).toEqual(
      cast.parties.map(() => ({ version: 2, policyHash: policyHash(current) })),
    );
    const status = await untilStatus(
      platform,
      intent.requestId,
      (s) => s.policy?.recounted === true,
      'follows version 2',
    );
    expect(status.missing).toEqual(['ben', 'dora']);
    expect(await client.approve(intent.requestId, approve(intent, ben))).toMatchObject({
      approved: 1,
      quorum: 2,
    });
    await client.approve(intent.requestId, approve(intent, dora));
    const end = await expectEnd(platform, intent, 'Completed');
    expect(end.policy).toMatchObject({ version: 2, policyHash: policyHash(current) });
  });

  it('with a party away it is in force at t; the transfer goes on, and the party takes it on its return', async () => {
    const { client, cast } = platform;
    const [, , gamma] = cast.parties;
    if (gamma === undefined) throw new Error('no gamma');
    await platform.hold(gamma);
    const intent = platform.intent(wallet);
    await client.transfer(intent);
    const [first] = cast.approvers.filter(({ name }) => name === 'ben');
    if (first === undefined) throw new Error('no ben');
    await client.approve(intent.requestId, approve(intent, first));
    // The quorum is lowered to what is there: the hint alone lets it go on.
    const info = await change(following({ quorum: 1 }), 'usable');
    expect(info.change).toMatchObject({ phase: 'InForce', complete: false });
    await expectEnd(platform, intent, 'Completed');
    await platform.resume(gamma);
    await until(
      async () =>
        (await client.policy({ policyId: policyId() }).catch(() => undefined))?.versions.at(-1)
          ?.complete,
      { deadlineMs: 90_000, intervalMs: 200, what: 'gamma takes it' },
    );
    for await (const status of client.watchPolicyChange(policyId(), 3, { timeoutMs: 60_000 }))
      expect(status.phase).not.toBe('Failed');
  });

  it('lower limits refuse what waited under higher ones, before anything is signed', async () => {
    const { client, cast } = platform;
    const intent = platform.intent(wallet);
    await client.transfer(intent);
    await change(
      following({
        limits: current.limits.map((limit) => ({ ...limit, perTransfer: '10000' })),
      }),
    );
    const ben = cast.approvers.find(({ name }) => name === 'ben');
    if (ben === undefined) throw new Error('no ben');
    await client.signalDecision(intent.requestId, approve(intent, ben));
    const end = await expectEnd(platform, intent, 'Failed');
    expect(end.pivotPassed).toBe(false);
    expect(end.failure?.code).toMatch(/LimitExceeded|PolicyViolation/);
  });

  it('a second document of a version is refused by whoever holds the first, and the saga names them', {
    timeout: 180_000,
  }, async () => {
    const { client, cast } = platform;
    const held = following({ quorum: 1, startDelaySeconds: 1 });
    const proposed = following({ quorum: 1, startDelaySeconds: 2 });
    // The administrators signed both; one reached a party around the coordinator, over its own queue.
    const { Connection, Client } = await import('@temporalio/client');
    const { createDataConverter } = await import('../../wire/data-converter.ts');
    const connection = await Connection.connect({ address: platform.stack.temporal.address });
    try {
      await new Client({
        connection,
        namespace: platform.stack.temporal.namespace,
        dataConverter: createDataConverter({
          keys: { current: 'test', keys: { test: Buffer.from(platform.payloadKey, 'hex') } },
        }),
      }).activity.execute('receivePolicy', {
        id: 'around-the-coordinator',
        taskQueue: 'party-gamma',
        args: [{ signed: signPolicy(cast, held) }],
        scheduleToCloseTimeout: 30_000,
        startToCloseTimeout: 30_000,
      });
    } finally {
      await connection.close();
    }
    // Whoever records it dies before its commit, and whoever does so next after it.
    for (const point of FORKED) armFailPoint(platform.failPoints, point);
    await client.changePolicy(signPolicy(cast, proposed));
    await until(() => FORKED.every((point) => hasFired(platform, point)), {
      deadlineMs: 60_000,
      intervalMs: 100,
      what: 'a coordinator died before and one after the fork was recorded',
    });
    const seen = [];
    for await (const status of client.watchPolicyChange(policyId(), proposed.version, {
      timeoutMs: 60_000,
    }))
      seen.push(status);
    const last = seen.at(-1);
    expect(last).toMatchObject({ phase: 'Failed', usable: true, complete: false });
    expect(last?.failure?.code).toBe('PolicyViolation');
    expect(last?.parties.find(({ party }) => party === 'gamma')?.state).toBe('forked');
    const info = await client.policyStatus({ policyId: policyId() });
    expect(info.versions.at(-1)?.forked).toEqual(['gamma']);
    expect(info.parties.find(({ party }) => party === 'gamma')?.holds?.policyHash).toBe(
      policyHash(held),
    );
    current = proposed;
    // t of n hold the ledger's version: the wallet goes on without gamma.
    const intent = platform.intent(wallet, { amount: '9000' });
    await client.transfer(intent);
    const ben = cast.approvers.find(({ name }) => name === 'ben');
    if (ben === undefined) throw new Error('no ben');
    await client.signalDecision(intent.requestId, approve(intent, ben));
    await expectEnd(platform, intent, 'Completed');
  });
});
