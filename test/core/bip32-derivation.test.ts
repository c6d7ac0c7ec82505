/** Deposit addresses from a certified key: BIP-32's vectors for public derivation, and the tweaks that signers add. */
import { secp256k1 } from '@noble/curves/secp256k1.js';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { codecFor } from '../../chains/registry.ts';
import { deriveKey, encodeXpub, extendedKey, parsePath, parseXpub } from '../../core/derivation.ts';
import { isKeysagaError } from '../../schema/contracts/errors.ts';

const failure = (work: () => unknown) => {
  try {
    work();
  } catch (error) {
    if (isKeysagaError(error)) return error;
    throw error;
  }
  return undefined;
};

describe("BIP-32's test vectors, each step that needs no private key", () => {
  it.each([
    [
      '1: m/0H/1',
      'xpub68Gmy5EdvgibQVfPdqkBBCHxA5htiqg55crXYuXoQRKfDBFA1WEjWgP6LHhwBZeNK1VTsfTFUHCdrfp1bgwQ9xv5ski8PX9rL2dZXvgGDnw',
      [1],
      'xpub6ASuArnXKPbfEwhqN6e3mwBcDTgzisQN1wXN9BJcM47sSikHjJf3UFHKkNAWbWMiGj7Wf5uMash7SyYq527Hqck2AxYysAA7xmALppuCkwQ',
    ],
    [
      '1: m/0H/1/2H/2/1000000000',
      'xpub6D4BDPcP2GT577Vvch3R8wDkScZWzQzMMUm3PWbmWvVJrZwQY4VUNgqFJPMM3No2dFDFGTsxxpG5uJh7n7epu4trkrX7x7DogT5Uv6fcLW5',
      [2, 1_000_000_000],
      'xpub6H1LXWLaKsWFhvm6RVpEL9P4KfRZSW7abD2ttkWP3SSQvnyA8FSVqNTEcYFgJS2UaFcxupHiYkro49S8yGasTvXEYBVPamhGW6cFJodrTHy',
    ],
    [
      '2: m/0',
      'xpub661MyMwAqRbcFW31YEwpkMuc5THy2PSt5bDMsktWQcFF8syAmRUapSCGu8ED9W6oDMSgv6Zz8idoc4a6mr8BDzTJY47LJhkJ8UB7WEGuduB',
      [0],
      'xpub69H7F5d8KSRgmmdJg2KhpAK8SR3DjMwAdkxj3ZuxV27CprR9LgpeyGmXUbC6wb7ERfvrnKZjXoUmmDznezpbZb7ap6r1D3tgFxHmwMkQTPH',
    ],
    [
      '2: m/0/2147483647H/1',
      'xpub6ASAVgeehLbnwdqV6UKMHVzgqAG8Gr6riv3Fxxpj8ksbH9ebxaEyBLZ85ySDhKiLDBrQSARLq1uNRts8RuJiHjaDMBU4Zn9h8LZNnBC5y4a',
      [1],
      'xpub6DF8uhdarytz3FWdA8TvFSvvAh8dP3283MY7p2V4SeE2wyWmG5mg5EwVvmdMVCQcoNJxGoWaU9DCWh89LojfZ537wTfunKau47EL2dhHKon',
    ],
    [
      '2: m/0/2147483647H/1/2147483646H/2',
      'xpub6ERApfZwUNrhLCkDtcHTcxd75RbzS1ed54G1LkBUHQVHQKqhMkhgbmJbZRkrgZw4koxb5JaHWkY4ALHY2grBGRjaDMzQLcgJvLJuZZvRcEL',
      [2],
      'xpub6FnCn6nSzZAw5Tw7cgR9bi15UV96gLZhjDstkXXxvCLsUXBGXPdSnLFbdpq8p9HmGsApME5hQTZ3emM2rnY5agb9rXpVGyy3bdW6EEgAtqt',
    ],
  ])('%s', (_, from, path, to) => {
    expect(encodeXpub(parseXpub(from))).toBe(from);
    expect(encodeXpub(deriveKey(parseXpub(from), path))).toBe(to);
  });
});

describe('a child key', () => {
  const { Fn, BASE } = { Fn: secp256k1.Point.Fn, BASE: secp256k1.Point.BASE };
  it('is the key that a signer has who adds the tweak to its secret', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 32, maxLength: 32 }),
        fc.array(fc.nat(0x7fff_ffff), { maxLength: 4 }),
        (chainCode, path) => {
          const secret = secp256k1.utils.randomSecretKey();
          const root = extendedKey(secp256k1.getPublicKey(secret), chainCode);
          const { publicKey, tweak } = deriveKey(root, path);
          const scalar = Fn.add(Fn.fromBytes(secret), Fn.fromBytes(tweak));
          expect(BASE.multiply(scalar).toBytes(true)).toEqual(publicKey);
          // In two steps it is the same key.
          const half = deriveKey(root, path.slice(0, 1));
          expect(deriveKey(half, path.slice(1)).publicKey).toEqual(publicKey);
        },
      ),
      { numRuns: 25 },
    );
  });

  it('has an address on each ECDSA chain', () => {
    const root = extendedKey(
      secp256k1.getPublicKey(new Uint8Array(32).fill(1)),
      new Uint8Array(32),
    );
    const addresses = [0, 1, 2].map((index) => {
      const { publicKey } = deriveKey(root, [0, index]);
      return [
        codecFor('eip155:1').address(publicKey),
        codecFor('bip122:000000000019d6689c085ae165831e93').address(publicKey),
      ];
    });
    expect(new Set(addresses.flat()).size).toBe(6);
  });
});

describe('what is refused', () => {
  const root = parseXpub(
    'xpub661MyMwAqRbcFW31YEwpkMuc5THy2PSt5bDMsktWQcFF8syAmRUapSCGu8ED9W6oDMSgv6Zz8idoc4a6mr8BDzTJY47LJhkJ8UB7WEGuduB',
  );
  const broken = (change: object) => encodeXpub({ ...root, ...change });
  it.each([
    [
      'a private key',
      'xprv9s21ZrQH143K3QTDL4LXw2F7HEK3wJUD2nW2nRk4stbPy6cq3jPPqjiChkVvvNKmPGJxWUtg6LnF5kejMRNNU3TGtRBeJgk33yuGBxrMPHi',
    ],
    ['a wrong checksum', encodeXpub(root).replace(/.$/, 'C')],
    [
      'a point that is none',
      broken({ publicKey: Uint8Array.from([2, ...new Uint8Array(32).fill(0xff)]) }),
    ],
    [
      'an uncompressed prefix',
      broken({ publicKey: Uint8Array.from([4, ...root.publicKey.slice(1)]) }),
    ],
    ['a root with an index', broken({ index: 1 })],
    ['a root with a parent', broken({ parent: Uint8Array.of(1, 2, 3, 4) })],
    ['too little', broken({ publicKey: root.publicKey.slice(1) })],
    ['words', 'xpub'],
    ['very much', 'x'.repeat(10_000)],
  ])('%s is no extended public key', (_, xpub) => {
    expect(failure(() => parseXpub(xpub))).toMatchObject({
      code: 'InvalidInput',
      details: { field: 'xpub' },
    });
  });

  it.each([0x8000_0000, -1, 1.5, Number.NaN])('index %s', (index) => {
    expect(failure(() => deriveKey(root, [index]))?.details.field).toBe('path');
  });

  it.each(["m/0'", 'm/0h', '0/1', 'm/', 'm/01', 'm/-1', 'm/1/', ''])('path %j', (path) => {
    expect(failure(() => parsePath(path))?.details.field).toBe('path');
  });

  it('but paths without hardened steps are read', () => {
    expect([parsePath('m'), parsePath('m/0/7')]).toEqual([[], [0, 7]]);
    expect(failure(() => deriveKey({ ...root, depth: 255 }, [0]))?.details.field).toBe('path');
  });
});
