/** Signed messages as Ethereum's wallets and contracts take them: r ‖ s ‖ v with v = 27 or 28. Digests are in `core/messages`. */
import { bytesToHex } from '@noble/hashes/utils.js';
import { recoverable } from './signature.ts';

const word = (value: bigint): string => value.toString(16).padStart(64, '0');

/** `0x` and 65 bytes. @throws KeysagaError `SignatureInvalid` when it does not verify under the key. */
export function attachMessage(
  digest: Uint8Array,
  publicKey: Uint8Array,
  signature: Uint8Array,
): string {
  const { r, s, yParity } = recoverable(digest, signature, publicKey, 'signature');
  return `0x${word(r)}${word(s)}${bytesToHex(Uint8Array.of(27 + yParity))}`;
}
