/**
 * What differs between FROST over Ed25519 and over secp256k1 with BIP-340. Everything else is one implementation
 * on the functions of `@noble/curves`, which throw without saying who is to blame; the checks here repeat single
 * steps of theirs for one sender, so that a failure gets its culprit.
 */
import type { CurvePoint, CurvePointCons } from '@noble/curves/abstract/curve.js';
import type { FROST } from '@noble/curves/abstract/frost.js';
import type { Curve, Scheme } from '../../schema/contracts/key.ts';
import { concatBytes } from '../bytes.ts';

export type FrostSuite = {
  readonly id: string;
  readonly name: string;
  readonly source: string;
  readonly curve: Curve;
  readonly scheme: Scheme;
  /** Stands in shares and public packages, so that one curve's are never read as the other's. */
  readonly tag: number;
  readonly frost: FROST;
  /** Bytes of a group element. Scalars have 32. */
  readonly pointBytes: number;
  /** Length every message must have; absent where whole messages are signed. */
  readonly messageBytes?: number;
  /** Key the chain sees, from the encoded group element. */
  chainKey(groupKey: Uint8Array): Uint8Array;
  verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean;
  activationMessage(bytes: Uint8Array): Uint8Array;
  readonly checks: SenderChecks;
};

/** Single steps of the protocol for one sender; false for anything that does not decode. Public values only. */
export type SenderChecks = {
  /** On the curve, in the prime-order subgroup, not the identity, in its only encoding. */
  point(bytes: Uint8Array): boolean;
  /** Below the group order. */
  scalar(bytes: Uint8Array): boolean;
  /** Schnorr proof that `sender` knows the discrete logarithm of `commitment` (FROST paper, figure 1, round 1, step 5). */
  proof(sender: number, commitment: Uint8Array, proof: Uint8Array): boolean;
  /** Feldman's check of a share for `receiver` (FROST paper, figure 1, round 2, step 2). */
  share(receiver: number, commitments: readonly Uint8Array[], share: Uint8Array): boolean;
  /** Whether each verification share is the committed polynomial at its party's index. */
  verificationShares(commitments: readonly Uint8Array[], shares: readonly Uint8Array[]): boolean;
};

export const SCALAR_BYTES = 32;
/** R and z; for BIP-340 R is x-only. */
export const proofBytes = (suite: FrostSuite): number =>
  (suite.scheme === 'bip340' ? 32 : suite.pointBytes) + SCALAR_BYTES;

/** noble's name of the party with this index: the index as a scalar, in hex. */
export const identifierOf = (suite: FrostSuite, index: number): string =>
  suite.frost.Identifier.fromNumber(index);

const orFalse = (check: () => boolean): boolean => {
  try {
    return check();
  } catch {
    return false;
  }
};

/**
 * Builds the checks for one group. `challenge` is the hash of the proof of knowledge to a scalar; `proofPoint`
 * restores the encoding of R where the proof keeps only a part of it.
 */
export function senderChecks<P extends CurvePoint<unknown, P>>(
  Point: CurvePointCons<P>,
  challenge: (input: Uint8Array) => bigint,
  proofPoint: (encoded: Uint8Array) => Uint8Array = (encoded) => encoded,
): SenderChecks {
  const { Fn } = Point;
  /** RFC 9591, section 3.1, DeserializeElement. */
  const parse = (bytes: Uint8Array): P => {
    const point = Point.fromBytes(bytes);
    point.assertValidity();
    if (point.is0() || !point.isTorsionFree()) throw new RangeError('not an element of the group');
    const encoded = point.toBytes();
    if (encoded.length !== bytes.length || encoded.some((byte, i) => byte !== bytes[i]))
      throw new RangeError('not the canonical encoding');
    return point;
  };
  /** Horner's rule on the committed polynomial; indices are small, so this is cheap. */
  const evaluate = (commitments: readonly P[], index: number): P =>
    commitments.reduceRight((sum, c) => sum.multiplyUnsafe(BigInt(index)).add(c), Point.ZERO);
  return {
    point: (bytes) => orFalse(() => parse(bytes) !== undefined),
    scalar: (bytes) => orFalse(() => Fn.isValid(Fn.fromBytes(bytes))),
    proof: (sender, commitment, proof) =>
      orFalse(() => {
        const R = parse(proofPoint(proof.slice(0, -SCALAR_BYTES)));
        const z = Fn.fromBytes(proof.slice(-SCALAR_BYTES));
        const key = parse(commitment);
        const c = challenge(concatBytes(Fn.toBytes(BigInt(sender)), key.toBytes(), R.toBytes()));
        return R.equals(Point.BASE.multiplyUnsafe(z).subtract(key.multiplyUnsafe(c)));
      }),
    share: (receiver, commitments, share) =>
      orFalse(() => {
        const value = Fn.fromBytes(share);
        // The share is this party's secret: the constant-time multiplication. Zero has none and is no failure of
        // the sender's that arithmetic could excuse, so it is refused like any other wrong share.
        return Point.BASE.multiply(value).equals(evaluate(commitments.map(parse), receiver));
      }),
    verificationShares: (commitments, shares) =>
      orFalse(() => {
        const points = commitments.map(parse);
        return shares.every((share, i) => parse(share).equals(evaluate(points, i + 1)));
      }),
  };
}
