/** Messages that are text: EIP-191 (`personal_sign`). What is shown and what is signed are the same characters. */
import { keccak_256 } from '@noble/hashes/sha3.js';
import { concatBytes, utf8ToBytes } from '@noble/hashes/utils.js';
import { KeysagaError } from '../../schema/contracts/errors.ts';

// As in a memo (core/intent.ts): what makes a screen show something else than what is signed. Line feeds are text here.
const DECEPTIVE =
  /(?!\n)[\p{Cc}\p{Cs}\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]/u;

/** @throws KeysagaError `InvalidInput` (`field`) for text that does not show as it is signed. */
export function requireReadable(text: string, field: string): void {
  if (DECEPTIVE.test(text))
    throw new KeysagaError(
      'InvalidInput',
      'The text has characters that do not show as they are signed.',
      { field },
    );
}

/** keccak-256(0x19 ‖ `Ethereum Signed Message:\n` ‖ length in bytes, decimal ‖ text). Throws `InvalidInput` (`text`). */
export function eip191Digest(text: string): Uint8Array {
  requireReadable(text, 'text');
  const bytes = utf8ToBytes(text);
  const prefix = utf8ToBytes(`\x19Ethereum Signed Message:\n${bytes.length}`);
  return keccak_256(concatBytes(prefix, bytes));
}
