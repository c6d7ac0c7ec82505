/** RFC 9180 HPKE by `@hpke/core` on the platform's WebCrypto. */
import { Aes256Gcm, CipherSuite, DhkemX25519HkdfSha256, HkdfSha256 } from '@hpke/core';
import type { EnvelopeCrypto } from '../../core/ports/envelope-crypto.ts';
import { KeysagaError } from '../../schema/contracts/errors.ts';

const suite = new CipherSuite({
  kem: new DhkemX25519HkdfSha256(),
  kdf: new HkdfSha256(),
  aead: new Aes256Gcm(),
});

/** @hpke/core wants an ArrayBuffer of exactly these bytes. */
const exact = (bytes: Uint8Array): ArrayBuffer => new Uint8Array(bytes).buffer;

export function createEnvelopeCrypto(): EnvelopeCrypto {
  return {
    async deriveKeyPair(ikm) {
      const pair = await suite.kem.deriveKeyPair(exact(ikm));
      const publicKey = new Uint8Array(await suite.kem.serializePublicKey(pair.publicKey));
      return {
        publicKey,
        async open(enc, ciphertext, info, aad) {
          try {
            const plaintext = await suite.open(
              { recipientKey: pair.privateKey, enc: exact(enc), info: exact(info) },
              exact(ciphertext),
              exact(aad),
            );
            return new Uint8Array(plaintext);
          } catch {
            throw new KeysagaError('EnvelopeInvalid', 'A private message does not open.', {
              field: 'body',
            });
          }
        },
      };
    },
    async seal(publicKey, plaintext, info, aad) {
      // A key that is none, or of low order: whoever made it cannot be sealed to.
      try {
        const recipientPublicKey = await suite.kem.deserializePublicKey(exact(publicKey));
        const { enc, ct } = await suite.seal(
          { recipientPublicKey, info: exact(info) },
          exact(plaintext),
          exact(aad),
        );
        return { enc: new Uint8Array(enc), ciphertext: new Uint8Array(ct) };
      } catch (cause) {
        throw new KeysagaError(
          'EnvelopeInvalid',
          'Not an X25519 public key.',
          { field: 'hpkePublicKey' },
          { cause },
        );
      }
    },
  };
}
