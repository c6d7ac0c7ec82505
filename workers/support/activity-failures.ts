/**
 * What leaves a worker when an activity fails. A `KeysagaError` becomes a typed failure; anything else is a defect
 * or a part's own error, whose message may hold a path, a query or worse: it is logged here and leaves as `Internal`.
 */
import type { Context } from '@temporalio/activity';
import { ApplicationFailure, CancelledFailure } from '@temporalio/common';
import type { ActivityInterceptorsFactory } from '@temporalio/worker';
import { isErrorCode, isKeysagaError, KeysagaError } from '../../schema/contracts/errors.ts';
import { toApplicationFailure } from '../../schema/contracts/failures.ts';

export type FailureLog = (entry: {
  readonly activity: string;
  readonly workflowId: string | undefined;
  readonly attempt: number;
  readonly error: unknown;
}) => void;

/** Temporal's own control flow (cancellation, "complete later") passes; the rest is converted. */
export function convertActivityError(error: unknown, log: () => void): unknown {
  if (isKeysagaError(error)) {
    if (error.code === 'Internal') log();
    return toApplicationFailure(error);
  }
  if (error instanceof CancelledFailure) return error;
  if (error instanceof ApplicationFailure && isErrorCode(error.type)) return error;
  if (
    error instanceof Error &&
    (error.name === 'CompleteAsyncError' || error.name === 'AbortError')
  )
    return error;
  log();
  return toApplicationFailure(
    new KeysagaError('Internal', 'An unexpected failure; the log of the worker has the rest.'),
  );
}

/** For `interceptors.activity` of every worker. Without `log` the activity context's own logger is used. */
export const activityFailures =
  (log?: FailureLog): ActivityInterceptorsFactory =>
  (context: Context) => ({
    inbound: {
      async execute(input, next) {
        try {
          return await next(input);
        } catch (error) {
          throw convertActivityError(error, () => {
            const { activityType, workflowExecution, attempt } = context.info;
            if (log)
              log({
                activity: activityType,
                workflowId: workflowExecution?.workflowId,
                attempt,
                error,
              });
            else context.log.error('Activity failed unexpectedly', { error });
          });
        }
      },
    },
  });
