/** Guessing at a share is slowed down: after failures in a row to open it, its key is locked for a growing time. */
import { KeysagaError } from '../../schema/contracts/errors.ts';
import type { AccessRecord } from '../ports/party-store.ts';

/** Failures in a row that are let pass. */
export const FREE_FAILURES = 5;
const FIRST_LOCK_MS = 30_000;
const LONGEST_LOCK_MS = 3_600_000;
/** By how much the clocks of two instances of a party may differ. */
export const CLOCK_SKEW_MS = 60_000;

/** Milliseconds of the lock that the n-th failure in a row brings: 0 below five, then 30 s, 60 s, 120 s … 1 h. */
export const lockAfter = (failures: number): number =>
  failures < FREE_FAILURES
    ? 0
    : Math.min(FIRST_LOCK_MS * 2 ** Math.min(failures - FREE_FAILURES, 20), LONGEST_LOCK_MS);

/** What a further failure makes of the record. */
export function afterFailure(failures: number, now: number): AccessRecord {
  const lock = lockAfter(failures);
  return { failures, lockedUntil: lock === 0 ? null : now + lock };
}

/**
 * When the next attempt is allowed; undefined: now. A lock that lasts longer than any it could have brought was dated by
 * a clock that has been set back since, and does not hold for ever.
 */
export function lockedUntil(record: AccessRecord | undefined, now: number): number | undefined {
  if (record === undefined || record.lockedUntil === null || record.lockedUntil <= now)
    return undefined;
  const longest = lockAfter(record.failures) + CLOCK_SKEW_MS;
  return record.lockedUntil - now > longest ? undefined : record.lockedUntil;
}

/**
 * Throws `KeyLocked` (`field`, `retryAt`) while the lock stands. Not retryable within a call's tries, which are over long
 * before the lock is: whoever asked turns to another party.
 */
export function requireUnlocked(
  record: AccessRecord | undefined,
  now: number,
  field = 'keyId',
): void {
  const until = lockedUntil(record, now);
  if (until === undefined) return;
  const retryAt = new Date(until).toISOString();
  throw new KeysagaError(
    'KeyLocked',
    `Locked until ${retryAt}: opening it failed ${record?.failures} times in a row.`,
    { field, retryAt },
    { retryable: false },
  );
}
