/** What Temporal's client throws, as the one error of the system. */
import {
  isGrpcServiceError,
  QueryNotRegisteredError,
  QueryRejectedError,
  WorkflowExecutionAlreadyStartedError,
  WorkflowFailedError,
  WorkflowNotFoundError,
  WorkflowUpdateFailedError,
} from '@temporalio/client';
import { TimeoutFailure } from '@temporalio/common';
import { KeysagaError } from '../schema/contracts/errors.ts';
import { fromFailure } from '../wire/failures.ts';

// gRPC status codes (grpc.github.io/grpc/core/md_doc_statuscodes.html).
const DEADLINE_EXCEEDED = 4;
const NOT_FOUND = 5;
const PERMISSION_DENIED = 7;
const FAILED_PRECONDITION = 9;
const UNAVAILABLE = 14;
const UNAUTHENTICATED = 16;

const unavailable = (part: string, message: string, cause: unknown): KeysagaError =>
  new KeysagaError('PartFailed', message, { part }, { cause });

/**
 * `subject` completes "… is not known", e.g. `transfer t-1`. Failures of a workflow come back with their own code;
 * an unreachable server or a missing coordinator is `PartFailed` (`part`), which may be tried again.
 */
export function clientError(error: unknown, subject: string): KeysagaError {
  if (error instanceof KeysagaError) return error;
  if (error instanceof WorkflowNotFoundError) return notFound(subject, error);
  if (error instanceof WorkflowFailedError || error instanceof WorkflowUpdateFailedError) {
    if (error.cause instanceof TimeoutFailure)
      return new KeysagaError('TimeLimit', `${subject}: the time limit ran out.`, {});
    return fromFailure(error.cause);
  }
  if (error instanceof WorkflowExecutionAlreadyStartedError)
    return new KeysagaError('RequestConflict', `${subject} exists already.`, {}, { cause: error });
  if (error instanceof QueryNotRegisteredError || error instanceof QueryRejectedError)
    return new KeysagaError(
      'Internal',
      `The coordinator could not read ${subject}; its log has the reason.`,
      {},
      { cause: error },
    );
  for (let at: unknown = error, depth = 0; at instanceof Error && depth < 8; depth++) {
    if (isGrpcServiceError(at)) return grpcError(at, subject);
    at = at.cause;
  }
  return fromFailure(error);
}

const notFound = (subject: string, cause: unknown): KeysagaError =>
  new KeysagaError('NotFound', `${subject} is not known.`, {}, { cause });

function grpcError(
  error: Error & { code: number; details: string },
  subject: string,
): KeysagaError {
  switch (error.code) {
    case NOT_FOUND:
      return notFound(subject, error);
    case UNAVAILABLE:
      return unavailable('temporal', 'Temporal does not answer at its address.', error);
    case DEADLINE_EXCEEDED:
    case FAILED_PRECONDITION:
      return unavailable('coordinator', 'No coordinator worker answered in time.', error);
    case UNAUTHENTICATED:
    case PERMISSION_DENIED:
      return new KeysagaError(
        'InvalidInput',
        'Temporal refuses the credentials.',
        { field: 'temporal' },
        { cause: error },
      );
    default:
      return unavailable('temporal', `Temporal refuses the call: ${error.details}`, error);
  }
}
