/**
 * ECDSA signatures as this protocol gives them: r ‖ s ‖ recovery id, 65 bytes, s in the lower half (BIP-62, rule 5; EIP-2).
 * Recovery id: bit 0 the parity of R's y, bit 1 whether R's x is above the group order (SEC 1, section 4.1.6).
 * Public values only.
 */
import { bytesToNumberBE } from '@noble/curves/utils.js';
import { concatBytes, domainHash } from '../bytes.ts';
import { held } from '../faults.ts';
import { BLOCK_WORDS, blake3Fill, keyWords } from './blake3.ts';
import { G, multiplyPublic, type Point, readPoint, samePoint, sumOfProducts } from './curve.ts';
import { invert, mod, Q, readScalar, scalarBytes, WORDS, wordsToBigint } from './scalars.ts';

export const SIGNATURE_BYTES = 65;

/** A digest as a scalar (SEC 1, section 4.1.3, step 5): 256 bits of hash and 256 of order. */
export const digestScalar = (digest: Uint8Array): bigint => mod(bytesToNumberBE(digest));

/** r ‖ s ‖ recovery id, low s, from any s under R. */
export function encodeSignature(R: Point, s: bigint): Uint8Array {
  const { x, y } = R.toAffine();
  const high = s > Q / 2n;
  const parity = Number(y & 1n) ^ (high ? 1 : 0);
  return concatBytes(
    scalarBytes(mod(x)),
    scalarBytes(high ? Q - s : s),
    Uint8Array.of(parity | (x >= Q ? 2 : 0)),
  );
}

type Decoded = { readonly r: bigint; readonly s: bigint; readonly recovery: number };

function decodeSignature(signature: Uint8Array): Decoded | undefined {
  if (signature.length !== SIGNATURE_BYTES) return undefined;
  const r = readScalar(signature.subarray(0, 32));
  const s = readScalar(signature.subarray(32, 64));
  const recovery = held(signature[64]);
  if (r === undefined || s === undefined || r === 0n || s === 0n) return undefined;
  return s > Q / 2n || recovery > 3 ? undefined : { r, s, recovery };
}

/** Whether R is the point that r and the recovery id name. */
const names = (R: Point, { r, recovery }: Decoded): boolean => {
  if (R.is0()) return false;
  const { x, y } = R.toAffine();
  return mod(x) === r && recovery === (Number(y & 1n) | (x >= Q ? 2 : 0));
};

/** u1·G + u2·K for u1 = h ÷ s and u2 = r ÷ s: the nonce's point, were the signature valid. */
const coefficients = ({ r, s }: Decoded, digest: Uint8Array) => {
  const w = invert(s);
  return { u1: mod(digestScalar(digest) * w), u2: mod(r * w) };
};

/** SEC 1, section 4.1.4, strict: low s, and the recovery id is the right one. */
export function verifyUnder(key: Point, digest: Uint8Array, signature: Uint8Array): boolean {
  const decoded = decodeSignature(signature);
  if (decoded === undefined || digest.length !== 32) return false;
  const { u1, u2 } = coefficients(decoded, digest);
  return names(multiplyPublic(G, u1).add(multiplyPublic(key, u2)), decoded);
}

/** For a key of 33 bytes; false for anything that does not decode. */
export function verify(publicKey: Uint8Array, digest: Uint8Array, signature: Uint8Array): boolean {
  const key = readPoint(publicKey);
  return key !== undefined && verifyUnder(key, digest, signature);
}

/**
 * Whether all signatures verify, given the nonce's point of each: Σ ρ·(u1·G + u2·K − R) = 0 with coefficients ρ of 128
 * bits hashed from everything, after which a wrong one passes with probability 2^−128 a try. `points` are the R before
 * s was brought to its lower half.
 */
export function verifyAll(
  key: Point,
  digests: readonly Uint8Array[],
  signatures: readonly Uint8Array[],
  points: readonly Point[],
): boolean {
  if (signatures.length === 1) return verifyUnder(key, held(digests[0]), held(signatures[0]));
  const seed = keyWords(
    domainHash(
      'keysaga/dkls23/verify-all/v1',
      key.toBytes(true),
      ...digests,
      ...signatures,
      ...points.map((point) => point.toBytes(true)),
    ),
  );
  const block = new Uint32Array(BLOCK_WORDS);
  const words = new Uint32Array(WORDS);
  const nonces: Point[] = [];
  const weights: bigint[] = [];
  let base = 0n;
  let scale = 0n;
  for (const [m, signature] of signatures.entries()) {
    const decoded = decodeSignature(signature);
    const point = held(points[m]);
    if (decoded === undefined || point.is0()) return false;
    // s was negated where the parity is not the point's.
    const odd = Number(point.toAffine().y & 1n);
    const R = odd === (decoded.recovery & 1) ? point : point.negate();
    if (!names(R, decoded)) return false;
    block[0] = m;
    blake3Fill(seed, 0, block, 4, words, 0, WORDS);
    const weight = wordsToBigint(words, 0) >> 128n;
    const { u1, u2 } = coefficients(decoded, held(digests[m]));
    nonces.push(R);
    weights.push(weight);
    base += weight * u1;
    scale += weight * u2;
  }
  const expected = multiplyPublic(G, mod(base)).add(multiplyPublic(key, mod(scale)));
  return samePoint(sumOfProducts(nonces, weights, 128), expected);
}
