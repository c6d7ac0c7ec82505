/**
 * Deposit addresses: BIP-32 public (non-hardened) derivation from an extended public key, so that whoever holds a certified
 * key finds every address himself. Child keys belong to the same shares: child = key + tweak·G, and a party that signs for
 * a child adds the sum of the tweaks to its share.
 */
import { secp256k1 } from '@noble/curves/secp256k1.js';
import { hmac } from '@noble/hashes/hmac.js';
import { ripemd160 } from '@noble/hashes/legacy.js';
import { sha256, sha512 } from '@noble/hashes/sha2.js';
import { concatBytes } from '@noble/hashes/utils.js';
import { createBase58check } from '@scure/base';
import { KeysagaError } from '../schema/contracts/errors.ts';

const { Point } = secp256k1;
const { Fn } = Point;
const base58check = createBase58check(sha256);

export type ExtendedKey = {
  /** Compressed, 33 bytes. */
  readonly publicKey: Uint8Array;
  /** 32 bytes. */
  readonly chainCode: Uint8Array;
  readonly depth: number;
  /** First four bytes of the parent's HASH160; zeros at depth 0. */
  readonly parent: Uint8Array;
  readonly index: number;
  /** `main` (xpub) or `test` (tpub). */
  readonly network: 'main' | 'test';
};
export type DerivedKey = ExtendedKey & {
  /** What the private key of the first key grew by, modulo the group's order; 32 bytes. */
  readonly tweak: Uint8Array;
};

/** BIP-32's version bytes of public keys. */
const VERSIONS = { main: 0x0488b21e, test: 0x043587cf } as const;
const HARDENED = 0x8000_0000;

const refuse = (field: string, why: string): KeysagaError =>
  new KeysagaError('InvalidInput', `${field}: ${why}`, { field });

const u32 = (n: number): Uint8Array =>
  Uint8Array.of((n >>> 24) & 0xff, (n >>> 16) & 0xff, (n >>> 8) & 0xff, n & 0xff);
const readU32 = (bytes: Uint8Array, at: number): number =>
  bytes.subarray(at, at + 4).reduce((value, byte) => value * 256 + byte, 0);

const fingerprint = (publicKey: Uint8Array): Uint8Array =>
  ripemd160(sha256(publicKey)).subarray(0, 4);

/** The key at the root of a tree (depth 0). @throws KeysagaError `InvalidInput` (`publicKey`, `chainCode`). */
export function extendedKey(
  publicKey: Uint8Array,
  chainCode: Uint8Array,
  network: ExtendedKey['network'] = 'main',
): ExtendedKey {
  if (chainCode.length !== 32) throw refuse('chainCode', 'a chain code has 32 bytes');
  point(publicKey);
  return { publicKey, chainCode, depth: 0, parent: new Uint8Array(4), index: 0, network };
}

function point(publicKey: Uint8Array): InstanceType<typeof Point> {
  try {
    if (publicKey.length !== 33) throw new RangeError('33 bytes are needed');
    return Point.fromBytes(publicKey);
  } catch {
    throw refuse('publicKey', 'not a compressed secp256k1 public key');
  }
}

export const encodeXpub = (key: ExtendedKey): string =>
  base58check.encode(
    concatBytes(
      u32(VERSIONS[key.network]),
      Uint8Array.of(key.depth),
      key.parent,
      u32(key.index),
      key.chainCode,
      key.publicKey,
    ),
  );

/** @throws KeysagaError `InvalidInput` (`xpub`) for a wrong checksum, a private key, another version, no point. */
export function parseXpub(xpub: string): ExtendedKey {
  let bytes: Uint8Array;
  try {
    // Checked first: decoding takes time quadratic in the length.
    if (xpub.length > 120) throw new RangeError('too long');
    bytes = base58check.decode(xpub);
  } catch {
    throw refuse('xpub', 'not an extended public key');
  }
  if (bytes.length !== 78) throw refuse('xpub', 'an extended key has 78 bytes');
  const version = readU32(bytes, 0);
  const network = (['main', 'test'] as const).find((name) => VERSIONS[name] === version);
  if (network === undefined) throw refuse('xpub', 'not the version of a public key');
  const [depth = 0, index] = [bytes[4], readU32(bytes, 9)];
  const parent = bytes.slice(5, 9);
  const publicKey = bytes.slice(45);
  try {
    point(publicKey);
  } catch {
    throw refuse('xpub', 'its key is no compressed public key');
  }
  if (depth === 0 && (index !== 0 || parent.some((byte) => byte !== 0)))
    throw refuse('xpub', 'a root has neither parent nor index');
  return { publicKey, chainCode: bytes.slice(13, 45), depth, parent, index, network };
}

/** CKDpub of BIP-32 and what it adds to the private key. @throws KeysagaError `InvalidInput` (`path`). */
function child(key: ExtendedKey, index: number): { key: ExtendedKey; tweak: bigint } {
  if (!Number.isInteger(index) || index < 0 || index >= HARDENED)
    throw refuse('path', 'indices are 0 to 2^31 − 1: hardened ones need the private key');
  if (key.depth === 255) throw refuse('path', 'at most 255 levels');
  const hash = hmac(sha512, key.chainCode, concatBytes(key.publicKey, u32(index)));
  const tweak = Fn.fromBytes(hash.subarray(0, 32), true);
  const isInRange = tweak < Fn.ORDER && tweak !== 0n;
  // Probability 2^-127; BIP-32: "one should proceed with the next value for i".
  if (!isInRange) throw refuse('path', 'this index has no key');
  const sum = Point.BASE.multiplyUnsafe(tweak).add(point(key.publicKey));
  if (sum.is0()) throw refuse('path', 'this index has no key');
  return {
    tweak,
    key: {
      publicKey: sum.toBytes(true),
      chainCode: hash.slice(32),
      depth: key.depth + 1,
      parent: fingerprint(key.publicKey),
      index,
      network: key.network,
    },
  };
}

/** The key at `path` below `key`, e.g. `[0, 7]` for `m/0/7`. @throws KeysagaError `InvalidInput` (`path`). */
export function deriveKey(key: ExtendedKey, path: readonly number[]): DerivedKey {
  let current = key;
  let tweak = 0n;
  for (const index of path) {
    const next = child(current, index);
    current = next.key;
    tweak = Fn.add(tweak, next.tweak);
  }
  return { ...current, tweak: Fn.toBytes(tweak) };
}

/** `m/0/7` → `[0, 7]`. @throws KeysagaError `InvalidInput` (`path`), also for hardened steps. */
export function parsePath(path: string): number[] {
  if (!/^m(?:\/(?:0|[1-9]\d{0,9})){0,255}$/.test(path))
    throw refuse('path', 'a path looks like m/0/7, without hardened steps');
  return path.split('/').slice(1).map(Number);
}
