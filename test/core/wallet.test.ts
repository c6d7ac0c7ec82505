/** The `Wallet` aggregate against a model that remembers everything. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  activate,
  countedToday,
  DAY_MS,
  release,
  reserve,
  reservedOf,
  spend,
  type WalletState,
  walletFold,
} from '../../core/wallet/index.ts';
import { isKeysagaError } from '../../schema/contracts/errors.ts';
import type { DomainEvent } from '../../schema/contracts/events.ts';
import type { Policy } from '../../schema/contracts/policy.ts';
import { intent, key, NETWORK } from '../storage/coordinator/fixtures.ts';

const START = Date.parse('2026-01-01T00:00:00.000Z');
const iso = (ms: number) => new Date(ms).toISOString();
const policy = (change: Partial<Policy> = {}): Policy =>
  ({
    policyId: 'treasury',
    version: 1,
    issuedAt: iso(START),
    approvers: [],
    quorum: 1,
    limits: [{ network: NETWORK, asset: 'native', perTransfer: '500', perDay: '1000' }],
    strictDailyLimit: false,
    voidFeeCaps: [],
    startDelaySeconds: 0,
    ...change,
  }) as unknown as Policy;

const fold = (state: WalletState, events: readonly DomainEvent[]) =>
  events.reduce(walletFold.apply, state);
const active = () => fold(walletFold.initial, activate(walletFold.initial, key));
const ask = (
  state: WalletState,
  id: string,
  amount: number,
  now: number,
  balance = 1_000_000n,
  p = policy(),
) =>
  reserve(state, {
    intent: intent(id, { amount: String(amount), feeCap: '10' }),
    policy: p,
    now: iso(now),
    balance: { asset: balance, native: balance },
  });
const code = (f: () => unknown): string => {
  try {
    f();
    return 'ok';
  } catch (error) {
    return isKeysagaError(error) ? error.code : String(error);
  }
};

type Step =
  | { readonly do: 'reserve'; readonly id: number; readonly amount: number }
  | { readonly do: 'release' | 'spend'; readonly id: number }
  | { readonly do: 'wait'; readonly ms: number };
const steps: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('reserve' as const),
      id: fc.nat(30),
      amount: fc.integer({ min: 1, max: 600 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constantFrom('release' as const, 'spend' as const),
      id: fc.nat(30),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('wait' as const),
      ms: fc.integer({ min: 1, max: DAY_MS }),
    }),
  },
);

describe('wallet', () => {
  it('never lets balance, daily limit or a request id be exceeded, whatever comes', () => {
    let refused = 0;
    let pruned = 0;
    fc.assert(
      fc.property(
        fc.array(steps, { maxLength: 80, size: 'max' }),
        fc.integer({ min: 0, max: 3000 }),
        (sequence, funds) => {
          let state = active();
          let now = START;
          // The model: everything, for ever.
          const model = new Map<
            string,
            { amount: number; open: boolean; spentAt?: number; at: number }
          >();
          let balance = BigInt(funds);
          for (const step of sequence) {
            if (step.do === 'wait') {
              now += step.ms;
              continue;
            }
            const id = `r${step.id}`;
            if (step.do === 'reserve') {
              const before = model.get(id);
              const outcome = code(() => {
                const events = ask(state, id, step.amount, now, balance);
                if (events.length > 0) model.set(id, { amount: step.amount, open: true, at: now });
                state = fold(state, events);
              });
              if (outcome !== 'ok') {
                refused += 1;
                expect(['InsufficientFunds', 'LimitExceeded', 'RequestConflict']).toContain(
                  outcome,
                );
              }
              // One reservation per id: a second one never comes while the first is open or fresh (claims hold it for ever).
              if (before?.open) expect(model.get(id)).toBe(before);
            } else {
              const entry = model.get(id);
              const events =
                step.do === 'release'
                  ? release(state, 'w1', id, 'x')
                  : code(() =>
                        spend(state, 'w1', { requestId: id, transactionId: 't', at: iso(now) }),
                      ) === 'ok'
                    ? spend(state, 'w1', { requestId: id, transactionId: 't', at: iso(now) })
                    : [];
              if (events.length > 0 && entry !== undefined) {
                entry.open = false;
                if (step.do === 'spend') {
                  entry.spentAt = now;
                  balance -= BigInt(entry.amount);
                }
              }
              state = fold(state, events);
            }
            const open = [...model.values()].filter((e) => e.open);
            const counted = [...model.values()].reduce(
              (sum, e) =>
                sum +
                (e.open || (e.spentAt !== undefined && e.spentAt > now - DAY_MS) ? e.amount : 0),
              0,
            );
            expect(reservedOf(state, 'native')).toBe(
              BigInt(open.reduce((s, e) => s + e.amount + 10, 0)),
            );
            expect(balance - reservedOf(state, 'native')).toBeGreaterThanOrEqual(0n);
            expect(countedToday(state, 'native', iso(now))).toBe(BigInt(counted));
            expect(counted).toBeLessThanOrEqual(1000);
            // Bounded: what ended more than a day before the newest event is gone.
            expect(
              state.ended.every((e) => Date.parse(e.endedAt) > Date.parse(state.latest) - DAY_MS),
            ).toBe(true);
            if (state.ended.length < [...model.values()].filter((e) => !e.open).length) pruned += 1;
          }
        },
      ),
      { numRuns: 400, seed: 7 },
    );
    expect(refused).toBeGreaterThan(100);
    expect(pruned).toBeGreaterThan(10);
  });

  it('frees a spend for the limit exactly 24 hours after it', () => {
    let state = active();
    for (const id of ['a', 'b']) {
      state = fold(state, ask(state, id, 500, START));
      state = fold(
        state,
        spend(state, 'w1', { requestId: id, transactionId: 't', at: iso(START) }),
      );
    }
    expect(code(() => ask(state, 'c', 1, START + DAY_MS - 1))).toBe('LimitExceeded');
    expect(code(() => ask(state, 'c', 1, START + DAY_MS))).toBe('ok');
    // A clock that has gone back frees nothing.
    expect(code(() => ask(state, 'c', 1, START - 10 * DAY_MS))).toBe('LimitExceeded');
  });

  it('divides the daily limit by the ratio of t to n when the policy is strict', () => {
    const strict = policy({ strictDailyLimit: true });
    // 2 of 3: ⌊1000·2/3⌋ = 666.
    let state = fold(active(), ask(active(), 'a', 500, START, 10_000n, strict));
    expect(code(() => ask(state, 'b', 167, START, 10_000n, strict))).toBe('LimitExceeded');
    state = fold(state, ask(state, 'b', 166, START, 10_000n, strict));
    expect(countedToday(state, 'native', iso(START))).toBe(666n);
  });

  it.each([
    ['above the transfer limit', 501, {}, 'LimitExceeded', 'amount'],
    ['not on the allow-list', 1, { allowList: [] }, 'PolicyViolation', 'destination'],
    ['without a limit for the asset', 1, { limits: [] }, 'PolicyViolation', 'asset'],
    [
      'without the anchor it needs',
      5,
      {
        limits: [
          { network: NETWORK, asset: 'native', perTransfer: '9', perDay: '9', anchorFrom: '5' },
        ],
      },
      'PolicyViolation',
      'anchor',
    ],
  ])('refuses what is %s, naming the field', (_name, amount, change, wanted, field) => {
    expect(() => ask(active(), 'a', amount, START, 10_000n, policy(change as never))).toThrow(
      expect.objectContaining({ code: wanted, details: expect.objectContaining({ field }) }),
    );
  });

  it('is not reserved from before it is active, nor for another network', () => {
    expect(code(() => ask(walletFold.initial, 'a', 1, START))).toBe('WalletNotActive');
    expect(() =>
      reserve(active(), {
        intent: intent('a', { chain: 'solana:other' }),
        policy: policy(),
        now: iso(START),
        balance: { asset: 1n, native: 1n },
      }),
    ).toThrow(expect.objectContaining({ code: 'ChainMismatch' }));
    expect(() => activate(active(), { ...key, address: 'x' })).toThrow(
      expect.objectContaining({ code: 'StateConflict' }),
    );
    expect(activate(active(), key)).toEqual([]);
  });
});
