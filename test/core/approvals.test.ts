import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  CLOCK_SKEW_MS,
  type CountInput,
  checkApproval,
  countApprovals,
  earliestStart,
  parseSignedApproval,
  requireOnceValidQuorum,
  requireQuorum,
  requireStartDelay,
  signApproval,
} from '../../core/approvals.ts';
import { intentDigest } from '../../core/intent.ts';
import { publicKeyOf, signObject } from '../../core/signed.ts';
import type { SignedApproval } from '../../schema/contracts/approval.ts';
import type { Policy } from '../../schema/contracts/policy.ts';
import {
  APPROVERS,
  approval,
  approverSeed,
  at,
  changedLeaves,
  DAY,
  flipBit,
  forAll,
  HOUR,
  hex32,
  intent,
  MINUTE,
  NOW,
  policy,
  refusal,
  seed,
} from './rules-fixtures.ts';

const digest = intentDigest(intent());
const sign = (
  who: string,
  patch: Record<string, unknown> = {},
  key = approverSeed(who),
): SignedApproval => signApproval(approval(who, digest, patch), key);
const check = (signed: SignedApproval, p: Policy = policy()) =>
  checkApproval({ signed, intentDigest: digest, policy: p, now: NOW });
const input = (
  approvals: readonly SignedApproval[],
  patch: Partial<CountInput> = {},
): CountInput => ({
  approvals,
  intentDigest: digest,
  policy: policy(),
  now: NOW,
  horizonMs: MINUTE,
  ...patch,
});

describe('one approval', () => {
  it('stands when an approver of the policy signed it about this intent', () => {
    check(sign('alice'));
    check(sign('bob', { at: at(CLOCK_SKEW_MS) }));
    check(sign('carol', { decision: 'reject' }));
  });
  it.each([
    [
      'an approver outside the policy',
      sign('mallory', {}, seed(99)),
      'ApproverUnknown',
      'approver',
    ],
    [
      'another key under an approver’s name',
      sign('alice', {}, seed(99)),
      'ApprovalInvalid',
      'publicKey',
    ],
    [
      'another approver’s key under the name',
      sign('alice', {}, approverSeed('bob')),
      'ApprovalInvalid',
      'publicKey',
    ],
    [
      'another intent',
      signApproval(approval('alice', hex32(1)), approverSeed('alice')),
      'ApprovalInvalid',
      'intentDigest',
    ],
    ['dated too far ahead', sign('alice', { at: at(CLOCK_SKEW_MS + 1) }), 'ApprovalInvalid', 'at'],
    [
      'expired',
      sign('alice', { at: at(-HOUR), validUntil: at(0) }),
      'ApprovalExpired',
      'validUntil',
    ],
    [
      'a rejection signed by another key',
      sign('alice', { decision: 'reject' }, seed(99)),
      'ApprovalInvalid',
      'publicKey',
    ],
  ] as const)('does not stand: %s', (_, signed, code, field) => {
    refusal(() => check(signed), code, field);
  });
  it('does not stand when it ends before it begins, however it was signed', () => {
    const backwards = approval('alice', digest, { at: at(MINUTE), validUntil: at(MINUTE) });
    const signed = {
      approval: backwards,
      publicKey: publicKeyOf(approverSeed('alice')),
      signature: signObject('approval', backwards, approverSeed('alice')),
    };
    refusal(() => check(signed), 'ApprovalInvalid', 'validUntil');
  });
  it('falls with any change of what was signed', () => {
    const signed = sign('alice');
    let changes = 0;
    for (const change of changedLeaves(signed.approval)) {
      if (change.path === 'decision') continue;
      refusal(
        () => check({ ...signed, approval: change.value }),
        change.path === 'approver' ? 'ApproverUnknown' : 'ApprovalInvalid',
        change.path === 'approver'
          ? 'approver'
          : change.path === 'intentDigest'
            ? 'intentDigest'
            : 'signature',
      );
      changes += 1;
    }
    expect(changes).toBe(4);
    refusal(
      () => check({ ...signed, approval: { ...signed.approval, decision: 'reject' } }),
      'ApprovalInvalid',
      'signature',
    );
    const no = sign('alice', { decision: 'reject' });
    refusal(
      () => check({ ...no, approval: { ...no.approval, decision: 'approve' } }),
      'ApprovalInvalid',
      'signature',
    );
  });
  it('falls with any bit of its signature or key', () => {
    const signed = sign('alice');
    forAll(
      fc.property(fc.integer({ min: 0, max: 511 }), (bit) => {
        refusal(
          () => check({ ...signed, signature: flipBit(signed.signature, bit) }),
          'ApprovalInvalid',
          'signature',
        );
        refusal(
          () => check({ ...signed, publicKey: flipBit(signed.publicKey, bit) }),
          'ApprovalInvalid',
          'publicKey',
        );
      }),
      { numRuns: 60 },
    );
  });
  it('is a typed refusal, never a defect, for whatever a signal may carry', () => {
    forAll(
      fc.property(fc.anything(), (x) => {
        refusal(() => check(x as SignedApproval), 'ApprovalInvalid');
        refusal(() => parseSignedApproval(x), 'InvalidInput');
      }),
    );
    refusal(() => check({ ...sign('alice'), signature: 'xy' }), 'ApprovalInvalid', 'signature');
    refusal(() => parseSignedApproval({ ...sign('alice'), more: 1 }), 'InvalidInput', 'more');
  });
  it('cannot be signed when it ends before it begins', () => {
    refusal(() => sign('alice', { at: at(0), validUntil: at(0) }), 'InvalidInput', 'validUntil');
    expect(sign('alice').publicKey).toBe(publicKeyOf(approverSeed('alice')));
  });
});

describe('counting', () => {
  it('names who approved, rejected and is missing, and why an approval does not count', () => {
    const count = countApprovals(
      input([
        sign('alice'),
        sign('mallory', {}, seed(99)),
        sign('bob', { at: at(-DAY), validUntil: at(-HOUR) }),
        sign('carol', { decision: 'reject' }),
      ]),
    );
    expect(count).toMatchObject({ approved: ['alice'], rejected: ['carol'], missing: ['bob'] });
    expect(count.invalid.map((i) => [i.index, i.code])).toEqual([
      [1, 'ApproverUnknown'],
      [2, 'ApprovalExpired'],
    ]);
  });
  it('counts an approver once, however often he signs', () => {
    const again = sign('alice', { at: at(-2 * MINUTE) });
    expect(countApprovals(input([sign('alice'), again, sign('alice')])).approved).toEqual([
      'alice',
    ]);
    refusal(() => requireQuorum(input([sign('alice'), again])), 'QuorumMissing');
  });
  it('counts neither two names of one key nor two keys of one name, even if a policy held them', () => {
    const sound = policy();
    const key = publicKeyOf(approverSeed('alice'));
    const oneKey = { ...sound, approvers: sound.approvers.map((a) => ({ ...a, publicKey: key })) };
    const twice = input([sign('alice'), sign('bob', {}, approverSeed('alice'))], {
      policy: oneKey,
    });
    expect(countApprovals(twice).approved).toEqual(['alice']);
    const alice = sound.approvers[0]?.name ?? ('alice' as never);
    const oneName = { ...sound, approvers: sound.approvers.map((a) => ({ ...a, name: alice })) };
    const two = input([sign('alice'), sign('alice', {}, approverSeed('bob'))], { policy: oneName });
    expect(countApprovals(two).approved).toEqual(['alice']);
    for (const i of [twice, two]) {
      refusal(() => requireQuorum(i), 'QuorumMissing');
      refusal(() => requireOnceValidQuorum(i), 'QuorumMissing');
    }
  });
  it('needs approvals that outlive the session', () => {
    const late = sign('bob', { validUntil: at(MINUTE) });
    expect(countApprovals(input([sign('alice'), late])).approved).toEqual(['alice']);
    expect(
      countApprovals(input([sign('alice'), sign('bob', { validUntil: at(MINUTE + 1) })])).approved,
    ).toHaveLength(2);
  });
  it('lets a rejection stand over the same person’s approval, in either order, and for ever', () => {
    const no = sign('alice', { decision: 'reject', at: at(-DAY), validUntil: at(-HOUR) });
    for (const list of [
      [sign('alice'), no],
      [no, sign('alice')],
    ])
      expect(countApprovals(input(list))).toMatchObject({
        approved: [],
        rejected: ['alice'],
        invalid: [],
      });
    const error = refusal(
      () => requireQuorum(input([sign('bob'), sign('carol'), no])),
      'IntentRejected',
    );
    expect(error.details.by).toEqual(['alice']);
  });
  it('is not stopped by a stranger’s rejection', () => {
    const no = sign('mallory', { decision: 'reject' }, seed(99));
    expect(requireQuorum(input([sign('alice'), no, sign('bob')])).approved).toEqual([
      'alice',
      'bob',
    ]);
  });
  it('says how many it has and needs', () => {
    const { details } = refusal(
      () => requireQuorum(input([sign('alice')])),
      'QuorumMissing',
      'approvals',
    );
    expect(details).toMatchObject({ have: 1, need: 2, missing: ['bob', 'carol'] });
    refusal(
      () => requireQuorum(input([], { policy: { ...policy(), quorum: 0 } })),
      'QuorumMissing',
    );
  });
  it('asks the verifier that it is given', () => {
    expect(countApprovals(input([sign('alice')], { verify: () => false })).invalid).toHaveLength(1);
  });
  it('never counts more than the distinct policy approvers who signed approve and not reject', () => {
    const pool = [...APPROVERS, 'mallory'].flatMap((who) =>
      (['approve', 'reject'] as const).flatMap((decision) =>
        [-DAY, -MINUTE].map((ago) => ({
          who,
          decision,
          live: ago === -MINUTE,
          signed: sign(
            who,
            { decision, at: at(ago), validUntil: at(ago + HOUR) },
            who === 'mallory' ? seed(99) : approverSeed(who),
          ),
        })),
      ),
    );
    forAll(
      fc.property(fc.array(fc.constantFrom(...pool), { maxLength: 8 }), (picked) => {
        const count = countApprovals(input(picked.map((p) => p.signed)));
        const known = picked.filter((p) => p.who !== 'mallory');
        const no = new Set(known.filter((p) => p.decision === 'reject').map((p) => p.who));
        const yes = new Set(
          known
            .filter((p) => p.decision === 'approve' && p.live && !no.has(p.who))
            .map((p) => p.who),
        );
        expect(new Set(count.approved)).toEqual(yes);
        expect(new Set(count.rejected)).toEqual(no);
        expect([...count.approved, ...count.rejected, ...count.missing].sort()).toEqual([
          ...APPROVERS,
        ]);
      }),
      { numRuns: 60 },
    );
  });
});

describe('for a void: approved once', () => {
  const old = (who: string, from: number, to: number) =>
    sign(who, { at: at(from), validUntil: at(to) });
  const once = (...list: SignedApproval[]) => requireOnceValidQuorum(input(list));
  it('takes expired approvals and ignores a later rejection', () => {
    const no = sign('carol', { decision: 'reject' });
    expect(once(old('alice', -3 * DAY, -DAY), old('bob', -2 * DAY, -DAY), no)).toEqual([
      'alice',
      'bob',
    ]);
  });
  it('does not count a rejection of that time as an approval', () => {
    const no = sign('bob', { decision: 'reject', at: at(-DAY), validUntil: at(-HOUR) });
    refusal(() => once(old('alice', -DAY, -HOUR), no), 'QuorumMissing');
  });
  it('refuses what never was a quorum at one moment', () => {
    refusal(() => once(old('alice', -3 * DAY, -2 * DAY), old('bob', -DAY, -HOUR)), 'QuorumMissing');
    refusal(
      () => once(old('alice', -3 * DAY, -DAY), old('alice', -2 * DAY, -DAY)),
      'QuorumMissing',
    );
    refusal(() => once(old('alice', -DAY, -HOUR)), 'QuorumMissing');
    refusal(
      () => once(old('alice', -DAY, -HOUR), sign('bob', { decision: 'reject' })),
      'QuorumMissing',
    );
    refusal(
      () => once(sign('alice', { at: at(HOUR - 1) }), sign('bob', { at: at(HOUR - 1) })),
      'QuorumMissing',
    );
    refusal(
      () =>
        once(old('alice', -DAY, -HOUR), {
          ...old('bob', -DAY, -HOUR),
          signature: old('alice', -DAY, -HOUR).signature,
        }),
      'QuorumMissing',
    );
  });
});

describe('start delay', () => {
  it('is not stretched by an approver whose clock is ahead', () => {
    const list = [sign('alice', { at: at(2 * MINUTE) }), sign('bob', { at: at(3 * MINUTE) })];
    requireStartDelay(input(list));
    expect(earliestStart(input(list, { policy: slow }))).toBe(NOW + 10 * MINUTE);
  });
  it('does not run from an approval that no longer counts', () => {
    const gone = sign('alice', { at: at(-HOUR), validUntil: at(MINUTE) });
    const list = [gone, sign('alice', { at: at(-2 * MINUTE) }), sign('bob', { at: at(-HOUR) })];
    expect(earliestStart(input(list))).toBe(NOW - 2 * MINUTE);
    const repeated = [...list, sign('alice', { at: at(-3 * MINUTE) })];
    expect(earliestStart(input(repeated))).toBe(NOW - 3 * MINUTE);
  });
  const slow = policy({ startDelaySeconds: 600 });
  it('runs from the approval that completed the quorum', () => {
    const list = [
      sign('alice', { at: at(-30 * MINUTE) }),
      sign('bob', { at: at(-9 * MINUTE) }),
      sign('carol', { at: at(-MINUTE) }),
    ];
    expect(earliestStart(input(list, { policy: slow }))).toBe(NOW + MINUTE);
    const { details } = refusal(
      () => requireStartDelay(input(list, { policy: slow })),
      'PolicyViolation',
      'startDelaySeconds',
    );
    expect(details.startsAt).toBe(NOW + MINUTE);
    requireStartDelay(input(list, { policy: slow, now: NOW + MINUTE }));
    requireStartDelay(input(list));
    refusal(() => requireStartDelay(input(list.slice(0, 1), { policy: slow })), 'QuorumMissing');
  });
});
