/** The ledger's part in a policy change: proposal, receipts, which version counts for whom, and what a transfer is told. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { signApproval } from '../../core/approvals.ts';
import { policyHash } from '../../core/policy.ts';
import { signObject } from '../../core/signed.ts';
import { transferFold } from '../../core/transfer/index.ts';
import { until } from '../../dev/until.ts';
import type { Built } from '../../schema/contracts/activities.ts';
import type { SignedPolicyReceipt } from '../../schema/contracts/party.ts';
import type { Policy, SignedPolicy } from '../../schema/contracts/policy.ts';
import { createProjector } from '../../storage/coordinator/index.ts';
import { startTestPostgres, type TestPostgres } from '../support/postgres.ts';
import {
  ATTEMPT,
  administrators,
  approvers,
  createWorld,
  identities,
  PARTIES,
  signedPolicy,
  type World,
} from './world.ts';

let postgres: TestPostgres;
let world: World;
beforeAll(async () => {
  postgres = await startTestPostgres();
});
afterAll(() => postgres?.stop());
beforeEach(async () => {
  world = await createWorld(postgres);
});

const first = signedPolicy.policy as Policy;
const { policyId } = first;
const r1 = 'r1' as never;
const following = (policy: Policy, change: Partial<Policy> = {}): Policy => ({
  ...policy,
  version: policy.version + 1,
  previous: policyHash(policy),
  ...change,
});
const sign = (policy: Policy, by = administrators): SignedPolicy =>
  ({
    policy,
    signatures: by.map((a) => ({
      administrator: a.name,
      publicKey: a.publicKey,
      signature: signObject('policy', policy, a.secretKey),
    })),
  }) as SignedPolicy;
const propose = (policy: Policy, signed = sign(policy)) =>
  world.ledger.proposePolicy({
    signed,
    policyHash: policyHash(policy),
    workflowId: `policy/${policyId}/${policy.version}`,
  });
const receiptOf = (policy: Policy, party: string, signer = party): SignedPolicyReceipt => {
  const receipt = {
    party,
    policyId,
    version: policy.version,
    policyHash: policyHash(policy),
  } as SignedPolicyReceipt['receipt'];
  const key = identities.get(signer)?.secretKey;
  if (key === undefined) throw new Error(`no party ${signer}`);
  return { receipt, signature: signObject('receipt', receipt, key) };
};
const receive = (policy: Policy, ...parties: readonly string[]) =>
  Promise.all(
    parties.map((party) => world.ledger.recordPolicyReceipt({ signed: receiptOf(policy, party) })),
  );
const eventTypes = async (): Promise<string[]> =>
  (await world.uow.events.read(`policy-${policyId}`)).map(({ type }) =>
    type.replace('keysaga.policy.', '').replace('.v1', ''),
  );
const begun = async (requestId = 'r1') => {
  await world.wallet();
  return world.ledger.reserve(world.asked(world.intent(requestId)));
};
const transfer = async () => (await world.uow.events.load('transfer-r1', transferFold)).state;

describe('a proposal', () => {
  it('is verified at the edge, recorded once, and answers with what was received since', async () => {
    const next = following(first);
    expect(await propose(next)).toMatchObject({
      version: 2,
      parties: PARTIES,
      received: [],
      usable: false,
    });
    await receive(next, 'beta');
    expect(await propose(next)).toMatchObject({ received: ['beta'] });
    expect(await eventTypes()).toEqual(['adopted', 'proposed', 'receipt-recorded']);
  });

  it('with too few administrators, another hash, a gap or a rollback changes nothing', async () => {
    const next = following(first);
    await expect(propose(next, sign(next, administrators.slice(0, 1)))).rejects.toMatchObject({
      code: 'QuorumMissing',
    });
    await expect(
      world.ledger.proposePolicy({
        signed: sign(next),
        policyHash: policyHash(first),
        workflowId: 'policy/x/2',
      }),
    ).rejects.toMatchObject({ code: 'InvalidInput', details: { field: 'policyHash' } });
    await expect(
      world.ledger.proposePolicy({
        signed: sign(next),
        policyHash: policyHash(next),
        workflowId: `policy/${policyId}/7`,
      }),
    ).rejects.toMatchObject({ code: 'InvalidInput', details: { field: 'workflowId' } });
    await expect(propose(following(next))).rejects.toMatchObject({ code: 'PolicyViolation' });
    await expect(propose({ ...first, issuedAt: '2026-02-02T00:00:00.000Z' })).rejects.toMatchObject(
      {
        code: 'RequestConflict',
      },
    );
    expect(await eventTypes()).toEqual(['adopted']);
  });

  it('of two documents of one version one wins, however they race', async () => {
    const [one, other] = [following(first, { quorum: 1 }), following(first, { quorum: 2 })];
    const races = await Promise.allSettled([propose(one), propose(other), propose(one)]);
    expect(races.filter(({ status }) => status === 'rejected').length).toBeGreaterThan(0);
    expect((await eventTypes()).filter((type) => type === 'proposed')).toHaveLength(1);
  });
});

describe('receipts', () => {
  it('count under the pinned key of their party only', async () => {
    const next = following(first);
    await propose(next);
    for (const signed of [
      receiptOf(next, 'alpha', 'beta'),
      { ...receiptOf(next, 'alpha'), signature: '00'.repeat(64) },
    ])
      await expect(world.ledger.recordPolicyReceipt({ signed })).rejects.toMatchObject({
        code: 'CertificateInvalid',
        details: { party: 'alpha' },
      });
    await expect(
      world.ledger.recordPolicyReceipt({ signed: receiptOf(following(next), 'alpha') }),
    ).rejects.toMatchObject({ code: 'PolicyUnknown' });
    expect(await eventTypes()).toEqual(['adopted', 'proposed']);
  });

  it('make the version count for new transfers at t, and the change complete at n', async () => {
    await world.wallet();
    const next = following(first, { quorum: 1 });
    await propose(next);
    const reserved = async (id: string) =>
      (
        await world.ledger.reserve(
          world.asked(world.intent(id, { amount: '1000', feeCap: '6000' })),
        )
      ).policyHash;
    await receive(next, 'gamma');
    expect(await reserved('a')).toBe(policyHash(first));
    // Racing with themselves and each other: each is counted once.
    await receive(next, 'alpha', 'alpha', 'gamma', 'alpha');
    expect(await reserved('b')).toBe(policyHash(next));
    const [last] = await receive(next, 'beta');
    expect(last).toMatchObject({ complete: true, usable: true, previousDead: true });
    expect((await eventTypes()).filter((type) => type === 'receipt-recorded')).toHaveLength(3);
    expect((await eventTypes()).filter((type) => type === 'adopted').length).toBeGreaterThan(1);
  });

  it('the window: the groups of wallets are those of the read side', async () => {
    const projector = createProjector(world.database, { onError: () => {} });
    await projector.start();
    try {
      await world.wallet();
      const next = following(first);
      await propose(next);
      const [after] = await until(
        async () => {
          const answers = await receive(next, 'alpha');
          return answers[0]?.groups[0]?.wallets === 1 ? answers : undefined;
        },
        { deadlineMs: 20_000, intervalMs: 50, what: 'the wallet is projected' },
      );
      expect(after?.groups).toEqual([
        { parties: PARTIES, threshold: 2, wallets: 1, held: 1, deadAt: 2, usableAt: 2 },
      ]);
    } finally {
      await projector.stop();
    }
  });
});

describe('a transfer', () => {
  it('is announced to however far the read tables are behind, and refused an incomplete answer', async () => {
    await begun();
    const asked = world.ledger.policyWaiters({ policyId });
    // Nobody follows the log yet, as while every coordinator restarts.
    const projector = createProjector(world.database, { onError: () => {} });
    await projector.start();
    try {
      expect(await asked).toEqual({ requestIds: ['r1'], payouts: [] });
    } finally {
      await projector.stop();
    }
    await begun('r2');
    await expect(world.ledger.policyWaiters({ policyId })).rejects.toMatchObject({
      code: 'PartFailed',
      retryable: true,
    });
  });

  it('keeps its version until the next one is in force, and then follows it, once', async () => {
    const { policyHash: bound } = await begun();
    expect(bound).toBe(policyHash(first));
    const next = following(first, { quorum: 1 });
    await propose(next);
    await receive(next, 'alpha');
    expect(await world.ledger.transferPolicy({ requestId: r1 })).toMatchObject({
      policyHash: policyHash(first),
      next: { version: 2, held: 1, usableAt: 2, currentDead: false },
    });
    await receive(next, 'beta');
    const moved = await world.ledger.transferPolicy({ requestId: r1 });
    expect(moved).toEqual({ signed: sign(next), policyHash: policyHash(next) });
    expect(await world.ledger.transferPolicy({ requestId: r1 })).toEqual(moved);
    expect((await transfer())?.policyHash).toBe(policyHash(next));
    // A saga that was reset finds the version that counts.
    expect((await world.ledger.reserve(world.asked(world.intent('r1')))).policyHash).toBe(
      policyHash(next),
    );
    const changes = (await world.uow.events.read('transfer-r1')).filter(
      ({ type }) => type === 'keysaga.transfer.policy-changed.v1',
    );
    expect(changes).toHaveLength(1);
  });

  it('`build` builds nothing under a version that is not in force, and takes no lease', async () => {
    await begun();
    const next = following(first);
    await propose(next);
    await receive(next, 'alpha', 'beta');
    const build = (hash: string) =>
      world.chain.build({ intent: world.intent('r1'), policyHash: hash });
    expect(await build(policyHash(first))).toEqual({
      policy: { signed: sign(next), policyHash: policyHash(next) },
    });
    expect(world.node.builds).toBe(0);
    expect(await world.leases()).toEqual([]);
    const built = (await build(policyHash(next))) as Built;
    expect(built.unsigned.network).toBe(world.intent('r1').chain);
    // Past the pivot the bytes are what they are, whatever is in force.
    await world.ledger.passPivot({
      requestId: r1,
      attempt: ATTEMPT as never,
      purpose: 'payment',
      reports: [],
    });
    const third = following(next);
    await propose(third);
    await receive(third, 'alpha', 'beta');
    expect(await build(policyHash(next))).toMatchObject({ unsigned: built.unsigned });
    // Its sessions are bound to what the parties hold, so that it can be signed at all.
    expect((await world.ledger.transferPolicy({ requestId: r1 })).policyHash).toBe(
      policyHash(third),
    );
  });

  it('records a decision under any version that stands', async () => {
    await begun();
    const [ann, ben] = approvers;
    if (ann === undefined || ben === undefined) throw new Error('no approvers');
    const next = following(first, {
      quorum: 1,
      approvers: [{ name: ben.name, publicKey: ben.publicKey }] as never,
    });
    await propose(next);
    await receive(next, 'alpha', 'beta');
    await world.ledger.transferPolicy({ requestId: r1 });
    const signed = signApproval(
      {
        intentDigest: world.asked(world.intent('r1')).intentDigest,
        approver: ann.name as never,
        decision: 'approve',
        at: '2026-03-01T11:30:00.000Z',
        validUntil: '2026-03-02T11:30:00.000Z',
      },
      ann.secretKey,
    );
    await world.ledger.recordDecision({ requestId: r1, signed });
    expect((await transfer())?.decisions).toHaveLength(1);
  });
});

describe('reading', () => {
  it('shows the version in force and those on their way, with receipts to be checked', async () => {
    await world.wallet();
    const next = following(first);
    await propose(next);
    await receive(next, 'beta');
    await world.ledger.recordPolicyFork({
      policyId,
      version: 2,
      policyHash: policyHash(next),
      party: 'gamma' as never,
      reason: 'another document',
    });
    const view = await world.ledger.readPolicy({ walletId: 'w1' as never });
    expect(view).toMatchObject({
      policyId,
      inForce: 1,
      versions: [
        { version: 1, progress: { complete: true } },
        { version: 2, receipts: [receiptOf(next, 'beta')], forked: ['gamma'] },
      ],
    });
    expect(await world.ledger.policyVersions({ policyId, from: 1, to: 2 })).toEqual({
      versions: [signedPolicy, sign(next)],
    });
    await expect(world.ledger.readPolicy({ policyId: 'nobody' as never })).rejects.toMatchObject({
      code: 'PolicyUnknown',
    });
  });

  it('an installation’s own version 1 is passed over when the coordinator starts again', async () => {
    const next = following(first);
    await propose(next);
    await receive(next, 'alpha', 'beta', 'gamma');
    await world.adopt(signedPolicy as SignedPolicy);
    expect((await world.ledger.readPolicy({ policyId })).inForce).toBe(2);
  });
});
