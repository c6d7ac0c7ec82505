/** Transactions as they travel: opaque bytes plus the evidence a party needs to judge them alone. */
import * as z from 'zod';
import { Caip2, Decimal, Hex, Hex32 } from './primitives.ts';

/**
 * Unsigned transaction. `bytes`: a BIP-174/371 PSBT for Bitcoin, the serialized legacy or v0 message for Solana.
 * `nonceProof` (Solana): `preimage` is the blockhash h with SHA-256(`DURABLE_NONCE` ‖ h) = `value`.
 */
export const UnsignedTransaction = z.strictObject({
  network: Caip2,
  format: z.enum(['bitcoin-psbt', 'solana-message', 'ethereum-rlp']),
  bytes: Hex,
  nonceProof: z
    .strictObject({ account: z.string(), value: Hex32, preimage: Hex32 })
    .exactOptional(),
});
export type UnsignedTransaction = z.infer<typeof UnsignedTransaction>;

export const SpentOutput = z.strictObject({ amount: Decimal, script: Hex });
export type SpentOutput = z.infer<typeof SpentOutput>;

/** Signed bytes and their id, stored before anything is sent. `id`: Bitcoin txid (display order hex), Solana signature (base58). */
export const SignedTransaction = z.strictObject({
  network: Caip2,
  id: z.string(),
  bytes: Hex,
  /** Bitcoin only, in input order. */
  spentOutputs: z.array(SpentOutput).exactOptional(),
});
export type SignedTransaction = z.infer<typeof SignedTransaction>;

/** Answer of a provider to a broadcast, after mapping. `unclear` is settled by looking the id up, never by signing again. */
export const BroadcastOutcome = z.discriminatedUnion('status', [
  z.strictObject({ status: z.literal('accepted') }),
  z.strictObject({ status: z.literal('already-known') }),
  z.strictObject({ status: z.literal('rejected'), reason: z.string() }),
  z.strictObject({ status: z.literal('unclear'), reason: z.string() }),
]);
export type BroadcastOutcome = z.infer<typeof BroadcastOutcome>;

/**
 * Where a transaction stands. `failed`: it is final on chain but without effect (a Solana instruction error).
 * `conflicted`: another transaction spent its input or nonce and is final.
 */
export const TransactionStatus = z.discriminatedUnion('status', [
  z.strictObject({ status: z.literal('unknown') }),
  z.strictObject({ status: z.literal('pending') }),
  z.strictObject({
    status: z.literal('included'),
    confirmations: z.int().nonnegative(),
    block: z.string(),
    final: z.boolean(),
  }),
  z.strictObject({ status: z.literal('failed'), reason: z.string(), final: z.boolean() }),
  z.strictObject({
    status: z.literal('conflicted'),
    by: z.string().exactOptional(),
    final: z.boolean(),
  }),
]);
export type TransactionStatus = z.infer<typeof TransactionStatus>;
