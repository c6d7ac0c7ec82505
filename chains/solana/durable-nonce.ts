/**
 * Durable nonces: the account's layout, the proof that a value is one, and the addresses of a wallet's accounts.
 *
 * A nonce value is SHA-256(`DURABLE_NONCE` ‖ h), h being a blockhash at the time of the advance. Whoever knows h
 * therefore knows that the value is no blockhash itself: those come out of SHA-256 over other inputs. A message with a
 * real blockhash in that field would land without consuming any nonce, and two of them would both land.
 */
import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex, concatBytes, hexToBytes, utf8ToBytes } from '@noble/hashes/utils.js';
import { base58 } from '@scure/base';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import type { UnsignedTransaction } from '../../schema/contracts/transaction.ts';
import { systemProgram } from './instructions.ts';
import { sameBytes } from './message.ts';

const domain = utf8ToBytes('DURABLE_NONCE');

/** The nonce value that an advance sets while `blockhash` is the latest one. */
export const nonceValue = (blockhash: Uint8Array): Uint8Array =>
  sha256(concatBytes(domain, blockhash));

export const provesNonce = (value: string, preimage: string): boolean =>
  bytesToHex(nonceValue(hexToBytes(preimage))) === value;

/** @throws KeysagaError `NonceUnproven` unless the proof is about this account and value and holds. */
export function requireProof(
  proof: UnsignedTransaction['nonceProof'],
  account: Uint8Array,
  value: Uint8Array,
): void {
  const unproven = (field: string, message: string) =>
    new KeysagaError('NonceUnproven', message, { field });
  if (proof === undefined) throw unproven('nonceProof', 'the preimage of the nonce is missing');
  if (proof.account !== base58.encode(account)) {
    throw unproven('nonceProof.account', 'the proof is about another nonce account');
  }
  if (proof.value !== bytesToHex(value)) {
    throw unproven('nonceProof.value', 'the proof is about another value than the message carries');
  }
  if (!provesNonce(proof.value, proof.preimage)) {
    throw unproven('nonceProof.preimage', 'the value is not the hash of the preimage');
  }
}

export const nonceAccountBytes = 80;

/**
 * Reads a nonce account's data: version u32 = 1, state u32 = 1 (initialised), authority, value, lamports per signature u64.
 * Undefined for anything else; version 0 (legacy) is refused, since its value is a bare blockhash.
 */
export function parseNonceAccount(
  data: Uint8Array,
): { readonly authority: Uint8Array; readonly value: Uint8Array } | undefined {
  if (data.length !== nonceAccountBytes) return undefined;
  if (!sameBytes(data.subarray(0, 8), Uint8Array.of(1, 0, 0, 0, 1, 0, 0, 0))) return undefined;
  return { authority: data.slice(8, 40), value: data.slice(40, 72) };
}

/**
 * Seed of a wallet's nonce account number `index`, 32 characters: the account can be found again from the sponsor's
 * address alone after any crash, and creating it twice is impossible.
 */
export const nonceSeed = (network: string, walletId: string, index: number): string =>
  bytesToHex(
    sha256(utf8ToBytes(`keysaga/solana-nonce/v1\n${network}\n${walletId}\n${index}`)),
  ).slice(0, 32);

/** Address with seed: SHA-256(base ‖ seed ‖ owner), the owner being the System program. */
export const seededAddress = (base: Uint8Array, seed: string): Uint8Array =>
  sha256(concatBytes(base, utf8ToBytes(seed), systemProgram));
