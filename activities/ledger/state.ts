/** Loading aggregates, and closing what a transfer holds: shared by the ledger's and the chains' activities. */

import { type Account, accountOf } from '../../core/account.ts';
import { keyFold } from '../../core/key/index.ts';
import type { Chains } from '../../core/ports/blockchain.ts';
import type { EventLog, Lease, Transaction, UnitOfWork } from '../../core/ports/ledger.ts';
import { isPayout } from '../../core/ports/payment.ts';
import { leaseOfKey } from '../../core/rules/effects.ts';
import { hexToBytes } from '../../core/signed.ts';
import {
  decideTransfer,
  finalPayment,
  surelyUnpaid,
  type Transfer,
  transferFold,
} from '../../core/transfer/index.ts';
import { activeKey, release, spend, walletFold } from '../../core/wallet/index.ts';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import { type DomainEvent, streams } from '../../schema/contracts/events.ts';
import type { KeyDescriptor } from '../../schema/contracts/key.ts';
import type { RequestId, WalletId } from '../../schema/contracts/primitives.ts';
import type { UnsignedTransaction } from '../../schema/contracts/transaction.ts';

/** The transfer and its version, or `NotFound`. */
export async function loadTransfer(
  events: EventLog,
  requestId: RequestId,
): Promise<{ transfer: Transfer; version: number }> {
  const { state, version } = await events.load(streams.transfer(requestId), transferFold);
  return { transfer: decideTransfer.existing(state, requestId), version };
}

/** Appends what was decided; nothing decided, nothing written. */
export async function appendTransfer(
  tx: Transaction,
  requestId: RequestId,
  version: number,
  decided: readonly DomainEvent[],
): Promise<void> {
  if (decided.length > 0) await tx.events.append(streams.transfer(requestId), version, decided);
}

export type KeyReader = (walletId: WalletId) => Promise<KeyDescriptor>;

/**
 * Keys of active wallets. An activated key never changes within its wallet, so it is read once a process: a busy
 * wallet's stream is long. Throws `WalletUnknown`, `WalletNotActive`.
 */
export function createKeyReader(uow: UnitOfWork): KeyReader {
  const known = new Map<string, KeyDescriptor>();
  return async (walletId) => {
    const cached = known.get(walletId);
    if (cached !== undefined) return cached;
    const { state, version } = await uow.events.load(streams.wallet(walletId), walletFold);
    if (version === 0) {
      const { state: key } = await uow.events.load(streams.key(walletId), keyFold);
      if (key === null)
        throw new KeysagaError('WalletUnknown', `There is no wallet ${walletId}.`, {
          field: 'walletId',
          walletId,
        });
    }
    const key = activeKey(state, walletId);
    known.set(walletId, key);
    return key;
  };
}

/** The account that an intent pays from; `account.key` is what chains and codecs are asked with. */
export const payerOf = (
  chains: Chains,
  key: KeyDescriptor,
  { path }: { readonly path?: string },
): Account => accountOf(key, path, chains.get(key.network).codec);

/**
 * Ends the reservation: given back when it is certain that nothing was paid, otherwise counted as spent. The
 * wallet's lock comes after the transfer's everywhere, so that two commands never wait for each other.
 */
export async function closeReservation(
  tx: Transaction,
  transfer: Transfer,
  how: { reason: string; at: string; transactionId?: string },
): Promise<void> {
  const { walletId } = transfer.intent;
  const { requestId } = transfer;
  const stream = streams.wallet(walletId);
  await tx.lock(stream);
  const { state, version } = await tx.events.load(stream, walletFold);
  const paidBy =
    how.transactionId ??
    (surelyUnpaid(transfer)
      ? undefined
      : (transfer.finality.payment?.by ??
        transfer.finality.void?.by ??
        transfer.signed.payment?.id ??
        'unknown'));
  const events =
    paidBy === undefined
      ? release(state, walletId, requestId, how.reason)
      : spend(state, walletId, { requestId, transactionId: paidBy, at: how.at });
  if (events.length > 0) await tx.events.append(stream, version, events);
}

/**
 * What becomes of the leases when the line is over. `consumed`: the output or nonce that the final transaction took
 * (also when it landed without effect); it is never lent again. `released`: everything else.
 */
export async function closeLeases(
  tx: Transaction,
  chains: Chains,
  transfer: Transfer,
  key: KeyDescriptor,
  leases: readonly Lease[],
): Promise<void> {
  const resources = leases
    .filter((lease) => lease.state === 'held' || lease.state === 'pivoted')
    .map((lease) => lease.resource);
  if (resources.length === 0) return;
  const landed = landedBytes(transfer);
  const taken = new Set<string>();
  if (landed !== null) {
    const { codec } = chains.get(transfer.intent.chain);
    const payer = payerOf(chains, key, transfer.intent).key;
    for (const entry of codec.decode(landed, hexToBytes(payer.publicKey)).conflictKeys)
      taken.add(leaseOfKey(entry, transfer.intent.chain));
  }
  await tx.leases.setState(
    transfer.requestId,
    'consumed',
    resources.filter((resource) => taken.has(resource)),
  );
  await tx.leases.setState(
    transfer.requestId,
    'released',
    resources.filter((resource) => !taken.has(resource)),
  );
}

/** Gives back what is held and was never built on: no transfer of this request id has begun. */
export const releaseHeld = (
  tx: Transaction,
  requestId: RequestId,
  leases: readonly Lease[],
): Promise<void> =>
  tx.leases.setState(
    requestId,
    'released',
    leases.filter((lease) => lease.state === 'held').map((lease) => lease.resource),
  );

/** The bytes that are final on chain; null when it is a transaction that nobody here built, or none. */
function landedBytes(transfer: Transfer): UnsignedTransaction | null {
  const { payment, void: voided } = transfer.finality;
  if (finalPayment(transfer) !== undefined || payment?.outcome === 'failed')
    return transfer.built.payment?.unsigned ?? null;
  if (voided !== null && voided.outcome !== 'conflicted')
    return transfer.built.void?.unsigned ?? null;
  return null;
}

/**
 * Transfers and payouts share their request ids, and what a saga reports or undoes names no more than its id: that of one
 * must not end the other. Sagas of earlier releases do not say who they are, and are transfers.
 */
export const isAnothers = (state: Transfer, workflowId: string | undefined): boolean =>
  workflowId === undefined ? isPayout(state.intent) : state.workflowId !== workflowId;
