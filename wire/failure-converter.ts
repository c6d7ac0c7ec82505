/**
 * Failure converter of every client and worker. Messages and stacks are moved into a payload, so that the codec
 * encrypts them; by default they stand in the history in plaintext. Loaded by path and bundled into the workflow
 * sandbox: nothing of `node:` may come in here.
 */
import { DefaultFailureConverter } from '@temporalio/common';

export const failureConverter = new DefaultFailureConverter({ encodeCommonAttributes: true });
