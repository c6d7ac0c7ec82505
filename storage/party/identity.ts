/** The party's Ed25519 identity key, held by OpenSSL through `node:crypto`; one file of 32 seed bytes in hex, mode 0600. */
import { createPrivateKey, createPublicKey, type KeyObject, sign, verify } from 'node:crypto';
import type { Identity, VerifySignature } from '../../core/ports/envelope-crypto.ts';
import { readSecretFile } from './secret-file.ts';

// DER prefixes of RFC 8410: PKCS#8 and SubjectPublicKeyInfo for Ed25519.
const pkcs8 = Buffer.from('302e020100300506032b657004220420', 'hex');
const spki = Buffer.from('302a300506032b6570032100', 'hex');

export function identityFromSeed(seed: Uint8Array): Identity {
  const der = Buffer.alloc(pkcs8.length + seed.length);
  der.set(pkcs8);
  der.set(seed, pkcs8.length);
  const privateKey = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  der.fill(0);
  const publicKey = createPublicKey(privateKey)
    .export({ format: 'der', type: 'spki' })
    .subarray(spki.length);
  return {
    publicKey: Buffer.from(publicKey).toString('hex'),
    sign: (bytes) => sign(null, bytes, privateKey).toString('hex'),
  };
}

/** Reads the identity file; `PartMissing` with the remedy when it is absent, malformed or readable by others. */
export function identityFromFile(path: string): Identity {
  const seed = readSecretFile(path, 'identityKeyFile');
  try {
    return identityFromSeed(seed);
  } finally {
    seed.fill(0);
  }
}

const cache = new Map<string, KeyObject>();
/**
 * OpenSSL's Ed25519 verification, several times faster than the pure one. Public keys are pinned and few, so
 * their key objects are kept. The group order check on S and canonical encodings are OpenSSL's own, as in RFC 8032.
 */
export const verifyNative: VerifySignature = (publicKey, message, signature) => {
  if (publicKey.length !== 32 || signature.length !== 64) return false;
  const id = Buffer.from(publicKey).toString('hex');
  try {
    let key = cache.get(id);
    if (key === undefined) {
      key = createPublicKey({ key: Buffer.concat([spki, publicKey]), format: 'der', type: 'spki' });
      if (cache.size < 4096) cache.set(id, key);
    }
    return verify(null, message, key, signature);
  } catch {
    return false;
  }
};
