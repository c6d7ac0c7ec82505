/** P2WPKH: BIP-143's own example, digests against the BIP for anything, and PSBTs that lie about what they spend. */
import { secp256k1 } from '@noble/curves/secp256k1.js';
import { Transaction } from '@scure/btc-signer';
import { RawTx } from '@scure/btc-signer/script.js';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createBitcoinCodec } from '../../../chains/bitcoin/codec.ts';
import { decodePsbt, encodePsbt } from '../../../chains/bitcoin/psbt.ts';
import { scriptCode, virtualSize, walletScript } from '../../../chains/bitcoin/script.ts';
import { isKeysagaError, type KeysagaError } from '../../../schema/contracts/errors.ts';
import {
  bip143Digest,
  ecdsaKey,
  hash160,
  type KeyValue,
  previousTransaction,
  psbtOf,
  sighash,
  withWitness,
} from './p2wpkh-support.ts';
import { hex, MAINNET, REGTEST, rawPsbt, testKey, txOut, unhex, unsignedOf } from './support.ts';

const codec = createBitcoinCodec(REGTEST);
const key = ecdsaKey();
const payee = testKey();
const taproot = testKey();
const failure = (work: () => unknown): KeysagaError | undefined => {
  try {
    work();
  } catch (error) {
    if (isKeysagaError(error)) return error;
    throw error;
  }
  return undefined;
};
const rule = (psbt: Uint8Array, publicKey = key.publicKey) => {
  const error = failure(() => codec.decode(unsignedOf(psbt), publicKey));
  expect(error?.code ?? 'it was taken').toBe('TransactionMalformed');
  return error?.details.rule;
};

describe("BIP-143's native P2WPKH example", () => {
  const secret = unhex('619c335025c7f4012e556c2a58b2506e30b8511b53ade95ea316fd8c3286feb9');
  const publicKey = unhex('025476c2e83188368da1ff3e292e7acafcdb3566bb0ad253f62fc70f07aeee6357');
  const inputs = [
    {
      txid: '9f96ade4b41d5433f4eda31e1738ec2b36f6e7d1420d94a6af99801a88f7f7ff',
      vout: 0,
      sequence: 0xffffffee,
    },
    {
      txid: '8ac60eb9575db5b2d987e29f301b5b819ea83a5c6579d282d189cc04b8e151ef',
      vout: 1,
      sequence: 0xffffffff,
    },
  ];
  const outputs = [
    {
      amount: 112_340_000n,
      script: unhex('76a9148280b37df378db99f66f85c95a783a76ac7a6d5988ac'),
    },
    {
      amount: 223_450_000n,
      script: unhex('76a9143bde42dbee7e4dbe6a21b2d50ce2f0167faa815988ac'),
    },
  ];
  const published = 'c37af31116d1b27caf68aae9e3ac82f1477929014d5b917657d0eb49478cb670';
  const script = walletScript(publicKey);

  it('has the published script and digest, by the BIP and by what the codec calls', () => {
    expect(hex(secp256k1.getPublicKey(secret))).toBe(hex(publicKey));
    expect(hex(script)).toBe('00141d0f172a0ecb48aee1be1f2687d2963ae33f71a1');
    const change = { version: 1, lockTime: 17 };
    expect(hex(bip143Digest(1, hash160(publicKey), 600_000_000n, inputs, outputs, change))).toBe(
      published,
    );
    const tx = new Transaction({ ...change, allowUnknownInputs: true, allowUnknownOutputs: true });
    for (const { txid, vout, sequence } of inputs) tx.addInput({ txid, index: vout, sequence });
    for (const output of outputs) tx.addOutput(output);
    expect(hex(tx.preimageWitnessV0(1, scriptCode(script), 1, 600_000_000n))).toBe(published);
  });

  it('has the published signature', () => {
    const signature = secp256k1.sign(unhex(published), secret, { prehash: false });
    expect(hex(secp256k1.Signature.fromBytes(signature, 'compact').toBytes('der'))).toBe(
      '304402203609e17b84f6a7d30c80bfa610b5b4542f32a8a0d5447a12fb1366d7f01cc44a' +
        '0220573a954c4518331561406f90300e8f3358f51928d43c212a8caed02de67eebee',
    );
  });
});

const previous = [
  previousTransaction([{ amount: 60_000n, script: key.script }], 1),
  previousTransaction(
    [
      { amount: 1n, script: payee.script },
      { amount: 50_000n, script: key.script },
    ],
    2,
  ),
] as const;
const spend = [
  { txid: previous[0].txid, vout: 0 },
  { txid: previous[1].txid, vout: 1 },
] as const;
const outputs = [
  { amount: 70_000n, script: payee.script },
  { amount: 39_000n, script: key.script },
];
const shown = (bytes: Uint8Array): KeyValue => [Uint8Array.of(0), bytes];
const witnessUtxo = (amount: bigint, script: Uint8Array): KeyValue => [
  Uint8Array.of(1),
  txOut({ amount, script }),
];
/** The good PSBT with the first input's map replaced. */
const withFirst = (map: readonly KeyValue[], first: { txid: string; vout: number } = spend[0]) =>
  psbtOf(
    [
      { ...first, map },
      { ...spend[1], map: [shown(previous[1].bytes)] },
    ],
    outputs,
  );
const good = withFirst([shown(previous[0].bytes)]);

describe('a P2WPKH wallet', () => {
  it('has the address of its key, told apart from Taproot by the length of the key', () => {
    expect(codec.address(key.publicKey)).toMatch(/^bcrt1q[a-z0-9]{38}$/);
    expect(codec.address(taproot.publicKey)).toMatch(/^bcrt1p/);
    // BIP-173's example key.
    const generator = unhex('0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798');
    expect(createBitcoinCodec(MAINNET).address(generator)).toBe(
      'bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4',
    );
    expect(failure(() => codec.address(new Uint8Array(33)))?.details.field).toBe('publicKey');
    expect(codec.schemes).toEqual(['bip340', 'ecdsa']);
  });

  it('reads amounts from the previous transactions, and signs what BIP-143 describes', () => {
    const decoded = codec.decode(unsignedOf(good), key.publicKey);
    expect(decoded).toMatchObject({
      from: codec.address(key.publicKey),
      fee: 1_000n,
      effects: [
        { kind: 'pay', destination: codec.address(payee.publicKey), amount: 70_000n },
        { kind: 'change', amount: 39_000n },
      ],
      conflictKeys: spend.map(({ txid, vout }) => `bitcoin:${txid}:${vout}`),
    });
    const sequenced = spend.map((input) => ({ ...input, sequence: 0xfffffffd }));
    expect(codec.messages(unsignedOf(good), key.publicKey).map(hex)).toEqual(
      [60_000n, 50_000n].map((amount, i) =>
        hex(bip143Digest(i, key.keyHash, amount, sequenced, outputs)),
      ),
    );
  });

  it('round-trips, and takes an explicit SIGHASH_ALL', () => {
    const psbt = decodePsbt(good, key.script);
    expect(hex(encodePsbt(psbt.inputs, psbt.outputs))).toBe(hex(good));
    const explicit = withFirst([shown(previous[0].bytes), sighash(1)]);
    expect(codec.messages(unsignedOf(explicit), key.publicKey)).toEqual(
      codec.messages(unsignedOf(good), key.publicKey),
    );
  });

  it('attaches DER signatures with SIGHASH_ALL and the key', () => {
    const unsigned = unsignedOf(good);
    const messages = codec.messages(unsigned, key.publicKey);
    const signatures = messages.map((message) => key.sign(message));
    const signed = codec.attach(unsigned, key.publicKey, signatures);
    const { witnesses } = RawTx.decode(unhex(signed.bytes)) as { witnesses: Uint8Array[][] };
    expect(witnesses).toHaveLength(2);
    witnesses.forEach(([signature, publicKey], i) => {
      expect(publicKey && hex(publicKey)).toBe(hex(key.publicKey));
      expect(signature?.at(-1)).toBe(1);
      const compact = secp256k1.Signature.fromBytes(
        (signature as Uint8Array).slice(0, -1),
        'der',
      ).toBytes('compact');
      expect(hex(compact)).toBe(hex(signatures[i] as Uint8Array));
    });
    expect(signed.id).toBe(codec.transactionId(unsigned, key.publicKey));
    const weight = unhex(signed.bytes).length;
    expect(
      virtualSize(
        2,
        outputs.map(({ script }) => script),
        key.script,
      ),
    ).toBeGreaterThan(BigInt(Math.floor(weight / 2)));
    const withRecovery = signatures.map((signature) => Uint8Array.from([...signature, 1]));
    expect(codec.attach(unsigned, key.publicKey, withRecovery)).toEqual(signed);
  });

  it.each<[string, (signatures: Uint8Array[]) => Uint8Array[]]>([
    ['too few', (all) => all.slice(1)],
    ['in the wrong order', (all) => [...all].reverse()],
    ['of another key', (all) => [all[0] as Uint8Array, ecdsaKey().sign(new Uint8Array(32))]],
    [
      'with a high s',
      (all) => {
        const s =
          secp256k1.Point.Fn.ORDER - BigInt(`0x${hex((all[0] as Uint8Array).subarray(32))}`);
        const high = unhex(
          hex((all[0] as Uint8Array).subarray(0, 32)) + s.toString(16).padStart(64, '0'),
        );
        return [high, all[1] as Uint8Array];
      },
    ],
    [
      'in DER',
      (all) => [
        secp256k1.Signature.fromBytes(all[0] as Uint8Array, 'compact').toBytes('der'),
        all[1] as Uint8Array,
      ],
    ],
    ['empty', (all) => [new Uint8Array(), all[1] as Uint8Array]],
    ['of zeros', (all) => [new Uint8Array(64), all[1] as Uint8Array]],
  ])('refuses signatures %s', (_, change) => {
    const unsigned = unsignedOf(good);
    const signatures = codec.messages(unsigned, key.publicKey).map((message) => key.sign(message));
    expect(failure(() => codec.attach(unsigned, key.publicKey, change(signatures)))?.code).toBe(
      'SignatureInvalid',
    );
  });
});

describe('a PSBT that lies', () => {
  const richer = previousTransaction([{ amount: 90_000n, script: key.script }], 1);
  const foreign = previousTransaction([{ amount: 60_000n, script: ecdsaKey().script }], 1);
  const nested = previousTransaction([{ amount: 60_000n, script: taproot.script }], 1);
  const cut = (bytes: Uint8Array) => bytes.slice(0, -1);
  it.each<[string, string, Uint8Array]>([
    ['no-previous', 'no previous transaction', withFirst([])],
    ['witness-utxo', 'a witness UTXO in its place', withFirst([witnessUtxo(60_000n, key.script)])],
    [
      'witness-utxo',
      'a witness UTXO with a lying amount beside it',
      withFirst([shown(previous[0].bytes), witnessUtxo(90_000n, key.script)]),
    ],
    [
      'witness-utxo',
      'a truthful witness UTXO beside it',
      withFirst([shown(previous[0].bytes), witnessUtxo(60_000n, key.script)]),
    ],
    ['previous-id', 'a lying amount', withFirst([shown(richer.bytes)])],
    ['previous-id', 'a lying script', withFirst([shown(foreign.bytes)])],
    ['previous-id', "another input's previous transaction", withFirst([shown(previous[1].bytes)])],
    [
      'previous-output',
      'an output that is not there',
      withFirst([shown(previous[0].bytes)], { ...spend[0], vout: 1 }),
    ],
    [
      'previous-witness',
      'a previous transaction with witnesses',
      withFirst([shown(withWitness(previous[0].bytes))]),
    ],
    ['psbt', 'a cut previous transaction', withFirst([shown(cut(previous[0].bytes))])],
    [
      'psbt',
      'a previous transaction with a byte behind',
      withFirst([shown(Uint8Array.from([...previous[0].bytes, 0]))]),
    ],
    [
      'foreign-input',
      "another wallet's output",
      withFirst([shown(foreign.bytes)], { txid: foreign.txid, vout: 0 }),
    ],
    [
      'foreign-input',
      "the wallet's money under Taproot",
      withFirst([shown(nested.bytes)], { txid: nested.txid, vout: 0 }),
    ],
    [
      'foreign-input',
      "the previous transaction's other output",
      withFirst([shown(previous[1].bytes)], { ...spend[1], vout: 0 }),
    ],
    [
      'witness-utxo',
      'a Taproot input among them',
      withFirst([witnessUtxo(60_000n, taproot.script)]),
    ],
    [
      'sighash-type',
      "DEFAULT, which is Taproot's",
      withFirst([shown(previous[0].bytes), sighash(0)]),
    ],
    ['sighash-type', 'NONE', withFirst([shown(previous[0].bytes), sighash(2)])],
    ['sighash-type', 'SINGLE', withFirst([shown(previous[0].bytes), sighash(3)])],
    ['sighash-type', 'ANYONECANPAY', withFirst([shown(previous[0].bytes), sighash(0x81)])],
    [
      'signature-present',
      'a partial signature',
      withFirst([
        shown(previous[0].bytes),
        [Uint8Array.from([2, ...key.publicKey]), unhex('300602010102010101')],
      ]),
    ],
    [
      'script-path',
      'a redeem script',
      withFirst([shown(previous[0].bytes), [Uint8Array.of(4), key.script]]),
    ],
    [
      'script-path',
      'a witness script',
      withFirst([shown(previous[0].bytes), [Uint8Array.of(5), Uint8Array.of(0x51)]]),
    ],
    [
      'unexpected-field',
      'a derivation',
      withFirst([
        shown(previous[0].bytes),
        [Uint8Array.from([6, ...key.publicKey]), new Uint8Array(4)],
      ]),
    ],
    [
      'duplicate-input',
      'an input twice',
      psbtOf(
        [spend[0], spend[0]].map((input) => ({ ...input, map: [shown(previous[0].bytes)] })),
        outputs,
      ),
    ],
  ])('is refused with %s: %s', (expected, _, psbt) => {
    expect(rule(psbt)).toBe(expected);
  });

  it('is refused by a Taproot wallet when it brings previous transactions', () => {
    const inputs = [{ ...spend[0], amount: 60_000n, script: taproot.script }];
    const psbt = rawPsbt({ inputs, outputs, input: [shown(nested.bytes)] });
    expect(rule(psbt, taproot.publicKey)).toBe('non-witness-utxo');
    expect(rule(good, taproot.publicKey)).toBe('non-witness-utxo');
  });

  it('is noticed for every single-bit flip', () => {
    const visible = (psbt: Uint8Array) => {
      const { effects, fee, conflictKeys } = codec.decode(unsignedOf(psbt), key.publicKey);
      return JSON.stringify([effects, fee, conflictKeys], (_, v) =>
        typeof v === 'bigint' ? `${v}` : v,
      );
    };
    const first = visible(good);
    for (let at = 0; at < good.length; at++) {
      const mutated = Uint8Array.from(good);
      mutated[at] = (mutated[at] ?? 0) ^ (1 << (at % 8));
      let now = 'refused';
      const error = failure(() => {
        now = visible(mutated);
      });
      if (error !== undefined) expect(error.code).toBe('TransactionMalformed');
      expect(now).not.toBe(first);
    }
  });

  it('cannot exist for amounts that any previous transactions hold', () => {
    const amount = fc.bigInt({ min: 1_000n, max: 10n ** 12n });
    fc.assert(
      fc.property(fc.array(amount, { minLength: 1, maxLength: 5 }), (amounts) => {
        const made = amounts.map((each, i) =>
          previousTransaction([{ amount: each, script: key.script }], i + 3),
        );
        const inputs = made.map(({ txid, bytes }) => ({ txid, vout: 0, map: [shown(bytes)] }));
        const total = amounts.reduce((sum, each) => sum + each, 0n);
        const psbt = psbtOf(inputs, [{ amount: total - 500n, script: payee.script }]);
        expect(codec.decode(unsignedOf(psbt), key.publicKey).fee).toBe(500n);
      }),
      { numRuns: 50 },
    );
  });
});
