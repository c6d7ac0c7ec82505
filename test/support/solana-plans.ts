/** Solana transactions over made-up but proven nonces, for tests that need bytes and no runtime. */
import { createHash, randomBytes } from 'node:crypto';
import { base58 } from '@scure/base';
import { encodeTransfer } from '../../chains/solana/codec.ts';
import { hexToBytes } from '../../core/signed.ts';
import type { KeyDescriptor } from '../../schema/contracts/key.ts';
import type { UnsignedTransaction } from '../../schema/contracts/transaction.ts';

export type Nonce = { readonly account: string; readonly value: string; readonly preimage: string };

/** A nonce whose value has a known preimage, as after an advance on chain. */
export function provenNonce(account: string = base58.encode(randomBytes(32))): Nonce {
  const preimage = randomBytes(32);
  const value = createHash('sha256').update('DURABLE_NONCE').update(preimage).digest('hex');
  return { account, value, preimage: preimage.toString('hex') };
}

export const someAddress = (): string => base58.encode(randomBytes(32));

export const payment = (
  key: KeyDescriptor,
  nonce: Nonce,
  destination: string,
  lamports: bigint,
  budget: { units?: number; microLamports?: bigint } = {},
): UnsignedTransaction =>
  encodeTransfer(key.network, {
    wallet: hexToBytes(key.publicKey),
    nonce,
    units: budget.units ?? 10_000,
    microLamports: budget.microLamports ?? 0n,
    payment: { destination, lamports },
  });

export const voidOf = (key: KeyDescriptor, nonce: Nonce): UnsignedTransaction =>
  encodeTransfer(key.network, {
    wallet: hexToBytes(key.publicKey),
    nonce,
    units: 10_000,
    microLamports: 0n,
  });
