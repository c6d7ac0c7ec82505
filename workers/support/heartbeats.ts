/**
 * Heartbeats for every activity, so that Temporal hands the work of a killed process to another within the heartbeat
 * time-out instead of after the whole time limit. No details are ever sent: they would outlive retries in histories.
 */
import type { Context } from '@temporalio/activity';
import type { ActivityInterceptorsFactory } from '@temporalio/worker';

const EVERY_MS = 1_000;

export const heartbeats = (): ActivityInterceptorsFactory => (context: Context) => ({
  inbound: {
    async execute(input, next) {
      // Quick activities end before the first beat, so nearly all of them cost nothing.
      const timer = setInterval(() => context.heartbeat(), EVERY_MS);
      try {
        return await next(input);
      } finally {
        clearInterval(timer);
      }
    },
  },
});
