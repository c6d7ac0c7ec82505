/** Files of 32 secret bytes in hex. What is read of them never becomes a string, which could not be wiped. */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { KeysagaError } from '../../schema/contracts/errors.ts';

const nibble = (code: number): number => {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  if (code >= 0x61 && code <= 0x66) return code - 0x61 + 10;
  return -1;
};

/** The bytes of lower-case hex, with blanks and line ends before and after it ignored; undefined for anything else. */
export function hexSecret(text: Uint8Array, length: number): Uint8Array | undefined {
  const blank = (code: number | undefined) =>
    code !== undefined && (code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09);
  let from = 0;
  let to = text.length;
  while (from < to && blank(text[from])) from++;
  while (to > from && blank(text[to - 1])) to--;
  if (to - from !== 2 * length) return undefined;
  // Not from Node's shared pool, where a copy would lie next to anybody's bytes.
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) {
    const high = nibble(text[from + 2 * i] ?? 0);
    const low = nibble(text[from + 2 * i + 1] ?? 0);
    if (high < 0 || low < 0) {
      bytes.fill(0);
      return undefined;
    }
    bytes[i] = 16 * high + low;
  }
  return bytes;
}

/**
 * 32 bytes from a file that only its owner may read. The caller wipes them. Throws `PartMissing` (`field`) when the file is
 * absent, malformed or readable by others.
 */
export function readSecretFile(path: string, field: string): Uint8Array {
  const text = new Uint8Array(256);
  let length = 0;
  try {
    const file = openSync(path, 'r');
    try {
      if ((fstatSync(file).mode & 0o077) !== 0)
        throw new KeysagaError(
          'PartMissing',
          `${field}: the key file is readable by others; make it mode 0600.`,
          { field },
        );
      for (let got = 1; got > 0 && length < text.length; length += got)
        got = readSync(file, text, length, text.length - length, null);
    } finally {
      closeSync(file);
    }
    const secret = hexSecret(text.subarray(0, length), 32);
    if (secret === undefined)
      throw new KeysagaError('PartMissing', `${field}: the key file is not 32 bytes of hex.`, {
        field,
      });
    return secret;
  } catch (cause) {
    if (cause instanceof KeysagaError) throw cause;
    throw new KeysagaError(
      'PartMissing',
      `${field}: the key file cannot be read.`,
      { field },
      { cause },
    );
  } finally {
    text.fill(0);
  }
}
