/** The adversary's own workflows, on its own task queue: whoever has Temporal can run what it likes. */
import { ActivityFailure, ApplicationFailure, proxyActivities } from '@temporalio/workflow';

export type AskInput = {
  readonly queue: string;
  readonly activity: string;
  /** As it is: nothing of it is looked at on the way. */
  readonly args: readonly unknown[];
};

/** Any activity on any queue with any input. */
export async function ask({ queue, activity, args }: AskInput): Promise<unknown> {
  const activities = proxyActivities<
    Record<string, (...args: readonly unknown[]) => Promise<unknown>>
  >({
    taskQueue: queue,
    // Longer than a killed process of the party needs to be replaced by the other one.
    scheduleToCloseTimeout: '60 seconds',
    startToCloseTimeout: '15 seconds',
    retry: { maximumAttempts: 3, initialInterval: '200 milliseconds' },
  });
  const work = activities[activity];
  if (work === undefined) throw ApplicationFailure.nonRetryable('no such activity');
  try {
    return await work(...args);
  } catch (error) {
    // Its own words, and not a wrapper's.
    throw error instanceof ActivityFailure && error.cause ? error.cause : error;
  }
}

/** Answers as a key generation that ended, with whatever the adversary wants shown. */
export async function generateKey(outcome: unknown): Promise<unknown> {
  return outcome;
}
