/** Scripts, addresses, sizes and dust: what the codec and the builder must agree on. */
import { schnorr, secp256k1 } from '@noble/curves/secp256k1.js';
import { ripemd160 } from '@noble/hashes/legacy.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex, concatBytes } from '@noble/hashes/utils.js';
import { Address, OutScript } from '@scure/btc-signer';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import type { BitcoinNetwork } from './networks.ts';

/**
 * Script of a wallet, by its key: OP_1 and the 32-byte x-only *output* key of a BIP-340 key (BIP-341; key generation has
 * applied the tweak, so the key goes in as it is), or OP_0 and the HASH160 of a 33-byte compressed ECDSA key (BIP-141).
 * @throws KeysagaError `InvalidInput` (`publicKey`).
 */
export const walletScript = (publicKey: Uint8Array): Uint8Array =>
  publicKey.length === 33 ? witnessKeyHash(publicKey) : taproot(publicKey);

export const hash160 = (bytes: Uint8Array): Uint8Array => ripemd160(sha256(bytes));

/** Does an output with this script take an ECDSA signature (P2WPKH)? The wallet's other kind is P2TR. */
export const isWitnessKeyHash = (script: Uint8Array): boolean =>
  script.length === 22 && script[0] === 0x00 && script[1] === 0x14;

/** What BIP-143 hashes in place of a P2WPKH script: DUP HASH160 <hash> EQUALVERIFY CHECKSIG. */
export const scriptCode = (script: Uint8Array): Uint8Array =>
  concatBytes(Uint8Array.of(0x76, 0xa9), script.subarray(1), Uint8Array.of(0x88, 0xac));

function witnessKeyHash(publicKey: Uint8Array): Uint8Array {
  try {
    secp256k1.Point.fromBytes(publicKey);
  } catch (cause) {
    throw new KeysagaError(
      'InvalidInput',
      'not a compressed secp256k1 public key',
      { field: 'publicKey' },
      { cause },
    );
  }
  return concatBytes(Uint8Array.of(0x00, 0x14), hash160(publicKey));
}

function taproot(publicKey: Uint8Array): Uint8Array {
  if (publicKey.length !== 32) {
    throw new KeysagaError(
      'InvalidInput',
      'a Taproot output key has 32 bytes, a compressed key 33',
      {
        field: 'publicKey',
      },
    );
  }
  try {
    // BIP-341: an x that is on no curve point makes an output that nobody can ever spend.
    schnorr.utils.lift_x(BigInt(`0x${bytesToHex(publicKey)}`));
  } catch (cause) {
    throw new KeysagaError(
      'InvalidInput',
      'the Taproot output key is not on the curve',
      { field: 'publicKey' },
      { cause },
    );
  }
  const script = new Uint8Array(34);
  script.set([0x51, 0x20]);
  script.set(publicKey, 2);
  return script;
}

export const addressOf = (network: BitcoinNetwork, publicKey: Uint8Array): string =>
  Address(network.params).encode(
    publicKey.length === 33
      ? { type: 'wpkh', hash: walletScript(publicKey).subarray(2) }
      : { type: 'tr', pubkey: walletScript(publicKey).subarray(2) },
  );

/** Output kinds that somebody can own. Pay-to-anchor, bare keys and bare multisig have no owner's address. */
const payable = new Set(['pkh', 'sh', 'wpkh', 'wsh', 'tr']);

/** The address that a script pays, or undefined for data, bare, unknown and unspendable scripts. */
export function scriptAddress(network: BitcoinNetwork, script: Uint8Array): string | undefined {
  try {
    const out = OutScript.decode(script);
    if (!payable.has(out.type)) return undefined;
    const address = Address(network.params).encode(out);
    // The detour must lead back to these bytes: an address stands for one script only.
    return bytesToHex(addressScript(network, address)) === bytesToHex(script) ? address : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Script of an address in its canonical spelling (bech32 in lower case), so that a destination in an intent and
 * one that was decoded from a transaction can be compared as text.
 * @throws KeysagaError `InvalidInput` (`destination`) for another network's, malformed or unpayable address.
 */
export function addressScript(network: BitcoinNetwork, address: string): Uint8Array {
  const refuse = (why: string, cause?: unknown): KeysagaError =>
    new KeysagaError(
      'InvalidInput',
      `not a ${network.name} address: ${why}`,
      {
        field: 'destination',
      },
      cause === undefined ? {} : { cause },
    );
  let decoded: ReturnType<ReturnType<typeof Address>['decode']>;
  let again: string;
  try {
    decoded = Address(network.params).decode(address);
    again = Address(network.params).encode(decoded);
  } catch (cause) {
    throw refuse('it does not decode', cause);
  }
  if (!payable.has(decoded.type)) throw refuse('nobody owns outputs of this kind');
  if (again !== address) throw refuse('it is not in canonical spelling');
  let script: Uint8Array;
  try {
    script = OutScript.encode(decoded);
    // Decoding judges what encoding does not: a Taproot key off the curve decodes as unknown.
    if (OutScript.decode(script).type !== decoded.type) throw refuse('it can never be spent');
  } catch (cause) {
    throw refuse('it can never be spent', cause);
  }
  return script;
}

/** Bytes as a CompactSize prefix needs. */
export const compactSizeLength = (n: number): number => (n < 0xfd ? 1 : n <= 0xffff ? 3 : 5);

/**
 * Smallest amount that nodes relay, in sats: Bitcoin Core's `GetDustThreshold` at 3 sat/vB, the output's own bytes
 * plus those of the input that would spend it (67 for witness programs, 148 otherwise).
 */
export function dustLimit(script: Uint8Array): bigint {
  const version = script[0] ?? -1;
  const witnessProgram =
    script.length >= 4 &&
    script.length <= 42 &&
    (version === 0 || (version >= 0x51 && version <= 0x60)) &&
    script[1] === script.length - 2;
  const output = 8 + compactSizeLength(script.length) + script.length;
  return 3n * BigInt(output + (witnessProgram ? 67 : 148));
}

/** Taproot: item count, length, 64-byte signature. P2WPKH: item count, a signature of at most 72 bytes, a key of 33. */
const witnessWeight = (script: Uint8Array | undefined): number =>
  script !== undefined && isWitnessKeyHash(script) ? 1 + 73 + 34 : 66;

/**
 * Virtual size of a finished transaction, rounded up (BIP-141), all of whose inputs spend outputs with the script `own`
 * (default: Taproot key path). An input weighs 41 × 4 and its witness.
 */
export function virtualSize(
  inputs: number,
  outputs: readonly Uint8Array[],
  own?: Uint8Array,
): bigint {
  let weight = 4 * (8 + compactSizeLength(inputs) + compactSizeLength(outputs.length)) + 2;
  weight += inputs * (41 * 4 + witnessWeight(own));
  for (const script of outputs)
    weight += 4 * (8 + compactSizeLength(script.length) + script.length);
  return BigInt(Math.ceil(weight / 4));
}
