/** Waiting on conditions, never on time. */
import { setTimeout as sleep } from 'node:timers/promises';
import { KeysagaError } from '../schema/contracts/errors.ts';

export interface UntilOptions {
  /** Ends the wait with a `PartFailed`. */
  readonly deadlineMs: number;
  /** Pause between two looks, 20 ms by default. */
  readonly intervalMs?: number;
  /** Completes the sentence "… did not happen within N s". */
  readonly what: string;
}

/**
 * Polls `look` until it returns something truthy, and returns that. A throw of `look` counts as "not yet"
 * and becomes the cause of the time-out, but a {@link KeysagaError} ends the wait at once.
 */
export async function until<T>(
  look: () => T | Promise<T>,
  { deadlineMs, intervalMs = 20, what }: UntilOptions,
): Promise<NonNullable<T>> {
  const deadline = Date.now() + deadlineMs;
  let last: unknown;
  for (;;) {
    try {
      const seen = await look();
      if (seen) return seen;
    } catch (error) {
      if (error instanceof KeysagaError) throw error;
      last = error;
    }
    if (Date.now() >= deadline) {
      throw new KeysagaError(
        'PartFailed',
        `${what}: not within ${deadlineMs / 1000} s`,
        { reason: 'deadline' },
        { cause: last },
      );
    }
    await sleep(intervalMs);
  }
}
