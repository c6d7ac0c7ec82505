/**
 * Shares of zero: F_Zero of DKLs23 (ePrint 2023/765, functionality 3.4). Each pair of parties agrees once on a seed,
 * by a coin toss with commitments; then each set of signers derives from its seeds, without a message, values that
 * add up to zero: ζ_i = Σ_{j>i} PRF(s_ij, context) − Σ_{j<i} PRF(s_ij, context).
 */
import { domainHash, equalBytes, u8 } from '../bytes.ts';
import { held, protocolFault } from '../faults.ts';
import { BLOCK_WORDS, blake3Fill, keyWords } from './blake3.ts';
import { mod, WORDS, wordsToBigint } from './scalars.ts';

const DOMAIN = 'keysaga/dkls23/zero-sharing';
export const SEED_BYTES = 32;
/** A toss: 32 bytes for the seed and 32 that hide it in the commitment. */
export const TOSS_BYTES = 64;

/** Commitment of `from` to its toss with `to`. 32 bytes. */
export const commitToss = (
  context: Uint8Array,
  from: number,
  to: number,
  toss: Uint8Array,
): Uint8Array => domainHash(`${DOMAIN}/commitment/v1`, context, u8(from), u8(to), toss);

/** The pair's seed. Names the peer when its toss is not what it committed to. */
export function agree(
  context: Uint8Array,
  self: number,
  peer: number,
  own: Uint8Array,
  theirs: Uint8Array,
  commitment: Uint8Array,
): Uint8Array {
  if (!equalBytes(commitToss(context, peer, self, theirs), commitment))
    throw protocolFault('the toss is not what was committed to', {
      field: 'zeroSharing.toss',
      culprit: peer,
    });
  const [low, high] = self < peer ? [own, theirs] : [theirs, own];
  return domainHash(
    `${DOMAIN}/seed/v1`,
    context,
    u8(Math.min(self, peer)),
    u8(Math.max(self, peer)),
    low.subarray(0, SEED_BYTES),
    high.subarray(0, SEED_BYTES),
  );
}

/** This party's share. `context` (32 bytes) names the session; `seeds`: by peer. */
export function zeroShare(
  context: Uint8Array,
  self: number,
  signers: readonly number[],
  seeds: ReadonlyMap<number, Uint8Array>,
): bigint {
  const block = new Uint32Array(BLOCK_WORDS);
  block.set(keyWords(context));
  const out = new Uint32Array(WORDS);
  let sum = 0n;
  for (const peer of signers) {
    if (peer === self) continue;
    blake3Fill(keyWords(held(seeds.get(peer))), 0, block, 32, out, 0, WORDS);
    const value = wordsToBigint(out, 0);
    sum += peer > self ? value : -value;
  }
  out.fill(0);
  return mod(sum);
}
