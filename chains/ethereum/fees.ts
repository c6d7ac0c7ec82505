/** Fees in wei per unit of gas (EIP-1559; legacy where blocks have no base fee). */
import { KeysagaError } from '../../schema/contracts/errors.ts';
import { type Fees, pricePerGas } from './transaction.ts';

export type Market = {
  /** Of the newest block; undefined before EIP-1559. */
  readonly baseFee: bigint | undefined;
  /** What proposers take now; for a legacy market the whole price. */
  readonly tip: bigint;
};

const larger = (a: bigint, b: bigint): bigint => (a > b ? a : b);
const smaller = (a: bigint, b: bigint): bigint => (a < b ? a : b);

/**
 * What nodes want of a replacement: 10 % more on both fields, rounded up, and more in any case (a tip of 0 grows too).
 */
export const bumped = (price: bigint): bigint => larger((price * 11n + 9n) / 10n, price + 1n);
/** The highest price whose bump is still within `price`. */
const beforeBump = (price: bigint): bigint => smaller((price * 10n) / 11n, price - 1n);

const aboveCap = (needed: bigint, cap: bigint): KeysagaError =>
  new KeysagaError('FeeAboveCap', `the fee needed now is ${needed} wei, the cap ${cap}`, {
    field: 'feeCap',
    needed: needed.toString(),
    cap: cap.toString(),
  });

/** The base fee grows by at most an eighth a block: what a block or two from now could ask for. */
const least = ({ baseFee, tip }: Market): bigint =>
  baseFee === undefined ? tip : (baseFee * 9n) / 8n + tip;
/** Twice the base fee stays good for six full blocks. */
const wanted = ({ baseFee, tip }: Market): bigint =>
  baseFee === undefined ? tip : baseFee * 2n + tip;

const feesOf = ({ baseFee, tip }: Market, price: bigint): Fees =>
  baseFee === undefined
    ? { type: 'legacy', gasPrice: price }
    : { type: 'eip1559', maxFeePerGas: price, maxPriorityFeePerGas: smaller(tip, price) };

/**
 * Fees of a payment: what the market asks, lowered where needed so that one replacement (+10 %) still fits under the cap,
 * but never below what the next blocks could ask. @throws KeysagaError `FeeAboveCap`.
 */
export function paymentFees(market: Market, gasLimit: bigint, cap: bigint): Fees {
  const room = beforeBump(cap / gasLimit);
  const price = smaller(wanted(market), room);
  if (price < least(market)) throw aboveCap(bumped(least(market)) * gasLimit, cap);
  return feesOf(market, price);
}

/**
 * Fees with which a transaction replaces each of `replaced` (same nonce), at least what the market asks where the cap
 * allows. @throws KeysagaError `FeeAboveCap`.
 */
export function replacementFees(
  market: Market,
  replaced: readonly Fees[],
  gasLimit: bigint,
  cap: bigint,
): Fees {
  // A legacy price counts as both of its fields when nodes compare.
  const tips = replaced.map((fees) =>
    fees.type === 'legacy' ? fees.gasPrice : fees.maxPriorityFeePerGas,
  );
  const price = replaced.map(pricePerGas).map(bumped).reduce(larger, least(market));
  const most = cap / gasLimit;
  if (price > most) throw aboveCap(price * gasLimit, cap);
  const tip = tips.map(bumped).reduce(larger, market.tip);
  const max = larger(price, smaller(wanted(market), most));
  // A bumped tip is at most a bumped price, so it fits.
  return feesOf({ ...market, tip }, max);
}
