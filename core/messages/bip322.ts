/**
 * BIP-322, simple form, for P2WPKH and P2TR (key path): the message is committed to by a transaction that can never be
 * mined (`to_spend`, whose input names no output), and what is signed is a transaction that spends it (`to_sign`). So no
 * signature over a message is one over a transaction.
 */
import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex, concatBytes, utf8ToBytes } from '@noble/hashes/utils.js';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import { requireReadable } from './text.ts';

/** Little-endian. */
const u32 = (n: number): Uint8Array =>
  Uint8Array.of(n & 0xff, (n >>> 8) & 0xff, (n >>> 16) & 0xff, n >>> 24);
/** Little-endian 64-bit zero: every amount here. */
const NO_AMOUNT = new Uint8Array(8);
/** Scripts here are shorter than 253 bytes. */
const sized = (bytes: Uint8Array): Uint8Array => concatBytes(Uint8Array.of(bytes.length), bytes);
const tagged = (tag: string, ...parts: Uint8Array[]): Uint8Array => {
  const hash = sha256(utf8ToBytes(tag));
  return sha256(concatBytes(hash, hash, ...parts));
};
const twice = (...parts: Uint8Array[]): Uint8Array => sha256(sha256(concatBytes(...parts)));

const VERSION = u32(0);
const LOCK_TIME = u32(0);
const SEQUENCE = u32(0);
/** The one output of `to_sign`: no amount, OP_RETURN. */
const NOTHING = concatBytes(NO_AMOUNT, sized(Uint8Array.of(0x6a)));

/** Hash of the message that `to_spend` commits to. Throws `InvalidInput` (`text`). */
export function bip322MessageHash(text: string): Uint8Array {
  requireReadable(text, 'text');
  return tagged('BIP0322-signed-message', utf8ToBytes(text));
}

/** Id of `to_spend` in the order of serialisation; `script`: of the address that signs. */
function toSpend(text: string, script: Uint8Array): Uint8Array {
  const commitment = concatBytes(Uint8Array.of(0x00, 0x20), bip322MessageHash(text));
  return twice(
    VERSION,
    Uint8Array.of(1),
    new Uint8Array(32),
    u32(0xffffffff),
    sized(commitment),
    SEQUENCE,
    Uint8Array.of(1),
    NO_AMOUNT,
    sized(script),
    LOCK_TIME,
  );
}

const outpointOf = (text: string, script: Uint8Array): Uint8Array =>
  concatBytes(toSpend(text, script), u32(0));

/** Ids in display order: for tests and for those who look closely. */
export function bip322Ids(text: string, script: Uint8Array): { toSpend: string; toSign: string } {
  const toSign = twice(
    VERSION,
    Uint8Array.of(1),
    outpointOf(text, script),
    Uint8Array.of(0),
    SEQUENCE,
    Uint8Array.of(1),
    NOTHING,
    LOCK_TIME,
  );
  return {
    toSpend: bytesToHex(toSpend(text, script).reverse()),
    toSign: bytesToHex(toSign.reverse()),
  };
}

/**
 * What is signed: BIP-143 with SIGHASH_ALL for a P2WPKH script (ECDSA), BIP-341 with SIGHASH_DEFAULT for P2TR (BIP-340).
 * Throws `InvalidInput` (`text`, `script`).
 */
export function bip322Digest(text: string, script: Uint8Array): Uint8Array {
  const outpoint = outpointOf(text, script);
  if (script.length === 22 && script[0] === 0x00 && script[1] === 0x14) {
    const scriptCode = concatBytes(
      Uint8Array.of(0x76, 0xa9),
      script.subarray(1),
      Uint8Array.of(0x88, 0xac),
    );
    return twice(
      VERSION,
      twice(outpoint),
      twice(SEQUENCE),
      outpoint,
      sized(scriptCode),
      NO_AMOUNT,
      SEQUENCE,
      twice(NOTHING),
      LOCK_TIME,
      u32(1),
    );
  }
  if (script.length === 34 && script[0] === 0x51 && script[1] === 0x20) {
    return tagged(
      'TapSighash',
      Uint8Array.of(0, 0), // epoch, SIGHASH_DEFAULT
      VERSION,
      LOCK_TIME,
      sha256(outpoint),
      sha256(NO_AMOUNT),
      sha256(sized(script)),
      sha256(SEQUENCE),
      sha256(NOTHING),
      Uint8Array.of(0), // key path, no annex
      u32(0),
    );
  }
  throw new KeysagaError('InvalidInput', 'Only P2WPKH and P2TR addresses sign messages here.', {
    field: 'script',
  });
}
