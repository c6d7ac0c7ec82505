/**
 * A defect of ours (a TypeError, say) must fail the workflow task, so that the saga stands still until the code is
 * repaired; compensating on it could undo what should not be undone.
 */
import { TemporalFailure } from '@temporalio/common';
import { isCancellation } from '@temporalio/workflow';
import { KeysagaError } from '../schema/contracts/errors.ts';

export function rethrowDefect(error: unknown): void {
  if (error instanceof KeysagaError || error instanceof TemporalFailure || isCancellation(error))
    return;
  throw error;
}
