/**
 * Ed25519 verification as Solana's validators do it (`verify_strict` of ed25519-dalek): canonical encodings only,
 * no point of small order, and the equation without the cofactor. Anything laxer would let a signature pass here that
 * never lands.
 */
import { ed25519 } from '@noble/curves/ed25519.js';
import { sha512 } from '@noble/hashes/sha2.js';
import { concatBytes } from '@noble/hashes/utils.js';

const { Point } = ed25519;
const order = Point.Fn.ORDER;
const scalar = (bytes: Uint8Array): bigint =>
  bytes.reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n);

/** The point of a canonical encoding, or undefined when it is none or of small order. */
function strictPoint(bytes: Uint8Array) {
  try {
    const point = Point.fromBytes(bytes, false);
    return point.isSmallOrder() ? undefined : point;
  } catch {
    return undefined;
  }
}

export const isPublicKey = (bytes: Uint8Array): boolean =>
  bytes.length === 32 && strictPoint(bytes) !== undefined;

export function verifyStrict(
  signature: Uint8Array,
  message: Uint8Array,
  publicKey: Uint8Array,
): boolean {
  if (signature.length !== 64 || publicKey.length !== 32) return false;
  const a = strictPoint(publicKey);
  const r = strictPoint(signature.subarray(0, 32));
  const s = scalar(signature.subarray(32));
  if (a === undefined || r === undefined || s === 0n || s >= order) return false;
  const k = scalar(sha512(concatBytes(signature.subarray(0, 32), publicKey, message))) % order;
  const ka = k === 0n ? Point.ZERO : a.multiplyUnsafe(k);
  return Point.BASE.multiply(s).equals(r.add(ka));
}
