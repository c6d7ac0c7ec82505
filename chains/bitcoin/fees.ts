/** Fee rates in sats per 1000 virtual bytes, fees in sats. */
import { KeysagaError } from '../../schema/contracts/errors.ts';
import type { BitcoinNode } from './node.ts';

export type FeeOptions = {
  /** Blocks within which a transaction should be mined; default 6. */
  readonly targetBlocks?: number;
  /** Used when the node cannot estimate; default 5,000. Too low waits for a bump, too high costs. */
  readonly fallbackRate?: bigint;
  /** Least rate whatever the node says; default 1,000. */
  readonly floorRate?: bigint;
};

export type FeeRates = {
  /** What a transaction should pay. */
  readonly wanted: bigint;
  /** Below it the node relays nothing. */
  readonly floor: bigint;
  /** What a replacement must add for its own size (BIP-125 rule 4). */
  readonly increment: bigint;
};

const larger = (a: bigint, b: bigint): bigint => (a > b ? a : b);
const smaller = (a: bigint, b: bigint): bigint => (a < b ? a : b);

export async function feeRates(
  node: Pick<BitcoinNode, 'feeRate' | 'relay'>,
  { targetBlocks = 6, fallbackRate = 5_000n, floorRate = 1_000n }: FeeOptions,
): Promise<FeeRates> {
  const [estimate, relay] = await Promise.all([node.feeRate(targetBlocks), node.relay()]);
  const floor = larger(floorRate, relay.floor);
  return {
    wanted: larger(estimate ?? fallbackRate, floor),
    floor,
    increment: larger(relay.increment, 1_000n),
  };
}

/** Rounded up. */
export const feeFor = (rate: bigint, virtualSize: bigint): bigint =>
  (rate * virtualSize + 999n) / 1_000n;

const aboveCap = (needed: bigint, cap: bigint): KeysagaError =>
  new KeysagaError('FeeAboveCap', `the fee needed now is ${needed} sats, the cap ${cap}`, {
    field: 'feeCap',
    needed: needed.toString(),
    cap: cap.toString(),
  });

/**
 * Fee of a payment: the estimate, lowered where needed so that one replacement still fits under the cap, but never
 * below the relay floor. @throws KeysagaError `FeeAboveCap` when the estimate exceeds the cap or no room is left.
 */
export function paymentFee(rates: FeeRates, virtualSize: bigint, cap: bigint): bigint {
  const wanted = feeFor(rates.wanted, virtualSize);
  if (wanted > cap) throw aboveCap(wanted, cap);
  const room = feeFor(rates.increment, virtualSize);
  const fee = smaller(wanted, cap - room);
  const least = feeFor(rates.floor, virtualSize);
  if (fee < least) throw aboveCap(least + room, cap);
  return fee;
}

/** A transaction that a void must push out of mempools. */
export type Replaced = { readonly fee: bigint; readonly virtualSize: bigint };

/**
 * Fee of a void, at least what BIP-125 rules 3 and 4 ask against the dearest of `replaced` (no two of them can be in one
 * mempool, as they conflict pairwise) and a strictly higher rate; the estimate when that is more and the cap allows.
 * @throws KeysagaError `FeeAboveCap`.
 */
export function voidFee(
  rates: FeeRates,
  virtualSize: bigint,
  replaced: readonly Replaced[],
  cap: bigint,
): bigint {
  let least = feeFor(rates.floor, virtualSize);
  for (const other of replaced) {
    least = larger(least, other.fee + feeFor(rates.increment, virtualSize));
    least = larger(least, (other.fee * virtualSize) / other.virtualSize + 1n);
  }
  if (least > cap) throw aboveCap(least, cap);
  return larger(least, smaller(feeFor(rates.wanted, virtualSize), cap));
}
