/**
 * Addresses: the last 20 bytes of keccak-256 over the uncompressed public key (Yellow Paper, appendix F), written with the
 * mixed-case checksum of EIP-55. Only that spelling is taken, so that a destination in an intent and one that was decoded
 * from bytes are compared as text, and a typing error does not pass.
 */
import { secp256k1 } from '@noble/curves/secp256k1.js';
import { keccak_256 } from '@noble/hashes/sha3.js';
import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js';
import { eip55 as checksummed } from '../../schema/contracts/asset.ts';
import { KeysagaError } from '../../schema/contracts/errors.ts';

export { checksummed };

/** Addresses at or below it belong to precompiled contracts or to nobody: what is sent there is lost. */
const RESERVED_BELOW = 0x1_0000n;

/** 20 bytes of an address in EIP-55 spelling. @throws KeysagaError `InvalidInput` (`field`). */
export function addressBytes(address: string, field: string): Uint8Array {
  const refuse = (why: string) =>
    new KeysagaError('InvalidInput', `not an Ethereum address: ${why}`, { field });
  if (!/^0x[0-9a-fA-F]{40}$/.test(address)) throw refuse('0x and 40 hex digits are needed');
  const bytes = hexToBytes(address.slice(2).toLowerCase());
  if (checksummed(bytes) !== address)
    throw refuse('its EIP-55 checksum (upper and lower case) is wrong');
  return bytes;
}

export const isReserved = (bytes: Uint8Array): boolean =>
  BigInt(`0x${bytesToHex(bytes)}`) < RESERVED_BELOW;

/** The wallet's address; `publicKey`: 33 bytes, compressed. @throws KeysagaError `InvalidInput` (`publicKey`). */
export function addressOf(publicKey: Uint8Array): string {
  return checksummed(keccak_256(uncompressed(publicKey).subarray(1)).subarray(12));
}

/** 65 bytes. @throws KeysagaError `InvalidInput` (`publicKey`). */
function uncompressed(publicKey: Uint8Array): Uint8Array {
  const refuse = (cause?: unknown) =>
    new KeysagaError(
      'InvalidInput',
      'not a compressed secp256k1 public key',
      { field: 'publicKey' },
      { cause },
    );
  if (publicKey.length !== 33) throw refuse();
  try {
    return secp256k1.Point.fromBytes(publicKey).toBytes(false);
  } catch (cause) {
    throw refuse(cause);
  }
}
