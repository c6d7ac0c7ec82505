/**
 * FROST(secp256k1, SHA-256) with BIP-340 challenges and BIP-341 output keys (Bitcoin P2TR, key path).
 *
 * The tweak is applied exactly once, and not here: `schnorr_FROST.DKG.round3` adds TapTweak(P) for an empty Merkle
 * root to every share, every verification share and the group key (`adjustDKG` in @noble/curves 2.4.0). So the
 * group key of a public package is already the output key Q of the address, and its x coordinate is what stands in
 * the script. Parity is the library's business as well: signing negates shares and nonces where a y is odd.
 */
import { schnorr, schnorr_FROST, secp256k1, secp256k1_hasher } from '@noble/curves/secp256k1.js';
import { concatBytes, utf8ToBytes } from '../bytes.ts';
import { type FrostSuite, senderChecks } from './suite.ts';

const PROOF_DST = utf8ToBytes('FROST-secp256k1-SHA256-TR-v1dkg');

export const bip340Suite: FrostSuite = {
  id: 'frost-bip340',
  name: 'FROST (secp256k1, BIP-340)',
  source: 'RFC 9591; key generation of the FROST paper (ePrint 2020/852); BIP-340; BIP-341',
  curve: 'secp256k1',
  scheme: 'bip340',
  tag: 2,
  frost: schnorr_FROST,
  pointBytes: 33,
  messageBytes: 32,
  chainKey: (groupKey) => groupKey.slice(1),
  verify(publicKey, message, signature) {
    try {
      return schnorr.verify(signature, message, publicKey);
    } catch {
      return false;
    }
  },
  /** BIP-340's tagged hash, since a digest is signed; no sighash of BIP-341 has this tag. */
  activationMessage: (bytes) => schnorr.utils.taggedHash('keysaga/activation/v1', bytes),
  checks: senderChecks(
    secp256k1.Point,
    (input) => secp256k1_hasher.hashToScalar(input, { DST: PROOF_DST }),
    // A proof keeps x only, of the point with even y.
    (x) => concatBytes(Uint8Array.of(2), x),
  ),
};
