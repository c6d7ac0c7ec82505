import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  activate,
  apply,
  begin,
  certify,
  checkThreshold,
  type DestroyProof,
  destroy,
  fail,
  fold,
  KEY_SHARE_MACHINE,
  type KeyShare,
  type KeyShareEvent,
  lock,
  requestShare,
  revoke,
  swearNever,
  unlock,
} from '../../core/keyshare/keyshare.ts';
import { isKeysagaError } from '../../schema/contracts/errors.ts';
import { forAll, MINUTE, NOW, refusal } from './rules-fixtures.ts';

const request = {
  keyId: 'wallet-1',
  epoch: 0,
  attempt: 'a',
  network: 'bip122:abc',
  threshold: 2,
  parties: ['alpha', 'beta', 'gamma'],
};
const shareAfter = (...steps: ((share: KeyShare) => KeyShareEvent[])[]): KeyShare =>
  steps.reduce(
    (share, step) => fold(step(share), share) ?? share,
    apply(undefined, requestShare(request)[0] as KeyShareEvent),
  );
const active = () => shareAfter(begin, certify, activate);
const lease = { session: 's1', expiresAt: NOW + MINUTE };

describe('threshold', () => {
  it('is within the parties, and any two signer sets share one', () => {
    const names = (n: number) => Array.from({ length: n }, (_, i) => `p${i}`);
    for (const [t, n] of [
      [2, 2],
      [2, 3],
      [3, 5],
      [5, 7],
      [16, 16],
    ] as const)
      checkThreshold(t, names(n));
    for (const [t, n] of [
      [2, 4],
      [2, 5],
      [3, 6],
      [4, 3],
      [1, 1],
      [0, 3],
      [2.5, 3],
    ] as const)
      refusal(() => checkThreshold(t, names(n)), 'InvalidInput', 'threshold');
    refusal(() => checkThreshold(2, ['a', 'b', 'a']), 'InvalidInput', 'parties');
    refusal(
      () => requestShare({ ...request, threshold: 2, parties: names(4) }),
      'InvalidInput',
      'threshold',
    );
  });
});

describe('a share’s life', () => {
  it('goes Pending, Generating, Active, Revoked', () => {
    expect(shareAfter().status).toBe('Pending');
    expect(shareAfter(begin).status).toBe('Generating');
    expect(shareAfter(begin, certify)).toMatchObject({ status: 'Generating', word: 'certificate' });
    expect(active().status).toBe('Active');
    expect(shareAfter(begin, certify, activate, (s) => revoke(s, NOW)).status).toBe('Revoked');
    expect(shareAfter(begin, (s) => fail(s, 'x')).status).toBe('Failed');
    expect(KEY_SHARE_MACHINE.final).toEqual(['Revoked', 'Failed']);
  });
  it('takes each command once: a repeat changes nothing', () => {
    expect(certify(shareAfter(begin, certify))).toEqual([]);
    expect(activate(active())).toEqual([]);
    expect(swearNever(shareAfter(begin, swearNever))).toEqual([]);
    expect(
      fail(
        shareAfter((s) => fail(s, 'x')),
        'y',
      ),
    ).toEqual([]);
    expect(
      revoke(
        shareAfter(begin, certify, activate, (s) => revoke(s, NOW)),
        NOW,
      ),
    ).toEqual([]);
  });
  it('refuses what its state does not allow', () => {
    refusal(() => begin(active()), 'StateConflict');
    refusal(() => certify(shareAfter()), 'StateConflict');
    refusal(() => activate(shareAfter(begin)), 'StateConflict');
    refusal(() => fail(active(), 'x'), 'StateConflict');
    refusal(() => revoke(shareAfter(begin), NOW), 'StateConflict');
    refusal(() => apply(undefined, { type: 'Activated' }), 'StateConflict');
  });
});

describe('one word about a ceremony', () => {
  it('is a certificate or a never, not both', () => {
    refusal(() => swearNever(shareAfter(begin, certify)), 'StateConflict');
    refusal(() => certify(shareAfter(begin, swearNever)), 'StateConflict');
    refusal(() => begin(shareAfter(swearNever)), 'StateConflict');
    refusal(() => fail(shareAfter(begin, certify), 'time'), 'StateConflict');
    expect(shareAfter(begin, swearNever)).toMatchObject({ status: 'Failed', word: 'never' });
  });
});

describe('states put together from rows, in whatever combination', () => {
  it('still hold to the word', () => {
    const sworn: KeyShare = { ...shareAfter(begin), word: 'never' };
    refusal(() => certify(sworn), 'StateConflict');
    refusal(() => activate(sworn), 'StateConflict');
    refusal(() => begin({ ...shareAfter(), word: 'never' }), 'StateConflict');
    refusal(() => swearNever({ ...active(), word: 'none' }), 'StateConflict');
  });
});

describe('lock', () => {
  it('is shared, ends by itself, and keeps the share from being revoked or destroyed', () => {
    const held = shareAfter(
      begin,
      certify,
      activate,
      (s) => lock(s, lease, NOW),
      (s) => lock(s, { ...lease, session: 's2' }, NOW),
    );
    expect(held.leases).toHaveLength(2);
    expect(lock(held, lease, NOW)).toEqual([]);
    expect(refusal(() => revoke(held, NOW), 'KeyLocked').details.sessions).toEqual(['s1', 's2']);
    refusal(() => destroy(held, 'order', NOW), 'KeyLocked');
    const one = fold(unlock(held, 's2'), held) as KeyShare;
    refusal(() => revoke(one, NOW), 'KeyLocked');
    expect(unlock(one, 's2')).toEqual([]);
    revoke(fold(unlock(one, 's1'), one) as KeyShare, NOW);
    revoke(held, lease.expiresAt);
    refusal(() => revoke(held, lease.expiresAt - 1), 'KeyLocked');
  });
  it('is given on an active share only, and not for a time that is over', () => {
    refusal(() => lock(shareAfter(begin, certify), lease, NOW), 'KeyNotActive');
    refusal(() => lock(active(), { ...lease, expiresAt: NOW }, NOW), 'SessionExpired');
  });
});

describe('destroy', () => {
  it.each([
    ['Pending', shareAfter(), 'none', 'destroyed'],
    ['Generating', shareAfter(begin), 'none', 'destroyed'],
    ['Failed', shareAfter(begin, (s) => fail(s, 'x')), 'none', 'destroyed'],
    ['certified', shareAfter(begin, certify), 'none', 'kept'],
    ['certified', shareAfter(begin, certify), 'never', 'destroyed'],
    ['certified', shareAfter(begin, certify), 'order', 'destroyed'],
    ['active', active(), 'none', 'kept'],
    ['active, a corrupt member’s never', active(), 'never', 'kept'],
    ['active', active(), 'order', 'destroyed'],
    ['revoked', shareAfter(begin, certify, activate, (s) => revoke(s, NOW)), 'never', 'kept'],
    ['revoked', shareAfter(begin, certify, activate, (s) => revoke(s, NOW)), 'order', 'destroyed'],
  ] as const)('%s, shown %s%s: %s', (_, share, proof, outcome) => {
    const { outcome: found, events } = destroy(share, proof, NOW);
    expect(found).toBe(outcome);
    const then = fold(events, share) as KeyShare;
    expect(then.destroyed).toBe(outcome === 'destroyed');
    if (outcome === 'destroyed')
      expect(destroy(then, 'order', NOW)).toEqual({ outcome: 'nothing', events: [] });
  });
  it('of an uncertified share swears never with it', () => {
    const share = shareAfter(begin);
    const gone = fold(destroy(share, 'none', NOW).events, share) as KeyShare;
    expect(gone.word).toBe('never');
    refusal(() => certify(gone), 'StateConflict');
  });
});

describe('no sequence of commands breaks an invariant', () => {
  type Step = (share: KeyShare, now: number) => readonly KeyShareEvent[];
  const proofs: DestroyProof[] = ['none', 'never', 'order'];
  const step: fc.Arbitrary<Step> = fc.oneof(
    fc.constantFrom<Step>(
      begin,
      certify,
      activate,
      swearNever,
      (s) => fail(s, 'x'),
      (s, now) => revoke(s, now),
    ),
    fc.tuple(fc.constantFrom('s1', 's2'), fc.integer({ min: -5, max: 30 })).map(
      ([session, life]): Step =>
        (s, now) =>
          lock(s, { session, expiresAt: now + life }, now),
    ),
    fc.constantFrom('s1', 's2').map(
      (session): Step =>
        (s) =>
          unlock(s, session),
    ),
    fc.constantFrom(...proofs).map(
      (proof): Step =>
        (s, now) =>
          destroy(s, proof, now).events,
    ),
  );
  it('by random search', () => {
    let activated = 0;
    forAll(
      fc.property(fc.array(step, { maxLength: 25 }), fc.boolean(), (steps, headStart) => {
        let share = headStart ? active() : shareAfter();
        const words = new Set<string>([share.word]);
        steps.forEach((s, i) => {
          const now = NOW + i;
          const before = share;
          try {
            for (const event of s(share, now)) share = apply(share, event);
          } catch (error) {
            if (!isKeysagaError(error)) throw error;
            expect(share).toEqual(before);
          }
          words.add(share.word);
          if (share.status === 'Active') {
            expect(share.word).toBe('certificate');
            activated += 1;
          }
          const was = KEY_SHARE_MACHINE.transitions[before.status];
          expect([before.status, ...Object.values(was), 'Failed']).toContain(share.status);
          if (KEY_SHARE_MACHINE.final.includes(before.status))
            expect(share.status).toBe(before.status);
          const ended = share.status !== before.status && share.status === 'Revoked';
          if (ended || (share.destroyed && !before.destroyed))
            expect(before.leases.filter((l) => l.expiresAt > now)).toEqual([]);
          if (share.destroyed) expect(share.status).not.toBe('Active');
        });
        expect(words.has('certificate') && words.has('never')).toBe(false);
      }),
      { numRuns: 500 },
    );
    expect(activated).toBeGreaterThan(100);
  });
});
