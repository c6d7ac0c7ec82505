/** Queries of sagas. One that falls between two workflow tasks is refused by the saga's worker and asked again. */
import type { WorkflowHandle } from '@temporalio/client';
import { ConstantBackoff, handleWhen, retry } from 'cockatiel';
import { ASKED_BETWEEN_TASKS, MESSAGES } from '../schema/contracts/temporal.ts';

/** The task that was missed comes within the worker's `stickyQueueScheduleToStartTimeout`, 3 s; the caller's deadline still holds. */
const again = retry(
  handleWhen((error) => error.message.includes(ASKED_BETWEEN_TASKS)),
  { maxAttempts: 40, backoff: new ConstantBackoff(250) },
);

/** The saga's own answer, unchecked. */
export const askStatus = (handle: WorkflowHandle): Promise<unknown> =>
  again.execute(() => handle.query<unknown>(MESSAGES.status));
