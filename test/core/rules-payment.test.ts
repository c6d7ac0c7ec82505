import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { DecodedTransaction, TransactionEffect } from '../../core/ports/blockchain.ts';
import type { TransactionCheck } from '../../core/rules/effects.ts';
import { checkPayment } from '../../core/rules/payment.ts';
import type { ErrorCode } from '../../schema/contracts/errors.ts';
import {
  ADVANCE,
  BITCOIN,
  bitcoinPayment,
  forAll,
  hex32,
  INPUT,
  intent,
  NONCE_ACCOUNT,
  NONCE_KEY,
  OWN,
  PAYEE,
  policy,
  refusal,
  SOLANA,
  SOLANA_OWN,
  solanaIntent,
  solanaPayment,
} from './rules-fixtures.ts';

const bitcoin = (patch: Partial<TransactionCheck> = {}): TransactionCheck => ({
  intent: intent(),
  decoded: bitcoinPayment(),
  address: OWN,
  policy: policy(),
  network: BITCOIN,
  walletId: 'wallet-1',
  ...patch,
});
const solana = (patch: Partial<TransactionCheck> = {}): TransactionCheck => ({
  ...bitcoin(),
  intent: solanaIntent(),
  decoded: solanaPayment(),
  address: SOLANA_OWN,
  network: SOLANA,
  ...patch,
});
const PAY: TransactionEffect = { kind: 'pay', destination: PAYEE, asset: 'native', amount: 30000n };
const CHANGE: TransactionEffect = { kind: 'change', address: OWN, amount: 900n };
const effects = (...list: TransactionEffect[]): Partial<TransactionCheck> => ({
  decoded: bitcoinPayment({ effects: list }),
});
const outpoint = { kind: 'bitcoin-outpoint', txid: hex32(7), vout: '1' };

describe('a payment that is what the intent says', () => {
  it.each([
    ['Bitcoin', bitcoin()],
    ['Bitcoin without change', bitcoin(effects(PAY))],
    ['Solana on a durable nonce', solana()],
    ['with its anchor', bitcoin({ intent: intent({ anchor: outpoint }) })],
    [
      'at the limit of one transfer',
      bitcoin({
        intent: intent({ amount: '50000', anchor: outpoint }),
        decoded: bitcoinPayment({ effects: [{ ...PAY, amount: 50000n }] }),
      }),
    ],
    ['with a fee at the approved cap', bitcoin({ decoded: bitcoinPayment({ fee: 5000n }) })],
    [
      'with a fee at 80 % of the void cap',
      bitcoin({ intent: intent({ feeCap: '9000' }), decoded: bitcoinPayment({ fee: 8000n }) }),
    ],
    [
      'to a destination on the allow-list',
      bitcoin({ policy: policy({ allowList: [{ network: BITCOIN, destination: PAYEE }] }) }),
    ],
    [
      'on a Solana anchor',
      solana({
        intent: solanaIntent({
          anchor: { kind: 'solana-nonce', account: NONCE_ACCOUNT, value: hex32(9) },
        }),
      }),
    ],
  ])('passes: %s', (_, check) => {
    expect(() => checkPayment(check)).not.toThrow();
  });
});

describe('a payment that is anything else is refused', () => {
  const cases: readonly [string, TransactionCheck, ErrorCode, string][] = [
    [
      'another destination',
      bitcoin(effects({ ...PAY, destination: 'bcrt1pthief00000' }, CHANGE)),
      'TransactionMismatch',
      'destination',
    ],
    [
      'a larger amount',
      bitcoin(effects({ ...PAY, amount: 30001n }, CHANGE)),
      'TransactionMismatch',
      'amount',
    ],
    [
      'a smaller amount',
      bitcoin(effects({ ...PAY, amount: 29999n }, CHANGE)),
      'TransactionMismatch',
      'amount',
    ],
    [
      'another asset',
      bitcoin(effects({ ...PAY, asset: 'token:abc' }, CHANGE)),
      'TransactionMismatch',
      'asset',
    ],
    [
      'an extra output',
      bitcoin(effects(PAY, CHANGE, { ...PAY, destination: 'bcrt1pthief00000', amount: 1n })),
      'TransactionMismatch',
      'effects',
    ],
    ['the payment twice', bitcoin(effects(PAY, PAY)), 'TransactionMismatch', 'effects'],
    ['no payment', bitcoin(effects(CHANGE)), 'TransactionMismatch', 'effects'],
    [
      'change to another address',
      bitcoin(effects(PAY, { ...CHANGE, address: 'bcrt1pthief00000' })),
      'TransactionMismatch',
      'change',
    ],
    [
      'negative change',
      bitcoin(effects(PAY, { ...CHANGE, amount: -1n })),
      'TransactionMismatch',
      'change',
    ],
    [
      'an unnamed effect',
      bitcoin(effects(PAY, { kind: 'other', description: 'data output' })),
      'TransactionMismatch',
      'effects',
    ],
    [
      'an effect of a newer codec',
      bitcoin(effects(PAY, { kind: 'delegate' } as unknown as TransactionEffect)),
      'TransactionMismatch',
      'effects',
    ],
    [
      'a nonce on Bitcoin',
      bitcoin({
        decoded: bitcoinPayment({
          effects: [PAY, { ...ADVANCE, authority: OWN }],
          conflictKeys: [NONCE_KEY],
        }),
      }),
      'TransactionMismatch',
      'nonce',
    ],
    [
      'a fee above the approved cap',
      bitcoin({ decoded: bitcoinPayment({ fee: 5001n }) }),
      'FeeAboveCap',
      'fee',
    ],
    [
      'a fee above 80 % of the void cap',
      bitcoin({ intent: intent({ feeCap: '9000' }), decoded: bitcoinPayment({ fee: 8001n }) }),
      'FeeAboveCap',
      'fee',
    ],
    [
      'a negative fee',
      bitcoin({ decoded: bitcoinPayment({ fee: -1n }) }),
      'TransactionMismatch',
      'fee',
    ],
    [
      'another payer',
      bitcoin({ decoded: bitcoinPayment({ from: PAYEE }) }),
      'TransactionMismatch',
      'from',
    ],
    [
      'bytes of another network',
      bitcoin({ decoded: bitcoinPayment({ network: SOLANA }) }),
      'TransactionMismatch',
      'network',
    ],
    [
      'another network’s intent',
      bitcoin({ intent: intent({ chain: 'bip122:000000000019d6689c085ae165831e93' }) }),
      'TransactionMismatch',
      'chain',
    ],
    [
      'another wallet’s intent',
      bitcoin({ intent: intent({ walletId: 'wallet-2' }) }),
      'TransactionMismatch',
      'walletId',
    ],
    [
      'nothing consumed',
      bitcoin({ decoded: bitcoinPayment({ conflictKeys: [] }) }),
      'TransactionMismatch',
      'conflictKeys',
    ],
    [
      'a payment to itself',
      bitcoin({ intent: intent({ destination: OWN }), ...effects({ ...PAY, destination: OWN }) }),
      'TransactionMismatch',
      'destination',
    ],
    [
      'the anchor not consumed',
      bitcoin({ intent: intent({ anchor: { ...outpoint, vout: '0' } }) }),
      'TransactionMismatch',
      'anchor',
    ],
    [
      'an anchor demanded and absent',
      bitcoin({ intent: intent({ amount: '40000' }), ...effects({ ...PAY, amount: 40000n }) }),
      'PolicyViolation',
      'anchor',
    ],
    [
      'a destination off the allow-list',
      bitcoin({ policy: policy({ allowList: [] }) }),
      'PolicyViolation',
      'destination',
    ],
    [
      'allowed on another network only',
      bitcoin({ policy: policy({ allowList: [{ network: SOLANA, destination: PAYEE }] }) }),
      'PolicyViolation',
      'destination',
    ],
    [
      'above the limit of one transfer',
      bitcoin({
        intent: intent({ amount: '50001', anchor: outpoint }),
        ...effects({ ...PAY, amount: 50001n }),
      }),
      'LimitExceeded',
      'amount',
    ],
    [
      'an asset without a limit',
      bitcoin({
        intent: intent({ asset: 'token:abc' }),
        ...effects({ ...PAY, asset: 'token:abc' }),
      }),
      'PolicyViolation',
      'asset',
    ],
    [
      'a network without a void cap',
      bitcoin({ policy: { ...policy(), voidFeeCaps: [] } }),
      'PolicyViolation',
      'voidFeeCaps',
    ],
    [
      'Solana: a nonce of another authority',
      solana({
        decoded: solanaPayment({
          effects: [
            { ...ADVANCE, authority: SOLANA_OWN.replace('Own', 'Foe') },
            ...solanaPayment().effects.slice(1),
          ],
        }),
      }),
      'TransactionMismatch',
      'nonce',
    ],
    [
      'Solana: no nonce, a recent blockhash',
      solana({ decoded: solanaPayment({ effects: solanaPayment().effects.slice(1) }) }),
      'TransactionMismatch',
      'nonce',
    ],
    [
      'Solana: the nonce not first',
      solana({ decoded: solanaPayment({ effects: solanaPayment().effects.toReversed() }) }),
      'TransactionMismatch',
      'nonce',
    ],
    [
      'Solana: two nonces',
      solana({ decoded: solanaPayment({ effects: [ADVANCE, ...solanaPayment().effects] }) }),
      'TransactionMismatch',
      'nonce',
    ],
    [
      'Solana: a nonce that it does not consume',
      solana({ decoded: solanaPayment({ conflictKeys: [`solana:${NONCE_ACCOUNT}:${hex32(8)}`] }) }),
      'TransactionMismatch',
      'nonce',
    ],
    [
      'Solana: change to a stranger',
      solana({ decoded: solanaPayment({ effects: [...solanaPayment().effects, CHANGE] }) }),
      'TransactionMismatch',
      'change',
    ],
  ];
  it.each(cases)('%s', (_, check, code, field) => {
    refusal(() => checkPayment(check), code, field);
  });
});

describe('no decoded transaction passes but the approved one', () => {
  const effect: fc.Arbitrary<TransactionEffect> = fc.oneof(
    fc.record({
      kind: fc.constant('pay' as const),
      destination: fc.constantFrom(PAYEE, OWN, 'bcrt1pthief00000'),
      asset: fc.constantFrom('native', 'token:abc'),
      amount: fc.constantFrom(0n, 1n, 29_999n, 30_000n, 30_001n),
    }),
    fc.record({
      kind: fc.constant('change' as const),
      address: fc.constantFrom(OWN, 'bcrt1pthief00000'),
      amount: fc.bigInt(0n, 10_000n),
    }),
    fc.record({ kind: fc.constant('other' as const), description: fc.string() }),
    fc.constant<TransactionEffect>({ ...ADVANCE, authority: OWN }),
  );
  const decoded: fc.Arbitrary<DecodedTransaction> = fc.record({
    network: fc.constantFrom(BITCOIN, BITCOIN, BITCOIN, SOLANA),
    from: fc.constantFrom(OWN, OWN, OWN, PAYEE),
    effects: fc.oneof(fc.array(effect, { maxLength: 4 }), fc.constant([PAY, CHANGE])),
    fee: fc.bigInt(-10n, 12_000n),
    conflictKeys: fc.constantFrom([INPUT], [NONCE_KEY], []),
  });
  it('by random search', () => {
    let passed = 0;
    forAll(
      fc.property(decoded, (d) => {
        let refused = false;
        try {
          checkPayment(bitcoin({ decoded: d }));
        } catch {
          refused = true;
        }
        const paid = d.effects.filter((e) => e.kind === 'pay');
        const sound =
          d.network === BITCOIN &&
          d.from === OWN &&
          d.conflictKeys.length > 0 &&
          d.fee >= 0n &&
          d.fee <= 5000n &&
          paid.length === 1 &&
          paid[0]?.destination === PAYEE &&
          paid[0].asset === 'native' &&
          paid[0].amount === 30_000n &&
          d.effects.every((e) => e.kind === 'pay' || (e.kind === 'change' && e.address === OWN));
        if (sound) passed += 1;
        expect(refused).toBe(!sound);
      }),
      { numRuns: 2000 },
    );
    // The search met both sides.
    expect(passed).toBeGreaterThan(50);
  });
});
