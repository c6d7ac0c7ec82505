/** Payouts: what is read, what approvals name, and which transactions pay a list. */
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { intentDigest } from '../../core/intent.ts';
import {
  describePayout,
  eachLine,
  lineGroups,
  parsePayment,
  parsePayout,
  payoutDigest,
  sumOf,
} from '../../core/payout.ts';
import type { TransactionEffect } from '../../core/ports/blockchain.ts';
import { checkPayment } from '../../core/rules/payment.ts';
import { digestHex } from '../../core/signed.ts';
import { canonicalJson } from '../../schema/contracts/canonical.ts';
import { MAX_PAYOUT_LINES, type PayoutIntent } from '../../schema/contracts/payout.ts';
import {
  at,
  BITCOIN,
  bitcoinPayment,
  changedLeaves,
  DAY,
  flipBit,
  forAll,
  HOUR,
  hex32,
  intent,
  OWN,
  policy,
  refusal,
  SOLANA,
} from './rules-fixtures.ts';

const payee = (i: number): string => `bcrt1ppayeenumber${i}ofthelist`;
const line = (i: number, amount = 1_000 + i) => ({ destination: payee(i), amount: `${amount}` });
const list = (count: number) => Array.from({ length: count }, (_, i) => line(i));
const payout = (patch: Record<string, unknown> = {}): PayoutIntent => {
  const lines = (patch.lines as PayoutIntent['lines'] | undefined) ?? list(20);
  return {
    requestId: 'run-1',
    walletId: 'wallet-1',
    chain: BITCOIN,
    asset: 'native',
    lines,
    total: sumOf(lines),
    feeCap: '5000',
    issuedAt: at(-HOUR),
    expiresAt: at(DAY),
    ...patch,
  } as PayoutIntent;
};

describe('a payout that is read', () => {
  it('comes back as it was, up to the longest list, which fits a payload', () => {
    const longest = Array.from({ length: MAX_PAYOUT_LINES }, (_, i) => ({
      destination: `${i}`.padStart(128, 'x'),
      amount: `${10n ** 30n + BigInt(i)}`,
      reference: 'r'.repeat(140),
    }));
    const full = payout({ lines: longest });
    expect(parsePayout(full)).toEqual(full);
    expect(parsePayment(full)).toEqual(full);
    expect(parsePayment(intent())).toEqual(intent());
    // Temporal refuses a payload above 2 MB.
    expect(canonicalJson(full).length).toBeLessThan(400_000);
  });

  it.each<[string, Record<string, unknown>, string]>([
    ['no line', { lines: [], total: '1' }, 'lines'],
    ['a line too many', { lines: list(MAX_PAYOUT_LINES + 1) }, 'lines'],
    [
      'a short destination',
      { lines: list(20).with(17, { destination: 'x', amount: '1' }) },
      'lines[17].destination',
    ],
    [
      'a destination with a space',
      { lines: list(20).with(17, { destination: 'bcrt1p withaspace', amount: '1' }) },
      'lines[17].destination',
    ],
    ['a line that stands twice', { lines: list(20).with(17, line(3)) }, 'lines[17]'],
    ['an amount of nothing', { lines: list(3).with(2, line(2, 0)), total: '9' }, 'lines[2].amount'],
    [
      'an unknown field',
      { lines: list(3).with(1, { ...line(1), memo: 'x' } as never) },
      'lines[1].memo',
    ],
    [
      'a reference that hides',
      { lines: list(3).with(1, { ...line(1), reference: 'a\u202eb' } as never) },
      'lines[1].reference',
    ],
    ['a total that is not the sum', { total: '20191' }, 'total'],
    ['an end before its beginning', { expiresAt: at(-DAY) }, 'expiresAt'],
    [
      'an anchor of another chain',
      { anchor: { kind: 'ethereum-nonce', nonce: '1' } },
      'anchor.kind',
    ],
  ])('is refused with %s', (_name, patch, field) => {
    refusal(() => parsePayout(payout(patch)), 'InvalidInput', field);
  });

  it.each([SOLANA, 'eip155:1'])('is refused on %s, where payouts are not made', (chain) => {
    refusal(() => parsePayout(payout({ chain })), 'ChainUnsupported', 'chain');
  });

  it('is told in words: count and sum, then every line', () => {
    const words = describePayout(
      payout({ lines: [{ ...line(0), reference: 'invoice 7' }, line(1)] }),
    );
    expect(words.filter(({ label }) => /^(Payments|Together|Line)/.test(label))).toEqual([
      { label: 'Payments', value: '2' },
      { label: 'Together', value: '0.00002001 BTC (2001 sats)' },
      { label: 'Line 0', value: `0.00001 BTC (1000 sats) to ${payee(0)} (invoice 7)` },
      { label: 'Line 1', value: `0.00001001 BTC (1001 sats) to ${payee(1)}` },
    ]);
  });
});

describe('what approvals name', () => {
  const signed = payout({
    lines: list(4).with(2, { ...line(2), reference: 'x1' } as never),
    memo: 'may',
  });

  it('changes with every leaf of the list, and with its order', () => {
    const digests = [...changedLeaves(signed)].map(({ value }) => payoutDigest(value));
    const swapped = { ...signed, lines: signed.lines.toReversed() };
    const all = [payoutDigest(signed), payoutDigest(swapped), ...digests];
    expect(new Set(all).size).toBe(all.length);
  });

  it('is no digest of a transfer or a message, whatever they say', () => {
    const digest = payoutDigest(signed);
    expect(digest).not.toBe(intentDigest(signed as never));
    expect(digest).not.toBe(digestHex('message-intent', signed));
  });
});

describe('a transaction for a payout', () => {
  const pay = ({
    destination,
    amount,
  }: {
    destination: string;
    amount: string;
  }): TransactionEffect => ({
    kind: 'pay',
    destination,
    asset: 'native',
    amount: BigInt(amount),
  });
  const change: TransactionEffect = { kind: 'change', address: OWN, amount: 900n };
  const check = (effects: readonly TransactionEffect[], asked = payout(), patch = {}) =>
    checkPayment({
      intent: asked,
      decoded: bitcoinPayment({ effects }),
      address: OWN,
      policy: policy(),
      network: BITCOIN,
      walletId: 'wallet-1',
      ...patch,
    });
  const sound = payout().lines.map(pay);

  it('pays the lines in order, with change anywhere or nowhere', () => {
    check(sound);
    for (const place of [0, 7, 20]) check(sound.toSpliced(place, 0, change));
    const lines = [line(3), { ...line(3), reference: 'and again' }];
    const twice = parsePayout(payout({ lines }));
    check(twice.lines.map(pay), twice);
  });

  it.each<[string, readonly TransactionEffect[], string]>([
    [
      'two lines swapped',
      sound.with(3, sound[4] as never).with(4, sound[3] as never),
      'lines[3].destination',
    ],
    [
      'a line that goes elsewhere',
      sound.with(17, pay({ destination: payee(99), amount: '1017' })),
      'lines[17].destination',
    ],
    ['another amount in one line', sound.with(17, pay(line(17, 1_018))), 'lines[17].amount'],
    ['a line that is missing', sound.slice(0, -1), 'effects'],
    ['a line paid twice', [...sound, sound[0] as TransactionEffect], 'effects'],
    [
      'one line in the place of another',
      sound.with(19, sound[0] as never),
      'lines[19].destination',
    ],
    ['an output too many', [...sound, pay({ destination: payee(99), amount: '1' })], 'effects'],
    ['another asset', sound.with(5, { ...sound[5], asset: 'other' } as never), 'asset'],
    ['change to somebody else', [...sound, { ...change, address: payee(1) }], 'change'],
    [
      'an output without a name',
      [...sound, { kind: 'other', description: 'OP_RETURN' }],
      'effects',
    ],
  ])('is refused with %s', (_name, effects, field) => {
    refusal(() => check(effects), 'TransactionMismatch', field);
  });

  it('is refused when amounts move between lines, the sum unchanged', () => {
    forAll(
      fc.property(fc.nat(19), fc.nat(19), fc.bigInt(1n, 900n), (from, to, moved) => {
        fc.pre(from !== to);
        const amounts = payout().lines.map(({ amount }) => BigInt(amount));
        const shifted = sound.map((effect, i) => ({
          ...effect,
          amount: (amounts[i] ?? 0n) + (i === from ? -moved : i === to ? moved : 0n),
        })) as TransactionEffect[];
        refusal(() => check(shifted), 'TransactionMismatch', `lines[${Math.min(from, to)}].amount`);
      }),
    );
  });

  it('counts against the limits as one transfer of the total', () => {
    const outpoint = { kind: 'bitcoin-outpoint', txid: hex32(7), vout: '1' };
    const lines = [line(0, 25_000), line(1, 25_001)];
    const over = payout({ lines, anchor: outpoint });
    refusal(() => check(lines.map(pay), over), 'LimitExceeded', 'amount');
    const demanded = payout({ lines: [line(0, 20_000), line(1, 20_000)] });
    refusal(() => check(demanded.lines.map(pay), demanded), 'PolicyViolation', 'anchor');
    check(demanded.lines.map(pay), { ...demanded, anchor: outpoint } as PayoutIntent);
  });

  it('names the line that the allow-list lacks, or that pays the wallet itself', () => {
    const allowList = list(19).map(({ destination }) => ({ network: BITCOIN, destination }));
    const strict = { policy: policy({ allowList }) };
    refusal(() => check(sound, payout(), strict), 'PolicyViolation', 'lines[19].destination');
    const own = payout({ lines: list(20).with(8, { destination: OWN, amount: '1008' }) });
    refusal(() => check(own.lines.map(pay), own), 'TransactionMismatch', 'lines[8].destination');
  });

  it('is refused when the total is not the lines’, should nobody have read the list before', () => {
    refusal(() => check(sound, payout({ total: '1' })), 'TransactionMismatch', 'total');
  });
});

describe('the fate of the lines', () => {
  const course = {
    ended: undefined,
    pivotPassed: false,
    sent: false,
    transactionId: undefined,
    voidTransactionId: undefined,
  };
  const [tx, voided] = [hex32(1), flipBit(hex32(1), 3)];
  it.each([
    [{}, 'open', undefined],
    [{ pivotPassed: true }, 'signing', undefined],
    [{ pivotPassed: true, sent: true, transactionId: tx }, 'sent', tx],
    [{ ended: 'paid', pivotPassed: true, sent: true, transactionId: tx }, 'paid', tx],
    [{ ended: 'not-paid' }, 'not-paid', undefined],
    [{ ended: 'not-paid', transactionId: tx, voidTransactionId: voided }, 'voided', voided],
  ] as const)('%#', (patch, fate, transactionId) => {
    const groups = lineGroups(payout(), { ...course, ...patch });
    const lines = eachLine(payout(), groups);
    expect(lines.map((one) => one.line)).toEqual(payout().lines.map((_, i) => i));
    for (const one of lines) expect(one).toMatchObject({ ...line(one.line), fate });
    for (const one of lines) expect(one.transactionId).toBe(transactionId);
  });
});
