/** Where a transaction stands, from its id and the nonce it uses. */
import type { TransactionStatus } from '../../schema/contracts/transaction.ts';
import { checksummed } from './address.ts';
import { addressTopic, TRANSFER_EVENT } from './erc20.ts';
import type { EthereumRpc, Receipt } from './rpc.ts';
import type { Transaction } from './transaction.ts';

/** Blocks back that are searched for the transaction that took a nonce: nodes keep the state of some 128. */
const SEARCHED = 4096n;

const larger = (a: bigint, b: bigint): bigint => (a > b ? a : b);

export type LookupContext = { readonly rpc: EthereumRpc; readonly finality: bigint };

/** @throws KeysagaError `ChainUnavailable`. */
export async function lookUp(
  { rpc, finality }: LookupContext,
  id: string,
  from: Uint8Array,
  transaction: Transaction,
): Promise<TransactionStatus> {
  const address = checksummed(from);
  const seen = await included(rpc, finality, id, from, transaction);
  if (seen !== undefined) return seen;

  const tip = (await rpc.latest()).number;
  if ((await rpc.nonce(address, tip)) <= transaction.nonce)
    return { status: (await rpc.knows(id)) ? 'pending' : 'unknown' };

  // The nonce is used. By this transaction, when it was mined between the two readings.
  const again = await included(rpc, finality, id, from, transaction);
  if (again !== undefined) return again;
  const taker = await takerOf(rpc, address, transaction.nonce, tip);
  // A node that pruned its index does not know our own transaction either, so only the sight of the one that took
  // the nonce makes it final.
  if (taker === undefined) return { status: 'conflicted', final: false };
  if (taker.id === id) return { status: 'unknown' };
  return {
    status: 'conflicted',
    by: taker.id,
    final: tip - taker.block + 1n >= finality,
  };
}

/** Its state by its receipt; undefined when it is in no block of the node's chain. */
async function included(
  rpc: EthereumRpc,
  finality: bigint,
  id: string,
  from: Uint8Array,
  transaction: Transaction,
): Promise<TransactionStatus | undefined> {
  const receipt = await rpc.receipt(id);
  if (receipt === undefined) return undefined;
  // Behind one address may be several nodes, and a reorganisation may be under way: the block must stand now.
  const [tip, block] = await Promise.all([rpc.latest(), rpc.block(receipt.blockNumber)]);
  if (block?.hash !== receipt.blockHash) return undefined;
  const confirmations = tip.number - receipt.blockNumber + 1n;
  const final = confirmations >= finality;
  const reason = failureOf(receipt, from, transaction);
  if (reason !== undefined) return { status: 'failed', reason, final };
  return {
    status: 'included',
    confirmations: Number(confirmations > 0n ? confirmations : 0n),
    block: receipt.blockHash,
    final,
  };
}

/**
 * Why it had no effect. A token may also refuse by answering `false`; what counts is that it logged a transfer from the
 * wallet (EIP-20 demands the event), whatever it took on the way.
 */
function failureOf(receipt: Receipt, from: Uint8Array, { to, data }: Transaction) {
  if (!receipt.succeeded) return 'it was reverted';
  if (data.length === 0) return undefined;
  const token = checksummed(to).toLowerCase();
  const moved = receipt.logs.some(
    ({ address, topics }) =>
      address.toLowerCase() === token &&
      topics[0] === TRANSFER_EVENT &&
      topics[1] === addressTopic(from),
  );
  return moved ? undefined : 'the token moved nothing';
}

/** The transaction that used the nonce, by the block in which the account's count passed it. */
async function takerOf(
  rpc: EthereumRpc,
  address: string,
  nonce: bigint,
  tip: bigint,
): Promise<{ id: string; block: bigint } | undefined> {
  // Up to `low` the count had not passed it, at `high` it had.
  let high = tip;
  let low = tip;
  for (let back = 1n; low === high; back *= 2n) {
    if (back > SEARCHED || high === 0n) return undefined;
    const at = larger(tip - back, 0n);
    const count = await rpc.nonceThen(address, at);
    if (count === undefined) return undefined;
    low = at;
    if (count > nonce) high = at;
  }
  while (high - low > 1n) {
    const middle: bigint = (low + high) / 2n;
    const count = await rpc.nonceThen(address, middle);
    if (count === undefined) return undefined;
    if (count <= nonce) low = middle;
    else high = middle;
  }
  const id = await rpc.spenderIn(high, address, nonce);
  return id === undefined ? undefined : { id, block: high };
}
