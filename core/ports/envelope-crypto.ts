/** HPKE (RFC 9180, base mode, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM) for private envelopes. */
export interface EnvelopeKeyPair {
  /** 32 bytes. */
  readonly publicKey: Uint8Array;
  /** Opens what was sealed to `publicKey`. Throws `EnvelopeInvalid` for anything else. */
  open(
    enc: Uint8Array,
    ciphertext: Uint8Array,
    info: Uint8Array,
    aad: Uint8Array,
  ): Promise<Uint8Array>;
}
export interface EnvelopeCrypto {
  /** RFC 9180 DeriveKeyPair: the same 32-byte `ikm` gives the same pair, so that it lives and dies with the session's seed. */
  deriveKeyPair(ikm: Uint8Array): Promise<EnvelopeKeyPair>;
  /** Throws `EnvelopeInvalid` (`hpkePublicKey`) for a key that is none, or of low order. */
  seal(
    publicKey: Uint8Array,
    plaintext: Uint8Array,
    info: Uint8Array,
    aad: Uint8Array,
  ): Promise<{ enc: Uint8Array; ciphertext: Uint8Array }>;
}

/** The party's identity key. Signing stays behind it, so that an HSM can hold it later. */
export interface Identity {
  /** Ed25519, hex. */
  readonly publicKey: string;
  /** Ed25519 over the bytes; hex. */
  sign(bytes: Uint8Array): string;
}

/** Verifies Ed25519; 32-byte key, any message, 64-byte signature. False for anything malformed. */
export type VerifySignature = (
  publicKey: Uint8Array,
  message: Uint8Array,
  signature: Uint8Array,
) => boolean;
