/**
 * Activity options by name: time limits, retries and queues of every step, in one place. Durations in
 * milliseconds. `startToClose` is how long one try may take, `scheduleToClose` all of them together; no
 * `scheduleToClose` means "for ever", which only steps past a pivot and undos of our own ledger may have.
 */
import type { ActivityOptions } from '@temporalio/workflow';
import { STEP_LIMITS, withDefaults } from '../core/transfer/limits.ts';
import { NON_RETRYABLE_CODES } from '../schema/contracts/failures.ts';
import type { PartyId } from '../schema/contracts/primitives.ts';
import type { SagaLimits } from '../schema/contracts/saga.ts';
import { partyQueue, TASK_QUEUES } from '../schema/contracts/temporal.ts';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const retry = (initial: number, maximum: number, attempts?: number) => ({
  initialInterval: initial,
  backoffCoefficient: 2,
  maximumInterval: maximum,
  nonRetryableErrorTypes: [...NON_RETRYABLE_CODES],
  ...(attempts === undefined ? {} : { maximumAttempts: attempts }),
});

/**
 * A cancelled step is waited for: an undo must never run beside the step it undoes. An activity between two
 * tries ends at once, a running one ends within its `startToClose`.
 */
const careful = { cancellationType: 'WAIT_CANCELLATION_COMPLETED' } as const;
/**
 * Every worker heartbeats whatever it runs (`workers/support/heartbeats.ts`), so a killed one is noticed within seconds
 * and not when `startToClose` is over.
 */
const alive = { heartbeatTimeout: 5 * SECOND } as const;
/** Steps that only read may be left behind. */
const readOnly = { cancellationType: 'TRY_CANCEL' } as const;

export const profiles = {
  /** Before the pivot: a ledger that is away for longer ends the saga. */
  reserve: {
    taskQueue: TASK_QUEUES.ledger,
    startToCloseTimeout: 15 * SECOND,
    scheduleToCloseTimeout: 10 * MINUTE,
    retry: retry(100, 5 * SECOND),
    ...alive,
    ...careful,
  },
  /** Facts that must be written however long it takes. */
  ledger: {
    taskQueue: TASK_QUEUES.ledger,
    startToCloseTimeout: 15 * SECOND,
    retry: retry(100, 10 * SECOND),
    ...alive,
    ...careful,
  },
  /** Routing hints: nice to have. */
  report: {
    taskQueue: TASK_QUEUES.ledger,
    startToCloseTimeout: 5 * SECOND,
    scheduleToCloseTimeout: 10 * SECOND,
    retry: retry(200, 2 * SECOND),
    ...readOnly,
  },
  /** Waits for a lease (`LeaseUnavailable` is retryable) and for providers, within limits. */
  build: {
    taskQueue: TASK_QUEUES.chain,
    startToCloseTimeout: 30 * SECOND,
    scheduleToCloseTimeout: 10 * MINUTE,
    retry: retry(250, 5 * SECOND),
    ...alive,
    ...careful,
  },
  /** Somebody waits for the answer, before there is a saga that could wait for longer. */
  lease: {
    taskQueue: TASK_QUEUES.chain,
    startToCloseTimeout: 30 * SECOND,
    scheduleToCloseTimeout: MINUTE,
    retry: retry(250, 5 * SECOND),
    ...alive,
    ...careful,
  },
  attach: {
    taskQueue: TASK_QUEUES.chain,
    startToCloseTimeout: 30 * SECOND,
    retry: retry(200, 5 * SECOND, 5),
    ...alive,
    ...careful,
  },
  broadcast: {
    taskQueue: TASK_QUEUES.chain,
    startToCloseTimeout: STEP_LIMITS.broadcast.seconds * SECOND,
    retry: retry(500, 10 * SECOND, STEP_LIMITS.broadcast.tries),
    ...alive,
    ...careful,
  },
  /** Long poll; the heartbeat tells a dead worker from a slow chain. */
  confirm: {
    taskQueue: TASK_QUEUES.confirm,
    startToCloseTimeout: HOUR,
    heartbeatTimeout: 10 * SECOND,
    retry: retry(500, 30 * SECOND),
    ...readOnly,
  },
  provision: {
    taskQueue: TASK_QUEUES.chain,
    startToCloseTimeout: 2 * MINUTE,
    retry: retry(500, 30 * SECOND),
    ...alive,
    ...careful,
  },
  /** One try of an undo at the ledger; the saga itself repeats and shows it. */
  undoLedger: {
    taskQueue: TASK_QUEUES.ledger,
    startToCloseTimeout: 15 * SECOND,
    retry: retry(200, 5 * SECOND, 3),
    ...alive,
    ...careful,
  },
  undoChain: {
    taskQueue: TASK_QUEUES.chain,
    startToCloseTimeout: 30 * SECOND,
    retry: retry(200, 5 * SECOND, 3),
    ...alive,
    ...careful,
  },
} as const satisfies Record<string, ActivityOptions>;

export type PartyStep = 'prepare' | 'round' | 'activate' | 'undo' | 'owed' | 'health';

/**
 * Options of a step on a party's queue. They always carry `scheduleToClose`, and where another party could serve
 * instead a short `scheduleToStart`: a dead party is a routing decision, not a hang.
 */
export function partyProfile(
  step: PartyStep,
  party: PartyId,
  limits: SagaLimits = {},
): ActivityOptions {
  const taskQueue = partyQueue(party);
  const pickup = 5 * SECOND;
  switch (step) {
    case 'prepare':
    case 'round': {
      const { tries } = step === 'prepare' ? STEP_LIMITS.prepare : STEP_LIMITS.sign;
      const once = withDefaults(limits)[step] * SECOND;
      return {
        taskQueue,
        startToCloseTimeout: once,
        scheduleToStartTimeout: pickup,
        // A little over the tries, so that the waits between them do not eat the last one.
        scheduleToCloseTimeout: once * tries + pickup,
        retry: retry(100, 2 * SECOND, tries),
        ...careful,
      };
    }
    case 'activate':
      return {
        taskQueue,
        startToCloseTimeout: 30 * SECOND,
        scheduleToCloseTimeout: 5 * MINUTE,
        retry: retry(200, 15 * SECOND),
        ...alive,
        ...readOnly,
      };
    case 'undo':
      return {
        taskQueue,
        startToCloseTimeout: 10 * SECOND,
        scheduleToStartTimeout: pickup,
        scheduleToCloseTimeout: 30 * SECOND,
        retry: retry(200, 5 * SECOND),
        ...alive,
        ...careful,
      };
    // Waits in the party's queue until the party is back.
    case 'owed':
      return {
        taskQueue,
        startToCloseTimeout: 30 * SECOND,
        scheduleToCloseTimeout: 7 * DAY,
        retry: retry(SECOND, 10 * MINUTE),
        ...alive,
        ...careful,
      };
    case 'health':
      return {
        taskQueue,
        startToCloseTimeout: 5 * SECOND,
        scheduleToCloseTimeout: HOUR,
        retry: retry(SECOND, 15 * SECOND),
        ...readOnly,
      };
  }
}

/** Waits between whole attempts: 1 s, doubled up to the cap. `wave` counts from 1. */
export const backoffMs = (wave: number, capMs: number): number =>
  Math.min(capMs, SECOND * 2 ** Math.min(wave - 1, 20));

export const BACKOFF_CAPS = {
  /** Before the pivot somebody waits for the answer. */
  beforePivot: 15 * SECOND,
  /** After it, for as long as it takes: the history must not fill up. */
  afterPivot: 30 * MINUTE,
  undo: 10 * MINUTE,
} as const;

/** Approvals must outlast a session at the parties, which refuse what ends within its life of 60 s. */
export const APPROVAL_HORIZON_MS = 60 * SECOND;
