/**
 * A child of a BIP-340 key: the key with even y, and a public scalar added. Adding one number to every share of a polynomial
 * adds it to the secret, so the children of shares are shares of the child, and a public package of the child tells what
 * each of them must be. Everything after this file signs for the child as for any key, and all it hashes is the child's.
 */
import { secp256k1 } from '@noble/curves/secp256k1.js';
import type { AggregateParams, SignParams } from '../../core/ports/protocol.ts';
import { held, invalidInput, protocolFault } from '../faults.ts';
import { decodePublicPackage, decodeShare, encodePublicPackage, encodeShare } from './encoding.ts';
import type { FrostSuite } from './suite.ts';

const { Point } = secp256k1;
const { Fn } = Point;

export type FrostChild = {
  readonly publicPackage: Uint8Array;
  /** The child of this party's share, to be wiped by the caller. Throws `InvalidInput` for a share of another key. */
  share(own: Pick<SignParams, 'share' | 'index'>): Uint8Array;
};

/** Throws `InvalidInput` (`tweak`) for Ed25519 or what is no scalar, `ProtocolFault` for a package that does not decode. */
export function childOf(
  suite: FrostSuite,
  params: Pick<AggregateParams, 'publicPackage' | 'threshold' | 'parties'>,
  tweak: Uint8Array,
): FrostChild {
  // Elsewhere it would be ignored, and the wrong key sign.
  if (suite.scheme !== 'bip340') throw invalidInput(`${suite.id} keys take no tweak`, 'tweak');
  const added = scalarOf(tweak);
  const { threshold, parties } = params;
  const root = decodePublicPackage(suite, params.publicPackage, params);
  // BIP-340 keys are x coordinates: the wallet's key is the point with even y, whichever one was generated.
  const isOdd = held(root.commitments[0])[0] === 3;
  const lifted = (bytes: Uint8Array) => {
    try {
      const point = Point.fromBytes(bytes);
      return isOdd ? point.negate() : point;
    } catch {
      throw protocolFault('the public package does not decode', { field: 'publicPackage' });
    }
  };
  const offset = Point.BASE.multiplyUnsafe(added);
  const moved = (bytes: Uint8Array): Uint8Array => {
    const point = lifted(bytes).add(offset);
    if (point.is0()) throw invalidInput('the tweak takes the key to nothing', 'tweak');
    return point.toBytes(true);
  };
  const publicPackage = encodePublicPackage(suite, {
    threshold,
    parties,
    commitments: root.commitments.map((commitment, i) =>
      i === 0 ? moved(commitment) : lifted(commitment).toBytes(true),
    ),
    verificationShares: root.verificationShares.map(moved),
  });
  return {
    publicPackage,
    share: ({ share, index }) => {
      const secret = decodeShare(suite, share, { ...params, index });
      const value = Fn.fromBytes(secret.signingShare);
      secret.signingShare.fill(0);
      const own = Fn.toBytes(Fn.add(isOdd ? Fn.neg(value) : value, added));
      const encoded = encodeShare(suite, { threshold, parties, index, publicPackage }, own);
      own.fill(0);
      return encoded;
    },
  };
}

function scalarOf(tweak: Uint8Array): bigint {
  const refuse = () => invalidInput('a tweak is a scalar of 32 bytes', 'tweak');
  if (!(tweak instanceof Uint8Array) || tweak.length !== 32) throw refuse();
  const value = Fn.fromBytes(tweak, true);
  if (value >= Fn.ORDER) throw refuse();
  return value;
}
