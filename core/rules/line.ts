/** Once per line: (intent digest, line) names one payment for ever. Judged under the row lock on the line. */
import { KeysagaError } from '../../schema/contracts/errors.ts';
import type { LineTransaction } from '../ports/party-store.ts';
import { requireConflict } from './conflict.ts';

export type LineCandidate = {
  readonly attempt: string;
  readonly purpose: 'payment' | 'void';
  readonly conflictKeys: readonly string[];
};

/**
 * May this transaction join the line's history? Asked at `prepare` and again in the releasing transaction. It must
 * conflict with every released and every open one; once a void was prepared or released no payment follows it.
 * Answers with the attempts to close first, since a line has one open session. Throws `LineClosed`, `ConflictRule`.
 */
export function checkLine(
  candidate: LineCandidate,
  history: readonly LineTransaction[],
): { close: string[] } {
  const standing = history.filter((t) => t.state !== 'closed' && t.attempt !== candidate.attempt);
  if (candidate.purpose === 'payment' && standing.some((t) => t.purpose === 'void'))
    throw new KeysagaError('LineClosed', 'The line is void: its payment is never signed again.', {
      field: 'purpose',
    });
  requireConflict(
    candidate.conflictKeys,
    standing.map((t) => t.conflictKeys),
  );
  return { close: standing.filter((t) => t.state === 'open').map((t) => t.attempt) };
}

/**
 * A transfer intent is one payment, so line 0 is its only line. Without this a coordinator could have the same
 * approved intent paid once for each line number. Throws `InvalidInput` (`line`).
 */
export function requireOnlyLine(line: number): void {
  if (line !== 0)
    throw new KeysagaError('InvalidInput', 'A transfer has line 0 and no other.', {
      field: 'line',
    });
}
