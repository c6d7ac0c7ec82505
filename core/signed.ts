/**
 * Digests and signatures over signed objects (see `schema/contracts/canonical.ts`). Pure and sandbox-safe, so
 * that a workflow, a party and a browser compute the very same thing. Ed25519 is RFC 8032, checked strictly
 * (no ZIP-215 leniency), so that every verifier agrees on every signature.
 */
import { ed25519 } from '@noble/curves/ed25519.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js';
import { type SignedType, signedBytes } from '../schema/contracts/canonical.ts';
import type { VerifySignature } from './ports/envelope-crypto.ts';

export type { VerifySignature };
export { bytesToHex, hexToBytes };

/** The pure verifier; servers may pass a faster native one with the same answers. */
export const verifyEd25519: VerifySignature = (publicKey, message, signature) => {
  try {
    return ed25519.verify(signature, message, publicKey, { zip215: false });
  } catch {
    return false;
  }
};

/** SHA-256 of the object's signed form. */
export const digestBytes = (type: SignedType, value: unknown): Uint8Array =>
  sha256(signedBytes(type, value));
/** The same in hex: how digests travel. */
export const digestHex = (type: SignedType, value: unknown): string =>
  bytesToHex(digestBytes(type, value));

/** Does `signature` (hex) cover `value` under `publicKey` (hex)? */
export function verifySigned(
  type: SignedType,
  value: unknown,
  publicKey: string,
  signature: string,
  verify: VerifySignature = verifyEd25519,
): boolean {
  return verify(hexToBytes(publicKey), signedBytes(type, value), hexToBytes(signature));
}

/** Signs with a 32-byte Ed25519 seed; hex signature. */
export const signObject = (type: SignedType, value: unknown, secretKey: Uint8Array): string =>
  bytesToHex(ed25519.sign(signedBytes(type, value), secretKey));

export const publicKeyOf = (secretKey: Uint8Array): string =>
  bytesToHex(ed25519.getPublicKey(secretKey));
