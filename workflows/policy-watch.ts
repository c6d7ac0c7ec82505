/**
 * The policy may change while a transfer waits, for days or between its last approval and its signature. What counts is
 * the version in force when it is signed: the saga asks the ledger again where it waits anyway, is told of a change by
 * `build`'s own answer, and counts its approvals anew. Below the quorum it waits for more.
 */
import { condition, patched } from '@temporalio/workflow';
import { withDefaults } from '../core/transfer/limits.ts';
import { KeysagaError } from '../schema/contracts/errors.ts';
import { fromFailure } from '../schema/contracts/failures.ts';
import type { TransferPolicy } from '../schema/contracts/policy-change.ts';
import { backoffMs } from './profiles.ts';
import { ledger } from './steps.ts';
import type { TransferSaga } from './transfer-state.ts';

/**
 * A change announces itself to the transfers that the read side shows; this is for who was missed. One that was reserved
 * in the very moment of a change is not shown yet, so the first look comes soon.
 */
const LOOK_AGAIN_MS = 3_600_000;
const FIRST_LOOK_MS = 10_000;
const DEAD_CAP_MS = 60_000;
/** Strangers' decisions must not become a stream of questions to the ledger. */
const ASK_AT_MOST_EACH_MS = 5_000;

/** Sagas that were begun by earlier code replay without what they did not do then. */
export const followsPolicy = (): boolean => patched('policy-change');

/** Asks the ledger for the version in force. True: it is another than before, and the approvals were counted again. */
export async function refreshPolicy(saga: TransferSaga): Promise<boolean> {
  const answer = await saga.run(() =>
    ledger('ledger', 'the policy in force', saga.group()).transferPolicy({
      requestId: saga.intent.requestId,
    }),
  );
  return saga.adoptPolicy(answer);
}

/** Asked for by a decision of somebody whom the version at hand does not name. Never throws: the decision waits. */
export function refreshForStranger(): (saga: TransferSaga) => Promise<void> {
  let asked = Number.NEGATIVE_INFINITY;
  return async (saga) => {
    if (Date.now() - asked < ASK_AT_MOST_EACH_MS || !followsPolicy()) return;
    asked = Date.now();
    await refreshPolicy(saga).catch((error: unknown) => fromFailure(error));
  };
}

/** One stretch of waiting for approvals, ended by a quorum, a change of the policy, a cancel or the intent's expiry. */
export async function waitForQuorum(saga: TransferSaga, expires: number): Promise<void> {
  const { desk } = saga;
  const hints = saga.policyHints;
  const left = expires - Date.now();
  const awake = (): boolean => desk.quorumReached || saga.policyHints !== hints;
  if (left > 0) {
    const again = saga.policyLooks === 0 ? FIRST_LOOK_MS : LOOK_AGAIN_MS;
    const pause = Math.min(left, again);
    const summary =
      left > again ? 'until the policy is looked at again' : 'until the intent expires';
    if (saga.pivotPassed)
      await condition(() => awake() || saga.cancelRequested, pause, { summary });
    else await saga.until(awake, pause, summary);
  }
  saga.policyLooks += 1;
  for (let told = -1; told !== saga.policyHints; ) {
    if (desk.quorumReached || Date.now() >= expires) return;
    // Who is told of a change while the answer is under way may get one from before it.
    told = saga.policyHints;
    await refreshPolicy(saga);
    if (told !== saga.policyHints && !patched('told-while-looking')) return;
  }
}

/**
 * Nothing was built, since the version that was counted under is not the one in force, or is dead before the next one
 * can be used: n − t + 1 parties hold the next one and t do not yet. Counts again; in the second case it waits, visibly
 * and for as long as for absent parties.
 */
export class PolicyChangeWait {
  #since: number | undefined;
  #wave = 0;

  async counted(saga: TransferSaga, answer: TransferPolicy): Promise<void> {
    saga.adoptPolicy(answer);
    const { next } = answer;
    if (next?.currentDead !== true) return;
    const limitMs = withDefaults(saga.input.limits).waitForParties * 1_000;
    this.#since ??= Date.now();
    this.#wave += 1;
    const left = this.#since + limitMs - Date.now();
    const lacks = `version ${next.version} of the policy is held by ${next.held} of the ${next.usableAt} parties that must hold it`;
    if (left <= 0)
      throw new KeysagaError(
        'PartyUnavailable',
        `No version of the policy could be used within ${limitMs / 1000} s: ${lacks}.`,
        { held: next.held, needed: next.usableAt },
      );
    saga.wait(`policy: ${lacks}; until then nothing is signed`);
    const hints = saga.policyHints;
    await saga.until(
      () => saga.policyHints !== hints,
      Math.min(left, backoffMs(this.#wave, DEAD_CAP_MS)),
      'until a version of the policy can be used',
    );
  }
}
