/** Sizes, fees, selection and voids by calculation: what the node tests cannot reach one by one. */
import { RawTx } from '@scure/btc-signer/script.js';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createBitcoinCodec } from '../../../chains/bitcoin/codec.ts';
import { feeFor, paymentFee, voidFee } from '../../../chains/bitcoin/fees.ts';
import { decodePsbt, encodePsbt } from '../../../chains/bitcoin/psbt.ts';
import { dustLimit, virtualSize } from '../../../chains/bitcoin/script.ts';
import { MAX_INPUTS, planPayment, selectCoins } from '../../../chains/bitcoin/selection.ts';
import { planVoid, type Released, threatening } from '../../../chains/bitcoin/void.ts';
import type { WatchedOutput } from '../../../core/ports/bitcoin-outputs.ts';
import { isKeysagaError } from '../../../schema/contracts/errors.ts';
import { hex, REGTEST, randomTxid, testKey, unhex, unsignedOf } from './support.ts';

const codec = createBitcoinCodec(REGTEST);
const key = testKey();
const payee = testKey();
const rates = { wanted: 5_000n, floor: 1_000n, increment: 1_000n };
const coin = (amount: bigint, more: Partial<WatchedOutput> = {}): WatchedOutput => ({
  txid: randomTxid(),
  vout: 0,
  script: hex(key.script),
  amount,
  coinbase: false,
  blockHeight: 1,
  blockHash: '00'.repeat(32),
  spentBy: null,
  spentHeight: null,
  ...more,
});
const descending = (a: WatchedOutput, b: WatchedOutput) => (a.amount < b.amount ? 1 : -1);
const codeOf = async (work: () => unknown) => {
  try {
    await work();
  } catch (error) {
    if (isKeysagaError(error)) return error.code;
    throw error;
  }
  return undefined;
};

describe('virtual size', () => {
  it.each([
    [1, 1],
    [1, 2],
    [2, 2],
    [3, 1],
    [100, 2],
    [253, 2],
    [1, 253],
  ])('of %i inputs and %i outputs is that of the signed bytes', (ins, outs) => {
    const inputs = Array.from({ length: ins }, () => ({
      txid: randomTxid(),
      vout: 1,
      amount: 10_000_000n,
      script: key.script,
    }));
    const scripts = Array.from({ length: outs }, (_, i) =>
      i === 0 ? payee.script : Uint8Array.from([0, 20, ...new Uint8Array(20)]),
    );
    const unsigned = unsignedOf(
      encodePsbt(
        inputs,
        scripts.map((script) => ({ script, amount: 1_000n })),
      ),
    );
    const signed = codec.attach(
      unsigned,
      key.publicKey,
      codec.messages(unsigned, key.publicKey).map(key.sign),
    );
    const bytes = unhex(signed.bytes);
    const tx = RawTx.decode(bytes);
    const stripped = RawTx.encode({ ...tx, segwitFlag: false, witnesses: undefined }).length;
    expect(virtualSize(ins, scripts)).toBe(BigInt(Math.ceil((stripped * 3 + bytes.length) / 4)));
  });
});

describe('fees', () => {
  it('round up', () => {
    expect(feeFor(1_001n, 100n)).toBe(101n);
    expect(feeFor(1_000n, 154n)).toBe(154n);
  });
  it('of a payment leave room for one replacement under the cap', () => {
    expect(paymentFee(rates, 100n, 1_000n)).toBe(500n);
    expect(paymentFee(rates, 100n, 500n)).toBe(400n);
    expect(() => paymentFee(rates, 100n, 499n)).toThrowError(
      expect.objectContaining({ code: 'FeeAboveCap' }),
    );
    const flat = { ...rates, wanted: 1_000n };
    expect(paymentFee(flat, 100n, 200n)).toBe(100n);
    expect(() => paymentFee(flat, 100n, 199n)).toThrowError(
      expect.objectContaining({ code: 'FeeAboveCap' }),
    );
  });
  it('of a void satisfy BIP-125 rules 3 and 4 and a higher rate', () => {
    const replaced = [
      { fee: 900n, virtualSize: 150n },
      { fee: 1_000n, virtualSize: 400n },
    ];
    expect(voidFee({ ...rates, wanted: 1_000n }, 111n, replaced, 10_000n)).toBe(1_111n);
    expect(voidFee({ ...rates, wanted: 20_000n }, 111n, replaced, 10_000n)).toBe(2_220n);
    expect(voidFee({ ...rates, wanted: 20_000n }, 111n, replaced, 1_500n)).toBe(1_500n);
    expect(() => voidFee(rates, 111n, replaced, 1_110n)).toThrowError(
      expect.objectContaining({ code: 'FeeAboveCap' }),
    );
    // A bigger void must also beat the rate, not only the fee.
    expect(
      voidFee({ ...rates, wanted: 1_000n }, 300n, [{ fee: 1_500n, virtualSize: 100n }], 10_000n),
    ).toBe(4_501n);
  });
});

describe('coin selection', () => {
  const amounts = fc.array(fc.bigInt(400n, 60_000n), { minLength: 1, maxLength: 12 });
  it('balances, keeps to cap and floor, makes no dust, and holds what it spends', async () => {
    await fc.assert(
      fc.asyncProperty(
        amounts,
        fc.bigInt(330n, 150_000n),
        fc.bigInt(100n, 5_000n),
        fc.func(fc.boolean()),
        async (list, amount, feeCap, free) => {
          const candidates = list.map((one) => coin(one)).sort(descending);
          const held = new Set<string>();
          const to = [{ script: payee.script, amount }];
          const payment = { to, own: key.script, feeCap, rates };
          let plan: Awaited<ReturnType<typeof selectCoins>>;
          try {
            plan = await selectCoins(candidates, [], payment, async (output) => {
              if (free(output.amount)) held.add(output.txid);
              return held.has(output.txid);
            });
          } catch (error) {
            expect(isKeysagaError(error) && error.code).toMatch(
              /^(InsufficientFunds|FeeAboveCap|LeaseUnavailable)$/,
            );
            return;
          }
          const paid = plan.inputs.reduce((sum, one) => sum + one.amount, 0n);
          const received = plan.outputs.reduce((sum, one) => sum + one.amount, 0n);
          expect(paid - received).toBe(plan.fee);
          expect(plan.fee).toBeLessThanOrEqual(feeCap);
          const size = virtualSize(
            plan.inputs.length,
            plan.outputs.map(({ script }) => script),
          );
          expect(plan.fee).toBeGreaterThanOrEqual(feeFor(rates.floor, size));
          expect(plan.outputs.filter(({ script }) => script === payee.script)).toEqual([
            { script: payee.script, amount },
          ]);
          for (const output of plan.outputs)
            expect(output.amount).toBeGreaterThanOrEqual(dustLimit(output.script));
          for (const { txid } of plan.inputs) expect(held.has(txid)).toBe(true);
          expect(new Set(plan.inputs.map(({ txid }) => txid)).size).toBe(plan.inputs.length);
        },
      ),
      { numRuns: 300 },
    );
  });

  it('leases nothing when the money does not suffice', async () => {
    let asked = 0;
    const work = () =>
      selectCoins(
        [coin(900n), coin(800n)],
        [],
        { to: [{ script: payee.script, amount: 1_700n }], own: key.script, feeCap: 9_000n, rates },
        async () => {
          asked++;
          return true;
        },
      );
    expect(await codeOf(work)).toBe('InsufficientFunds');
    expect(asked).toBe(0);
  });

  it('stops at the largest number of inputs', async () => {
    const many = Array.from({ length: MAX_INPUTS + 1 }, () => coin(1_000n));
    const payment = (amount: bigint) => ({
      to: [{ script: payee.script, amount }],
      own: key.script,
      feeCap: 50_000n,
      rates: { wanted: 1_000n, floor: 1_000n, increment: 1_000n },
    });
    const size = virtualSize(MAX_INPUTS, [payee.script]);
    const most = BigInt(MAX_INPUTS) * 1_000n - size;
    expect((await selectCoins(many, [], payment(most), async () => true)).inputs).toHaveLength(
      MAX_INPUTS,
    );
    expect(await codeOf(() => selectCoins(many, [], payment(most + 1n), async () => true))).toBe(
      'InsufficientFunds',
    );
  });

  it('orders inputs and outputs as BIP-69 says', () => {
    const some = [
      coin(9_000n, { txid: 'bb'.repeat(32) }),
      coin(9_000n, { txid: 'aa'.repeat(32), vout: 10 }),
      coin(9_000n, { txid: 'aa'.repeat(32), vout: 2 }),
    ];
    const plan = planPayment(some, {
      to: [{ script: payee.script, amount: 20_000n }],
      own: key.script,
      feeCap: 9_000n,
      rates,
    });
    expect(plan?.inputs.map(({ txid, vout }) => `${txid.slice(0, 2)}:${vout}`)).toEqual([
      'aa:2',
      'aa:10',
      'bb:0',
    ]);
    expect(plan?.outputs.map(({ amount }) => amount)).toEqual(
      [...(plan?.outputs ?? [])].map(({ amount }) => amount).sort((a, b) => (a < b ? -1 : 1)),
    );
  });
});

describe('the inputs of a void', () => {
  const released = (spent: readonly (WatchedOutput | undefined)[], inputs = spent): Released => {
    const list = inputs.map((output) => ({
      txid: output?.txid ?? randomTxid(),
      vout: 0,
      amount: output?.amount ?? 50_000n,
      script: key.script,
    }));
    const paid = list.reduce((sum, { amount }) => sum + amount, 0n);
    return {
      psbt: decodePsbt(
        encodePsbt(list, [{ script: payee.script, amount: paid - 800n }]),
        key.script,
      ),
      spent,
    };
  };
  const cap = 100_000n;

  it('are one when all share it', () => {
    const [a, b, c] = [coin(10_000n), coin(50_000n), coin(60_000n)];
    const plan = planVoid([released([a, b]), released([a, c])], key.script, rates, cap);
    expect(plan.inputs.map(({ txid }) => txid)).toEqual([a.txid]);
  });

  it('grow when one does not carry the fee', () => {
    const [a, b] = [coin(700n), coin(50_000n)];
    const plan = planVoid([released([a, b])], key.script, rates, cap);
    expect(plan.inputs.map(({ txid }) => txid)).toEqual([b.txid]);
    const tiny = [coin(1_000n), coin(1_000n), coin(900n)];
    const fee = planVoid([released(tiny)], key.script, { ...rates, wanted: 1_000n }, cap);
    expect(fee.inputs.length).toBeGreaterThan(1);
    expect(() => planVoid([released([coin(1_000n)])], key.script, rates, cap)).toThrowError(
      expect.objectContaining({ code: 'InsufficientFunds' }),
    );
  });

  it('are never outputs that a block has spent or a reorganisation removed', () => {
    const gone = coin(90_000n, { spentBy: randomTxid(), spentHeight: 5 });
    const left = coin(50_000n);
    expect(
      planVoid([released([gone, left])], key.script, rates, cap).inputs.map(({ txid }) => txid),
    ).toEqual([left.txid]);
    expect(() => planVoid([released([undefined])], key.script, rates, cap)).toThrowError(
      expect.objectContaining({ code: 'LeaseUnavailable' }),
    );
  });

  it('leave out a released transaction that is excluded for good, and none that may come back', () => {
    const rival = coin(90_000n, { spentBy: randomTxid(), spentHeight: 5 });
    const dead = released([rival]);
    const alive = released([coin(50_000n)]);
    expect(threatening([dead, alive], () => true)).toEqual([alive]);
    expect(threatening([dead, alive], () => false)).toEqual([dead, alive]);
    expect(() => threatening([dead], () => true)).toThrowError(
      expect.objectContaining({ code: 'StateConflict' }),
    );
  });

  it('are those that a released transaction took in a block, which the void is about', () => {
    const own = released([coin(50_000n)]);
    const mined: Released = {
      ...own,
      spent: own.spent.map((one) => one && { ...one, spentBy: own.psbt.txid, spentHeight: 9 }),
    };
    for (const final of [true, false]) expect(threatening([mined], () => final)).toEqual([mined]);
    expect(planVoid([mined], key.script, rates, cap).inputs.map(({ txid }) => txid)).toEqual([
      own.spent[0]?.txid,
    ]);
  });
});
