/** What payment and void have in common: every effect of the bytes is accounted for, or nothing is signed. */
import { type ErrorDetails, KeysagaError } from '../../schema/contracts/errors.ts';
import type { Anchor } from '../../schema/contracts/intent.ts';
import type { Policy } from '../../schema/contracts/policy.ts';
import { networkFamily } from '../assets.ts';
import type { DecodedTransaction, TransactionEffect } from '../ports/blockchain.ts';
import type { PaymentIntent } from '../ports/payment.ts';

export type TransactionCheck = {
  readonly intent: PaymentIntent;
  /** Decoded by the party itself from the bytes that it is asked to sign. */
  readonly decoded: DecodedTransaction;
  /** The wallet's own address, from the party's share. */
  readonly address: string;
  readonly policy: Policy;
  /** The key's network, from the party's share. */
  readonly network: string;
  /** The key's wallet, from the party's share; the intent must be this wallet's. */
  readonly walletId?: string | undefined;
};

export function mismatch(field: string, message: string, details: ErrorDetails = {}): never {
  throw new KeysagaError('TransactionMismatch', message, { ...details, field });
}

export type Payment = Extract<TransactionEffect, { kind: 'pay' }>;

/**
 * Checks network, wallet and payer, then each effect by itself: change to the own address only, a nonce advanced
 * for the wallet only and consumed by this very transaction, nothing unnamed. Answers with the payments, which
 * the caller judges. Throws `TransactionMismatch` (`chain`, `walletId`, `network`, `from`, `change`, `nonce`, `effects`,
 * `fee`, `conflictKeys`).
 */
export function accountFor({ intent, decoded, address, network, walletId }: TransactionCheck): {
  payments: readonly Payment[];
  changes: number;
  advances: number;
} {
  if (intent.chain !== network)
    mismatch('chain', `The intent is for ${intent.chain}, the key for ${network}.`);
  if (walletId !== undefined && intent.walletId !== walletId)
    mismatch('walletId', `The intent is for wallet ${intent.walletId}, the key is of ${walletId}.`);
  if (decoded.network !== network)
    mismatch('network', `The bytes are for ${decoded.network}, the key for ${network}.`);
  if (decoded.from !== address) mismatch('from', 'The transaction is paid by another address.');
  if (decoded.fee < 0n) mismatch('fee', 'The transaction creates money.');
  if (decoded.conflictKeys.length === 0)
    mismatch('conflictKeys', 'The transaction consumes nothing, so it could be repeated.');
  const payments: Payment[] = [];
  let changes = 0;
  let advances = 0;
  for (const effect of decoded.effects) {
    switch (effect.kind) {
      case 'pay':
        payments.push(effect);
        break;
      case 'change':
        if (effect.address !== address) mismatch('change', 'Change goes to another address.');
        if (effect.amount < 0n) mismatch('change', 'Change is negative.');
        changes += 1;
        break;
      case 'advance-nonce':
        if (effect.authority !== address)
          mismatch('nonce', 'The nonce has another authority than the wallet.');
        if (!decoded.conflictKeys.includes(`solana:${effect.account}:${effect.value}`))
          mismatch('nonce', 'The advanced nonce is not the one that the transaction consumes.');
        advances += 1;
        break;
      case 'other':
        return mismatch(
          'effects',
          `The transaction also does: ${effect.description.slice(0, 200)}`,
        );
      default:
        // A codec newer than this rule: what it names is not accounted for here.
        mismatch('effects', 'The transaction does something that has no name here.');
    }
  }
  const solana = networkFamily(network) === 'solana';
  if (solana && (advances !== 1 || decoded.effects[0]?.kind !== 'advance-nonce'))
    mismatch('nonce', 'A Solana transaction advances exactly one durable nonce, first of all.');
  if (!solana && advances > 0) mismatch('nonce', 'Durable nonces are Solana’s alone.');
  return { payments, changes, advances };
}

/** The conflict key that an anchor stands for; `address` is the wallet's (Ethereum nonces are per account). */
export function anchorKey(anchor: Anchor, address: string): string {
  switch (anchor.kind) {
    case 'bitcoin-outpoint':
      return `bitcoin:${anchor.txid}:${anchor.vout}`;
    case 'solana-nonce':
      return `solana:${anchor.account}:${anchor.value}`;
    case 'ethereum-nonce':
      return `ethereum:${address}:${anchor.nonce}`;
  }
}

/** The lease that holds an anchor: its conflict key with the network in it (see `LeaseRequest`). */
export const anchorResource = (anchor: Anchor, network: string, address: string): string =>
  leaseOfKey(anchorKey(anchor, address), network);

/** `bitcoin:<txid>:<vout>` is leased as `bitcoin:<network>:<txid>:<vout>`, and so on. */
export function leaseOfKey(conflictKey: string, network: string): string {
  const [family, ...rest] = conflictKey.split(':');
  return [family, network, ...rest].join(':');
}

/** An anchored intent's transactions all consume the anchor. Throws `TransactionMismatch` (`anchor`). */
export function requireAnchor(
  intent: PaymentIntent,
  decoded: DecodedTransaction,
  address: string,
): void {
  if (intent.anchor === undefined) return;
  const key = anchorKey(intent.anchor, address);
  if (!decoded.conflictKeys.includes(key))
    mismatch('anchor', `The transaction does not consume the anchor ${key}.`);
}
