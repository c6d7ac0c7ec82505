/** The codec: malicious bytes refused by name, no two meanings of one payload, signatures checked before they are attached. */
import { secp256k1 } from '@noble/curves/secp256k1.js';
import { keccak_256 } from '@noble/hashes/sha3.js';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createEthereumCodec } from '../../../chains/ethereum/codec.ts';
import { ETHEREUM_NETWORKS, ethereumNetwork } from '../../../chains/ethereum/networks.ts';
import { parseTransaction, pricePerGas } from '../../../chains/ethereum/transaction.ts';
import {
  bytes,
  failure,
  hex,
  int,
  LOCAL,
  MAINNET,
  type Rlp,
  rlp,
  testKey,
  unhex,
  unsignedOf,
} from './support.ts';

const network = ethereumNetwork(LOCAL);
const codec = createEthereumCodec(LOCAL);
const key = testKey();
const payee = testKey();
const token = unhex('5fbdb2315678afecb367f032d93f642f64180aa3');
const none = bytes();
const word = (value: bigint) => unhex(value.toString(16).padStart(64, '0'));
const transfer = (to: Uint8Array, amount: bigint, padding = new Uint8Array(12)) =>
  Uint8Array.from([0xa9, 0x05, 0x9c, 0xbb, ...padding, ...to, ...word(amount)]);
const addressOf = (one: { address: string }) => unhex(one.address);

type Fields = {
  chainId: Rlp;
  nonce: Rlp;
  priority: Rlp;
  max: Rlp;
  gas: Rlp;
  to: Rlp;
  value: Rlp;
  data: Rlp;
  access: Rlp;
};
const native: Fields = {
  chainId: int(31337n),
  nonce: int(5n),
  priority: int(1_000_000_000n),
  max: int(30_000_000_000n),
  gas: int(21_000n),
  to: addressOf(payee),
  value: int(10n ** 17n),
  data: none,
  access: [],
};
const erc20: Fields = {
  ...native,
  gas: int(65_000n),
  to: token,
  value: none,
  data: transfer(addressOf(payee), 5_000_000n),
};
const typed = (fields: Fields, ...more: Rlp[]): Uint8Array => {
  const { chainId, nonce, priority, max, gas, to, value, data, access } = fields;
  return bytes(2, ...rlp([chainId, nonce, priority, max, gas, to, value, data, access, ...more]));
};
const legacy = (fields: Fields, end: Rlp[] = [fields.chainId, none, none]): Uint8Array => {
  const { nonce, max, gas, to, value, data } = fields;
  return rlp([nonce, max, gas, to, value, data, ...end]);
};
const decode = (payload: Uint8Array) => codec.decode(unsignedOf(payload), key.publicKey);
const rule = (payload: Uint8Array) => {
  const error = failure(() => decode(payload));
  if (error?.code === 'ChainMismatch') return `chain ${error.details.field}`;
  expect(error?.code ?? 'it was taken').toBe('TransactionMalformed');
  // Nothing that decode refuses is ever hashed for signing.
  expect(failure(() => codec.messages(unsignedOf(payload), key.publicKey))?.details.rule).toBe(
    error?.details.rule,
  );
  return error?.details.rule;
};

describe('what is taken', () => {
  it('a payment, a token transfer, and the void', () => {
    expect(decode(typed(native)).effects).toEqual([
      { kind: 'pay', destination: payee.address, asset: 'native', amount: 10n ** 17n },
    ]);
    expect(decode(legacy(native)).effects).toEqual(decode(typed(native)).effects);
    expect(decode(typed(erc20)).effects).toEqual([
      {
        kind: 'pay',
        destination: payee.address,
        asset: 'eip155:31337/erc20:0x5FbDB2315678afecb367f032d93F642f64180aa3',
        amount: 5_000_000n,
      },
    ]);
    const voided = decode(typed({ ...native, to: addressOf(key), value: none }));
    expect(voided).toMatchObject({ effects: [], conflictKeys: [`ethereum:${key.address}:5`] });
    expect(voided.fee).toBe(21_000n * 30_000_000_000n);
  });

  it('the extremes of every field', () => {
    const most = typed({
      ...native,
      nonce: int(2n ** 64n - 2n),
      gas: int(2n ** 24n),
      value: int(2n ** 256n - 1n),
    });
    expect(decode(most).conflictKeys).toEqual([`ethereum:${key.address}:18446744073709551614`]);
    expect(decode(typed({ ...native, nonce: none, priority: none, max: int(1n) })).fee).toBe(
      21_000n,
    );
  });
});

describe('a malicious payload', () => {
  const own = addressOf(key);
  const selector = (four: string, rest = erc20.data as Uint8Array) =>
    bytes(...unhex(four), ...rest.subarray(4));
  it.each<[string, string, Uint8Array]>([
    ['chain chainId', "another chain's id", typed({ ...native, chainId: int(1n) })],
    ['chain chainId', 'chain id 0', typed({ ...native, chainId: none })],
    ['chain chainId', 'another chain (legacy)', legacy({ ...native, chainId: int(1n) })],
    ['no-chain-id', 'a payload from before EIP-155', legacy(native, [])],
    ['signature-present', 'a signed transaction', typed(native, int(1n), word(1n), word(1n))],
    ['signature-present', 'a signed legacy one', legacy(native, [int(62710n), word(1n), word(1n)])],
    ['field-count', 'a field too many', typed(native, none)],
    ['field-count', 'a field too few', bytes(2, ...rlp([int(31337n), none]))],
    ['field-count', 'a legacy field too few', legacy(native, [int(31337n), none])],
    [
      'transaction-type',
      'an access-list transaction (EIP-2930)',
      bytes(1, ...typed(native).slice(1)),
    ],
    ['transaction-type', 'a blob transaction (EIP-4844)', bytes(3, ...typed(native).slice(1))],
    ['transaction-type', 'a delegation (EIP-7702)', bytes(4, ...typed(native).slice(1))],
    ['transaction-type', 'a personal message (EIP-191)', bytes(0x19, ...typed(native).slice(1))],
    ['transaction-type', 'an unknown type', bytes(0x7f, ...typed(native).slice(1))],
    ['transaction-type', 'RLP that is no list', rlp(typed(native))],
    ['access-list', 'an access list', typed({ ...native, access: [[token, []]] })],
    ['field-kind', 'an access list that is a string', typed({ ...native, access: none })],
    ['field-kind', 'a list for the value', typed({ ...native, value: [] })],
    [
      'priority-fee',
      'a tip above the whole fee',
      typed({ ...native, priority: int(30_000_000_001n) }),
    ],
    ['fee-range', 'no fee', typed({ ...native, priority: none, max: none })],
    ['fee-range', 'a fee of 33 bytes', typed({ ...native, max: new Uint8Array(33).fill(1) })],
    ['gas-limit', 'less gas than any transaction costs', typed({ ...native, gas: int(20_999n) })],
    ['gas-limit', 'less gas than its data costs', typed({ ...erc20, gas: int(21_100n) })],
    [
      'gas-limit',
      'more gas than a transaction may have',
      typed({ ...native, gas: int(2n ** 24n + 1n) }),
    ],
    [
      'nonce-range',
      'a nonce that EIP-2681 forbids',
      typed({ ...native, nonce: int(2n ** 64n - 1n) }),
    ],
    ['value-range', 'a value of 33 bytes', typed({ ...native, value: new Uint8Array(33).fill(1) })],
    ['leading-zero', 'a nonce with a leading zero', typed({ ...native, nonce: bytes(0, 5) })],
    ['leading-zero', 'zero as a byte', typed({ ...native, nonce: bytes(0) })],
    ['leading-zero', 'a value with a leading zero', typed({ ...native, value: bytes(0, 1) })],
    ['contract-creation', 'no destination', typed({ ...native, to: none })],
    ['to', 'a destination of 19 bytes', typed({ ...native, to: addressOf(payee).slice(1) })],
    ['to', 'a destination of 21 bytes', typed({ ...native, to: bytes(0, ...addressOf(payee)) })],
    ['self-payment', 'a void that moves value', typed({ ...native, to: own })],
    ['empty-call', 'neither value nor data', typed({ ...native, value: none })],
    ['reserved-address', 'the zero address', typed({ ...native, to: new Uint8Array(20) })],
    ['reserved-address', 'a precompile', typed({ ...native, to: unhex(`${'00'.repeat(19)}04`) })],
    ['call-value', 'a token transfer that also pays', typed({ ...erc20, value: int(1n) })],
    ['call-data-selector', 'transferFrom', typed({ ...erc20, data: selector('23b872dd') })],
    ['call-data-selector', 'approve', typed({ ...erc20, data: selector('095ea7b3') })],
    [
      'call-data-selector',
      'data to an account',
      typed({ ...native, gas: int(30_000n), data: bytes(1) }),
    ],
    [
      'call-data-selector',
      'a void with data',
      typed({ ...native, to: own, value: none, gas: int(30_000n), data: bytes(1, 2, 3) }),
    ],
    [
      'call-data-length',
      'trailing call data',
      typed({ ...erc20, data: bytes(...(erc20.data as Uint8Array), 0) }),
    ],
    [
      'call-data-length',
      'a short amount',
      typed({ ...erc20, data: (erc20.data as Uint8Array).slice(0, 67) }),
    ],
    ['call-data-length', 'the selector alone', typed({ ...erc20, data: unhex('a9059cbb') })],
    [
      'call-data-padding',
      'a dirty padding',
      typed({
        ...erc20,
        data: transfer(addressOf(payee), 1n, new Uint8Array(12).fill(0, 0, 11).fill(1, 11)),
      }),
    ],
    [
      'empty-transfer',
      'a transfer of nothing',
      typed({ ...erc20, data: transfer(addressOf(payee), 0n) }),
    ],
    [
      'token-itself',
      "tokens to the token's own contract",
      typed({ ...erc20, data: transfer(token, 1n) }),
    ],
    [
      'reserved-address',
      'tokens to the zero address',
      typed({ ...erc20, data: transfer(new Uint8Array(20), 1n) }),
    ],
    ['token-address', 'the wallet as token', typed({ ...erc20, to: own })],
    ['rlp', 'a trailing byte', bytes(...typed(native), 0)],
    ['rlp', 'a trailing byte (legacy)', bytes(...legacy(native), 0)],
    ['rlp', 'a cut payload', typed(native).slice(0, -1)],
    ['empty', 'nothing', none],
    ['too-large', 'more than a transfer needs', typed({ ...erc20, data: new Uint8Array(1100) })],
  ])('is refused with %s: %s', (expected, _, payload) => {
    expect(rule(payload)).toBe(expected);
  });

  it('in long form or with a needless prefix is refused', () => {
    const long = bytes(2, 0xf8, 0x20, ...rlp([none]).slice(1));
    expect(rule(long)).toBe('rlp');
    // nonce 5 as 0x81 0x05
    const good = typed(native);
    const at = 2 + 1 + 2; // type, list header, chain id
    expect(good[at]).toBe(5);
    const padded = bytes(...good.subarray(0, at), 0x81, ...good.subarray(at));
    padded[1] = (padded[1] ?? 0) + 1;
    expect(['rlp', 'not-canonical']).toContain(rule(padded));
  });

  it('in another spelling, network or format is refused', () => {
    const unsigned = unsignedOf(typed(native));
    const refused = (change: object) =>
      failure(() => codec.decode({ ...unsigned, ...change }, key.publicKey));
    expect(refused({ bytes: unsigned.bytes.toUpperCase() })?.details.rule).toBe('hex');
    expect(refused({ bytes: `${unsigned.bytes}0` })?.details.rule).toBe('hex');
    expect(refused({ network: MAINNET })?.code).toBe('ChainMismatch');
    expect(refused({ format: 'bitcoin-psbt' })?.details.rule).toBe('format');
    const nonceProof = { account: 'x', value: '00'.repeat(32), preimage: '00'.repeat(32) };
    expect(refused({ nonceProof })?.details.rule).toBe('format');
  });
});

describe('bytes mean one thing', () => {
  const visible = (payload: Uint8Array) => {
    const { effects, fee, conflictKeys, from } = decode(payload);
    return {
      meaning: JSON.stringify({ effects, fee, conflictKeys, from }, (_, v) =>
        typeof v === 'bigint' ? `${v}` : v,
      ),
      intent: JSON.stringify(effects, (_, v) => (typeof v === 'bigint' ? `${v}` : v)),
      digest: codec.messages(unsignedOf(payload), key.publicKey).map(hex).join(),
    };
  };
  const bases = [typed(native), typed(erc20), legacy(native), legacy(erc20)];
  const compare = (base: Uint8Array, mutated: Uint8Array) => {
    const first = visible(base);
    let now: ReturnType<typeof visible> | undefined;
    const error = failure(() => {
      now = visible(mutated);
    });
    if (now === undefined) {
      expect(['TransactionMalformed', 'ChainMismatch']).toContain(error?.code);
      return;
    }
    if (hex(mutated) === hex(base)) {
      expect(now).toEqual(first);
      return;
    }
    expect(now.digest).not.toBe(first.digest);
    // The same meaning under another digest is only the split between proposer and burn, within the same cap.
    if (now.meaning === first.meaning) {
      expect(base[0]).toBe(2);
      const { fees, ...rest } = parseTransaction(network, base);
      const { fees: others, ...same } = parseTransaction(network, mutated);
      expect(same).toEqual(rest);
      expect(others.type === fees.type && pricePerGas(others)).toBe(pricePerGas(fees));
    }
  };

  it.each([
    ['an EIP-1559 payment', 0],
    ['an EIP-1559 token transfer', 1],
    ['a legacy payment', 2],
    ['a legacy token transfer', 3],
  ])('for every single-bit flip of %s', (_, index) => {
    const base = bases[index] as Uint8Array;
    for (let at = 0; at < base.length; at++) {
      for (let bit = 0; bit < 8; bit++) {
        const mutated = Uint8Array.from(base);
        mutated[at] = (mutated[at] ?? 0) ^ (1 << bit);
        compare(base, mutated);
      }
    }
  });

  it('for cuts, insertions and changed runs', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...bases),
        fc.nat(200),
        fc.nat(8),
        fc.uint8Array({ maxLength: 8 }),
        (base, at, removed, inserted) => {
          const from = Math.min(at, base.length);
          compare(
            base,
            Uint8Array.from([
              ...base.subarray(0, from),
              ...inserted,
              ...base.subarray(from + removed),
            ]),
          );
        },
      ),
      { numRuns: 1_000 },
    );
  });

  it('for noise, which is refused and never a crash', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.boolean(), (noise, prefix) => {
        const payload = prefix ? bytes(2, 0xf8, ...noise) : noise;
        expect(['TransactionMalformed', 'ChainMismatch']).toContain(
          failure(() => decode(payload))?.code,
        );
      }),
      { numRuns: 500 },
    );
  });

  it('for every transfer that can be written', () => {
    const wei = fc.bigInt({ min: 1n, max: 2n ** 256n - 1n });
    fc.assert(
      fc.property(
        wei,
        fc.bigInt({ min: 0n, max: 2n ** 64n - 2n }),
        fc.boolean(),
        (amount, nonce, coin) => {
          const fields: Fields = coin
            ? { ...native, value: int(amount), nonce: int(nonce) }
            : { ...erc20, data: transfer(addressOf(payee), amount), nonce: int(nonce) };
          for (const payload of [typed(fields), legacy(fields)]) {
            const decoded = decode(payload);
            expect(decoded.effects).toMatchObject([
              { kind: 'pay', destination: payee.address, amount },
            ]);
            expect(decoded.conflictKeys).toEqual([`ethereum:${key.address}:${nonce}`]);
            expect(codec.messages(unsignedOf(payload), key.publicKey)).toEqual([
              keccak_256(payload),
            ]);
          }
        },
      ),
      { numRuns: 100 },
    );
  });
});

describe('attach', () => {
  const unsigned = unsignedOf(typed(native));
  const [digest = none] = codec.messages(unsigned, key.publicKey);
  const good = key.sign(digest);
  const order = secp256k1.Point.Fn.ORDER;
  const flipped = () => {
    const s = order - BigInt(`0x${hex(good.subarray(32))}`);
    return bytes(...good.subarray(0, 32), ...word(s));
  };

  it('finds the parity itself and takes a recovery id only when it is right', () => {
    const plain = codec.attach(unsigned, key.publicKey, [good]);
    const answers = [0, 1].map((id) =>
      failure(() => codec.attach(unsigned, key.publicKey, [bytes(...good, id)])),
    );
    expect(answers.filter((error) => error === undefined)).toHaveLength(1);
    const right = answers.indexOf(undefined);
    expect(codec.attach(unsigned, key.publicKey, [bytes(...good, right)])).toEqual(plain);
    expect(plain.id).toBe(`0x${hex(keccak_256(unhex(plain.bytes)))}`);
  });

  it.each<[string, () => Uint8Array[]]>([
    ['no signature', () => []],
    ['two', () => [good, good]],
    ["another key's", () => [payee.sign(digest)]],
    ["another digest's", () => [key.sign(keccak_256(digest))]],
    ['a high s', () => [flipped()]],
    ['DER', () => [secp256k1.Signature.fromBytes(good, 'compact').toBytes('der')]],
    ['r = 0', () => [bytes(...new Uint8Array(32), ...good.subarray(32))]],
    ['s = n', () => [bytes(...good.subarray(0, 32), ...word(order))]],
    ['a recovery id of 27', () => [bytes(...good, 27)]],
    ['nothing', () => [none]],
  ])('refuses %s', (_, list) => {
    expect(failure(() => codec.attach(unsigned, key.publicKey, list()))?.code).toBe(
      'SignatureInvalid',
    );
  });
});

describe('addresses', () => {
  it.each([
    ['lower case', payee.address.toLowerCase()],
    ['no prefix', payee.address.slice(2)],
    ['a changed digit', payee.address.replace(/.$/, (c) => (c === '1' ? '2' : '1'))],
    ['blanks', ` ${payee.address}`],
    ['the zero address', `0x${'0'.repeat(40)}`],
    ['a precompile', `0x${'0'.repeat(39)}1`],
    ['a name', 'vitalik.eth'],
    ['nothing', ''],
  ])('refuse %s', (_, address) => {
    expect(failure(() => codec.checkAddress(address))).toMatchObject({
      code: 'InvalidInput',
      details: { field: 'destination' },
    });
  });

  it('refuse public keys that are none', () => {
    for (const publicKey of [
      new Uint8Array(33),
      key.publicKey.slice(1),
      new Uint8Array(65).fill(4),
    ])
      expect(failure(() => codec.address(publicKey))).toMatchObject({
        code: 'InvalidInput',
        details: { field: 'publicKey' },
      });
  });

  it('are the same on every network, while bytes are not', () => {
    for (const { id } of ETHEREUM_NETWORKS) {
      expect(createEthereumCodec(id).address(key.publicKey)).toBe(key.address);
      if (id !== LOCAL)
        expect(
          failure(() =>
            createEthereumCodec(id).decode(unsignedOf(typed(native), id), key.publicKey),
          )?.code,
        ).toBe('ChainMismatch');
    }
    expect(failure(() => createEthereumCodec('eip155:10'))?.code).toBe('ChainUnsupported');
  });
});
