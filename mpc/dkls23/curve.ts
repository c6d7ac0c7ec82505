/** Points of secp256k1 at the boundary, Lagrange coefficients, and proofs of knowledge of a discrete logarithm. */
import { normalizeZ } from '@noble/curves/abstract/curve.js';
import { secp256k1 } from '@noble/curves/secp256k1.js';
import { concatBytes, domainHash, equalBytes, u8 } from '../bytes.ts';
import type { Random } from './random.ts';
import { invert, mod, Q, readScalar, SCALAR_BYTES, scalarBytes, wideScalar } from './scalars.ts';

export const { Point } = secp256k1;
export type Point = InstanceType<typeof Point>;
export const G: Point = Point.BASE;
/** Compressed. */
export const POINT_BYTES = 33;

/** Undefined for anything but 33 bytes of a point on the curve; the identity has no such encoding. The cofactor is 1. */
export function readPoint(bytes: Uint8Array): Point | undefined {
  if (bytes.length !== POINT_BYTES) return undefined;
  try {
    const point = Point.fromBytes(bytes);
    point.assertValidity();
    return point;
  } catch {
    return undefined;
  }
}

/** Encodings of many points at the price of one inversion. None may be the identity. */
export const pointBytes = (points: readonly Point[]): Uint8Array[] =>
  normalizeZ(Point, [...points]).map((point) => point.toBytes(true));

/** Uncompressed: twice the bytes, but decoding takes no square root, a fortieth of the time. */
export const OPEN_POINT_BYTES = 65;

/** Undefined for anything but 65 bytes of a point on the curve. */
export function readOpenPoint(bytes: Uint8Array): Point | undefined {
  if (bytes.length !== OPEN_POINT_BYTES) return undefined;
  try {
    const point = Point.fromBytes(bytes);
    point.assertValidity();
    return point;
  } catch {
    return undefined;
  }
}
export const openPointBytes = (points: readonly Point[]): Uint8Array[] =>
  normalizeZ(Point, [...points]).map((point) => point.toBytes(false));

/** For secret scalars: the library's constant-time multiplication, which does not take zero. */
export const multiply = (point: Point, secret: bigint): Point =>
  secret === 0n ? Point.ZERO : point.multiply(secret);
/** For public values only: time depends on the scalar. */
export const multiplyPublic = (point: Point, scalar: bigint): Point =>
  scalar === 0n ? Point.ZERO : point.multiplyUnsafe(scalar);

/**
 * Σ scalars[i] · points[i] for scalars below 2^`bits` (Pippenger's buckets). For public values only, or for scalars
 * that hide nothing: which bucket a point goes to depends on its scalar.
 */
export function sumOfProducts(
  points: readonly Point[],
  scalars: readonly bigint[],
  bits: number,
): Point {
  const width = points.length < 8 ? 3 : points.length < 40 ? 4 : points.length < 120 ? 5 : 6;
  const mask = (1n << BigInt(width)) - 1n;
  let total: Point = Point.ZERO;
  for (let window = Math.ceil(bits / width) - 1; window >= 0; window--) {
    for (let i = 0; i < width; i++) total = total.double();
    const buckets: (Point | undefined)[] = new Array(1 << width);
    points.forEach((point, i) => {
      const digit = Number(((scalars[i] as bigint) >> BigInt(window * width)) & mask);
      if (digit !== 0) buckets[digit] = buckets[digit]?.add(point) ?? point;
    });
    let running: Point | undefined;
    let sum: Point | undefined;
    for (let digit = buckets.length - 1; digit > 0; digit--) {
      const bucket = buckets[digit];
      if (bucket !== undefined) running = running?.add(bucket) ?? bucket;
      if (running !== undefined) sum = sum?.add(running) ?? running;
    }
    if (sum !== undefined) total = total.add(sum);
  }
  return total;
}

const WINDOW = 4;
const WINDOWS = 256 / WINDOW;
/** Σ 16^i over the windows: what digits of 1 to 16 stand for beyond those of 0 to 15. */
const OFFSET = ((1n << 256n) - 1n) / 15n;

/**
 * Σ secrets[i] · points[i] for many secret scalars below q at once: fixed windows of four bits over shared doublings, a
 * sixth of the time of single multiplications. No point may be the identity. Digits run from 1 to 16, those of the scalar
 * less `OFFSET`: with a digit of zero the table's entry would be the identity, whose addition takes next to no time on
 * bigints, and the time would count the zero digits. So any scalars take the same additions of the same kind; as in the
 * library's own multiplication, which table entry is added depends on the scalar.
 */
export function multiplyAll(points: readonly Point[], secrets: readonly bigint[]): Point {
  const tables = points.map((point) => {
    const table: Point[] = [point];
    for (let i = 1; i < 1 << WINDOW; i++) table.push((table[i - 1] as Point).add(point));
    return table;
  });
  const digits = secrets.map((secret) => {
    const bytes = scalarBytes(mod(secret - OFFSET));
    const nibbles = new Uint8Array(WINDOWS);
    for (let i = 0; i < WINDOWS; i++) nibbles[i] = ((bytes[i >> 1] ?? 0) >> (i & 1 ? 0 : 4)) & 15;
    bytes.fill(0);
    return nibbles;
  });
  let sum: Point | undefined;
  for (let window = 0; window < WINDOWS; window++) {
    if (sum !== undefined) for (let i = 0; i < WINDOW; i++) sum = sum.double();
    for (let i = 0; i < tables.length; i++) {
      const digit = (digits[i] as Uint8Array)[window] as number;
      const entry = (tables[i] as Point[])[digit] as Point;
      sum = sum === undefined ? entry : sum.add(entry);
    }
  }
  for (const nibbles of digits) nibbles.fill(0);
  return sum ?? Point.ZERO;
}

/** Σ commitments[k] · index^k, by Horner's rule; indices are small, so this is cheap. */
export const evaluate = (commitments: readonly Point[], index: number): Point =>
  commitments.reduceRight(
    (sum, c) => multiplyPublic(sum, BigInt(index)).add(c),
    Point.ZERO as Point,
  );

/** λ of `index` over the set: Σ λ_i · p(i) = p(0). */
export function lagrange(index: number, set: readonly number[]): bigint {
  let numerator = 1n;
  let denominator = 1n;
  for (const other of set) {
    if (other === index) continue;
    numerator = mod(numerator * BigInt(other));
    denominator = mod(denominator * BigInt(other - index));
  }
  return mod(numerator * invert(denominator));
}

/** Schnorr's proof, made non-interactive: R ‖ z. */
export const PROOF_BYTES = POINT_BYTES + SCALAR_BYTES;

const challenge = (
  domain: string,
  context: Uint8Array,
  prover: number,
  key: Uint8Array,
  nonce: Uint8Array,
): bigint => wideScalar(wide(domainHash(domain, context, u8(prover), key, nonce)));

/** 48 bytes from a hash of 32: two hashes would do as well, but a challenge needs no more than 256 bits. */
const wide = (hash: Uint8Array): Uint8Array => concatBytes(new Uint8Array(16), hash);

/** Proves knowledge of `secret`, bound to context and prover. */
export function proveKnowledge(
  domain: string,
  context: Uint8Array,
  prover: number,
  secret: bigint,
  key: Uint8Array,
  random: Random,
): Uint8Array {
  const nonce = random.scalar();
  const commitment = multiply(G, nonce).toBytes(true);
  const z = mod(nonce + challenge(domain, context, prover, key, commitment) * secret);
  return concatBytes(commitment, scalarBytes(z));
}

/** Public values only. False for anything that does not decode. */
export function checkKnowledge(
  domain: string,
  context: Uint8Array,
  prover: number,
  key: Uint8Array,
  proof: Uint8Array,
): boolean {
  if (proof.length !== PROOF_BYTES) return false;
  const commitment = proof.subarray(0, POINT_BYTES);
  const R = readPoint(commitment);
  const X = readPoint(key);
  const z = readScalar(proof.subarray(POINT_BYTES));
  if (R === undefined || X === undefined || z === undefined) return false;
  const c = challenge(domain, context, prover, key, commitment);
  return R.equals(multiplyPublic(G, z).subtract(multiplyPublic(X, c)));
}

/** Whether two points are equal, by their encodings; either may be the identity. */
export const samePoint = (a: Point, b: Point): boolean =>
  a.is0() || b.is0() ? a.is0() && b.is0() : equalBytes(a.toBytes(true), b.toBytes(true));

/** q − value, for a value modulo q. */
export const negate = (value: bigint): bigint => (value === 0n ? 0n : Q - value);
