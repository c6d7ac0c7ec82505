import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  afterFailure,
  CLOCK_SKEW_MS,
  lockAfter,
  lockedUntil,
  requireUnlocked,
} from '../../core/rules/access.ts';

const NOW = Date.parse('2026-11-23T10:00:00.000Z');

describe('the lock after failed openings', () => {
  it('comes with the fifth in a row and doubles up to an hour', () => {
    expect(Array.from({ length: 14 }, (_, i) => lockAfter(i) / 1000)).toEqual([
      0, 0, 0, 0, 0, 30, 60, 120, 240, 480, 960, 1920, 3600, 3600,
    ]);
    expect(lockAfter(1_000_000)).toBe(3_600_000);
  });
  it('names the time from which to try again, and only narrows what may be tried', () => {
    const record = afterFailure(5, NOW);
    expect(() => requireUnlocked(record, NOW + 29_999)).toThrow(
      expect.objectContaining({
        code: 'KeyLocked',
        retryable: false,
        details: { field: 'keyId', retryAt: '2026-11-23T10:00:30.000Z' },
      }),
    );
    expect(() => requireUnlocked(record, NOW + 30_000)).not.toThrow();
    expect(() => requireUnlocked(afterFailure(4, NOW), NOW)).not.toThrow();
    expect(() => requireUnlocked(undefined, NOW)).not.toThrow();
  });
  it('does not last for ever when the clock is set back, nor end by the skew of two clocks', () => {
    const record = afterFailure(5, NOW);
    expect(lockedUntil(record, NOW - CLOCK_SKEW_MS)).toBe(NOW + 30_000);
    expect(lockedUntil(record, NOW - CLOCK_SKEW_MS - 1)).toBeUndefined();
  });
  it('never lets through more tries than one a lock, whenever they come', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(10_000_000), { minLength: 6, maxLength: 60 }), (waits) => {
        let now = NOW;
        let failures = 0;
        let record = afterFailure(0, now);
        let earliest = now;
        for (const wait of waits) {
          now += wait;
          if (lockedUntil(record, now) !== undefined) continue;
          expect(now).toBeGreaterThanOrEqual(earliest);
          failures += 1;
          record = afterFailure(failures, now);
          earliest = now + lockAfter(failures);
        }
      }),
    );
  });
});
