/** Void, conflict, once per line, limits, time. */
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { TransactionEffect } from '../../core/ports/blockchain.ts';
import type { LineTransaction } from '../../core/ports/party-store.ts';
import { requireConflict } from '../../core/rules/conflict.ts';
import { dailySpent, requireWithinLimit, type SpendEntry } from '../../core/rules/limits.ts';
import { checkLine, requireOnlyLine } from '../../core/rules/line.ts';
import { checkIntentTime } from '../../core/rules/time.ts';
import { checkVoid, type VoidCheck } from '../../core/rules/void.ts';
import { isKeysagaError } from '../../schema/contracts/errors.ts';
import {
  ADVANCE,
  at,
  BITCOIN,
  bitcoinPayment,
  DAY,
  forAll,
  HOUR,
  hex32,
  INPUT,
  intent,
  MINUTE,
  NONCE_KEY,
  NOW,
  OWN,
  PAYEE,
  policy,
  refusal,
  SOLANA,
  SOLANA_OWN,
  solanaIntent,
  solanaPayment,
} from './rules-fixtures.ts';

const HOME: TransactionEffect = { kind: 'change', address: OWN, amount: 100n };
const bitcoin = (patch: Partial<VoidCheck> = {}): VoidCheck => ({
  intent: intent(),
  decoded: bitcoinPayment({ effects: [HOME], fee: 10_000n }),
  address: OWN,
  policy: policy(),
  network: BITCOIN,
  walletId: 'wallet-1',
  released: [[INPUT, 'bitcoin:other:0']],
  ...patch,
});
const solana = (patch: Partial<VoidCheck> = {}): VoidCheck => ({
  ...bitcoin(),
  intent: solanaIntent(),
  decoded: solanaPayment({ effects: [ADVANCE] }),
  address: SOLANA_OWN,
  network: SOLANA,
  released: [[NONCE_KEY]],
  ...patch,
});

describe('void', () => {
  it('is signed for Bitcoin and Solana, whatever the intent’s age, up to its own cap', () => {
    checkVoid(bitcoin());
    checkVoid(bitcoin({ intent: intent({ issuedAt: at(-3 * DAY), expiresAt: at(-2 * DAY) }) }));
    checkVoid(solana());
    checkVoid(bitcoin({ released: [] }));
  });
  it.each([
    ['paying someone', bitcoin({ decoded: bitcoinPayment() }), 'TransactionMismatch', 'effects'],
    [
      'change to a stranger',
      bitcoin({ decoded: bitcoinPayment({ effects: [{ ...HOME, address: PAYEE }] }) }),
      'TransactionMismatch',
      'change',
    ],
    [
      'everything to the miners',
      bitcoin({ decoded: bitcoinPayment({ effects: [] }) }),
      'TransactionMismatch',
      'change',
    ],
    [
      'an unnamed effect',
      bitcoin({
        decoded: bitcoinPayment({ effects: [HOME, { kind: 'other', description: 'x' }] }),
      }),
      'TransactionMismatch',
      'effects',
    ],
    [
      'a fee above the cap',
      bitcoin({ decoded: bitcoinPayment({ effects: [HOME], fee: 10_001n }) }),
      'FeeAboveCap',
      'fee',
    ],
    [
      'one released payment not taken',
      bitcoin({ released: [[INPUT], ['bitcoin:other:0']] }),
      'ConflictRule',
      'conflictKeys',
    ],
    [
      'the anchor not consumed',
      bitcoin({
        intent: intent({ anchor: { kind: 'bitcoin-outpoint', txid: hex32(8), vout: '0' } }),
      }),
      'TransactionMismatch',
      'anchor',
    ],
    ['another wallet', bitcoin({ walletId: 'wallet-2' }), 'TransactionMismatch', 'walletId'],
    [
      'another payer',
      bitcoin({ decoded: bitcoinPayment({ effects: [HOME], from: PAYEE }) }),
      'TransactionMismatch',
      'from',
    ],
    [
      'another network',
      bitcoin({ decoded: bitcoinPayment({ effects: [HOME], network: SOLANA }) }),
      'TransactionMismatch',
      'network',
    ],
    [
      'Solana: more than the advance',
      solana({
        decoded: solanaPayment({
          effects: [ADVANCE, { kind: 'change', address: SOLANA_OWN, amount: 1n }],
        }),
      }),
      'TransactionMismatch',
      'effects',
    ],
    [
      'Solana: no advance',
      solana({ decoded: solanaPayment({ effects: [] }) }),
      'TransactionMismatch',
      'nonce',
    ],
    [
      'Solana: another nonce',
      solana({ released: [[`${NONCE_KEY}0`]] }),
      'ConflictRule',
      'conflictKeys',
    ],
  ] as const)('is refused: %s', (_, check, code, field) => {
    refusal(() => checkVoid(check), code, field);
  });
});

describe('conflict rule', () => {
  it('is pairwise: a key in common with one of them is not enough', () => {
    requireConflict(['a', 'b'], [['b', 'c'], ['a'], ['a', 'x']]);
    expect(
      refusal(() => requireConflict(['a', 'b'], [['b'], ['c']]), 'ConflictRule').details.other,
    ).toBe(1);
    refusal(() => requireConflict(['a'], [[]]), 'ConflictRule');
    refusal(() => requireConflict([], []), 'ConflictRule');
  });
  const keys = fc.uniqueArray(fc.constantFrom('a', 'b', 'c', 'd', 'e'), {
    minLength: 1,
    maxLength: 3,
  });
  it('passes exactly when every pair shares a key', () => {
    forAll(
      fc.property(keys, fc.array(keys, { maxLength: 4 }), (candidate, others) => {
        const all = others.every((o) => o.some((k) => candidate.includes(k)));
        let passed = true;
        try {
          requireConflict(candidate, others);
        } catch {
          passed = false;
        }
        expect(passed).toBe(all);
      }),
    );
  });
});

describe('once per line', () => {
  const entry = (attempt: string, patch: Partial<LineTransaction> = {}): LineTransaction => ({
    attempt,
    purpose: 'payment',
    state: 'released',
    unsignedHash: hex32(1),
    conflictKeys: ['a'],
    ...patch,
  });
  const pay = { attempt: 'new', purpose: 'payment', conflictKeys: ['a'] } as const;
  it('takes a replacement that conflicts, and names the open sessions to close first', () => {
    expect(checkLine(pay, [entry('1'), entry('2', { state: 'open' })])).toEqual({ close: ['2'] });
    expect(checkLine(pay, [entry('new', { state: 'open' })])).toEqual({ close: [] });
    expect(checkLine(pay, [entry('1', { state: 'closed', conflictKeys: ['z'] })])).toEqual({
      close: [],
    });
  });
  it('refuses a second transaction that could be on chain as well, released or open', () => {
    for (const state of ['released', 'open'] as const)
      refusal(() => checkLine(pay, [entry('1', { state, conflictKeys: ['z'] })]), 'ConflictRule');
  });
  it('has one line in a transfer', () => {
    requireOnlyLine(0);
    for (const line of [1, 499, -1, Number.NaN])
      refusal(() => requireOnlyLine(line), 'InvalidInput', 'line');
  });
  it('never pays after a void', () => {
    for (const state of ['released', 'open'] as const)
      refusal(
        () => checkLine(pay, [entry('1', { purpose: 'void', state })]),
        'LineClosed',
        'purpose',
      );
    expect(checkLine({ ...pay, purpose: 'void' }, [entry('1', { purpose: 'void' })])).toEqual({
      close: [],
    });
  });
  it('whatever is asked in whatever order, all released transactions conflict pairwise and none pays after a void', () => {
    const step = fc.record({
      purpose: fc.constantFrom('payment' as const, 'payment' as const, 'void' as const),
      conflictKeys: fc.uniqueArray(fc.constantFrom('a', 'b', 'c'), { minLength: 1 }),
      release: fc.boolean(),
      drop: fc.boolean(),
    });
    forAll(
      fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
        let line: LineTransaction[] = [];
        const close = (attempts: readonly string[]): void => {
          line = line.map((t) => (attempts.includes(t.attempt) ? { ...t, state: 'closed' } : t));
        };
        steps.forEach((s, i) => {
          const attempt = `${i}`;
          try {
            close(checkLine({ ...s, attempt }, line).close);
            line.push(
              entry(attempt, { purpose: s.purpose, conflictKeys: s.conflictKeys, state: 'open' }),
            );
            if (s.drop) close([attempt]);
            else if (s.release) {
              checkLine({ ...s, attempt }, line);
              line = line.map((t) => (t.attempt === attempt ? { ...t, state: 'released' } : t));
            }
          } catch (error) {
            if (!isKeysagaError(error)) throw error;
          }
        });
        const out = line.filter((t) => t.state === 'released');
        for (const a of out)
          for (const b of out)
            expect(a.conflictKeys.some((k) => b.conflictKeys.includes(k))).toBe(true);
        const firstVoid = out.findIndex((t) => t.purpose === 'void');
        if (firstVoid >= 0)
          expect(out.slice(firstVoid).every((t) => t.purpose === 'void')).toBe(true);
        expect(line.filter((t) => t.state === 'open').length).toBeLessThanOrEqual(1);
      }),
    );
  });
});

describe('limits', () => {
  const entry = (amount: string, ago: number, state: SpendEntry['state']): SpendEntry => ({
    amount,
    at: NOW - ago,
    state,
  });
  it('counts a rolling day of spending, every reservation, and what a set-back clock put into the future', () => {
    const entries = [
      entry('1', 0, 'spent'),
      entry('10', DAY - 1, 'spent'),
      entry('100', DAY, 'spent'),
      entry('1000', 3 * DAY, 'reserved'),
      entry('10000', -HOUR, 'spent'),
    ];
    expect(dailySpent(entries, NOW)).toBe(11_011n);
    expect(dailySpent([], NOW)).toBe(0n);
  });
  it('lets exactly the limit through', () => {
    requireWithinLimit({ limit: 10n, used: 4n, asked: 6n });
    const { details } = refusal(
      () => requireWithinLimit({ limit: 10n, used: 4n, asked: 7n }),
      'LimitExceeded',
      'amount',
    );
    expect(details).toMatchObject({ limit: '10', used: '4', asked: '7' });
    refusal(() => requireWithinLimit({ limit: 10n, used: 4n, asked: -1n }), 'LimitExceeded');
  });
  it('never lets more than the limit through in any 24 hours', () => {
    const ask = fc.record({
      amount: fc.bigInt(1n, 60n),
      wait: fc.integer({ min: 0, max: 12 * HOUR }),
    });
    forAll(
      fc.property(fc.array(ask, { maxLength: 40 }), (asks) => {
        const entries: SpendEntry[] = [];
        let now = NOW;
        for (const { amount, wait } of asks) {
          now += wait;
          try {
            requireWithinLimit({ limit: 100n, used: dailySpent(entries, now), asked: amount });
            entries.push({ amount: `${amount}`, at: now, state: 'spent' });
          } catch (error) {
            if (!isKeysagaError(error, 'LimitExceeded')) throw error;
          }
        }
        for (const start of entries) {
          const day = entries.filter((e) => e.at >= start.at && e.at < start.at + DAY);
          expect(day.reduce((sum, e) => sum + BigInt(e.amount), 0n)).toBeLessThanOrEqual(100n);
        }
      }),
    );
  });
});

describe('time', () => {
  const life = MINUTE;
  const check = (patch: Record<string, unknown>, fencedBefore?: number) =>
    checkIntentTime({ intent: intent(patch), now: NOW, sessionLifeMs: life, fencedBefore });
  it('takes an intent that outlives the session', () => {
    check({ expiresAt: at(life + 1) });
    check({ issuedAt: at(5 * MINUTE) });
    check({ issuedAt: at(-HOUR) }, NOW - HOUR - 1);
  });
  it('refuses what is expired or expires within the session, is dated ahead, or is older than the fence', () => {
    refusal(() => check({ expiresAt: at(life) }), 'IntentExpired', 'expiresAt');
    refusal(() => check({ expiresAt: at(-1) }), 'IntentExpired', 'expiresAt');
    refusal(() => check({ issuedAt: at(5 * MINUTE + 1) }), 'InvalidInput', 'issuedAt');
    refusal(() => check({ issuedAt: at(-HOUR) }, NOW), 'PartyFenced', 'issuedAt');
    refusal(() => check({ issuedAt: at(-HOUR) }, NOW - HOUR), 'PartyFenced', 'issuedAt');
  });
});
