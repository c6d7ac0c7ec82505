/**
 * Finds the blockhash h behind a nonce value, SHA-256(`DURABLE_NONCE` ‖ h) = value. Every candidate is checked, so a
 * wrong one costs a hash and nothing else. On the real network h is the blockhash of the block before the one that
 * advanced the nonce. surfpool 1.5.0 takes the blockhash field of the advancing transaction instead: the creating
 * transaction's blockhash at first, the previous nonce value from then on.
 */
import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js';
import { base58 } from '@scure/base';
import type { NonceAccount } from '../../core/ports/nonce-accounts.ts';
import { provesNonce } from './durable-nonce.ts';
import type { SolanaReader } from './providers.ts';

/** How many of the account's last transactions are looked at: more than one only when an advance was just missed. */
const searched = 5;

/** Hex, or undefined when nothing that can be had proves it. @throws KeysagaError `ChainUnavailable`. */
export async function findPreimage(
  rpc: SolanaReader,
  record: Pick<NonceAccount, 'account' | 'value' | 'preimage' | 'hints'>,
  value: string,
): Promise<string | undefined> {
  const known = [record.preimage, record.value, ...record.hints].filter((hint) => hint !== null);
  const atOnce = known.find((candidate) => provesNonce(value, candidate));
  if (atOnce !== undefined) return atOnce;

  const recent = (await rpc.recentBlockhashes()).map(bytesToHex);
  const listed = recent.find((candidate) => provesNonce(value, candidate));
  if (listed !== undefined) return listed;

  const transactions = await rpc.signaturesFor(base58.decode(record.account), searched);
  for (const slot of new Set(transactions.map((transaction) => transaction.slot))) {
    const around = (await rpc.blockhashes(slot)).map((hash) => bytesToHex(base58.decode(hash)));
    const found = around.find((candidate) => provesNonce(value, candidate));
    if (found !== undefined) return found;
  }
  for (const { id } of transactions) {
    const field = await rpc.blockhashOf(id);
    if (field === undefined) continue;
    const candidate = bytesToHex(base58.decode(field));
    if (provesNonce(value, candidate)) return candidate;
  }
  return undefined;
}

/** The proof's two halves as bytes would be checked by a party. */
export const isProven = (record: Pick<NonceAccount, 'value' | 'preimage'>): boolean =>
  record.value !== null &&
  record.preimage !== null &&
  hexToBytes(record.preimage).length === 32 &&
  provesNonce(record.value, record.preimage);
