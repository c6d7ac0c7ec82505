/** The codec as a party uses it: what it reads, what it refuses, and that bytes cannot mean two things. */
import { RawTx } from '@scure/btc-signer/script.js';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createBitcoinCodec } from '../../../chains/bitcoin/codec.ts';
import { BITCOIN_NETWORKS } from '../../../chains/bitcoin/networks.ts';
import { decodePsbt, encodePsbt } from '../../../chains/bitcoin/psbt.ts';
import { isKeysagaError } from '../../../schema/contracts/errors.ts';
import {
  hex,
  MAINNET,
  type RawPsbt,
  REGTEST,
  randomTxid,
  rawPsbt,
  sha256,
  testKey,
  txOut,
  unhex,
  unsignedOf,
} from './support.ts';

const codec = createBitcoinCodec(REGTEST);
const key = testKey();
const other = testKey();
const payee = testKey();
const bytes = (...list: number[]) => Uint8Array.from(list);

const txids = [randomTxid(), randomTxid()] as const;
const inputs = [
  { txid: txids[0], vout: 0, amount: 60_000n, script: key.script },
  { txid: txids[1], vout: 7, amount: 50_000n, script: key.script },
];
const outputs = [
  { amount: 70_000n, script: payee.script },
  { amount: 39_000n, script: key.script },
];
const good: RawPsbt = { inputs, outputs };

const failure = (work: () => unknown) => {
  try {
    work();
  } catch (error) {
    if (isKeysagaError(error)) return error;
    throw error;
  }
  return undefined;
};
const rule = (psbt: RawPsbt) =>
  failure(() => codec.decode(unsignedOf(rawPsbt(psbt)), key.publicKey))?.details.rule;
const effects = (psbt: RawPsbt) => codec.decode(unsignedOf(rawPsbt(psbt)), key.publicKey).effects;

describe('decode', () => {
  it('names every effect, the fee and what is consumed', () => {
    expect(codec.decode(unsignedOf(rawPsbt(good)), key.publicKey)).toEqual({
      network: REGTEST,
      from: codec.address(key.publicKey),
      effects: [
        {
          kind: 'pay',
          destination: codec.address(payee.publicKey),
          asset: 'native',
          amount: 70_000n,
        },
        { kind: 'change', address: codec.address(key.publicKey), amount: 39_000n },
      ],
      fee: 1_000n,
      conflictKeys: [`bitcoin:${txids[0]}:0`, `bitcoin:${txids[1]}:7`],
    });
  });

  it('shows a transfer to the wallet itself as change', () => {
    expect(effects({ inputs, outputs: [{ amount: 100_000n, script: key.script }] })).toEqual([
      { kind: 'change', address: codec.address(key.publicKey), amount: 100_000n },
    ]);
  });

  it.each([
    ['OP_RETURN', bytes(0x6a, 4, 1, 2, 3, 4)],
    ['an unknown witness version', bytes(0x52, 0x20, ...payee.publicKey)],
    ['a Taproot key off the curve', bytes(0x51, 0x20, ...new Uint8Array(32).fill(0xff))],
    ['pay to anchor', bytes(0x51, 2, 0x4e, 0x73)],
    ['a bare key', bytes(0x21, 2, ...payee.publicKey, 0xac)],
    ['anyone can spend', bytes(0x51)],
    ['an empty script', bytes()],
  ])('calls an output of %s other', (_, script) => {
    expect(effects({ inputs, outputs: [{ amount: 50_000n, script }] })[0]?.kind).toBe('other');
  });

  it.each([
    ['of another', payee.script, 329n, 'other'],
    ['of another', payee.script, 330n, 'pay'],
    ['of its own', key.script, 329n, 'other'],
    ['of its own', key.script, 330n, 'change'],
    ['P2WPKH', bytes(0, 20, ...new Uint8Array(20)), 293n, 'other'],
    ['P2WPKH', bytes(0, 20, ...new Uint8Array(20)), 294n, 'pay'],
    ['P2PKH', bytes(0x76, 0xa9, 20, ...new Uint8Array(20), 0x88, 0xac), 545n, 'other'],
    ['P2PKH', bytes(0x76, 0xa9, 20, ...new Uint8Array(20), 0x88, 0xac), 546n, 'pay'],
    ['P2SH', bytes(0xa9, 20, ...new Uint8Array(20), 0x87), 539n, 'other'],
    ['P2SH', bytes(0xa9, 20, ...new Uint8Array(20), 0x87), 540n, 'pay'],
  ])('an output %s of %s at %s sats is %s', (_, script, amount, kind) => {
    expect(effects({ inputs, outputs: [{ amount, script }] })[0]?.kind).toBe(kind);
  });

  const previous = RawTx.encode({
    version: 2,
    segwitFlag: false,
    inputs: [{ txid: unhex(randomTxid()), index: 0, finalScriptSig: bytes(0x51), sequence: 1 }],
    outputs: [{ amount: 60_000n, script: key.script }],
    lockTime: 0,
  });
  const previousId = hex(sha256(sha256(previous)).reverse());
  const lyingInput = {
    ...inputs[0],
    txid: previousId,
    vout: 0,
    amount: 61_000n,
  } as (typeof inputs)[0];
  const signature = new Uint8Array(64).fill(1);

  it.each<[string, string, Partial<RawPsbt>]>([
    ['sighash-type', 'SIGHASH_ALL', { input: [[bytes(0x03), bytes(1, 0, 0, 0)]] }],
    ['sighash-type', 'SIGHASH_NONE', { input: [[bytes(0x03), bytes(2, 0, 0, 0)]] }],
    ['sighash-type', 'SIGHASH_SINGLE', { input: [[bytes(0x03), bytes(3, 0, 0, 0)]] }],
    ['sighash-type', 'ANYONECANPAY', { input: [[bytes(0x03), bytes(0x81, 0, 0, 0)]] }],
    ['sighash-type', 'a sighash type of 256', { input: [[bytes(0x03), bytes(0, 1, 0, 0)]] }],
    [
      'non-witness-utxo',
      'a previous transaction',
      {
        inputs: [{ ...lyingInput, amount: 60_000n }],
        outputs: [{ amount: 50_000n, script: key.script }],
        input: [[bytes(0x00), previous]],
      },
    ],
    [
      'non-witness-utxo',
      'a previous transaction that disagrees',
      {
        inputs: [lyingInput],
        outputs: [{ amount: 50_000n, script: key.script }],
        input: [[bytes(0x00), previous]],
      },
    ],
    ['signature-present', 'a key-path signature', { input: [[bytes(0x13), signature]] }],
    [
      'signature-present',
      'a partial signature',
      { input: [[bytes(0x02, 2, ...payee.publicKey), unhex('3006020101020101' + '01')]] },
    ],
    [
      'signature-present',
      'a script-path signature',
      { input: [[bytes(0x14, ...payee.publicKey, ...new Uint8Array(32)), signature]] },
    ],
    ['final-present', 'a final witness', { input: [[bytes(0x08), bytes(1, 64, ...signature)]] }],
    ['final-present', 'a final scriptSig', { input: [[bytes(0x07), bytes(0x51)]] }],
    ['script-path', 'a merkle root', { input: [[bytes(0x18), new Uint8Array(32)]] }],
    [
      'script-path',
      'a leaf script',
      { input: [[bytes(0x15, 0xc0, ...payee.publicKey), bytes(0x51, 0xc0)]] },
    ],
    ['script-path', 'a redeem script', { input: [[bytes(0x04), bytes(0x51)]] }],
    ['script-path', 'a witness script', { input: [[bytes(0x05), bytes(0x51)]] }],
    ['unexpected-field', 'an internal key', { input: [[bytes(0x17), payee.publicKey]] }],
    ['unexpected-field', 'an unknown input key', { input: [[bytes(0x7f, 1), bytes(1)]] }],
    [
      'unexpected-field',
      'a proprietary input key',
      { input: [[bytes(0xfc, 1, 0x61, 0), bytes(1)]] },
    ],
    ['unexpected-field', 'an unknown global key', { global: [[bytes(0x7f), bytes(1)]] }],
    [
      'unexpected-field',
      'a proprietary global key',
      { global: [[bytes(0xfc, 1, 0x61, 0), bytes(1)]] },
    ],
    ['unexpected-field', 'a version key', { global: [[bytes(0xfb), bytes(0, 0, 0, 0)]] }],
    ['unexpected-field', 'an unknown output key', { output: [[bytes(0x7f), bytes(1)]] }],
    ['unexpected-field', 'a Taproot tree', { output: [[bytes(0x05), payee.publicKey]] }],
    ['psbt', 'PSBT version 2', { global: [[bytes(0xfb), bytes(2, 0, 0, 0)]] }],
    [
      'psbt',
      'a witness UTXO twice',
      { input: [[bytes(0x01), txOut(inputs[0] as (typeof inputs)[0])]] },
    ],
    ['psbt', 'a trailing byte', { trailing: bytes(7) }],
    ['map-count', 'a map too many', { trailing: bytes(0) }],
    ['no-witness-utxo', 'no witness UTXO', { omitWitnessUtxo: true }],
    [
      'foreign-input',
      "another's output",
      { inputs: [{ ...(inputs[0] as (typeof inputs)[0]), script: other.script }] },
    ],
    [
      'duplicate-input',
      'an input twice',
      { inputs: [inputs[0] as (typeof inputs)[0], inputs[0] as (typeof inputs)[0]] },
    ],
    ['no-inputs', 'no inputs', { inputs: [] }],
    ['no-outputs', 'no outputs', { outputs: [] }],
    ['version', 'version 1', { version: 1 }],
    ['version', 'version 3 (TRUC)', { version: 3 }],
    ['lock-time', 'a lock time by height', { lockTime: 1 }],
    ['lock-time', 'a lock time by date', { lockTime: 1_900_000_000 }],
    ['sequence', 'a final sequence', { sequence: 0xffffffff }],
    ['sequence', 'a relative lock time', { sequence: 144 }],
    ['psbt', 'a scriptSig in the transaction', { scriptSig: bytes(0x51) }],
    [
      'negative-fee',
      'outputs above inputs',
      { outputs: [{ amount: 110_001n, script: payee.script }] },
    ],
    [
      'amount-range',
      'more than 21 million coins',
      { inputs: [{ ...(inputs[0] as (typeof inputs)[0]), amount: 2_100_000_000_000_001n }] },
    ],
    [
      'amount-range',
      'a sum that overflows',
      {
        outputs: [
          { amount: 2n ** 64n - 1n, script: payee.script },
          { amount: 100_001n, script: payee.script },
        ],
      },
    ],
  ])('refuses with %s: %s', (expected, _, change) => {
    expect(rule({ ...good, ...change })).toBe(expected);
  });

  it('takes an explicit SIGHASH_DEFAULT, with the same messages', () => {
    const explicit = unsignedOf(rawPsbt({ ...good, input: [[bytes(0x03), bytes(0, 0, 0, 0)]] }));
    const absent = unsignedOf(rawPsbt(good));
    expect(codec.decode(explicit, key.publicKey)).toEqual(codec.decode(absent, key.publicKey));
    expect(codec.messages(explicit, key.publicKey)).toEqual(codec.messages(absent, key.publicKey));
  });

  it('refuses fields out of order and lengths in long form', () => {
    const psbt = hex(rawPsbt({ ...good, input: [[bytes(0x03), bytes(0, 0, 0, 0)]] }));
    const witness = `0101${'2b'}${hex(txOut(inputs[0] as (typeof inputs)[0]))}`;
    const sighash = '01030400000000';
    expect(psbt).toContain(witness + sighash);
    const judge = (text: string) =>
      failure(() => codec.decode({ ...unsignedOf(bytes()), bytes: text }, key.publicKey))?.details
        .rule;
    expect(judge(psbt.replace(witness + sighash, sighash + witness))).toBe('not-canonical');
    expect(['psbt', 'not-canonical']).toContain(
      judge(psbt.replace(witness, `0101fd2b00${witness.slice(6)}`)),
    );
    expect(judge(psbt.toUpperCase())).toBe('hex');
    expect(judge(`${psbt}0`)).toBe('hex');
    expect(judge('')).toBe('psbt');
  });

  it('refuses another network, another format and a nonce proof', () => {
    const unsigned = unsignedOf(rawPsbt(good));
    expect(
      failure(() => codec.decode({ ...unsigned, network: MAINNET }, key.publicKey))?.code,
    ).toBe('ChainMismatch');
    expect(
      failure(() => codec.decode({ ...unsigned, format: 'ethereum-rlp' }, key.publicKey))?.code,
    ).toBe('TransactionMalformed');
    const nonceProof = { account: 'x', value: '00'.repeat(32), preimage: '00'.repeat(32) };
    expect(failure(() => codec.decode({ ...unsigned, nonceProof }, key.publicKey))?.code).toBe(
      'TransactionMalformed',
    );
  });

  it('refuses public keys that are no output key', () => {
    for (const publicKey of [
      new Uint8Array(31),
      new Uint8Array(33),
      new Uint8Array(32).fill(0xff),
      new Uint8Array(32),
    ]) {
      expect(failure(() => codec.address(publicKey))).toMatchObject({
        code: 'InvalidInput',
        details: { field: 'publicKey' },
      });
    }
  });
});

describe('bytes mean one thing', () => {
  const visible = (psbt: Uint8Array) => {
    const unsigned = unsignedOf(psbt);
    const { effects: list, fee, conflictKeys, from } = codec.decode(unsigned, key.publicKey);
    return {
      meaning: JSON.stringify({ list, fee, conflictKeys, from }, (_, v) =>
        typeof v === 'bigint' ? `${v}` : v,
      ),
      digests: codec.messages(unsigned, key.publicKey).map(hex).join(),
    };
  };
  const base = rawPsbt(good);
  const first = visible(base);
  const compare = (mutated: Uint8Array) => {
    let now: ReturnType<typeof visible> | undefined;
    const error = failure(() => {
      now = visible(mutated);
    });
    if (now === undefined) {
      expect(error?.code).toBe('TransactionMalformed');
      return;
    }
    // What the eye sees and what is signed change together, or not at all.
    expect(now.meaning === first.meaning).toBe(now.digests === first.digests);
    if (hex(mutated) !== hex(base)) expect(now.meaning).not.toBe(first.meaning);
  };

  it('for every single-bit flip', () => {
    for (let at = 0; at < base.length; at++) {
      for (let bit = 0; bit < 8; bit++) {
        const mutated = Uint8Array.from(base);
        mutated[at] = (mutated[at] ?? 0) ^ (1 << bit);
        compare(mutated);
      }
    }
  });

  it('for cuts, insertions and changed runs', () => {
    fc.assert(
      fc.property(
        fc.nat(base.length),
        fc.nat(8),
        fc.uint8Array({ maxLength: 8 }),
        (at, removed, inserted) => {
          compare(
            Uint8Array.from([...base.subarray(0, at), ...inserted, ...base.subarray(at + removed)]),
          );
        },
      ),
      { numRuns: 2_000 },
    );
  });

  it('for noise', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (noise) => {
        const error = failure(() =>
          codec.decode(
            unsignedOf(Uint8Array.from([...base.subarray(0, 5), ...noise])),
            key.publicKey,
          ),
        );
        expect(error?.code).toBe('TransactionMalformed');
      }),
    );
  });

  it('and survives a round trip', () => {
    const psbt = decodePsbt(base, key.script);
    expect(hex(encodePsbt(psbt.inputs, psbt.outputs))).toBe(hex(base));
    expect(psbt.txid).toBe(codec.transactionId(unsignedOf(base), key.publicKey));
  });
});

describe('attach', () => {
  const unsigned = unsignedOf(rawPsbt(good));
  const signatures = codec.messages(unsigned, key.publicKey).map((message) => key.sign(message));

  it('serialises the signed transaction with its id and the spent outputs', () => {
    const signed = codec.attach(unsigned, key.publicKey, signatures);
    const tx = RawTx.decode(unhex(signed.bytes));
    expect(tx.witnesses).toEqual(signatures.map((signature) => [signature]));
    expect(tx.lockTime).toBe(0);
    expect(tx.version).toBe(2);
    expect(
      tx.outputs.map((o: { amount: bigint; script: Uint8Array }) => ({
        ...o,
        script: hex(o.script),
      })),
    ).toEqual(outputs.map((o) => ({ ...o, script: hex(o.script) })));
    expect(signed.id).toBe(codec.transactionId(unsigned, key.publicKey));
    expect(signed.spentOutputs).toEqual(
      inputs.map(({ amount, script }) => ({ amount: `${amount}`, script: hex(script) })),
    );
  });

  it.each<[string, Uint8Array[]]>([
    ['one signature too few', signatures.slice(0, 1)],
    ['one too many', [...signatures, ...signatures.slice(0, 1)]],
    ['signatures in the wrong order', [...signatures].reverse()],
    [
      "another key's signature",
      [
        signatures[0] as Uint8Array,
        other.sign(codec.messages(unsigned, key.publicKey)[1] as Uint8Array),
      ],
    ],
    [
      'a hash type byte at the end',
      [signatures[0] as Uint8Array, Uint8Array.from([...(signatures[1] as Uint8Array), 1])],
    ],
    ['an empty signature', [signatures[0] as Uint8Array, new Uint8Array()]],
    [
      'a flipped bit',
      [
        signatures[0] as Uint8Array,
        (signatures[1] as Uint8Array).map((b, i) => (i === 40 ? b ^ 1 : b)),
      ],
    ],
  ])('refuses %s', (_, list) => {
    expect(failure(() => codec.attach(unsigned, key.publicKey, list))?.code).toBe(
      'SignatureInvalid',
    );
  });
});

describe('addresses', () => {
  it.each(BITCOIN_NETWORKS.map(({ id, name }) => [name, id]))('of %s are checked', (_, id) => {
    const one = createBitcoinCodec(id);
    const address = one.address(key.publicKey);
    one.checkAddress(address);
    for (const network of BITCOIN_NETWORKS) {
      const same = createBitcoinCodec(network.id).address(key.publicKey) === address;
      const refused = failure(() => createBitcoinCodec(network.id).checkAddress(address));
      if (same) expect(refused).toBeUndefined();
      else
        expect(refused).toMatchObject({ code: 'InvalidInput', details: { field: 'destination' } });
    }
  });

  it.each([
    ['upper case', codec.address(key.publicKey).toUpperCase()],
    [
      'a changed letter',
      codec.address(key.publicKey).replace(/.$/, (c) => (c === 'q' ? 'p' : 'q')),
    ],
    ['blanks around it', ` ${codec.address(key.publicKey)}`],
    ['a mainnet address', 'bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq'],
    ['a mainnet base58 address', '1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2'],
    ['nothing', ''],
    ['words', 'pay me, please'],
  ])('refuse %s', (_, address) => {
    expect(failure(() => codec.checkAddress(address))?.code).toBe('InvalidInput');
  });

  it('refuse unknown networks', () => {
    expect(failure(() => createBitcoinCodec('bip122:00'))?.code).toBe('ChainUnsupported');
  });
});
