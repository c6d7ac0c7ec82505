/** An intent's own time, by the party's own clock. */
import { KeysagaError } from '../../schema/contracts/errors.ts';
import { CLOCK_SKEW_MS } from '../approvals.ts';

export type IntentTimeCheck = {
  readonly intent: { readonly issuedAt: string; readonly expiresAt: string };
  /** Milliseconds since the epoch, the party's clock. */
  readonly now: number;
  /** An intent that expires within the session's life would be signed after its end. */
  readonly sessionLifeMs: number;
  /** Milliseconds: date of the unfence order, at a party that was restored from an older state. */
  readonly fencedBefore?: number | undefined;
};

/**
 * For payments and messages; a void ignores the intent's time. Throws `IntentExpired` (`expiresAt`), `InvalidInput` (`issuedAt`
 * more than 5 minutes ahead of this clock) or `PartyFenced` (`issuedAt` not after the unfence order: what this
 * party may have signed before its restore, it no longer knows).
 */
export function checkIntentTime({
  intent,
  now,
  sessionLifeMs,
  fencedBefore,
}: IntentTimeCheck): void {
  const issuedAt = Date.parse(intent.issuedAt);
  if (Date.parse(intent.expiresAt) <= now + sessionLifeMs)
    throw new KeysagaError('IntentExpired', `The intent ends at ${intent.expiresAt}.`, {
      field: 'expiresAt',
    });
  if (issuedAt > now + CLOCK_SKEW_MS)
    throw new KeysagaError(
      'InvalidInput',
      'The intent is dated more than 5 minutes in the future.',
      {
        field: 'issuedAt',
      },
    );
  if (fencedBefore !== undefined && issuedAt <= fencedBefore)
    throw new KeysagaError(
      'PartyFenced',
      'The intent is older than the order that released this party.',
      {
        field: 'issuedAt',
      },
    );
}
