/**
 * Bits in words: the transposition of the oblivious transfers' matrix and its linear hash. Bit k of a vector is bit
 * k mod 32 of word k ÷ 32. No index depends on a secret: the hash looks up by the public matrix only.
 */
import { BLOCK_WORDS, blake3Fill, keyWords } from './blake3.ts';

/** Columns of the matrix, κ: one for each base transfer. */
export const KAPPA = 128;
/** Words of a row. */
export const ROW_WORDS = KAPPA / 32;

/** Transposes 32 × 32 bits in place (Hacker's Delight, section 7-3, with rows from the lowest bit). */
function transpose32(w: Uint32Array): void {
  for (let step = 16, mask = 0x0000ffff; step !== 0; step >>= 1, mask ^= mask << step) {
    for (let i = 0; i < 32; i = (i + step + 1) & ~step) {
      const low = w[i] as number;
      const high = w[i + step] as number;
      const swap = ((low >>> step) ^ high) & mask;
      w[i] = low ^ (swap << step);
      w[i + step] = high ^ swap;
    }
  }
}

/**
 * Rows from columns: `columns` holds κ columns of `words` words one after another; the result has 32 · `words` rows
 * of 4 words.
 */
export function rowsOf(columns: Uint32Array, words: number): Uint32Array {
  const rows = new Uint32Array(words * 32 * ROW_WORDS);
  const square = new Uint32Array(32);
  for (let group = 0; group < ROW_WORDS; group++) {
    for (let word = 0; word < words; word++) {
      for (let c = 0; c < 32; c++) square[c] = columns[(group * 32 + c) * words + word] as number;
      transpose32(square);
      for (let r = 0; r < 32; r++) rows[(word * 32 + r) * ROW_WORDS + group] = square[r] as number;
    }
  }
  square.fill(0);
  return rows;
}

/** Bits of the hash, and rows of its masking block. */
export const HASH_BITS = 128;
/** One output row of the hash: κ bits of the matrix. */
export const HASH_WORDS = HASH_BITS * ROW_WORDS;

/**
 * The universal hash of the consistency check (ePrint 2022/192, section 5.1): R = (R′ | I) with R′ uniform from
 * `seed`, so that any non-zero vector hashes to zero with probability 2^−128, and the last 128 rows mask the result.
 * `rows`: n + 128 rows of 4 words, n divisible by 8; `bits`: the vector of n + 128 bits beside them, when there is one.
 * Returns R · rows (128 rows of 4 words) and R · bits (4 words).
 *
 * R · rows in groups of eight rows with a table of their 256 sums (the method of the four Russians).
 */
export function linearHash(
  seed: Uint8Array,
  rows: Uint32Array,
  bits: Uint32Array | undefined,
): { rows: Uint32Array; bits: Uint32Array } {
  const n = rows.length / ROW_WORDS - HASH_BITS;
  const groups = n / 8;
  const key = keyWords(seed);
  const block = new Uint32Array(BLOCK_WORDS);
  /** A byte of R′ for each of the 128 output rows: 32 words a group. */
  const chosen = new Uint32Array(HASH_BITS / 4);
  const table = new Uint32Array(256 * ROW_WORDS);
  const sum = rows.slice(n * ROW_WORDS);
  /** Bytes of R′ ∧ bits, added up; their parity is R′ · bits. */
  const parity = new Uint32Array(HASH_BITS / 4);
  for (let g = 0; g < groups; g++) {
    block[0] = g;
    blake3Fill(key, 0, block, 4, chosen, 0, chosen.length);
    for (let bit = 0; bit < 8; bit++) {
      const from = (g * 8 + bit) * ROW_WORDS;
      const r0 = rows[from] as number;
      const r1 = rows[from + 1] as number;
      const r2 = rows[from + 2] as number;
      const r3 = rows[from + 3] as number;
      const half = (1 << bit) * ROW_WORDS;
      for (let at = 0; at < half; at += ROW_WORDS) {
        table[half + at] = (table[at] as number) ^ r0;
        table[half + at + 1] = (table[at + 1] as number) ^ r1;
        table[half + at + 2] = (table[at + 2] as number) ^ r2;
        table[half + at + 3] = (table[at + 3] as number) ^ r3;
      }
    }
    for (let w = 0; w < chosen.length; w++) {
      const four = chosen[w] as number;
      for (let b = 0; b < 4; b++) {
        const from = ((four >>> (8 * b)) & 0xff) * ROW_WORDS;
        const to = (w * 4 + b) * ROW_WORDS;
        (sum[to] as number) ^= table[from] as number;
        (sum[to + 1] as number) ^= table[from + 1] as number;
        (sum[to + 2] as number) ^= table[from + 2] as number;
        (sum[to + 3] as number) ^= table[from + 3] as number;
      }
    }
    if (bits !== undefined) {
      const byte = ((bits[g >>> 2] as number) >>> ((g & 3) * 8)) & 0xff;
      const four = byte * 0x01010101;
      for (let w = 0; w < chosen.length; w++) (parity[w] as number) ^= (chosen[w] as number) & four;
    }
  }
  table.fill(0);
  const hashed = new Uint32Array(ROW_WORDS);
  if (bits !== undefined) {
    hashed.set(bits.subarray(n / 32));
    for (let w = 0; w < parity.length; w++) {
      let folded = parity[w] as number;
      folded ^= folded >>> 4;
      folded ^= folded >>> 2;
      folded ^= folded >>> 1;
      for (let b = 0; b < 4; b++) {
        const row = w * 4 + b;
        (hashed[row >>> 5] as number) ^= ((folded >>> (8 * b)) & 1) << (row & 31);
      }
    }
    parity.fill(0);
  }
  return { rows: sum, bits: hashed };
}

/** The bit at `index`, 0 or 1. */
export const bitAt = (words: Uint32Array, index: number): number =>
  ((words[index >>> 5] as number) >>> (index & 31)) & 1;

/** Bytes of words, a copy; little-endian. */
export const wordBytes = (words: Uint32Array): Uint8Array =>
  new Uint8Array(new Uint8Array(words.buffer, words.byteOffset, words.byteLength));
/** Words of bytes, a copy; their number must be divisible by four. */
export function byteWords(bytes: Uint8Array): Uint32Array {
  const words = new Uint32Array(bytes.length / 4);
  new Uint8Array(words.buffer).set(bytes);
  return words;
}
