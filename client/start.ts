/**
 * Idempotent starts: the request id names the workflow, so a repeat finds it, running or closed, and is compared with
 * what was asked the first time. The digest lies in the memo, which the codec encrypts like every payload.
 */
import { randomUUID } from 'node:crypto';
import {
  type Client,
  WorkflowExecutionAlreadyStartedError,
  type WorkflowStartOptions,
} from '@temporalio/client';
import { KeysagaError } from '../schema/contracts/errors.ts';
import { TASK_QUEUES } from '../schema/contracts/temporal.ts';
import { clientError } from './errors.ts';

export type Started = {
  readonly workflowId: string;
  readonly runId: string;
  /** False: this very request had been started before. */
  readonly fresh: boolean;
};

export type StartRequest = {
  readonly workflowType: string;
  readonly workflowId: string;
  readonly input: unknown;
  /** Hex; two requests are the same when it is. */
  readonly digest: string;
  readonly memo: Readonly<Record<string, unknown>>;
  readonly staticSummary: string;
  readonly staticDetails: string;
  /** `after-failure`: a run that failed may be followed by another; `after-end`: any that ended. Default: never. */
  readonly again?: 'after-failure' | 'after-end';
  readonly searchAttributes: NonNullable<WorkflowStartOptions['typedSearchAttributes']>;
};

/** Throws `RequestConflict` when the id was used with another body. */
export async function startOnce(client: Client, request: StartRequest): Promise<Started> {
  const { workflowId, digest } = request;
  const mark = randomUUID();
  try {
    await client.workflow.start(request.workflowType, {
      taskQueue: TASK_QUEUES.sagas,
      workflowId,
      args: [request.input],
      memo: { ...request.memo, digest, mark },
      staticSummary: request.staticSummary,
      staticDetails: request.staticDetails,
      typedSearchAttributes: request.searchAttributes,
      workflowIdConflictPolicy: 'USE_EXISTING',
      workflowIdReusePolicy:
        request.again === undefined
          ? 'REJECT_DUPLICATE'
          : request.again === 'after-end'
            ? 'ALLOW_DUPLICATE'
            : 'ALLOW_DUPLICATE_FAILED_ONLY',
    });
  } catch (error) {
    // Closed already: the description below says whether it was this request.
    if (!(error instanceof WorkflowExecutionAlreadyStartedError))
      throw clientError(error, workflowId);
  }
  // USE_EXISTING does not say whether it found or made the run, so what is there is always read back.
  const there = await client.workflow
    .getHandle(workflowId)
    .describe()
    .catch((error: unknown) => {
      throw clientError(error, workflowId);
    });
  if (there.memo?.digest !== digest || there.type !== request.workflowType)
    throw new KeysagaError(
      'RequestConflict',
      `The request id of ${workflowId} was used with another body.`,
      { field: 'requestId', workflowId },
    );
  return { workflowId, runId: there.runId, fresh: there.memo.mark === mark };
}
