/**
 * Labelled draws: PRF(seed, machine version, round, index), so that a replay from the sealed seed sees the same
 * bytes, and no two machines, rounds or calls ever share one. The PRF is HKDF-SHA-256 (RFC 5869): its extract
 * step over the seed, then one expand per call with the label as `info`.
 */
import { expand, extract } from '@noble/hashes/hkdf.js';
import { sha256 } from '@noble/hashes/sha2.js';
import type { Draws } from '../core/ports/protocol.ts';
import { type Bytes, concatBytes, prefixed, u32, utf8ToBytes } from './bytes.ts';
import { invalidInput } from './faults.ts';

const SALT = utf8ToBytes('keysaga/draws/v1');
/** HKDF-SHA-256's own limit, 255 blocks. */
export const MAX_DRAW_BYTES = 8160;
/** Bytes of a session's seed. */
export const SEED_BYTES = 32;

/**
 * The draws of one round. `seed`: 32 bytes from the system's generator, once per session. The n-th call has
 * index n, whatever its length. Throws `InvalidInput` for a seed or a length out of bounds.
 */
export function createDraws(seed: Uint8Array, version: string, round: number): Draws {
  if (!(seed instanceof Uint8Array) || seed.length !== SEED_BYTES)
    throw invalidInput(`a seed has ${SEED_BYTES} bytes`, 'seed');
  const key = extract(sha256, seed, SALT);
  const label = concatBytes(prefixed(utf8ToBytes(version)), u32(round));
  let index = 0;
  return {
    bytes(length) {
      if (!Number.isInteger(length) || length < 1 || length > MAX_DRAW_BYTES)
        throw invalidInput(`a draw has 1 to ${MAX_DRAW_BYTES} bytes`, 'length');
      return expand(sha256, key, concatBytes(label, u32(index++)), length);
    },
  };
}

/**
 * Draws as a library's generator, each mixed with what the ceremony is about. Should a caller ever use one seed
 * for two ceremonies (another message, another signer set), they still get unrelated nonces.
 */
export function boundRandom(draws: Draws, context: Uint8Array): (length?: number) => Bytes {
  return (length = 32) => {
    const draw = draws.bytes(32);
    const bytes = expand(
      sha256,
      extract(sha256, draw, context),
      utf8ToBytes('keysaga/bound-draw/v1'),
      length,
    );
    draw.fill(0);
    return Uint8Array.from(bytes);
  };
}
