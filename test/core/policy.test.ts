import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  checkPolicy,
  checkSuccession,
  effectiveDailyLimit,
  limitFor,
  policyHash,
  verifySignedPolicy,
  voidFeeCap,
} from '../../core/policy.ts';
import { publicKeyOf } from '../../core/signed.ts';
import type { Policy, SignedPolicy } from '../../schema/contracts/policy.ts';
import {
  ADMINS,
  approverSeed,
  BITCOIN,
  changedLeaves,
  flipBit,
  forAll,
  hex32,
  policy,
  refusal,
  SOLANA,
  seed,
  signPolicy,
} from './rules-fixtures.ts';

const verify = (signed: SignedPolicy, k = 2, admins = ADMINS) =>
  verifySignedPolicy(signed, admins, k);
const limit = policy().limits[0] as Policy['limits'][number];

describe('a policy that can be lived by', () => {
  it('passes', () => checkPolicy(policy()));
  it.each([
    ['a quorum above the approvers', { quorum: 4 }, 'quorum'],
    [
      'an approver named twice',
      { approvers: [...policy().approvers, { ...policy().approvers[0], publicKey: hex32(1) }] },
      'approvers.3.name',
    ],
    [
      'a key under two names',
      { approvers: [...policy().approvers, { ...policy().approvers[0], name: 'dave' }] },
      'approvers.3.publicKey',
    ],
    [
      'two limits of one asset',
      { limits: [limit, { ...limit, perDay: '999999' }] },
      'limits.1.asset',
    ],
    [
      'a transfer limit above the day’s',
      { limits: [{ ...limit, perTransfer: '200001' }] },
      'limits.0.perTransfer',
    ],
    [
      'two void caps of one network',
      { voidFeeCaps: [...policy().voidFeeCaps, { network: SOLANA, cap: '1' }] },
      'voidFeeCaps.2.network',
    ],
    [
      'a void cap of zero',
      {
        voidFeeCaps: [
          { network: BITCOIN, cap: '0' },
          { network: SOLANA, cap: '1' },
        ],
      },
      'voidFeeCaps.0.cap',
    ],
    [
      'a limit without a void cap',
      { voidFeeCaps: [{ network: BITCOIN, cap: '1' }] },
      'voidFeeCaps',
    ],
    [
      'a destination allowed twice',
      { allowList: [1, 2].map(() => ({ network: BITCOIN, destination: 'x' })) },
      'allowList.1.destination',
    ],
    ['a first version with a predecessor', { previous: hex32(1) }, 'previous'],
    ['a later version without one', { version: 2 }, 'previous'],
  ])('refuses %s', (_, patch, field) => {
    refusal(() => checkPolicy(policy(patch)), 'InvalidInput', field);
  });
  it('refuses a malformed one by field', () => {
    refusal(() => checkPolicy({ ...policy(), quorum: 0 }), 'InvalidInput', 'quorum');
    refusal(() => checkPolicy({ ...policy(), approvers: [] }), 'InvalidInput', 'approvers');
  });
});

describe('a signed policy', () => {
  it('is in order with k distinct pinned administrators', () => {
    expect(verify(signPolicy(policy()))).toBe(policyHash(policy()));
    expect(verify(signPolicy(policy(), ADMINS), 3)).toBe(policyHash(policy()));
  });
  it('needs k of them, none twice', () => {
    const one = signPolicy(policy(), ADMINS.slice(0, 1));
    expect(refusal(() => verify(one), 'QuorumMissing', 'signatures').details).toMatchObject({
      have: 1,
      need: 2,
    });
    refusal(
      () => verify({ ...one, signatures: [...one.signatures, ...one.signatures] }),
      'QuorumMissing',
    );
  });
  it('does not count who is not pinned, and refuses a pinned name under another key', () => {
    const stranger = { name: 'mallory', publicKey: publicKeyOf(seed(99)), seed: seed(99) };
    refusal(() => verify(signPolicy(policy(), [...ADMINS.slice(0, 1), stranger])), 'QuorumMissing');
    verify(signPolicy(policy(), [...ADMINS.slice(0, 2), stranger]));
    refusal(
      () => verify(signPolicy(policy(), [...ADMINS, { ...stranger, name: 'ada' }])),
      'ApprovalInvalid',
      'signatures.3',
    );
  });
  it('falls with any change of the policy', () => {
    const signed = signPolicy(
      policy({
        allowList: [{ network: BITCOIN, destination: 'bcrt1pxyz' }],
        strictDailyLimit: true,
      }),
    );
    let changes = 0;
    for (const change of changedLeaves(signed.policy)) {
      let passed = false;
      try {
        verify({ ...signed, policy: change.value });
        passed = true;
      } catch {
        changes += 1;
      }
      expect(passed, change.path).toBe(false);
    }
    expect(changes).toBeGreaterThan(20);
  });
  it('falls with any bit of any signature', () => {
    const signed = signPolicy(policy(), ADMINS);
    forAll(
      fc.property(fc.integer({ min: 0, max: 511 }), fc.integer({ min: 0, max: 2 }), (bit, who) => {
        const signatures = signed.signatures.map((s, i) =>
          i === who ? { ...s, signature: flipBit(s.signature, bit) } : s,
        );
        refusal(() => verify({ ...signed, signatures }), 'ApprovalInvalid', `signatures.${who}`);
      }),
      { numRuns: 40 },
    );
  });
  it('keeps administrators and approvers apart', () => {
    const both = {
      name: 'alice',
      publicKey: publicKeyOf(approverSeed('alice')),
      seed: approverSeed('alice'),
    };
    refusal(
      () => verify(signPolicy(policy()), 2, [...ADMINS, both]),
      'PolicyViolation',
      'approvers.0.publicKey',
    );
  });
  it('refuses to work with an unusable list of administrators', () => {
    const signed = signPolicy(policy());
    for (const k of [0, -1, 4, 1.5, Number.NaN])
      refusal(() => verify(signed, k), 'InvalidInput', 'administrators');
    const [ada, barbara] = ADMINS;
    if (ada === undefined || barbara === undefined) expect.unreachable();
    refusal(
      () => verify(signed, 2, [ada, { ...barbara, publicKey: ada.publicKey }]),
      'InvalidInput',
      'administrators',
    );
    refusal(
      () => verify(signed, 2, [ada, { ...barbara, name: ada.name }]),
      'InvalidInput',
      'administrators',
    );
  });
  it('must be sound as well', () => {
    refusal(() => verify(signPolicy(policy({ quorum: 9 }))), 'InvalidInput', 'quorum');
  });
});

describe('succession', () => {
  const first = policy();
  const second = policy({ version: 2, previous: policyHash(first) });
  it('goes version by version along the hashes', () => {
    checkSuccession(first, second);
    refusal(() => checkSuccession(second, first), 'PolicyViolation', 'version');
    refusal(() => checkSuccession(first, first), 'PolicyViolation', 'version');
    refusal(
      () => checkSuccession(first, policy({ version: 3, previous: policyHash(first) })),
      'PolicyViolation',
      'version',
    );
    refusal(
      () => checkSuccession(first, policy({ version: 2, previous: hex32(1) })),
      'PolicyViolation',
      'previous',
    );
    refusal(
      () => checkSuccession(first, { ...second, policyId: 'other' as never }),
      'PolicyViolation',
      'policyId',
    );
  });
});

describe('what it says', () => {
  it('has a limit and a void cap, or forbids', () => {
    expect(limitFor(policy(), BITCOIN, 'native').perTransfer).toBe('50000');
    expect(voidFeeCap(policy(), BITCOIN)).toBe(10_000n);
    refusal(() => limitFor(policy(), BITCOIN, 'token:abc'), 'PolicyViolation', 'asset');
    refusal(() => limitFor(policy(), 'bip122:abc', 'native'), 'PolicyViolation', 'asset');
    refusal(() => voidFeeCap(policy(), 'bip122:abc'), 'PolicyViolation', 'voidFeeCaps');
  });
  it('bounds what rotating signer sets let through to L when strict', () => {
    const strict = policy({ strictDailyLimit: true });
    expect(effectiveDailyLimit(policy(), limit, 2, 3)).toBe(200_000n);
    expect(effectiveDailyLimit(strict, limit, 2, 3)).toBe(133_333n);
    forAll(
      fc.property(
        fc.bigInt(0n, 10n ** 30n),
        fc.integer({ min: 2, max: 16 }),
        fc.integer({ min: 0, max: 14 }),
        (perDay, t, more) => {
          const n = t + more;
          const each = effectiveDailyLimit(strict, { ...limit, perDay: `${perDay}` }, t, n);
          // Each unit paid is counted by t parties, and n parties count at most `each`.
          expect((each * BigInt(n)) / BigInt(t)).toBeLessThanOrEqual(perDay);
          expect(((each + 1n) * BigInt(n)) / BigInt(t)).toBeGreaterThanOrEqual(perDay);
        },
      ),
    );
  });
});
