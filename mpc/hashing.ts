/**
 * SHA-256 by whoever does it fastest: the host's own (OpenSSL in Node) for long inputs, `@noble/hashes` for short
 * ones, where a native call costs more than the hash, and everywhere else, browsers included. The bytes are the same.
 */
import { sha256 } from '@noble/hashes/sha2.js';

type Native = {
  createHash(algorithm: 'sha256'): {
    update(part: Uint8Array): unknown;
    digest(): Uint8Array;
  };
};
type Host = { process?: { getBuiltinModule?: (id: string) => Native | undefined } };

/** SHA-256 of the concatenated parts, 32 bytes. */
export type Sha256 = (parts: readonly Uint8Array[]) => Uint8Array;

export const pureSha256: Sha256 = (parts) => {
  const hash = sha256.create();
  for (const part of parts) hash.update(part);
  return hash.digest();
};

/** Absent where the host has none. Asked for without an import, so that a bundle for a browser needs no stand-in. */
export const nativeSha256: Sha256 | undefined = (() => {
  const crypto = (globalThis as Host).process?.getBuiltinModule?.('node:crypto');
  if (crypto === undefined) return undefined;
  return (parts) => {
    const hash = crypto.createHash('sha256');
    for (const part of parts) hash.update(part);
    return new Uint8Array(hash.digest());
  };
})();

/** From here on a native call is cheaper, in bytes. */
const NATIVE_FROM = 256;

export const sha256Of: Sha256 = (parts) => {
  let length = 0;
  for (const part of parts) length += part.length;
  return nativeSha256 !== undefined && length >= NATIVE_FROM
    ? nativeSha256(parts)
    : pureSha256(parts);
};
