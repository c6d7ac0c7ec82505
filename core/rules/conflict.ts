/** The conflict rule: of one line's transactions at most one can be on chain. */
import { KeysagaError } from '../../schema/contracts/errors.ts';

/**
 * The candidate must share a consumed resource (see `DecodedTransaction.conflictKeys`) with each of the others,
 * pair by pair: a key in common with one of them says nothing about the next. Throws `ConflictRule` (`field`
 * `conflictKeys`, `other` = the position of the first that could be on chain as well).
 */
export function requireConflict(
  candidate: readonly string[],
  others: readonly (readonly string[])[],
): void {
  const refuse = (message: string, other: number): never => {
    throw new KeysagaError('ConflictRule', message, { field: 'conflictKeys', other });
  };
  // Whatever consumes nothing could never be made impossible by a later transaction.
  if (candidate.length === 0)
    refuse('The transaction consumes nothing that another could take.', -1);
  const keys = new Set(candidate);
  others.forEach((other, index) => {
    if (!other.some((key) => keys.has(key)))
      refuse('Both this transaction and an earlier one of the line could be on chain.', index);
  });
}
