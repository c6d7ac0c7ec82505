/** A round's randomness: one labelled draw, bound to what the ceremony is about, expanded to any length. */
import type { Draws } from '../../core/ports/protocol.ts';
import type { Bytes } from '../bytes.ts';
import { boundRandom } from '../draws.ts';
import { wordBytes } from './bits.ts';
import { BLOCK_WORDS, blake3Fill, keyWords } from './blake3.ts';
import { wideScalar } from './scalars.ts';

export type Random = {
  /** Uniform words. */
  words(count: number): Uint32Array;
  /** Uniform bytes; a multiple of four of them. */
  bytes(length: number): Bytes;
  /** Uniform modulo q up to 2^−128, never zero. */
  scalar(): bigint;
  /** Wipes the key. */
  dispose(): void;
};

/**
 * A generator for one round. The draw is hashed with `context`, so that one seed used by mistake for two ceremonies
 * gives unrelated values; the n-th call is the keyed hash of n.
 */
export function createRandom(draws: Draws, context: Uint8Array): Random {
  const root = boundRandom(draws, context)(32);
  const key = keyWords(root);
  root.fill(0);
  const block = new Uint32Array(BLOCK_WORDS);
  const words = (count: number): Uint32Array => {
    const out = new Uint32Array(count);
    blake3Fill(key, 0, block, 8, out, 0, count);
    // Two words, so that no number of calls repeats one.
    block[0] = (block[0] as number) + 1;
    if (block[0] === 0) block[1] = (block[1] as number) + 1;
    return out;
  };
  const bytes = (length: number): Bytes => wordBytes(words(length / 4)) as Bytes;
  return {
    words,
    bytes,
    scalar() {
      for (;;) {
        const wide = bytes(48);
        const value = wideScalar(wide);
        wide.fill(0);
        if (value !== 0n) return value;
      }
    },
    dispose: () => key.fill(0),
  };
}
