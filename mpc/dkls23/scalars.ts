/**
 * Arithmetic modulo the group order q. Few scalars: bigints. Many (the pads of a multiplication, 1,248 per
 * signature and direction): words (eight of 32 bits) where they are stored and sent, limbs (twelve of 22 bits, in
 * doubles) where they are multiplied, so that sums of products stay exact and are reduced once.
 *
 * Limb arithmetic has no branch and no index that depends on a value. That of bigints has: see docs/protocols/dkls23.md.
 */
import { secp256k1 } from '@noble/curves/secp256k1.js';
import { bytesToNumberBE, numberToBytesBE } from '@noble/curves/utils.js';

/** Order of secp256k1. */
export const Q: bigint = secp256k1.Point.Fn.ORDER;
export const SCALAR_BYTES = 32;
export const WORDS = 8;
export const LIMBS = 12;
/** Columns of a product of two scalars in limbs, and one for the carry. */
export const PRODUCT_LIMBS = 24;

const RADIX = 0x400000;
const MASK = RADIX - 1;
const INVERSE_RADIX = 1 / RADIX;
/** Most products that `multiplyAdd` may add between two calls of `carry`, for limbs below 2^23 times limbs below 2^22. */
export const PRODUCTS_PER_CARRY = 16;

export const mod = (value: bigint): bigint => {
  const rest = value % Q;
  return rest < 0n ? rest + Q : rest;
};
/** Of a non-zero scalar; the library's inversion. */
export const invert = (value: bigint): bigint => secp256k1.Point.Fn.inv(value);

/** Big-endian, 32 bytes. */
export const scalarBytes = (value: bigint): Uint8Array => numberToBytesBE(value, SCALAR_BYTES);
/** Undefined for anything but 32 bytes below q. */
export function readScalar(bytes: Uint8Array): bigint | undefined {
  if (bytes.length !== SCALAR_BYTES) return undefined;
  const value = bytesToNumberBE(bytes);
  return value < Q ? value : undefined;
}
/** Uniform up to 2^−128 from 48 uniform bytes. */
export const wideScalar = (bytes: Uint8Array): bigint => bytesToNumberBE(bytes) % Q;

/** Limbs at `to` ← words at `from`. */
export function toLimbs(words: Uint32Array, from: number, limbs: Float64Array, to: number): void {
  const w0 = words[from] as number;
  const w1 = words[from + 1] as number;
  const w2 = words[from + 2] as number;
  const w3 = words[from + 3] as number;
  const w4 = words[from + 4] as number;
  const w5 = words[from + 5] as number;
  const w6 = words[from + 6] as number;
  const w7 = words[from + 7] as number;
  limbs[to] = w0 & MASK;
  limbs[to + 1] = ((w0 >>> 22) | (w1 << 10)) & MASK;
  limbs[to + 2] = ((w1 >>> 12) | (w2 << 20)) & MASK;
  limbs[to + 3] = (w2 >>> 2) & MASK;
  limbs[to + 4] = ((w2 >>> 24) | (w3 << 8)) & MASK;
  limbs[to + 5] = ((w3 >>> 14) | (w4 << 18)) & MASK;
  limbs[to + 6] = (w4 >>> 4) & MASK;
  limbs[to + 7] = ((w4 >>> 26) | (w5 << 6)) & MASK;
  limbs[to + 8] = ((w5 >>> 16) | (w6 << 16)) & MASK;
  limbs[to + 9] = (w6 >>> 6) & MASK;
  limbs[to + 10] = ((w6 >>> 28) | (w7 << 4)) & MASK;
  limbs[to + 11] = w7 >>> 18;
}

/** Adds `bit` times the words to the limbs; `bit` is 0 or 1 and leaves no trace in time. */
export function addMasked(
  words: Uint32Array,
  from: number,
  limbs: Float64Array,
  to: number,
  bit: number,
): void {
  const m = -bit & MASK;
  const w0 = words[from] as number;
  const w1 = words[from + 1] as number;
  const w2 = words[from + 2] as number;
  const w3 = words[from + 3] as number;
  const w4 = words[from + 4] as number;
  const w5 = words[from + 5] as number;
  const w6 = words[from + 6] as number;
  const w7 = words[from + 7] as number;
  (limbs[to] as number) += w0 & m;
  (limbs[to + 1] as number) += ((w0 >>> 22) | (w1 << 10)) & m;
  (limbs[to + 2] as number) += ((w1 >>> 12) | (w2 << 20)) & m;
  (limbs[to + 3] as number) += (w2 >>> 2) & m;
  (limbs[to + 4] as number) += ((w2 >>> 24) | (w3 << 8)) & m;
  (limbs[to + 5] as number) += ((w3 >>> 14) | (w4 << 18)) & m;
  (limbs[to + 6] as number) += (w4 >>> 4) & m;
  (limbs[to + 7] as number) += ((w4 >>> 26) | (w5 << 6)) & m;
  (limbs[to + 8] as number) += ((w5 >>> 16) | (w6 << 16)) & m;
  (limbs[to + 9] as number) += (w6 >>> 6) & m;
  (limbs[to + 10] as number) += ((w6 >>> 28) | (w7 << 4)) & m;
  (limbs[to + 11] as number) += (w7 >>> 18) & m;
}

/** sum ← sum + a·b over `PRODUCT_LIMBS` columns. One factor's limbs may be as large as 2^23. */
export function multiplyAdd(
  sum: Float64Array,
  at: number,
  a: Float64Array,
  aAt: number,
  b: Float64Array,
  bAt: number,
): void {
  const b0 = b[bAt] as number;
  const b1 = b[bAt + 1] as number;
  const b2 = b[bAt + 2] as number;
  const b3 = b[bAt + 3] as number;
  const b4 = b[bAt + 4] as number;
  const b5 = b[bAt + 5] as number;
  const b6 = b[bAt + 6] as number;
  const b7 = b[bAt + 7] as number;
  const b8 = b[bAt + 8] as number;
  const b9 = b[bAt + 9] as number;
  const b10 = b[bAt + 10] as number;
  const b11 = b[bAt + 11] as number;
  for (let i = 0; i < LIMBS; i++) {
    const x = a[aAt + i] as number;
    const to = at + i;
    (sum[to] as number) += x * b0;
    (sum[to + 1] as number) += x * b1;
    (sum[to + 2] as number) += x * b2;
    (sum[to + 3] as number) += x * b3;
    (sum[to + 4] as number) += x * b4;
    (sum[to + 5] as number) += x * b5;
    (sum[to + 6] as number) += x * b6;
    (sum[to + 7] as number) += x * b7;
    (sum[to + 8] as number) += x * b8;
    (sum[to + 9] as number) += x * b9;
    (sum[to + 10] as number) += x * b10;
    (sum[to + 11] as number) += x * b11;
  }
}

/**
 * (x + ROUND) − ROUND is x to the nearest multiple of 2^22, for |x| below 2^53: doubles near 2^74 are 2^22 apart.
 */
const ROUND = 1.5 * 2 ** 74;

/**
 * One turn of carrying, without a branch. Columns are signed afterwards: from below 2^53, one turn leaves them below
 * 2^21 + 2^31 and a second below 2^21 + 2^10 in size. The last column takes what is left over.
 */
export function carry(sum: Float64Array, at: number, count: number): void {
  let over = 0;
  const last = at + count - 1;
  for (let i = at; i < last; i++) {
    const column = sum[i] as number;
    const high = column + ROUND - ROUND;
    sum[i] = column - high + over;
    over = high * INVERSE_RADIX;
  }
  (sum[last] as number) += over;
}

/** 2^256 − q, and 2^8 times it, in limbs: what 2^256 and 2^264 are modulo q. */
const limbsOf = (value: bigint, count: number): number[] =>
  Array.from({ length: count }, (_, i) => Number((value >> BigInt(22 * i)) & BigInt(MASK)));
const FOLD_256 = Float64Array.from(limbsOf((1n << 256n) - Q, LIMBS));
const FOLD_INTEGERS = Int32Array.from(FOLD_256);
/** 2^9 · q. */
const LIFT = Int32Array.from(limbsOf(Q << 9n, 13));
const FOLD_264 = Float64Array.from(limbsOf(((1n << 256n) - Q) << 8n, 7));

/** sum[at …] += times · 2^264 mod q for `count` limbs from column 12 on, which become 0. */
function fold(sum: Float64Array, at: number, count: number): void {
  const f0 = FOLD_264[0] as number;
  const f1 = FOLD_264[1] as number;
  const f2 = FOLD_264[2] as number;
  const f3 = FOLD_264[3] as number;
  const f4 = FOLD_264[4] as number;
  const f5 = FOLD_264[5] as number;
  const f6 = FOLD_264[6] as number;
  for (let i = 0; i < count; i++) {
    const to = at + i;
    const high = sum[to + LIMBS] as number;
    sum[to + LIMBS] = 0;
    (sum[to] as number) += high * f0;
    (sum[to + 1] as number) += high * f1;
    (sum[to + 2] as number) += high * f2;
    (sum[to + 3] as number) += high * f3;
    (sum[to + 4] as number) += high * f4;
    (sum[to + 5] as number) += high * f5;
    (sum[to + 6] as number) += high * f6;
  }
}

/**
 * Reduces a sum of products to its canonical value modulo q, as words at `out[to …]`. Columns may be as large as
 * doubles are exact; they are used up. The sum must be below 2^528, which 2^16 products are.
 */
export function reduce(sum: Float64Array, at: number, out: Uint32Array, to: number): void {
  carry(sum, at, PRODUCT_LIMBS);
  carry(sum, at, PRODUCT_LIMBS);
  // Below 2^528: the high half has 264 bits; times 2^264 mod q, which has 137, the sum ends below 2^402.
  fold(sum, at, LIMBS);
  carry(sum, at, 20);
  carry(sum, at, 20);
  // Below 2^276, then below 2^264 + 2^149.
  fold(sum, at, 8);
  carry(sum, at, 16);
  carry(sum, at, 16);
  fold(sum, at, 4);
  carry(sum, at, 13);
  carry(sum, at, 13);
  // Signed columns may stand for a value below zero, though above −2^264: 2^9 · q lifts it. Then all is integers.
  let over = 0;
  for (let j = 0; j < 12; j++) {
    const column = ((sum[at + j] as number) | 0) + (LIFT[j] as number) + over;
    over = column >> 22;
    settled[j] = column & MASK;
  }
  const above = ((sum[at + 12] as number) | 0) + (LIFT[12] as number) + over;
  // What stands above 2^256, ten bits; then the value is below 2^256 + 2^139, hence below 2q.
  const top = settled[11] as number;
  const high = above * 256 + (top >> 14);
  settled[11] = top & 16383;
  over = 0;
  for (let j = 0; j < LIMBS; j++) {
    const column = (settled[j] as number) + high * (FOLD_256[j] as number) + over;
    over = (column * INVERSE_RADIX) | 0;
    settled[j] = column - over * RADIX;
  }
  // value ≥ q exactly when value + (2^256 − q) reaches 2^256; then that, without the top bit, is the value − q.
  over = 0;
  for (let j = 0; j < LIMBS; j++) {
    const column = (settled[j] as number) + (FOLD_INTEGERS[j] as number) + over;
    over = column >> 22;
    lowered[j] = column & MASK;
  }
  const reached = ((lowered[11] as number) >> 14) & 1;
  const keep = reached - 1;
  for (let j = 0; j < LIMBS; j++)
    settled[j] = ((settled[j] as number) & keep) | ((lowered[j] as number) & ~keep);
  for (let j = 0; j < PRODUCT_LIMBS; j++) sum[at + j] = 0;
  toWords(settled, out, to);
}
const settled = new Int32Array(LIMBS);
const lowered = new Int32Array(LIMBS);

/** Words at `to` ← limbs below 2^22; of the last, 14 bits. */
function toWords(l: Int32Array, words: Uint32Array, to: number): void {
  const l0 = l[0] as number;
  const l1 = l[1] as number;
  const l2 = l[2] as number;
  const l3 = l[3] as number;
  const l4 = l[4] as number;
  const l5 = l[5] as number;
  const l6 = l[6] as number;
  const l7 = l[7] as number;
  const l8 = l[8] as number;
  const l9 = l[9] as number;
  const l10 = l[10] as number;
  const l11 = l[11] as number;
  words[to] = l0 | (l1 << 22);
  words[to + 1] = (l1 >>> 10) | (l2 << 12);
  words[to + 2] = (l2 >>> 20) | (l3 << 2) | (l4 << 24);
  words[to + 3] = (l4 >>> 8) | (l5 << 14);
  words[to + 4] = (l5 >>> 18) | (l6 << 4) | (l7 << 26);
  words[to + 5] = (l7 >>> 6) | (l8 << 16);
  words[to + 6] = (l8 >>> 16) | (l9 << 6) | (l10 << 28);
  words[to + 7] = (l10 >>> 4) | (l11 << 18);
}

/** 2^256 − q in words. */
const COMPLEMENT = Array.from({ length: WORDS }, (_, i) =>
  Number((((1n << 256n) - Q) >> BigInt(32 * i)) & 0xffff_ffffn),
);
const WORD = 2 ** 32;

/**
 * out[to …] ← a + b − c modulo q, canonical, all in words; b and c may be any 256-bit values. For the corrections
 * of a multiplication: the input plus one pad minus the other.
 */
export function addSubtract(
  a: Uint32Array,
  aAt: number,
  b: Uint32Array,
  bAt: number,
  c: Uint32Array,
  cAt: number,
  out: Uint32Array,
  to: number,
): void {
  let over = 0;
  for (let i = 0; i < WORDS; i++) {
    const column = (a[aAt + i] as number) + (b[bAt + i] as number) - (c[cAt + i] as number) + over;
    out[to + i] = column;
    over = Math.floor(column / WORD);
  }
  // −1, 0 or 1 times 2^256 is left; each turn brings it nearer, and two are enough.
  for (let turn = 0; turn < 2; turn++) {
    const times = over;
    over = 0;
    for (let i = 0; i < WORDS; i++) {
      const column = (out[to + i] as number) + times * (COMPLEMENT[i] as number) + over;
      out[to + i] = column;
      over = Math.floor(column / WORD);
    }
  }
  subtractOrder(out, to);
}

/** Subtracts q when the words are q or more. */
export function subtractOrder(words: Uint32Array, at: number): void {
  let over = 0;
  for (let i = 0; i < WORDS; i++)
    over = Math.floor(((words[at + i] as number) + (COMPLEMENT[i] as number) + over) / WORD);
  const take = over;
  over = 0;
  for (let i = 0; i < WORDS; i++) {
    const column = (words[at + i] as number) + take * (COMPLEMENT[i] as number) + over;
    words[at + i] = column;
    over = Math.floor(column / WORD);
  }
}

/** Whether the words are below q. */
export function isCanonical(words: Uint32Array, at: number): boolean {
  let over = 0;
  for (let i = 0; i < WORDS; i++)
    over = Math.floor(((words[at + i] as number) + (COMPLEMENT[i] as number) + over) / WORD);
  return over === 0;
}

export function wordsToBigint(words: Uint32Array, at: number): bigint {
  let value = 0n;
  for (let i = WORDS - 1; i >= 0; i--) value = (value << 32n) | BigInt(words[at + i] as number);
  return value;
}
export function bigintToWords(value: bigint, words: Uint32Array, at: number): void {
  for (let i = 0; i < WORDS; i++) words[at + i] = Number((value >> BigInt(32 * i)) & 0xffff_ffffn);
}
