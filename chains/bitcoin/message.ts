/** Signed messages as BIP-322's simple form writes them: the witness of `to_sign`. Digests are in `core/messages`. */
import { schnorr, secp256k1 } from '@noble/curves/secp256k1.js';
import { concatBytes } from '@noble/hashes/utils.js';
import { base64 } from '@scure/base';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import { ALL } from './psbt.ts';

const invalid = (): KeysagaError =>
  new KeysagaError('SignatureInvalid', 'the signature does not verify under the key', {
    field: 'signature',
  });

/** Items are shorter than 253 bytes. */
const witness = (...items: Uint8Array[]): Uint8Array =>
  concatBytes(
    Uint8Array.of(items.length),
    ...items.map((item) => concatBytes(Uint8Array.of(item.length), item)),
  );

/** Base64. @throws KeysagaError `SignatureInvalid` when it does not verify under the key. */
export function attachMessage(
  digest: Uint8Array,
  publicKey: Uint8Array,
  signature: Uint8Array,
): string {
  if (publicKey.length === 32) {
    if (signature.length !== 64 || !schnorr.verify(signature, digest, publicKey)) throw invalid();
    return base64.encode(witness(signature));
  }
  const compact = signature.subarray(0, 64);
  let der: Uint8Array;
  try {
    if (!secp256k1.verify(compact, digest, publicKey, { prehash: false, lowS: true }))
      throw invalid();
    der = secp256k1.Signature.fromBytes(compact, 'compact').toBytes('der');
  } catch {
    throw invalid();
  }
  return base64.encode(witness(concatBytes(der, Uint8Array.of(ALL)), publicKey));
}
