/**
 * Oblivious-transfer extension: any number of random transfers from κ base transfers, with symmetric operations only.
 *
 * Functionality: F_ROT with a selective abort: for choice bits b_i of the receiver, the sender gets pads (p0_i, p1_i),
 * the receiver p_{b_i}. Protocol: SoftSpokenOT (Roy, ePrint 2022/192) with field size 2 (k = 1, repetition code), the
 * improved form of IKNP; its consistency check of section 5 (universal hash R, see `linearHash`), made non-interactive
 * by deriving R from the transcript, as DKLs23 (ePrint 2023/765, section 5) proposes for two rounds.
 *
 * The roles are the base transfers' reversed: who received there with Δ as choice bits is the sender here.
 *
 *   receiver: T_c = PRG(k0_c), U_c = PRG(k0_c) ⊕ PRG(k1_c) ⊕ b for each column c; sends U, R·b, R·T
 *   sender:   Q_c = PRG(k_{Δ_c}) ⊕ Δ_c·U_c, so that row i is Q_i = T_i ⊕ b_i·Δ; checks R·Q = R·T ⊕ R·b·Δ
 *   pads:     p0_i = H(i, Q_i), p1_i = H(i, Q_i ⊕ Δ); the receiver has H(i, T_i)
 *
 * b has 128 random bits more than there are transfers, which mask R·b and R·T and are not used again. A receiver that
 * used different b in different columns passes only by guessing bits of Δ, so a failed check names it and bars it.
 */
import { domainHash } from '../bytes.ts';
import { protocolFault } from '../faults.ts';
import type { BothKeys, ChosenKeys } from './base-ot.ts';
import {
  bitAt,
  byteWords,
  HASH_BITS,
  HASH_WORDS,
  KAPPA,
  linearHash,
  ROW_WORDS,
  rowsOf,
  wordBytes,
} from './bits.ts';
import { BLOCK_WORDS, blake3Block, blake3Fill, KEY_WORDS, keyWords } from './blake3.ts';

const DOMAIN = 'keysaga/dkls23/ot-extension';

/** Words of a column for `count` transfers, its masking bits included. `count` is divisible by 32. */
const columnWords = (count: number): number => (count + HASH_BITS) / 32;
/** Bytes of the receiver's message: U, R·b, R·T. */
export const extensionBytes = (count: number): number =>
  4 * (KAPPA * columnWords(count) + ROW_WORDS + HASH_WORDS);

/** Column c of a generator: the keyed hash of (context, c) under base key c. */
function expand(keys: Uint32Array, context: Uint8Array, words: number): Uint32Array {
  const columns = new Uint32Array(KAPPA * words);
  const block = new Uint32Array(BLOCK_WORDS);
  block.set(keyWords(context));
  for (let c = 0; c < KAPPA; c++) {
    block[KEY_WORDS] = c;
    blake3Fill(keys, c * KEY_WORDS, block, 36, columns, c * words, words);
  }
  return columns;
}

/** Binds everything that was sent before the hash is chosen. */
const transcriptOf = (context: Uint8Array, corrections: Uint8Array): Uint8Array =>
  domainHash(`${DOMAIN}/transcript/v1`, context, corrections);
const hashSeed = (transcript: Uint8Array): Uint8Array =>
  domainHash(`${DOMAIN}/check/v1`, transcript);

export type ExtendedReceiver = {
  readonly message: Uint8Array;
  /** T_i, 4 words each. Secret. */
  readonly rows: Uint32Array;
  /** Hash of what both sides saw, 32 bytes. */
  readonly transcript: Uint8Array;
};

/**
 * The receiver's only step. `choices`: `count` bits and 128 masking bits after them. `context` (32 bytes) must never
 * repeat under the same keys.
 */
export function extendReceiver(
  keys: BothKeys,
  context: Uint8Array,
  choices: Uint32Array,
  count: number,
): ExtendedReceiver {
  const words = columnWords(count);
  const columns = expand(keys.zero, context, words);
  const corrections = expand(keys.one, context, words);
  for (let c = 0; c < KAPPA; c++)
    for (let w = 0; w < words; w++)
      (corrections[c * words + w] as number) ^=
        (columns[c * words + w] as number) ^ (choices[w] as number);
  const rows = rowsOf(columns, words);
  columns.fill(0);
  const sent = wordBytes(corrections);
  const transcript = transcriptOf(context, sent);
  const hash = linearHash(hashSeed(transcript), rows, choices);
  const message = new Uint8Array(extensionBytes(count));
  message.set(sent);
  message.set(wordBytes(hash.bits), sent.length);
  message.set(wordBytes(hash.rows), sent.length + 4 * ROW_WORDS);
  const kept = rows.slice(0, count * ROW_WORDS);
  rows.fill(0);
  return { message, rows: kept, transcript };
}

export type ExtendedSender = {
  /** Q_i, 4 words each. Secret. */
  readonly rows: Uint32Array;
  readonly transcript: Uint8Array;
};

/** The sender's only step. Names and bars the receiver (`peer`) when the check fails. */
export function extendSender(
  keys: ChosenKeys,
  context: Uint8Array,
  count: number,
  message: Uint8Array,
  peer: number,
): ExtendedSender {
  const words = columnWords(count);
  const cut = 4 * KAPPA * words;
  const corrections = byteWords(message.subarray(0, cut));
  const bits = byteWords(message.subarray(cut, cut + 4 * ROW_WORDS));
  const claimed = byteWords(message.subarray(cut + 4 * ROW_WORDS));
  const columns = expand(keys.chosen, context, words);
  for (let c = 0; c < KAPPA; c++) {
    const mask = -bitAt(keys.delta, c);
    for (let w = 0; w < words; w++)
      (columns[c * words + w] as number) ^= (corrections[c * words + w] as number) & mask;
  }
  const rows = rowsOf(columns, words);
  columns.fill(0);
  const transcript = transcriptOf(context, message.subarray(0, cut));
  const hash = linearHash(hashSeed(transcript), rows, undefined);
  let difference = 0;
  for (let row = 0; row < HASH_BITS; row++) {
    const mask = -bitAt(bits, row);
    for (let w = 0; w < ROW_WORDS; w++) {
      const at = row * ROW_WORDS + w;
      difference |=
        (hash.rows[at] as number) ^ (claimed[at] as number) ^ ((keys.delta[w] as number) & mask);
    }
  }
  if (difference !== 0)
    throw protocolFault('the transfers are not consistent', {
      field: 'extension.check',
      culprit: peer,
      barring: true,
    });
  const kept = rows.slice(0, count * ROW_WORDS);
  rows.fill(0);
  return { rows: kept, transcript };
}

/** Key of the pads' hash; one for each use of a transcript. */
export const padKey = (transcript: Uint8Array, use: string): Uint32Array =>
  keyWords(domainHash(`${DOMAIN}/pads/v1/${use}`, transcript));

/**
 * Pads of the rows `from … from + count`, `words` words each: H(i, row_i), or H(i, row_i ⊕ delta) where `delta` is
 * given. Written one after another to `out`.
 */
export function pads(
  key: Uint32Array,
  rows: Uint32Array,
  delta: Uint32Array | undefined,
  from: number,
  count: number,
  words: number,
  out: Uint32Array,
): void {
  const block = new Uint32Array(BLOCK_WORDS);
  const d0 = delta?.[0] ?? 0;
  const d1 = delta?.[1] ?? 0;
  const d2 = delta?.[2] ?? 0;
  const d3 = delta?.[3] ?? 0;
  for (let i = 0; i < count; i++) {
    const at = (from + i) * ROW_WORDS;
    block[0] = (rows[at] as number) ^ d0;
    block[1] = (rows[at + 1] as number) ^ d1;
    block[2] = (rows[at + 2] as number) ^ d2;
    block[3] = (rows[at + 3] as number) ^ d3;
    block[4] = from + i;
    for (let done = 0, counter = 0; done < words; done += BLOCK_WORDS, counter++)
      blake3Block(
        key,
        0,
        block,
        20,
        counter,
        out,
        i * words + done,
        Math.min(BLOCK_WORDS, words - done),
      );
  }
  block.fill(0);
}
