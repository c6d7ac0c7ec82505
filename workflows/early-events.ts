/**
 * A query that no cached run can answer is given to another worker with the whole history. When a task has been scheduled
 * meanwhile and waits in the queue of a worker that died, that history ends with events which no task has begun yet, and
 * the SDK's core (seen with 1.24) applies them while it answers: under the clock of the task before, and apart from what
 * will share their task. The run stays cached, its commands are sent with the next task, and no replay ever gets to them
 * again: the saga is jammed, and so is its wallet.
 *
 * So an activation is refused when it brings new events while time stands still. That answers the query with a failure,
 * which the client repeats, and evicts the run; the task itself then starts from a clean replay. Should a server's clock
 * have gone back between two tasks, the task fails once and is tried again, with a later time.
 */
import type { WorkflowInterceptors } from '@temporalio/workflow';
import { ASKED_BETWEEN_TASKS } from '../schema/contracts/temporal.ts';

type Instant = {
  readonly seconds?: { toString(): string } | null;
  readonly nanos?: number | null;
};

const nanoseconds = ({ seconds, nanos }: Instant): bigint =>
  BigInt(seconds?.toString() ?? '0') * 1_000_000_000n + BigInt(nanos ?? 0);

/** Loaded into every workflow by the SDK (`workers/support/bundle.ts`). */
export const interceptors = (): WorkflowInterceptors => {
  let time = -1n;
  let length = 0;
  return {
    internals: [
      {
        activate(input, next) {
          const { activation, batchIndex } = input;
          if (batchIndex === 0 && activation.timestamp) {
            const now = nanoseconds(activation.timestamp);
            const events = activation.historyLength ?? 0;
            const onlyAsked = activation.jobs?.every(({ queryWorkflow }) => queryWorkflow) ?? true;
            if (!activation.isReplaying && !onlyAsked && events > length && now <= time)
              // biome-ignore lint/plugin: it must fail the task and leave the saga alone.
              throw new Error(ASKED_BETWEEN_TASKS);
            time = now;
            length = events;
          }
          next(input);
        },
      },
    ],
  };
};
