/** Daily limits: a rolling 24 hours per asset, counted once per line. */
import { KeysagaError } from '../../schema/contracts/errors.ts';

export const DAY_MS = 86_400_000;

export type SpendEntry = {
  /** Smallest unit, decimal. */
  readonly amount: string;
  /** Milliseconds since the epoch: of the reservation, from release on of the release. */
  readonly at: number;
  readonly state: 'reserved' | 'spent';
};

/**
 * What counts against the limit at `now`. A reservation counts until it is given back, however old: its session
 * may still release. A spent entry counts for 24 hours; one dated in the future (the clock was set back) counts.
 */
export function dailySpent(entries: readonly SpendEntry[], now: number): bigint {
  let sum = 0n;
  for (const { amount, at, state } of entries)
    if (state === 'reserved' || at > now - DAY_MS) sum += BigInt(amount);
  return sum;
}

/** Voids that a day may bring on the word of a retired policy version alone, in void fee caps. */
export const RETIRED_VOIDS_A_DAY = 4n;

/**
 * A void ignores the policy's version, so that what an earlier one approved can be undone also by parties that had no
 * part in it. Whoever holds the keys of a quorum that was voted out could then make up intents and spend a void's fee
 * for each: so those fees have a daily budget. Throws `LimitExceeded` (`field` `fee`, `rule` `retiredVoids`).
 */
export function requireWithinVoidBudget(check: {
  readonly cap: bigint;
  /** Fees of the key's voids in the last 24 hours, open ones included. */
  readonly used: bigint;
  readonly asked: bigint;
}): void {
  const { cap, used, asked } = check;
  const limit = RETIRED_VOIDS_A_DAY * cap;
  if (used + asked <= limit) return;
  throw new KeysagaError(
    'LimitExceeded',
    'Approved only under a retired policy, and the day’s budget for such voids is used up.',
    { field: 'fee', rule: 'retiredVoids', limit: `${limit}`, used: `${used}`, asked: `${asked}` },
  );
}

/** Throws `LimitExceeded` (`field` `amount`, `limit`, `used`, `asked`) when used + asked goes above the limit. */
export function requireWithinLimit(check: {
  readonly limit: bigint;
  readonly used: bigint;
  readonly asked: bigint;
}): void {
  const { limit, used, asked } = check;
  if (asked >= 0n && used + asked <= limit) return;
  throw new KeysagaError('LimitExceeded', 'Above the limit of a day.', {
    field: 'amount',
    rule: 'perDay',
    limit: `${limit}`,
    used: `${used}`,
    asked: `${asked}`,
  });
}
