/**
 * Questions: to sagas by query, to a coordinator by an activity of its own. A query that falls between two workflow tasks is
 * refused by the saga's worker and asked again.
 */
import { randomUUID } from 'node:crypto';
import type { Client, WorkflowHandle } from '@temporalio/client';
import { ConstantBackoff, handleWhen, retry } from 'cockatiel';
import { isKeysagaError, KeysagaError } from '../schema/contracts/errors.ts';
import { ASKED_BETWEEN_TASKS, MESSAGES } from '../schema/contracts/temporal.ts';
import { clientError } from './errors.ts';

/** The task that was missed comes within the worker's `stickyQueueScheduleToStartTimeout`, 3 s; the caller's deadline still holds. */
const again = retry(
  handleWhen((error) => error.message.includes(ASKED_BETWEEN_TASKS)),
  { maxAttempts: 40, backoff: new ConstantBackoff(250) },
);

/** The saga's own answer, unchecked. */
export const askStatus = (handle: WorkflowHandle): Promise<unknown> =>
  again.execute(() => handle.query<unknown>(MESSAGES.status));

/**
 * What a reading activity of the coordinator answers, unchecked. Throws what it failed with, and `PartFailed` when nobody
 * answers within `limitMs`.
 */
export async function askCoordinator(
  client: Client,
  activity: string,
  question: {
    readonly taskQueue: string;
    readonly query: unknown;
    readonly limitMs: number;
    /** In errors: `the policy`. */
    readonly subject: string;
  },
): Promise<unknown> {
  const { taskQueue, query, limitMs, subject } = question;
  try {
    return await client.activity.execute(activity, {
      id: `${activity}/${randomUUID()}`,
      taskQueue,
      args: [query],
      scheduleToCloseTimeout: limitMs,
      startToCloseTimeout: limitMs,
      retry: { maximumAttempts: 3 },
    });
  } catch (error) {
    const failure = clientError(error, subject);
    throw isKeysagaError(failure, 'PartyUnavailable')
      ? new KeysagaError('PartFailed', 'No coordinator worker answered in time.', {
          part: 'coordinator',
        })
      : failure;
  }
}
