/** Wallets with a plain Ed25519 key in place of the parties, and transactions written by web3.js instead of our codec. */
import { createHash, createPrivateKey, sign } from 'node:crypto';
import {
  ComputeBudgetProgram,
  Keypair,
  PublicKey,
  SystemProgram,
  Transaction,
  type TransactionInstruction,
} from '@solana/web3.js';
import { solanaLocal } from '../../../chains/solana/networks.ts';
import { KeysagaError } from '../../../schema/contracts/errors.ts';
import type { UnsignedTransaction } from '../../../schema/contracts/transaction.ts';

export const local = solanaLocal.id;
export const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
export const unhex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'hex'));

/** A key made from a name, so that a failing case can be run again. */
export const keypair = (name: string): Keypair =>
  Keypair.fromSeed(createHash('sha256').update(name).digest());

/** RFC 8032 signature by OpenSSL. */
export function signWith(key: Keypair, message: Uint8Array): Uint8Array {
  const pkcs8 = Buffer.concat([
    Buffer.from('302e020100300506032b657004220420', 'hex'),
    key.secretKey.slice(0, 32),
  ]);
  return Uint8Array.from(
    sign(null, message, createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' })),
  );
}

export type Nonce = { account: string; value: string; preimage: string };
export function nonceOf(account: PublicKey, blockhash: string): Nonce {
  const preimage = createHash('sha256').update(blockhash).digest();
  const value = createHash('sha256').update('DURABLE_NONCE').update(preimage).digest();
  return { account: account.toBase58(), value: hex(value), preimage: hex(preimage) };
}

export const base58Of = (valueHex: string): string => new PublicKey(unhex(valueHex)).toBase58();

/** Unsigned transaction with web3.js's own compiler, accounts in web3.js's order. */
export function compileWithWeb3(
  feePayer: PublicKey,
  recentBlockhash: string,
  instructions: readonly TransactionInstruction[],
): Uint8Array {
  const transaction = new Transaction();
  transaction.feePayer = feePayer;
  transaction.recentBlockhash = recentBlockhash;
  transaction.add(...instructions);
  return Uint8Array.from(transaction.compileMessage().serialize());
}

export const instructions = {
  advance: (nonce: PublicKey, authority: PublicKey) =>
    SystemProgram.nonceAdvance({ noncePubkey: nonce, authorizedPubkey: authority }),
  pay: (from: PublicKey, to: PublicKey, lamports: bigint) =>
    SystemProgram.transfer({ fromPubkey: from, toPubkey: to, lamports }),
  limit: (units: number) => ComputeBudgetProgram.setComputeUnitLimit({ units }),
  price: (microLamports: bigint) => ComputeBudgetProgram.setComputeUnitPrice({ microLamports }),
};

export const unsignedOf = (message: Uint8Array, nonceProof?: Nonce): UnsignedTransaction => ({
  network: local,
  format: 'solana-message',
  bytes: hex(message),
  ...(nonceProof === undefined ? {} : { nonceProof }),
});

/** The KeysagaError that `work` throws; anything else fails the test. */
export function refusal(work: () => unknown): KeysagaError {
  let result: unknown;
  try {
    result = work();
  } catch (error) {
    if (error instanceof KeysagaError) return error;
    throw error;
  }
  throw new Error(
    `nothing was refused: ${JSON.stringify(result, (_, v) => (typeof v === 'bigint' ? `${v}` : v))}`,
  );
}
export async function refusalOf(work: Promise<unknown>): Promise<KeysagaError> {
  try {
    await work;
  } catch (error) {
    if (error instanceof KeysagaError) return error;
    throw error;
  }
  throw new Error('nothing was refused');
}
