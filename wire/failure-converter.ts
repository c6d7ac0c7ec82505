/**
 * Failure converter of every client and worker. Messages and stacks are moved into a payload, so that the codec
 * encrypts them; by default they stand in the history in plaintext. Loaded by path and bundled into the workflow
 * sandbox: nothing of `node:` may come in here.
 */
import { DefaultFailureConverter } from '@temporalio/common';
import { ASKED_BETWEEN_TASKS } from '../schema/contracts/temporal.ts';

const encoding = new DefaultFailureConverter({ encodeCommonAttributes: true });
const plain = new DefaultFailureConverter();

export const failureConverter = {
  failureToError: encoding.failureToError.bind(encoding),
  /** A constant that the client must read off a failed query, of which it gets the text alone. */
  errorToFailure: (...[error, payloads]: Parameters<DefaultFailureConverter['errorToFailure']>) =>
    (error instanceof Error && error.message === ASKED_BETWEEN_TASKS
      ? plain
      : encoding
    ).errorToFailure(error, payloads),
};
