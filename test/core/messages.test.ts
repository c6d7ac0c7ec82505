/** Messages: published vectors of EIP-191, EIP-712 and BIP-322; everything that is signed is shown; permits are transfers. */
import { schnorr, secp256k1 } from '@noble/curves/secp256k1.js';
import { keccak_256 } from '@noble/hashes/sha3.js';
import fc from 'fast-check';
import { hashMessage, hashTypedData, verifyMessage, verifyTypedData } from 'viem';
import { describe, expect, it } from 'vitest';
import { attachMessage as attachBitcoin } from '../../chains/bitcoin/message.ts';
import { walletScript } from '../../chains/bitcoin/script.ts';
import { addressOf } from '../../chains/ethereum/address.ts';
import { attachMessage } from '../../chains/ethereum/message.ts';
import { bip322Digest, bip322Ids, bip322MessageHash } from '../../core/messages/bip322.ts';
import { readTypedData } from '../../core/messages/eip712.ts';
import { eip191Digest } from '../../core/messages/text.ts';
import { checkTypedData } from '../../core/messages/typed-data.ts';
import { isKeysagaError } from '../../schema/contracts/errors.ts';

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
const unhex = (text: string) => Uint8Array.from(Buffer.from(text, 'hex'));
const failure = (work: () => unknown) => {
  try {
    work();
  } catch (error) {
    if (isKeysagaError(error)) return error;
    throw error;
  }
  return undefined;
};

const cow = keccak_256(new TextEncoder().encode('cow'));
const publicKey = secp256k1.getPublicKey(cow);
const address = addressOf(publicKey);
const sign = (digest: Uint8Array) => secp256k1.sign(digest, cow, { prehash: false });

describe('EIP-191', () => {
  it('has the known digest', () => {
    expect(hex(eip191Digest('hello world'))).toBe(
      'd9eba16ed0ecae432b71fe008c98cc872bb4cc214d3220a36f365326cf807d68',
    );
  });

  it('agrees with viem for any readable text, and its signatures verify there', async () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', minLength: 1 }), (text) => {
        if (failure(() => eip191Digest(text)) === undefined)
          expect(`0x${hex(eip191Digest(text))}`).toBe(hashMessage(text));
      }),
    );
    const text = 'example.com wants you to sign in\nNonce: 7 – ok ✓';
    const digest = eip191Digest(text);
    const signature = attachMessage(digest, publicKey, sign(digest)) as `0x${string}`;
    expect(
      await verifyMessage({ address: address as `0x${string}`, message: text, signature }),
    ).toBe(true);
    expect(failure(() => attachMessage(digest, publicKey, sign(keccak_256(digest))))?.code).toBe(
      'SignatureInvalid',
    );
  });

  it.each(['a\u202eb', 'a\u200bb', 'a\u0000b', '\u{e0041}', '\ud800'])(
    'refuses text that does not show as it is signed: %j',
    (text) => {
      expect(failure(() => eip191Digest(text))?.details.field).toBe('text');
    },
  );
});

const mail = {
  types: {
    EIP712Domain: [
      { name: 'name', type: 'string' },
      { name: 'version', type: 'string' },
      { name: 'chainId', type: 'uint256' },
      { name: 'verifyingContract', type: 'address' },
    ],
    Person: [
      { name: 'name', type: 'string' },
      { name: 'wallet', type: 'address' },
    ],
    Mail: [
      { name: 'from', type: 'Person' },
      { name: 'to', type: 'Person' },
      { name: 'contents', type: 'string' },
    ],
  },
  primaryType: 'Mail',
  domain: {
    name: 'Ether Mail',
    version: '1',
    chainId: 1,
    verifyingContract: '0xCcCCccccCCCCcCCCCCCcCcCccCcCCCcCcccccccC',
  },
  message: {
    from: { name: 'Cow', wallet: '0xCD2a3d9F938E13CD947Ec05AbC7FE734Df8DD826' },
    to: { name: 'Bob', wallet: '0xbBbBBBBbbBBBbbbBbbBbbbbBBbBbbbbBbBbbBBbB' },
    contents: 'Hello, Bob!',
  },
};
const read = (data: unknown) => readTypedData(JSON.stringify(data));

describe('EIP-712', () => {
  it("has the digest and the signature of the EIP's example", async () => {
    const { digest } = read(mail);
    expect(hex(digest)).toBe('be609aee343fb3c4b28e1df9e632fca64fcfaede20f02e86244efddf30957bd2');
    expect(address).toBe('0xCD2a3d9F938E13CD947Ec05AbC7FE734Df8DD826');
    const signature = attachMessage(digest, publicKey, sign(digest)) as `0x${string}`;
    expect(signature).toBe(
      '0x4355c47d63924e8a72e509b65029052eb6c299d53a04e167c5775fd466751c9d' +
        '07299936d304c153f6443dfa05f40ff007d72911b6f72307f996231605b91562' +
        '1c',
    );
    const verified = await verifyTypedData({
      ...(mail as never as Parameters<typeof verifyTypedData>[0]),
      address: address as `0x${string}`,
      signature,
    });
    expect(verified).toBe(true);
  });

  it('says every value that is signed', () => {
    expect(read(mail).words).toEqual([
      { label: 'Type', value: 'Mail' },
      { label: 'domain.name', value: 'Ether Mail' },
      { label: 'domain.version', value: '1' },
      { label: 'domain.chainId', value: '1' },
      { label: 'domain.verifyingContract', value: '0xcccccccccccccccccccccccccccccccccccccccc' },
      { label: 'from.name', value: 'Cow' },
      { label: 'from.wallet', value: '0xcd2a3d9f938e13cd947ec05abc7fe734df8dd826' },
      { label: 'to.name', value: 'Bob' },
      { label: 'to.wallet', value: '0xbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb' },
      { label: 'contents', value: 'Hello, Bob!' },
    ]);
  });

  const wide = {
    types: {
      Wide: [
        { name: 'flag', type: 'bool' },
        { name: 'small', type: 'int8' },
        { name: 'large', type: 'uint256' },
        { name: 'four', type: 'bytes4' },
        { name: 'data', type: 'bytes' },
        { name: 'list', type: 'uint16[]' },
        { name: 'grid', type: 'int256[2][]' },
        { name: 'inner', type: 'Inner[]' },
      ],
      Inner: [{ name: 'who', type: 'address' }],
    },
    primaryType: 'Wide',
    domain: { chainId: 1, verifyingContract: mail.domain.verifyingContract },
  };

  it('agrees with viem for every kind of member, and the words tell messages apart', () => {
    const word = fc.bigInt({ min: 0n, max: 2n ** 256n - 1n });
    const bytes = (min: number, max: number) =>
      fc.uint8Array({ minLength: min, maxLength: max }).map((b) => `0x${hex(b)}`);
    const message = fc.record({
      flag: fc.boolean(),
      small: fc.integer({ min: -128, max: 127 }),
      large: word.map(String),
      four: bytes(4, 4),
      data: bytes(0, 40),
      list: fc.array(fc.nat(65_535), { maxLength: 3 }),
      grid: fc.array(
        fc.tuple(word, word).map((pair) => pair.map((n) => String(BigInt.asIntN(256, n)))),
        { maxLength: 2 },
      ),
      inner: fc.array(
        bytes(20, 20).map((who) => ({ who })),
        { maxLength: 2 },
      ),
    });
    const seen = new Map<string, string>();
    fc.assert(
      fc.property(message, (one) => {
        const data = { ...wide, message: one };
        const { digest, words } = read(data);
        expect(`0x${hex(digest)}`).toBe(hashTypedData(data as never));
        const shown = JSON.stringify(words);
        expect(seen.get(shown) ?? hex(digest)).toBe(hex(digest));
        seen.set(shown, hex(digest));
      }),
      { numRuns: 200 },
    );
  });

  const message = {
    flag: true,
    small: 1,
    large: '1',
    four: '0x00000000',
    data: '0x',
    list: [],
    grid: [],
    inner: [],
  };
  const good = { ...wide, message };
  const types = (Wide: unknown, more = {}) => ({
    ...good,
    types: { ...wide.types, ...more, Wide },
  });
  it.each<[string, string, unknown]>([
    ['message.extra member', 'Wide.extra', { ...good, message: { ...message, extra: 1 } }],
    ['a missing member', 'Wide.flag', { ...good, message: { ...message, flag: undefined } }],
    [
      'a number beyond 2^53',
      'large',
      JSON.parse(JSON.stringify(good).replace('"large":"1"', '"large":9007199254740993')),
    ],
    ['a fraction', 'small', { ...good, message: { ...message, small: 0.5 } }],
    ['an overflow', 'small', { ...good, message: { ...message, small: 128 } }],
    ['a negative unsigned', 'large', { ...good, message: { ...message, large: '-1' } }],
    ['too many bytes', 'four', { ...good, message: { ...message, four: '0x0000000000' } }],
    ['bytes that are text', 'data', { ...good, message: { ...message, data: 'hello' } }],
    ['a bool that is text', 'flag', { ...good, message: { ...message, flag: 'true' } }],
    ['a list that is none', 'list', { ...good, message: { ...message, list: 1 } }],
    ['a list of another length', 'grid[0]', { ...good, message: { ...message, grid: [['1']] } }],
    [
      'no chain',
      'domain.chainId',
      { ...good, domain: { verifyingContract: mail.domain.verifyingContract } },
    ],
    ['no contract', 'domain.verifyingContract', { ...good, domain: { chainId: 1 } }],
    [
      'an unknown part of the domain',
      'domain.extra',
      { ...good, domain: { ...good.domain, extra: 1 } },
    ],
    [
      'a domain type that hides a member',
      'types.EIP712Domain',
      { ...mail, types: { ...mail.types, EIP712Domain: mail.types.EIP712Domain.slice(1) } },
    ],
    ['an unknown type', 'types.Nowhere', types([{ name: 'a', type: 'Nowhere' }])],
    ['a recursive type', 'types.Wide', types([{ name: 'a', type: 'Wide[]' }])],
    ['uint7', 'types.uint7', types([{ name: 'a', type: 'uint7' }])],
    [
      'a member twice',
      'types.Wide.1.name',
      types([
        { name: 'a', type: 'bool' },
        { name: 'a', type: 'bool' },
      ]),
    ],
    [
      'a struct called uint256',
      'types.uint256',
      types([{ name: 'a', type: 'bool' }], { uint256: [] }),
    ],
    ['a primary type that is none', 'primaryType', { ...good, primaryType: 'Other' }],
    ['the domain as primary type', 'primaryType', { ...mail, primaryType: 'EIP712Domain' }],
    ['a field beside the four', 'json.more', { ...good, more: 1 }],
    [
      'text that does not show',
      'contents',
      { ...mail, message: { ...mail.message, contents: 'pay\u202e' } },
    ],
    ['a message that is a list', 'Wide', { ...good, message: [] }],
  ])('refuses %s', (_, field, data) => {
    const error = failure(() => read(data));
    expect([error?.code, error?.details.field]).toEqual(['InvalidInput', field]);
  });

  it('refuses what is no JSON', () => {
    expect(failure(() => readTypedData('{'))?.details.field).toBe('json');
    expect(failure(() => readTypedData('[]'))?.details.field).toBe('json');
  });
});

describe('a policy on typed data', () => {
  const network = 'eip155:1';
  const token = '0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48';
  const spender = '0x70997970C51812dc3A010C7d01b50e0d17dc79C8';
  const domain = { chainId: 1, verifyingContract: token };
  const members = (...list: [string, string][]) => list.map(([name, type]) => ({ name, type }));
  const allow = (type: string, contract = token) => [{ network, contract, type }];
  const check = (data: unknown, allowed = allow((data as typeof mail).primaryType)) =>
    checkTypedData({ data: read(data), network, address, allowed });

  const permit = {
    types: {
      Permit: members(
        ['owner', 'address'],
        ['spender', 'address'],
        ['value', 'uint256'],
        ['nonce', 'uint256'],
        ['deadline', 'uint256'],
      ),
    },
    primaryType: 'Permit',
    domain,
    message: { owner: address, spender, value: '250', nonce: 0, deadline: 9 },
  };
  const details = members(
    ['token', 'address'],
    ['amount', 'uint160'],
    ['expiration', 'uint48'],
    ['nonce', 'uint48'],
  );

  it('lists network, contract and type, or nothing is signed', () => {
    const list = [{ network, contract: mail.domain.verifyingContract, type: 'Mail' }];
    expect(check(mail, list)).toEqual([]);
    const refused = (allowed: typeof list) => failure(() => check(mail, allowed))?.code;
    expect(refused([])).toBe('PolicyViolation');
    expect(refused([{ ...list[0], network: 'eip155:31337' } as (typeof list)[0]])).toBe(
      'PolicyViolation',
    );
    expect(refused([{ ...list[0], contract: token } as (typeof list)[0]])).toBe('PolicyViolation');
    expect(refused([{ ...list[0], type: 'Person' } as (typeof list)[0]])).toBe('PolicyViolation');
    const elsewhere = { ...mail, domain: { ...mail.domain, chainId: 31337 } };
    expect(failure(() => check(elsewhere, list))?.code).toBe('ChainMismatch');
  });

  it('counts permits of all known kinds as transfers', () => {
    const usdc = `eip155:1/erc20:${token}`;
    expect(check(permit)).toEqual([{ destination: spender, asset: usdc, amount: 250n }]);
    const dai = {
      ...permit,
      types: {
        Permit: members(
          ['holder', 'address'],
          ['spender', 'address'],
          ['nonce', 'uint256'],
          ['expiry', 'uint256'],
          ['allowed', 'bool'],
        ),
      },
      message: { holder: address, spender, nonce: 0, expiry: 0, allowed: true },
    };
    expect(check(dai)).toEqual([{ destination: spender, asset: usdc, amount: 2n ** 256n - 1n }]);
    const batch = {
      types: {
        PermitBatch: members(
          ['details', 'PermitDetails[]'],
          ['spender', 'address'],
          ['sigDeadline', 'uint256'],
        ),
        PermitDetails: details,
      },
      primaryType: 'PermitBatch',
      domain,
      message: {
        details: [5, 6].map((amount) => ({ token, amount, expiration: 1, nonce: 0 })),
        spender,
        sigDeadline: 1,
      },
    };
    expect(check(batch).map(({ amount }) => amount)).toEqual([5n, 6n]);
    const authorised = {
      ...permit,
      types: {
        TransferWithAuthorization: members(
          ['from', 'address'],
          ['to', 'address'],
          ['value', 'uint256'],
          ['validAfter', 'uint256'],
          ['validBefore', 'uint256'],
          ['nonce', 'bytes32'],
        ),
      },
      primaryType: 'TransferWithAuthorization',
      message: {
        from: address,
        to: spender,
        value: '7',
        validAfter: 0,
        validBefore: 1,
        nonce: `0x${'00'.repeat(32)}`,
      },
    };
    expect(check(authorised)).toEqual([{ destination: spender, asset: usdc, amount: 7n }]);
  });

  it('refuses permits for another account, and what moves value in ways it does not know', () => {
    const stranger = { ...permit, message: { ...permit.message, owner: spender } };
    expect(failure(() => check(stranger))).toMatchObject({
      code: 'TransactionMismatch',
      details: { field: 'owner' },
    });
    const witness = {
      ...permit,
      types: { Permit: [...permit.types.Permit, { name: 'extra', type: 'uint256' }] },
      message: { ...permit.message, extra: 1 },
    };
    expect(failure(() => check(witness))?.code).toBe('PolicyViolation');
    const order = { ...permit, types: { Order: permit.types.Permit }, primaryType: 'Order' };
    expect(failure(() => check(order))?.code).toBe('PolicyViolation');
  });
});

describe('BIP-322', () => {
  const secret = Uint8Array.from(
    unhex('bb1f0b3c1e3a4a1e6f2fbb1d2dfa3bd8c6b1b0f14c3a2b7b9bb7f9f0c9a1d2e3'),
  );
  const script = unhex('00142b05d564e6a7a33c087f16e0f730d1440123799d');
  it.each([
    [
      'Hello World',
      'f0eb03b1a75ac6d9847f55c624a99169b5dccba2a31f5b23bea77ba270de0a7a',
      'b79d196740ad5217771c1098fc4a4b51e0535c32236c71f1ea4d61a2d603352b',
      '88737ae86f2077145f93cc4b153ae9a1cb8d56afa511988c149c5c8c9d93bddf',
    ],
    [
      'UTF-8 support: öäüéàè 测试文本 😄',
      '43936b237ea38c7794eb5d755e0d220b6db92ebfc5c8f482759d22b1286376d7',
      'c8f4f525fe8afb1bc09b44175bd2096f079c98425e8a1be676b712add1fb62f0',
      '8f488e06b89eafd019ec528109eafaf7f1d1811fd617aa1eeb9658f1c1be6586',
    ],
    [
      '',
      'c90c269c4f8fcbe6880f72a721ddfbf1914268a794cbb21cfafee13770ae19f1',
      'c5680aa69bb8d860bf82d4e9cd3504b55dde018de765a91bb566283c545a99a7',
      '1e9654e951a5ba44c8604c4de6c67fd78a27e81dcadcfe1edf638ba3aaebaed6',
    ],
  ])('has the published hashes of %j', (text, message, spend, signed) => {
    expect(hex(bip322MessageHash(text))).toBe(message);
    expect(bip322Ids(text, script)).toEqual({ toSpend: spend, toSign: signed });
  });

  it('has digests under which the published P2WPKH signatures verify', () => {
    const key = unhex('02c7f12003196442943d8588e01aee840423cc54fc1521526a3b85c2b0cbd58872');
    expect(hex(walletScript(key))).toBe(hex(script));
    for (const [text, published] of [
      [
        '',
        'AkcwRAIgM2gBAQqvZX15ZiysmKmQpDrG83avLIT492QBzLnQIxYCIBaTpOaD20qRlEylyxFSeEA2ba9YOixpX8z46TSDtS40ASECx/EgAxlkQpQ9hYjgGu6EBCPMVPwVIVJqO4XCsMvViHI=',
      ],
      [
        'Hello World',
        'AkcwRAIgZRfIY3p7/DoVTty6YZbWS71bc5Vct9p9Fia83eRmw2QCICK/ENGfwLtptFluMGs2KsqoNSk89pO7F29zJLUx9a/sASECx/EgAxlkQpQ9hYjgGu6EBCPMVPwVIVJqO4XCsMvViHI=',
      ],
    ] as const) {
      const witness = Uint8Array.from(Buffer.from(published, 'base64'));
      const der = witness.slice(2, 1 + (witness[1] ?? 0));
      const compact = secp256k1.Signature.fromBytes(der, 'der').toBytes('compact');
      const digest = bip322Digest(text, script);
      expect(attachBitcoin(digest, key, compact)).toBe(published);
      expect(
        failure(() => attachBitcoin(bip322Digest(`${text}.`, script), key, compact))?.code,
      ).toBe('SignatureInvalid');
    }
  });

  it('has the published digest of a Taproot address', () => {
    const taproot = unhex('5120c038cb8c0c783475d76fba41a5866f7e80385898f10609855c20d2aced117127');
    expect(hex(bip322Digest('PURVOQ544B6HUATVBJZN5EZJUU', taproot))).toBe(
      '7f9ffcd78cf3111b2ff6ede58671348f25bfc9ac64a4ca44570944cb9f7df734',
    );
  });

  it('signs for Taproot keys as for ECDSA keys, and for no other script', () => {
    const key = schnorr.getPublicKey(secret);
    const digest = bip322Digest('a proof of reserves', walletScript(key));
    const encoded = attachBitcoin(digest, key, schnorr.sign(digest, secret));
    expect(Buffer.from(encoded, 'base64')).toHaveLength(66);
    expect(failure(() => attachBitcoin(digest, key, new Uint8Array(64)))?.code).toBe(
      'SignatureInvalid',
    );
    expect(failure(() => bip322Digest('x', unhex(`a914${'00'.repeat(20)}87`)))?.details.field).toBe(
      'script',
    );
  });
});
