/**
 * ECDSA signatures verified by OpenSSL, which had no part in making them. OpenSSL hashes what it verifies, so digests
 * are kept with the texts they are of.
 */
import { createHash, createPublicKey, verify } from 'node:crypto';
import type { ThresholdProtocol } from '../../core/ports/protocol.ts';

const sha256 = (...parts: Uint8Array[]): Buffer => {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest();
};

/** Hex of a digest → its text. */
const texts = new Map<string, Buffer>();
const keep = (text: Buffer): Uint8Array => {
  const digest = sha256(text);
  texts.set(digest.toString('hex'), text);
  return new Uint8Array(digest);
};

/** SHA-256 of a text that the label names. */
export const digestOf = (label: string): Uint8Array => keep(Buffer.from(`keysaga test ${label}`));

/** The same protocol; the text of each activation digest is kept (BIP-340's tagged hash is SHA-256 of one). */
export const keepingActivations = (protocol: ThresholdProtocol): ThresholdProtocol => ({
  ...protocol,
  activationMessage(bytes) {
    const tag = sha256(Buffer.from('keysaga/activation/v1'));
    keep(Buffer.concat([tag, tag, bytes]));
    return protocol.activationMessage(bytes);
  },
});

// SubjectPublicKeyInfo of secp256k1 with a compressed point.
const SPKI = Buffer.from('3036301006072a8648ce3d020106052b8104000a032200', 'hex');

/** r ‖ s of a signature; what follows is ignored. Throws for a digest whose text is not known. */
export function opensslEcdsa(
  publicKey: Uint8Array,
  digest: Uint8Array,
  signature: Uint8Array,
): boolean {
  const text = texts.get(Buffer.from(digest).toString('hex'));
  if (text === undefined) throw new Error('OpenSSL needs the text of the digest');
  const key = createPublicKey({
    key: Buffer.concat([SPKI, publicKey]),
    format: 'der',
    type: 'spki',
  });
  return verify('sha256', text, { key, dsaEncoding: 'ieee-p1363' }, signature.subarray(0, 64));
}
