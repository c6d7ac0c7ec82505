/** The party's Ed25519 identity key, held by OpenSSL through `node:crypto`; one file of 32 seed bytes in hex, mode 0600. */
import { createPrivateKey, createPublicKey, type KeyObject, sign, verify } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import type { Identity, VerifySignature } from '../../core/ports/envelope-crypto.ts';
import { KeysagaError } from '../../schema/contracts/errors.ts';

// DER prefixes of RFC 8410: PKCS#8 and SubjectPublicKeyInfo for Ed25519.
const pkcs8 = Buffer.from('302e020100300506032b657004220420', 'hex');
const spki = Buffer.from('302a300506032b6570032100', 'hex');

export function identityFromSeed(seed: Uint8Array): Identity {
  const privateKey = createPrivateKey({
    key: Buffer.concat([pkcs8, seed]),
    format: 'der',
    type: 'pkcs8',
  });
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
  let text: string;
  try {
    if ((statSync(path).mode & 0o077) !== 0)
      throw new KeysagaError(
        'PartMissing',
        'The identity key is readable by others; make it mode 0600.',
        { field: 'identityKeyFile' },
      );
    text = readFileSync(path, 'utf8').trim();
  } catch (cause) {
    if (cause instanceof KeysagaError) throw cause;
    throw new KeysagaError(
      'PartMissing',
      'The identity key file cannot be read.',
      { field: 'identityKeyFile' },
      { cause },
    );
  }
  if (!/^[0-9a-f]{64}$/.test(text))
    throw new KeysagaError('PartMissing', 'The identity key file is not 32 bytes of hex.', {
      field: 'identityKeyFile',
    });
  return identityFromSeed(Buffer.from(text, 'hex'));
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
