/** Accounts of a wallet against other software: BIP-32 and addresses of viem, scripts of @scure/btc-signer. */
import { schnorr, secp256k1 } from '@noble/curves/secp256k1.js';
import { p2tr, p2wpkh, TEST_NETWORK } from '@scure/btc-signer';
import fc from 'fast-check';
import { HDKey, publicKeyToAddress } from 'viem/accounts';
import { describe, expect, it } from 'vitest';
import { depositAddress } from '../../client/accounts.ts';
import { chainCodeOf, childKey, xpubOf } from '../../core/account.ts';
import type { KeyDescriptor } from '../../schema/contracts/key.ts';
import { childKeyOf } from '../support/children.ts';
import { BITCOIN, ETHEREUM, SOLANA } from '../support/parties.ts';

const REGTEST = { ...TEST_NETWORK, bech32: 'bcrt' };
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
const keyOf = (network: string, publicKey: Uint8Array, keyId = 'treasury') =>
  ({ keyId, network, publicKey: hex(publicKey) }) as unknown as KeyDescriptor;
const secrets = fc
  .uint8Array({ minLength: 32, maxLength: 32 })
  .filter((bytes) => secp256k1.utils.isValidSecretKey(bytes));
const steps = fc.array(fc.integer({ min: 0, max: 0x7fff_ffff }), { minLength: 1, maxLength: 5 });
const pathOf = (indices: readonly number[]) => ['m', ...indices].join('/');

describe('a child account', () => {
  it('is what other software derives from the exported key, on each chain', () => {
    fc.assert(
      fc.property(secrets, steps, (secret, indices) => {
        const path = pathOf(indices);
        const compressed = secp256k1.getPublicKey(secret);
        const ethereum = keyOf(ETHEREUM, compressed);
        const child = HDKey.fromExtendedKey(xpubOf(ethereum)).derive(path).publicKey as Uint8Array;
        const point = secp256k1.Point.fromBytes(child).toBytes(false);
        expect(depositAddress({ key: ethereum }, path)).toEqual({
          path,
          address: publicKeyToAddress(`0x${hex(point)}`),
        });
        const segwit = keyOf(BITCOIN, compressed);
        const tpub = HDKey.fromExtendedKey(xpubOf(segwit), {
          private: 0x04358394,
          public: 0x043587cf,
        });
        expect(depositAddress({ key: segwit }, path).address).toBe(
          p2wpkh(tpub.derive(path).publicKey as Uint8Array, REGTEST).address,
        );
        const taproot = keyOf(BITCOIN, schnorr.getPublicKey(secret));
        const internal = HDKey.fromExtendedKey(xpubOf(taproot), {
          private: 0x04358394,
          public: 0x043587cf,
        }).derive(path).publicKey as Uint8Array;
        expect(depositAddress({ key: taproot }, path).address).toBe(
          p2tr(internal.slice(1), undefined, REGTEST).address,
        );
      }),
      { numRuns: 30 },
    );
  });

  it('is reached from the secret by the tweak that signers add, whatever the parity', () => {
    const { Fn, BASE } = secp256k1.Point;
    const parities = new Set<number>();
    fc.assert(
      fc.property(secrets, steps, (secret, indices) => {
        const path = pathOf(indices);
        const publicKey = schnorr.getPublicKey(secret);
        const even = secp256k1.getPublicKey(secret)[0] === 2;
        const d = Fn.fromBytes(secret);
        const { tweak, publicKey: output } = childKey(keyOf(BITCOIN, publicKey), path);
        const sum = BASE.multiply(Fn.add(even ? d : Fn.neg(d), Fn.fromBytes(tweak))).toBytes(true);
        parities.add(sum[0] as number);
        expect(hex(sum.slice(1))).toBe(hex(output));
        expect(hex(output)).toBe(
          hex(childKeyOf(publicKey, chainCodeOf(keyOf(BITCOIN, publicKey)), path)),
        );
      }),
      { numRuns: 40 },
    );
    expect(parities).toEqual(new Set([2, 3]));
  });

  it('has a chain code of its own for each key, network and key id', () => {
    const publicKey = secp256k1.getPublicKey(new Uint8Array(32).fill(7));
    const codes = [
      keyOf(BITCOIN, publicKey),
      keyOf(ETHEREUM, publicKey),
      keyOf(BITCOIN, publicKey, 'other'),
      keyOf(BITCOIN, secp256k1.getPublicKey(new Uint8Array(32).fill(8))),
    ].map((key) => hex(chainCodeOf(key)));
    expect(new Set(codes).size).toBe(4);
  });

  it.each([
    ['m', 'no step'],
    ['m/0/1/2/3/4/5', 'six steps'],
    ["m/0'", 'hardened'],
    ['m/0h', 'hardened'],
    ['m/2147483648', 'hardened by number'],
    ['m/01', 'another spelling'],
    ['m/-1', 'negative'],
    ['0/1', 'no root'],
    ['m/0/', 'an empty step'],
    ['M/0', 'a capital'],
  ])('is none at %s (%s): refused, naming the path', (path) => {
    const key = keyOf(ETHEREUM, secp256k1.getPublicKey(new Uint8Array(32).fill(7)));
    expect(() => depositAddress({ key }, path)).toThrowError(
      expect.objectContaining({
        code: 'InvalidInput',
        details: expect.objectContaining({ field: 'path' }),
      }),
    );
  });

  it('is none of an Ed25519 wallet', () => {
    const key = keyOf(SOLANA, new Uint8Array(32).fill(9));
    for (const ask of [() => xpubOf(key), () => depositAddress({ key }, 0)])
      expect(ask).toThrowError(
        expect.objectContaining({
          code: 'InvalidInput',
          details: expect.objectContaining({ field: 'path', rule: 'curve' }),
        }),
      );
  });
});
