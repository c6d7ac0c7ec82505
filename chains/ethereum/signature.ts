/** ECDSA signatures as Ethereum takes them: r, s in the lower half (EIP-2), and the parity of R's y. */
import { secp256k1 } from '@noble/curves/secp256k1.js';
import { KeysagaError } from '../../schema/contracts/errors.ts';

export type RecoverableSignature = {
  readonly r: bigint;
  readonly s: bigint;
  readonly yParity: 0 | 1;
};

const invalid = (message: string, field: string): KeysagaError =>
  new KeysagaError('SignatureInvalid', message, { field });

/**
 * Takes r ‖ s (64 bytes), or r ‖ s ‖ recovery id; the parity is found here in any case, since what a protocol says about
 * it costs the money's way out when it is wrong. @throws KeysagaError `SignatureInvalid` (`field`).
 */
export function recoverable(
  digest: Uint8Array,
  signature: Uint8Array | undefined,
  publicKey: Uint8Array,
  field = 'signatures.0',
): RecoverableSignature {
  if (signature === undefined || (signature.length !== 64 && signature.length !== 65))
    throw invalid('an ECDSA signature has 64 or 65 bytes', field);
  const compact = signature.subarray(0, 64);
  let parsed: InstanceType<typeof secp256k1.Signature>;
  try {
    parsed = secp256k1.Signature.fromBytes(compact, 'compact');
  } catch {
    throw invalid('r or s is out of range', field);
  }
  if (parsed.hasHighS()) throw invalid('s is in the upper half of the group order', field);
  if (!secp256k1.verify(compact, digest, publicKey, { prehash: false, lowS: true }))
    throw invalid('the signature does not verify under the public key', field);
  const key = secp256k1.Point.fromBytes(publicKey);
  for (const yParity of [0, 1] as const) {
    if (parsed.addRecoveryBit(yParity).recoverPublicKey(digest).equals(key)) {
      if (signature.length === 65 && signature[64] !== yParity)
        throw invalid('the recovery id is not that of the signature', field);
      return { r: parsed.r, s: parsed.s, yParity };
    }
  }
  // r ≥ p − n happens with probability 2^-127; such a signature cannot be written in a transaction.
  throw invalid('the signature cannot be recovered from', field);
}
