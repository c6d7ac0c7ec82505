/** Compute budget of a transfer: a fixed limit, and a price from what others paid lately, within the cap. */
import { KeysagaError } from '../../schema/contracts/errors.ts';
import { feeOf, lamportsPerSignature } from './codec.ts';

/** The four instructions use 150 units each; the rest is for a network that comes to count a little more. */
export const transferUnits = 2000;
/** The most we offer, in millionths of a lamport per unit: 20,000 lamports with the limit above. */
export const maxUnitPrice = 10_000_000n;

/**
 * Price in millionths of a lamport per unit. A price below the going one only makes the transaction slower, and with a
 * durable nonce it does not expire; so the cap is refused only when it does not even cover the signature.
 * @throws KeysagaError `FeeAboveCap`.
 */
export function chooseUnitPrice(recent: readonly bigint[], feeCap: bigint): bigint {
  const minimum = feeOf(transferUnits, 0n);
  if (feeCap < minimum) {
    throw new KeysagaError('FeeAboveCap', `the fee is at least ${minimum} lamports`, {
      field: 'feeCap',
      fee: minimum.toString(),
      feeCap: feeCap.toString(),
    });
  }
  const sorted = [...recent].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
  // The upper quartile: most of the last blocks' transactions got in for less.
  const going = sorted[Math.floor((sorted.length * 3) / 4)] ?? 0n;
  const affordable = ((feeCap - lamportsPerSignature) * 1_000_000n) / BigInt(transferUnits);
  return [going, affordable, maxUnitPrice].reduce((least, price) =>
    price < least ? price : least,
  );
}
