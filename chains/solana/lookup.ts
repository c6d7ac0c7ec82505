/** Where a transaction stands, from its id and the nonce it consumes. */
import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js';
import { base58 } from '@scure/base';
import type { TransactionStatus } from '../../schema/contracts/transaction.ts';
import { parseNonceAccount } from './durable-nonce.ts';
import type { SignatureStatus, SolanaRpc } from './rpc.ts';

/** Transactions of the nonce account that are looked through for the one that took the value. */
const searched = 200;

export type Consumed = { readonly account: string; readonly value: string };
export type LookupContext = {
  readonly rpc: SolanaRpc;
  /** Slots on top before a transaction counts as final; it must be `finalized` as well. */
  readonly finality: number;
  /** The account's value did not move although its transaction is over: never lend it again. */
  retire(account: string): Promise<void>;
};

/** The account's value at `finalized`; null: no such account. */
async function nonceNow(
  rpc: SolanaRpc,
  account: string,
): Promise<{ value: string | null; slot: number }> {
  const { accounts, slot } = await rpc.accounts([base58.decode(account)], 'finalized');
  const nonce = accounts[0] && parseNonceAccount(accounts[0].data);
  return { value: nonce === undefined ? null : bytesToHex(nonce.value), slot };
}

/** @throws KeysagaError `ChainUnavailable`. */
export async function lookup(
  context: LookupContext,
  id: string,
  nonce: Consumed,
): Promise<TransactionStatus> {
  const first = await context.rpc.status(id);
  if (first.status !== undefined) return known(context, nonce, first.slot, first.status);

  const now = await nonceNow(context.rpc, nonce.account);
  if (now.value === nonce.value) return { status: 'unknown' };
  if (now.value === null && !context.rpc.network.ephemeral) return { status: 'unknown' };
  // It may have landed between the two readings, and behind one address may be several nodes, one of them late.
  const second = await context.rpc.status(id);
  if (second.status !== undefined) return known(context, nonce, second.slot, second.status);
  if (second.slot < now.slot) return { status: 'unknown' };

  const by = now.value === null ? undefined : await taker(context.rpc, nonce);
  if (by === id) return { status: 'unknown' };
  // A node that pruned its history does not know our own transaction either, so on a real network only the sight of the
  // one that took the nonce makes it final. A local runtime has all of its history, or was restarted without any.
  const final = by !== undefined || context.rpc.network.ephemeral;
  return { status: 'conflicted', ...(by === undefined ? {} : { by }), final };
}

async function known(
  { rpc, finality, retire }: LookupContext,
  nonce: Consumed,
  tip: number,
  status: SignatureStatus,
): Promise<TransactionStatus> {
  const confirmations = Math.max(0, tip - status.slot);
  const final = status.commitment === 'finalized' && confirmations >= finality;
  if (status.error === null) {
    return status.commitment === 'processed'
      ? { status: 'pending' }
      : { status: 'included', confirmations, block: String(status.slot), final };
  }
  const reason = `the runtime refused it: ${status.error}`;
  if (!final) return { status: 'failed', reason, final: false };
  if ((await nonceNow(rpc, nonce.account)).value !== nonce.value)
    return { status: 'failed', reason, final: true };
  // A failed transaction advances its nonce; a node that shows otherwise is late. A local runtime does not advance it,
  // so there the account is taken out of use.
  if (!rpc.network.ephemeral) return { status: 'failed', reason, final: false };
  await retire(nonce.account);
  return { status: 'failed', reason, final: true };
}

/** The transaction that consumed this value of the nonce. */
async function taker(rpc: SolanaRpc, { account, value }: Consumed): Promise<string | undefined> {
  const field = base58.encode(hexToBytes(value));
  for (const { id } of await rpc.signaturesFor(base58.decode(account), searched)) {
    if ((await rpc.blockhashOf(id)) === field) return id;
  }
  return undefined;
}
