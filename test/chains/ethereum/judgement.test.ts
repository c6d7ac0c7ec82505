/** What is decided without a node: fees, what a node's refusal means, and the party's rules over decoded bytes. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { outcomeOf } from '../../../chains/ethereum/broadcast.ts';
import { createEthereumCodec } from '../../../chains/ethereum/codec.ts';
import { encodeTransfer } from '../../../chains/ethereum/erc20.ts';
import {
  bumped,
  type Market,
  paymentFees,
  replacementFees,
} from '../../../chains/ethereum/fees.ts';
import { pricePerGas, serialize, type Transaction } from '../../../chains/ethereum/transaction.ts';
import { assetName, formatAmount } from '../../../core/assets.ts';
import { describeIntent } from '../../../core/intent.ts';
import { checkPayment } from '../../../core/rules/payment.ts';
import { checkVoid } from '../../../core/rules/void.ts';
import { TransferIntent } from '../../../schema/contracts/intent.ts';
import { Policy } from '../../../schema/contracts/policy.ts';
import { bytes, failure, hex, LOCAL, testKey, unhex, unsignedOf } from './support.ts';

const GWEI = 10n ** 9n;
const market: Market = { baseFee: 10n * GWEI, tip: GWEI };

describe('fees', () => {
  it('are the market with room for six full blocks, when the cap allows', () => {
    expect(paymentFees(market, 21_000n, 10n ** 18n)).toEqual({
      type: 'eip1559',
      maxFeePerGas: 21n * GWEI,
      maxPriorityFeePerGas: GWEI,
    });
    expect(paymentFees({ baseFee: undefined, tip: 7n }, 21_000n, 10n ** 18n)).toEqual({
      type: 'legacy',
      gasPrice: 7n,
    });
  });

  const wei = fc.bigInt({ min: 0n, max: 10n ** 12n });
  it('stay within the cap, replacements included, or are refused', () => {
    fc.assert(
      fc.property(
        fc.option(wei, { nil: undefined }),
        wei,
        fc.bigInt({ min: 21_000n, max: 200_000n }),
        fc.bigInt({ min: 1n, max: 10n ** 17n }),
        (baseFee, tip, gasLimit, cap) => {
          const now: Market = { baseFee, tip: tip + 1n };
          let fees: ReturnType<typeof paymentFees> | undefined;
          const error = failure(() => {
            fees = paymentFees(now, gasLimit, cap);
          });
          if (fees === undefined) {
            expect(error?.code).toBe('FeeAboveCap');
            // It really does not fit: what the next block could ask, once more by a tenth.
            const least = baseFee === undefined ? now.tip : (baseFee * 9n) / 8n + now.tip;
            expect(bumped(least) * gasLimit).toBeGreaterThan(cap);
            return;
          }
          expect(pricePerGas(fees)).toBeGreaterThan(0n);
          const again = replacementFees(now, [fees], gasLimit, cap);
          expect(pricePerGas(again) * gasLimit).toBeLessThanOrEqual(cap);
          expect(pricePerGas(again) * 10n).toBeGreaterThanOrEqual(pricePerGas(fees) * 11n);
          if (fees.type === 'eip1559' && again.type === 'eip1559') {
            expect(again.maxPriorityFeePerGas).toBeGreaterThan(fees.maxPriorityFeePerGas);
            expect(again.maxPriorityFeePerGas * 10n).toBeGreaterThanOrEqual(
              fees.maxPriorityFeePerGas * 11n,
            );
            expect(again.maxPriorityFeePerGas).toBeLessThanOrEqual(again.maxFeePerGas);
          }
        },
      ),
      { numRuns: 500 },
    );
  });

  it('of a void outbid a payment at 80 % of its cap, whatever the payment was', () => {
    fc.assert(
      fc.property(wei, fc.bigInt({ min: 21_000n, max: 200_000n }), (price, gasLimit) => {
        const fees = {
          type: 'eip1559',
          maxFeePerGas: price + 1n,
          maxPriorityFeePerGas: 0n,
        } as const;
        const cap = (pricePerGas(fees) * gasLimit * 5n + 3n) / 4n;
        const quiet: Market = { baseFee: 0n, tip: 0n };
        // +10 % and one wei for the tip of a very cheap one.
        if (price < 10n) return;
        const voided = replacementFees(quiet, [fees], 21_000n, cap);
        expect(pricePerGas(voided) * 21_000n).toBeLessThanOrEqual(cap);
      }),
    );
  });
});

describe("a node's answer", () => {
  const id = `0x${'ab'.repeat(32)}`;
  it.each([
    ['accepted', { ok: true, result: id } as const],
    ['accepted', { ok: true, result: id.toUpperCase().replace('0X', '0x') } as const],
    ['unclear', { ok: true, result: `0x${'cd'.repeat(32)}` } as const],
    ['unclear', { ok: true, result: null } as const],
    ['already-known', { ok: false, code: -32000, reason: 'already known' } as const],
    ['already-known', { ok: false, code: -32003, reason: 'transaction already imported' } as const],
    [
      'unclear',
      { ok: false, code: -32000, reason: 'nonce too low: next nonce 7, tx nonce 5' } as const,
    ],
    ['unclear', { ok: false, code: -32003, reason: 'nonce too low' } as const],
    [
      'unclear',
      { ok: false, code: -32000, reason: 'replacement transaction underpriced' } as const,
    ],
    ['unclear', { ok: false, code: -32000, reason: 'txpool is full' } as const],
    ['unclear', { ok: false, code: -32603, reason: 'internal error' } as const],
    [
      'rejected',
      { ok: false, code: -32000, reason: 'insufficient funds for gas * price + value' } as const,
    ],
    ['rejected', { ok: false, code: -32000, reason: 'invalid sender' } as const],
    [
      'rejected',
      { ok: false, code: -32602, reason: 'rlp: value size exceeds available input' } as const,
    ],
    ['rejected', { ok: false, code: -32003, reason: 'intrinsic gas too low' } as const],
  ])('%s: %j', (status, answer) => {
    expect(outcomeOf(answer, id).status).toBe(status);
  });
});

describe("a party's rules over the bytes", () => {
  const codec = createEthereumCodec(LOCAL);
  const key = testKey();
  const destination = testKey().address;
  const asset = `${LOCAL}/erc20:0x5FbDB2315678afecb367f032d93F642f64180aa3`;
  const policy = Policy.parse({
    policyId: 'demo',
    version: 1,
    issuedAt: '2026-01-01T00:00:00.000Z',
    approvers: [{ name: 'alice', publicKey: '00'.repeat(32) }],
    quorum: 1,
    limits: ['native', asset].map((one) => ({
      network: LOCAL,
      asset: one,
      perTransfer: '1000000000000000000',
      perDay: '1000000000000000000',
    })),
    strictDailyLimit: false,
    voidFeeCaps: [{ network: LOCAL, cap: '10000000000000000' }],
    startDelaySeconds: 0,
  });
  const intentOf = (change: Partial<TransferIntent> = {}) =>
    TransferIntent.parse({
      requestId: 'one',
      walletId: 'wallet',
      chain: LOCAL,
      destination,
      asset: 'native',
      amount: '1000000',
      feeCap: '5000000000000000',
      issuedAt: '2026-01-01T00:00:00.000Z',
      expiresAt: '2026-01-02T00:00:00.000Z',
      ...change,
    });
  const native: Transaction = {
    chainId: 31337n,
    nonce: 4n,
    gasLimit: 21_000n,
    to: unhex(destination),
    value: 1_000_000n,
    data: bytes(),
    fees: { type: 'eip1559', maxFeePerGas: 20n * GWEI, maxPriorityFeePerGas: GWEI },
  };
  const token: Transaction = {
    ...native,
    gasLimit: 65_000n,
    to: unhex('5fbdb2315678afecb367f032d93f642f64180aa3'),
    value: 0n,
    data: encodeTransfer(unhex(destination), 1_000_000n),
  };
  const voided: Transaction = { ...native, to: unhex(key.address), value: 0n };
  const checkOf = (payload: Uint8Array, intent: TransferIntent) => ({
    intent,
    decoded: codec.decode(unsignedOf(payload), key.publicKey),
    address: key.address,
    policy,
    network: LOCAL,
  });
  const judged = (transaction: Transaction, change: Partial<TransferIntent> = {}) => {
    const error = failure(() => checkPayment(checkOf(serialize(transaction), intentOf(change))));
    return error === undefined ? 'signed' : `${error.code} ${error.details.field}`;
  };

  it('sign what was approved and nothing else', () => {
    expect(judged(native)).toBe('signed');
    expect(judged(token, { asset })).toBe('signed');
    expect(judged(native, { destination: testKey().address })).toBe(
      'TransactionMismatch destination',
    );
    expect(judged(native, { amount: '1000001' })).toBe('TransactionMismatch amount');
    expect(judged(native, { asset })).toBe('TransactionMismatch asset');
    expect(judged(token)).toBe('TransactionMismatch asset');
    expect(judged(voided)).toBe('TransactionMismatch effects');
    expect(judged({ ...native, gasLimit: 21_000_0n })).toBe('signed');
    expect(judged({ ...native, gasLimit: 250_001n })).toBe('FeeAboveCap fee');
    expect(judged(native, { anchor: { kind: 'ethereum-nonce', nonce: '4' } })).toBe('signed');
    expect(judged(native, { anchor: { kind: 'ethereum-nonce', nonce: '5' } })).toBe(
      'TransactionMismatch anchor',
    );
  });

  it('sign a void of the released nonce only, and nothing that does anything as one', () => {
    const key5 = [[`ethereum:${key.address}:5`]];
    const key4 = [[`ethereum:${key.address}:4`]];
    const verdict = (transaction: Transaction, released: string[][]) => {
      const check = { ...checkOf(serialize(transaction), intentOf()), released };
      const error = failure(() => checkVoid(check));
      return error === undefined ? 'signed' : `${error.code} ${error.details.field}`;
    };
    expect(verdict(voided, key4)).toBe('signed');
    expect(verdict(voided, key5)).toBe('ConflictRule conflictKeys');
    expect(verdict(native, key4)).toBe('TransactionMismatch effects');
    expect(verdict({ ...voided, gasLimit: 2_000_000n }, key4)).toBe('FeeAboveCap fee');
  });

  it('let no flipped bit pass for the same anchored intent but in the fee, within its cap', () => {
    for (const [transaction, change] of [
      [native, {}],
      [token, { asset }],
    ] as const) {
      const intent = intentOf({ ...change, anchor: { kind: 'ethereum-nonce', nonce: '4' } });
      const payload = serialize(transaction);
      for (let at = 0; at < payload.length; at++) {
        for (let bit = 0; bit < 8; bit++) {
          const mutated = Uint8Array.from(payload);
          mutated[at] = (mutated[at] ?? 0) ^ (1 << bit);
          const error = failure(() => checkPayment(checkOf(mutated, intent)));
          if (error !== undefined) continue;
          const decoded = codec.decode(unsignedOf(mutated), key.publicKey);
          const approved = codec.decode(unsignedOf(payload), key.publicKey);
          expect({ ...decoded, fee: 0n }).toEqual({ ...approved, fee: 0n });
          expect(decoded.fee).toBeLessThanOrEqual(BigInt(intent.feeCap));
          expect(hex(mutated)).not.toBe(hex(payload));
        }
      }
    }
  });

  it('show tokens by their contract, and well-known ones by their name', () => {
    expect(assetName(LOCAL, asset)).toBe(
      'ERC-20 token 0x5FbDB2315678afecb367f032d93F642f64180aa3 on local Ethereum node',
    );
    const usdc = 'eip155:1/erc20:0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48';
    expect(formatAmount('eip155:1', usdc, '1500000')).toBe('1.5 USDC (1500000 smallest units)');
    expect(formatAmount(LOCAL, asset, '7')).toBe(`7 smallest units of ${asset}`);
    expect(describeIntent(intentOf()).find(({ label }) => label === 'Amount')?.value).toBe(
      '0.000000000001 ETH (1000000 wei)',
    );
  });
});
