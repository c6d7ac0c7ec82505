/** Verifiers that had no part in making a signature: OpenSSL for Ed25519, plain affine arithmetic for BIP-340. */
import { createHash, createPublicKey, verify } from 'node:crypto';

const SPKI_ED25519 = Buffer.from('302a300506032b6570032100', 'hex');

/** RFC 8032 by OpenSSL. */
export function opensslEd25519(
  publicKey: Uint8Array,
  message: Uint8Array,
  signature: Uint8Array,
): boolean {
  const key = createPublicKey({
    key: Buffer.concat([SPKI_ED25519, publicKey]),
    format: 'der',
    type: 'spki',
  });
  return verify(null, message, key, signature);
}

const p = 2n ** 256n - 2n ** 32n - 977n;
const n = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
type Affine = readonly [bigint, bigint] | undefined;
const G: Affine = [
  0x79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798n,
  0x483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8n,
];
const mod = (a: bigint, m = p) => ((a % m) + m) % m;
const power = (base: bigint, exponent: bigint): bigint => {
  let result = 1n;
  for (let b = mod(base), e = exponent; e > 0n; e >>= 1n, b = (b * b) % p)
    if (e & 1n) result = (result * b) % p;
  return result;
};
const inverse = (a: bigint) => power(a, p - 2n);
const add = (a: Affine, b: Affine): Affine => {
  if (a === undefined) return b;
  if (b === undefined) return a;
  if (a[0] === b[0] && mod(a[1] + b[1]) === 0n) return undefined;
  const slope =
    a[0] === b[0]
      ? 3n * a[0] * a[0] * inverse(2n * a[1])
      : (b[1] - a[1]) * inverse(mod(b[0] - a[0]));
  const x = mod(slope * slope - a[0] - b[0]);
  return [x, mod(slope * (a[0] - x) - a[1])];
};
const multiply = (point: Affine, scalar: bigint): Affine => {
  let sum: Affine;
  for (let q = point, k = scalar; k > 0n; k >>= 1n, q = add(q, q)) if (k & 1n) sum = add(sum, q);
  return sum;
};
const integer = (bytes: Uint8Array) => BigInt(`0x${Buffer.from(bytes).toString('hex')}`);
export const bytes32 = (value: bigint): Uint8Array =>
  new Uint8Array(Buffer.from(value.toString(16).padStart(64, '0'), 'hex'));
const liftX = (x: bigint): Affine => {
  if (x >= p) return undefined;
  const c = mod(x ** 3n + 7n);
  const y = power(c, (p + 1n) / 4n);
  if ((y * y) % p !== c) return undefined;
  return [x, y & 1n ? p - y : y];
};
const taggedHash = (tag: string, ...parts: Uint8Array[]) => {
  const t = createHash('sha256').update(tag).digest();
  const hash = createHash('sha256').update(t).update(t);
  for (const part of parts) hash.update(part);
  return new Uint8Array(hash.digest());
};

/** BIP-340, "Verification", from its text. */
export function affineBip340(
  publicKey: Uint8Array,
  message: Uint8Array,
  signature: Uint8Array,
): boolean {
  if (publicKey.length !== 32 || signature.length !== 64) return false;
  const P = liftX(integer(publicKey));
  const r = integer(signature.slice(0, 32));
  const s = integer(signature.slice(32));
  if (P === undefined || r >= p || s >= n) return false;
  const e = mod(
    integer(taggedHash('BIP0340/challenge', signature.slice(0, 32), publicKey, message)),
    n,
  );
  const R = add(multiply(G, s), multiply(P, n - e));
  return R !== undefined && (R[1] & 1n) === 0n && R[0] === r;
}

/** BIP-341, taproot_tweak_pubkey with no script tree, from its text. x-only in, x-only out. */
export function affineOutputKey(internalKey: Uint8Array): Uint8Array {
  const t = integer(taggedHash('TapTweak', internalKey));
  const Q = t < n ? add(liftX(integer(internalKey)), multiply(G, t)) : undefined;
  if (Q === undefined) throw new Error('no output key');
  return bytes32(Q[0]);
}

/** x coordinate of the sum of compressed points. */
export function affineSumX(points: readonly Uint8Array[]): Uint8Array {
  let sum: Affine;
  for (const encoded of points) {
    const even = liftX(integer(encoded.slice(1)));
    if (even === undefined) throw new Error('not a point');
    sum = add(sum, encoded[0] === 3 ? [even[0], p - even[1]] : even);
  }
  if (sum === undefined) throw new Error('the sum is the identity');
  return bytes32(sum[0]);
}
