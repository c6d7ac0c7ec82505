/** Time limits of the sagas (R7, R8) in seconds, with how often a step is tried. */
import type { SagaLimits } from '../../schema/contracts/saga.ts';

/**
 * `waitForParties`: below threshold a transfer waits this long before its pivot, visibly, and then compensates;
 * longer rides out longer outages, at the price of a lease held meanwhile. `prepare` and `round` are one try's
 * limit at a party; shorter finds a dead party sooner, longer forgives a slow one.
 */
export const DEFAULT_LIMITS: Required<SagaLimits> = {
  waitForParties: 3_600,
  prepare: 10,
  round: 30,
};

export const withDefaults = (limits: SagaLimits | undefined): Required<SagaLimits> => ({
  ...DEFAULT_LIMITS,
  ...limits,
});

export type StepLimit = { readonly seconds: number; readonly tries: number };
/** One try of each of R7's steps, and how many tries. Broadcast sends the same bytes each time, so that it needs no undo. */
export const STEP_LIMITS = {
  prepare: { seconds: 10, tries: 3 },
  sign: { seconds: 30, tries: 2 },
  broadcast: { seconds: 60, tries: 5 },
} as const satisfies Record<string, StepLimit>;
