import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { policyHash } from '../../core/policy.ts';
import {
  deadAt,
  fork,
  groupsOf,
  inForce,
  type PolicyChain,
  policyChainFold,
  progressOf,
  propose,
  receive,
} from '../../core/policy-chain.ts';
import type { DomainEvent } from '../../schema/contracts/events.ts';
import type { SignedPolicyReceipt } from '../../schema/contracts/party.ts';
import type { Policy, SignedPolicy } from '../../schema/contracts/policy.ts';

const NETWORK = 'bip122:0f9188f13cb7b2c71f2a335e3a4fc328';
const first = {
  policyId: 'demo',
  version: 1,
  issuedAt: '2026-01-01T00:00:00.000Z',
  approvers: [{ name: 'alice', publicKey: 'aa'.repeat(32) }],
  quorum: 1,
  limits: [{ network: NETWORK, asset: 'native', perTransfer: '10', perDay: '10' }],
  strictDailyLimit: false,
  voidFeeCaps: [{ network: NETWORK, cap: '10' }],
  startDelaySeconds: 0,
} as unknown as Policy;
const successor = (policy: Policy, change: Partial<Policy> = {}): Policy => ({
  ...policy,
  version: policy.version + 1,
  previous: policyHash(policy),
  ...change,
});
const signed = (policy: Policy): SignedPolicy => ({ policy, signatures: [] });
const proposed = (policy: Policy) => ({
  signed: signed(policy),
  policyHash: policyHash(policy),
  workflowId: `policy/demo/${policy.version}`,
});
const receipt = (policy: Policy, party: string): SignedPolicyReceipt =>
  ({
    receipt: {
      party,
      policyId: policy.policyId,
      version: policy.version,
      policyHash: policyHash(policy),
    },
    signature: '00'.repeat(64),
  }) as SignedPolicyReceipt;
const folded = (chain: PolicyChain, events: readonly DomainEvent[]): PolicyChain =>
  events.reduce((state, event) => policyChainFold.apply(state, event), chain);
const installed = (policy: Policy): PolicyChain =>
  folded(
    [],
    [
      {
        type: 'keysaga.policy.adopted.v1',
        data: { signed: signed(policy), policyHash: policyHash(policy) },
      },
    ],
  );
const names = ['alpha', 'beta', 'gamma', 'delta', 'epsilon', 'zeta', 'eta', 'theta', 'iota'];
const audienceOf = (parties: readonly string[], threshold: number) => ({
  parties,
  keys: [{ parties, threshold, wallets: 1 }],
});
const refusal = (work: () => unknown, code: string, field?: string) =>
  expect(work).toThrow(
    expect.objectContaining({
      code,
      ...(field === undefined ? {} : { details: expect.objectContaining({ field }) }),
    }),
  );

describe('a chain of versions', () => {
  const second = successor(first, { quorum: 1, issuedAt: '2026-01-02T00:00:00.000Z' });

  it('takes the version that follows the newest one, once', () => {
    const chain = folded(installed(first), propose(installed(first), proposed(second)));
    expect(chain.map((one) => one.version)).toEqual([1, 2]);
    expect(propose(chain, proposed(second))).toEqual([]);
  });

  it('refuses a gap, another predecessor, a rollback and a second document of a version', () => {
    const chain = installed(first);
    refusal(
      () => propose(chain, proposed({ ...second, version: 3 })),
      'PolicyViolation',
      'version',
    );
    refusal(
      () => propose(chain, proposed({ ...second, previous: '11'.repeat(32) })),
      'PolicyViolation',
      'previous',
    );
    refusal(() => propose([], proposed(second)), 'PolicyViolation', 'version');
    const two = folded(chain, propose(chain, proposed(second)));
    const other = successor(first, { issuedAt: '2026-01-03T00:00:00.000Z' });
    refusal(() => propose(two, proposed(other)), 'RequestConflict', 'version');
    refusal(
      () => propose(two, proposed({ ...first, issuedAt: '2026-01-04T00:00:00.000Z' })),
      'RequestConflict',
      'version',
    );
  });

  it('adopts with the first wallet that can use the version, and counts a party once', () => {
    const audience = audienceOf(names.slice(0, 3), 2);
    let chain = folded(installed(first), propose(installed(first), proposed(second)));
    const take = (party: string): string[] => {
      const events = receive(chain, receipt(second, party), audience);
      chain = folded(chain, events);
      return events.map(({ type }) => type);
    };
    expect(take('alpha')).toEqual(['keysaga.policy.receipt-recorded.v1']);
    expect(take('alpha')).toEqual([]);
    expect(inForce(chain, { parties: names.slice(0, 3), threshold: 2 })?.at.version).toBe(1);
    expect(take('gamma')).toEqual([
      'keysaga.policy.receipt-recorded.v1',
      'keysaga.policy.adopted.v1',
    ]);
    expect(take('beta')).toEqual(['keysaga.policy.receipt-recorded.v1']);
    const newest = chain.at(-1);
    expect(newest && progressOf(chain, 'demo', newest, audience)).toMatchObject({
      received: ['alpha', 'beta', 'gamma'],
      previousDead: true,
      usable: true,
      complete: true,
    });
  });

  it('refuses a receipt for what was never proposed', () => {
    refusal(
      () => receive(installed(first), receipt(second, 'alpha'), audienceOf(names.slice(0, 3), 2)),
      'PolicyUnknown',
      'policyHash',
    );
  });

  it('keeps a fork once', () => {
    const chain = folded(installed(first), propose(installed(first), proposed(second)));
    const data = {
      policyId: 'demo',
      version: 2,
      policyHash: policyHash(second),
      party: 'beta',
      reason: 'another document',
    } as never;
    const forked = folded(chain, fork(chain, data));
    expect(forked.at(-1)?.forked).toEqual(['beta']);
    expect(fork(forked, data)).toEqual([]);
  });

  it('answers for each wallet by its own parties and threshold', () => {
    const chain = folded(installed(first), [
      ...propose(installed(first), proposed(second)),
      ...['alpha', 'beta'].map(
        (party): DomainEvent => ({
          type: 'keysaga.policy.receipt-recorded.v1',
          data: { signed: receipt(second, party) },
        }),
      ),
    ]);
    const small = { parties: ['alpha', 'beta', 'gamma'], threshold: 2 };
    const strict = { parties: ['alpha', 'beta', 'gamma'], threshold: 3 };
    const large = { parties: ['alpha', 'delta', 'epsilon'], threshold: 2 };
    expect(inForce(chain, small)?.at.version).toBe(2);
    expect(inForce(chain, strict)).toMatchObject({
      at: { version: 1 },
      next: { version: 2, held: 2, usableAt: 3, currentDead: true },
    });
    expect(inForce(chain, large)).toMatchObject({
      at: { version: 1 },
      next: { version: 2, held: 1, usableAt: 2, currentDead: false },
    });
    expect(
      groupsOf(
        [small, small, strict].map((one) => ({ ...one, wallets: 1 })),
        names,
      ).map(({ threshold, wallets }) => [threshold, wallets]),
    ).toEqual([
      [2, 2],
      [3, 1],
    ]);
  });

  it('a receipt of a newer version also shows that the older ones are left', () => {
    const third = successor(second);
    const chain = folded(installed(first), [
      { type: 'keysaga.policy.proposed.v1', data: proposed(second) },
      { type: 'keysaga.policy.proposed.v1', data: proposed(third) },
      { type: 'keysaga.policy.receipt-recorded.v1', data: { signed: receipt(second, 'beta') } },
      { type: 'keysaga.policy.receipt-recorded.v1', data: { signed: receipt(third, 'alpha') } },
    ]);
    expect(inForce(chain, { parties: ['alpha', 'beta', 'gamma'], threshold: 2 })).toMatchObject({
      at: { version: 2 },
      next: { version: 3, held: 1 },
    });
  });

  it('keeps what is read with every transfer small: old documents stay in the log only', () => {
    let policy = first;
    let chain = installed(first);
    for (let i = 0; i < 80; i++) {
      policy = successor(policy);
      chain = folded(chain, propose(chain, proposed(policy)));
    }
    expect(chain).toHaveLength(64);
    expect(chain.at(-1)?.version).toBe(81);
    expect(chain.filter((one) => one.signed !== null)).toHaveLength(4);
  });
});

describe('the window of a change', () => {
  // t of n with 2t > n, and parties that take the new version in any order.
  const change = fc.integer({ min: 2, max: 9 }).chain((n) =>
    fc.record({
      n: fc.constant(n),
      t: fc.integer({ min: Math.floor(n / 2) + 1, max: n }),
      order: fc.shuffledSubarray(names.slice(0, n)),
    }),
  );

  it('never lets two versions be signed under, and dead comes first or at once', () => {
    fc.assert(
      fc.property(change, ({ n, t, order }) => {
        const parties = names.slice(0, n);
        const holders = { parties, threshold: t };
        const second = successor(first);
        let chain = folded(installed(first), propose(installed(first), proposed(second)));
        const holds = new Set<string>();
        let usedSecond = false;
        for (const party of order) {
          chain = folded(chain, receive(chain, receipt(second, party), audienceOf(parties, t)));
          holds.add(party);
          const oldUsable = n - holds.size >= t;
          const newUsable = holds.size >= t;
          // By quorums of holders themselves, not by what the code says.
          expect(oldUsable && newUsable).toBe(false);
          const force = inForce(chain, holders);
          expect(force?.at.version).toBe(newUsable ? 2 : 1);
          if (!newUsable) expect(force?.next?.currentDead).toBe(!oldUsable);
          // Once forward, never back.
          if (usedSecond) expect(force?.at.version).toBe(2);
          usedSecond ||= newUsable;
        }
        expect(deadAt(holders)).toBeLessThanOrEqual(t);
      }),
      { numRuns: 300 },
    );
  });
});
