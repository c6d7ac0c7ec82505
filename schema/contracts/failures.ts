/**
 * Between `KeysagaError` and Temporal's failures. The code travels as the failure's `type`, the details as its
 * one detail, so that a saga, a client and the API read the same word. Safe in the workflow sandbox.
 */
import {
  ActivityFailure,
  ApplicationFailure,
  CancelledFailure,
  ChildWorkflowFailure,
  TemporalFailure,
  TerminatedFailure,
  TimeoutFailure,
} from '@temporalio/common';
import * as z from 'zod';
import {
  ERROR_CODES,
  type ErrorCode,
  type ErrorDetails,
  isErrorCode,
  KeysagaError,
} from './errors.ts';

const Detail = z.record(
  z.string(),
  z.union([z.string(), z.number(), z.boolean(), z.array(z.string())]).optional(),
);

/** Codes that no repetition of the same call can cure: `retry.nonRetryableErrorTypes` of every profile. */
export const NON_RETRYABLE_CODES: readonly ErrorCode[] = (
  Object.keys(ERROR_CODES) as ErrorCode[]
).filter((code) => !ERROR_CODES[code][0]);

/**
 * The failure that a workflow or an activity throws: type = code, details = [details], no cause and no stack of
 * ours, since both stay in Temporal's history. `forWorkflow` makes it final whatever the code says.
 */
export function toApplicationFailure(
  error: KeysagaError,
  options: { readonly forWorkflow?: boolean } = {},
): ApplicationFailure {
  const failure = ApplicationFailure.create({
    message: error.message,
    type: error.code,
    nonRetryable: options.forWorkflow === true || !error.retryable,
    details: [{ ...error.details }],
  });
  failure.stack = `${error.code}: ${error.message}`;
  return failure;
}

/** Details from a failure: only flat JSON values are taken, so that a foreign failure cannot smuggle a structure in. */
function detailsOf(failure: ApplicationFailure): ErrorDetails {
  const parsed = Detail.safeParse(failure.details?.[0] ?? {});
  return parsed.success ? (parsed.data as ErrorDetails) : {};
}

/**
 * The `KeysagaError` inside whatever an activity, a child or a workflow handle threw.
 * Time-outs are `timeout` (default `PartyUnavailable`: on a party's queue SCHEDULE_TO_START and SCHEDULE_TO_CLOSE
 * both mean that nobody is there), unless a typed failure of an earlier try is known, which says more.
 * Cancellation is `Cancelled`. An unknown failure is `Internal`, its message kept out.
 */
export function fromFailure(
  error: unknown,
  options: { readonly timeout?: ErrorCode } = {},
): KeysagaError {
  let timedOut: TimeoutFailure | undefined;
  for (let at: unknown = error, depth = 0; at !== undefined && depth < 16; depth++) {
    if (at instanceof KeysagaError) return at;
    if (at instanceof ApplicationFailure && isErrorCode(at.type)) {
      const retryable = at.nonRetryable !== true && ERROR_CODES[at.type][0];
      return new KeysagaError(at.type, at.message, detailsOf(at), { retryable });
    }
    if (at instanceof CancelledFailure)
      return new KeysagaError('Cancelled', 'The step was cancelled.');
    if (at instanceof TerminatedFailure)
      return new KeysagaError('Cancelled', 'The workflow was terminated.');
    if (at instanceof TimeoutFailure) timedOut = at;
    const wraps =
      at instanceof TemporalFailure ||
      at instanceof ActivityFailure ||
      at instanceof ChildWorkflowFailure ||
      at instanceof Error;
    at = wraps ? (at as Error).cause : undefined;
  }
  if (timedOut !== undefined) {
    const code = options.timeout ?? 'PartyUnavailable';
    return new KeysagaError(code, `No answer in time (${timedOut.timeoutType}).`, {
      timeout: timedOut.timeoutType,
    });
  }
  return new KeysagaError('Internal', 'An unexpected failure; the log of the worker has the rest.');
}
