/**
 * The random oracle of the oblivious transfers: BLAKE3's keyed hash of one block, with output of any length, over
 * 32-bit words. It is the library's `blake3(input, { key, dkLen })` for inputs up to 64 bytes, without an object per
 * call: a signature hashes some thousand blocks. Additions, rotations and XORs only, so its time says nothing of what
 * is hashed. Source: BLAKE3 specification (2020), sections 2.2 (compression), 2.3 (modes) and 2.6 (extended output).
 *
 * Words are read and written little-endian through views, so hosts must be little-endian, as all JavaScript engines
 * in use are; the module refuses to load on another.
 */
import { KeysagaError } from '../../schema/contracts/errors.ts';

if (new Uint8Array(Uint32Array.of(1).buffer)[0] !== 1)
  throw new KeysagaError('Internal', 'this host is not little-endian', {}, { retryable: false });

const IV0 = 0x6a09e667;
const IV1 = 0xbb67ae85;
const IV2 = 0x3c6ef372;
const IV3 = 0xa54ff53a;
/** CHUNK_START | CHUNK_END | ROOT | KEYED_HASH: one block is the whole input. */
const FLAGS = 1 | 2 | 8 | 16;

/** Words of a key and of an input block; an output block has as many as an input block. */
export const KEY_WORDS = 8;
export const BLOCK_WORDS = 16;

/** A key's words, from 32 bytes. */
export const keyWords = (bytes: Uint8Array): Uint32Array => {
  const words = new Uint32Array(KEY_WORDS);
  new Uint8Array(words.buffer).set(bytes.subarray(0, 32));
  return words;
};

/**
 * Writes output block `counter` of the keyed hash of `block` to `out[at …]`, at most `count` ≤ 16 words of it.
 * `key`: 8 words from `keyAt`; `block`: 16 words, zero from byte `length` on.
 */
export function blake3Block(
  key: Uint32Array,
  keyAt: number,
  block: Uint32Array,
  length: number,
  counter: number,
  out: Uint32Array,
  at: number,
  count: number,
): void {
  const k0 = key[keyAt] ?? 0;
  const k1 = key[keyAt + 1] ?? 0;
  const k2 = key[keyAt + 2] ?? 0;
  const k3 = key[keyAt + 3] ?? 0;
  const k4 = key[keyAt + 4] ?? 0;
  const k5 = key[keyAt + 5] ?? 0;
  const k6 = key[keyAt + 6] ?? 0;
  const k7 = key[keyAt + 7] ?? 0;
  let m0 = block[0] as number;
  let m1 = block[1] as number;
  let m2 = block[2] as number;
  let m3 = block[3] as number;
  let m4 = block[4] as number;
  let m5 = block[5] as number;
  let m6 = block[6] as number;
  let m7 = block[7] as number;
  let m8 = block[8] as number;
  let m9 = block[9] as number;
  let m10 = block[10] as number;
  let m11 = block[11] as number;
  let m12 = block[12] as number;
  let m13 = block[13] as number;
  let m14 = block[14] as number;
  let m15 = block[15] as number;
  let v0 = k0 | 0;
  let v1 = k1 | 0;
  let v2 = k2 | 0;
  let v3 = k3 | 0;
  let v4 = k4 | 0;
  let v5 = k5 | 0;
  let v6 = k6 | 0;
  let v7 = k7 | 0;
  let v8 = IV0 | 0;
  let v9 = IV1 | 0;
  let v10 = IV2 | 0;
  let v11 = IV3 | 0;
  let v12 = counter | 0;
  let v13 = 0;
  let v14 = length | 0;
  let v15 = FLAGS;
  for (let round = 0; round < 7; round++) {
    // Columns.
    v0 = (v0 + v4 + m0) | 0;
    v12 ^= v0;
    v12 = (v12 >>> 16) | (v12 << 16);
    v8 = (v8 + v12) | 0;
    v4 ^= v8;
    v4 = (v4 >>> 12) | (v4 << 20);
    v0 = (v0 + v4 + m1) | 0;
    v12 ^= v0;
    v12 = (v12 >>> 8) | (v12 << 24);
    v8 = (v8 + v12) | 0;
    v4 ^= v8;
    v4 = (v4 >>> 7) | (v4 << 25);
    v1 = (v1 + v5 + m2) | 0;
    v13 ^= v1;
    v13 = (v13 >>> 16) | (v13 << 16);
    v9 = (v9 + v13) | 0;
    v5 ^= v9;
    v5 = (v5 >>> 12) | (v5 << 20);
    v1 = (v1 + v5 + m3) | 0;
    v13 ^= v1;
    v13 = (v13 >>> 8) | (v13 << 24);
    v9 = (v9 + v13) | 0;
    v5 ^= v9;
    v5 = (v5 >>> 7) | (v5 << 25);
    v2 = (v2 + v6 + m4) | 0;
    v14 ^= v2;
    v14 = (v14 >>> 16) | (v14 << 16);
    v10 = (v10 + v14) | 0;
    v6 ^= v10;
    v6 = (v6 >>> 12) | (v6 << 20);
    v2 = (v2 + v6 + m5) | 0;
    v14 ^= v2;
    v14 = (v14 >>> 8) | (v14 << 24);
    v10 = (v10 + v14) | 0;
    v6 ^= v10;
    v6 = (v6 >>> 7) | (v6 << 25);
    v3 = (v3 + v7 + m6) | 0;
    v15 ^= v3;
    v15 = (v15 >>> 16) | (v15 << 16);
    v11 = (v11 + v15) | 0;
    v7 ^= v11;
    v7 = (v7 >>> 12) | (v7 << 20);
    v3 = (v3 + v7 + m7) | 0;
    v15 ^= v3;
    v15 = (v15 >>> 8) | (v15 << 24);
    v11 = (v11 + v15) | 0;
    v7 ^= v11;
    v7 = (v7 >>> 7) | (v7 << 25);
    // Diagonals.
    v0 = (v0 + v5 + m8) | 0;
    v15 ^= v0;
    v15 = (v15 >>> 16) | (v15 << 16);
    v10 = (v10 + v15) | 0;
    v5 ^= v10;
    v5 = (v5 >>> 12) | (v5 << 20);
    v0 = (v0 + v5 + m9) | 0;
    v15 ^= v0;
    v15 = (v15 >>> 8) | (v15 << 24);
    v10 = (v10 + v15) | 0;
    v5 ^= v10;
    v5 = (v5 >>> 7) | (v5 << 25);
    v1 = (v1 + v6 + m10) | 0;
    v12 ^= v1;
    v12 = (v12 >>> 16) | (v12 << 16);
    v11 = (v11 + v12) | 0;
    v6 ^= v11;
    v6 = (v6 >>> 12) | (v6 << 20);
    v1 = (v1 + v6 + m11) | 0;
    v12 ^= v1;
    v12 = (v12 >>> 8) | (v12 << 24);
    v11 = (v11 + v12) | 0;
    v6 ^= v11;
    v6 = (v6 >>> 7) | (v6 << 25);
    v2 = (v2 + v7 + m12) | 0;
    v13 ^= v2;
    v13 = (v13 >>> 16) | (v13 << 16);
    v8 = (v8 + v13) | 0;
    v7 ^= v8;
    v7 = (v7 >>> 12) | (v7 << 20);
    v2 = (v2 + v7 + m13) | 0;
    v13 ^= v2;
    v13 = (v13 >>> 8) | (v13 << 24);
    v8 = (v8 + v13) | 0;
    v7 ^= v8;
    v7 = (v7 >>> 7) | (v7 << 25);
    v3 = (v3 + v4 + m14) | 0;
    v14 ^= v3;
    v14 = (v14 >>> 16) | (v14 << 16);
    v9 = (v9 + v14) | 0;
    v4 ^= v9;
    v4 = (v4 >>> 12) | (v4 << 20);
    v3 = (v3 + v4 + m15) | 0;
    v14 ^= v3;
    v14 = (v14 >>> 8) | (v14 << 24);
    v9 = (v9 + v14) | 0;
    v4 ^= v9;
    v4 = (v4 >>> 7) | (v4 << 25);
    // The message's permutation, along its cycles.
    const t0 = m0;
    m0 = m2;
    m2 = m3;
    m3 = m10;
    m10 = m12;
    m12 = m9;
    m9 = m11;
    m11 = m5;
    m5 = t0;
    const t1 = m1;
    m1 = m6;
    m6 = m4;
    m4 = m7;
    m7 = m13;
    m13 = m14;
    m14 = m15;
    m15 = m8;
    m8 = t1;
  }
  if (count === BLOCK_WORDS) {
    out[at] = v0 ^ v8;
    out[at + 1] = v1 ^ v9;
    out[at + 2] = v2 ^ v10;
    out[at + 3] = v3 ^ v11;
    out[at + 4] = v4 ^ v12;
    out[at + 5] = v5 ^ v13;
    out[at + 6] = v6 ^ v14;
    out[at + 7] = v7 ^ v15;
    out[at + 8] = v8 ^ k0;
    out[at + 9] = v9 ^ k1;
    out[at + 10] = v10 ^ k2;
    out[at + 11] = v11 ^ k3;
    out[at + 12] = v12 ^ k4;
    out[at + 13] = v13 ^ k5;
    out[at + 14] = v14 ^ k6;
    out[at + 15] = v15 ^ k7;
    return;
  }
  if (count === KEY_WORDS) {
    out[at] = v0 ^ v8;
    out[at + 1] = v1 ^ v9;
    out[at + 2] = v2 ^ v10;
    out[at + 3] = v3 ^ v11;
    out[at + 4] = v4 ^ v12;
    out[at + 5] = v5 ^ v13;
    out[at + 6] = v6 ^ v14;
    out[at + 7] = v7 ^ v15;
    return;
  }
  const whole = [
    v0 ^ v8,
    v1 ^ v9,
    v2 ^ v10,
    v3 ^ v11,
    v4 ^ v12,
    v5 ^ v13,
    v6 ^ v14,
    v7 ^ v15,
    v8 ^ k0,
    v9 ^ k1,
    v10 ^ k2,
    v11 ^ k3,
    v12 ^ k4,
    v13 ^ k5,
    v14 ^ k6,
    v15 ^ k7,
  ];
  for (let i = 0; i < count; i++) out[at + i] = whole[i] as number;
}

/** Fills `out[at … at + count)` with the keyed hash of `block` (16 words, `length` bytes of them used). */
export function blake3Fill(
  key: Uint32Array,
  keyAt: number,
  block: Uint32Array,
  length: number,
  out: Uint32Array,
  at: number,
  count: number,
): void {
  for (let done = 0, counter = 0; done < count; done += BLOCK_WORDS, counter++)
    blake3Block(
      key,
      keyAt,
      block,
      length,
      counter,
      out,
      at + done,
      Math.min(BLOCK_WORDS, count - done),
    );
}
