/**
 * The transfer saga: reserve, approvals, build, prepare and sign at t parties, attach, broadcast, confirm, settle.
 * Its pivot is the first request for a last round: before it a failure is undone, after it only a transaction
 * that is final on chain ends the saga.
 */
import {
  allHandlersFinished,
  CancellationScope,
  condition,
  patched,
  uuid4,
  workflowInfo,
} from '@temporalio/workflow';
import { intentDigest } from '../core/intent.ts';
import type { BuildAnswer, Reservation } from '../schema/contracts/activities.ts';
import { KeysagaError } from '../schema/contracts/errors.ts';
import { fromFailure, toApplicationFailure } from '../schema/contracts/failures.ts';
import type { AttemptId } from '../schema/contracts/primitives.ts';
import { TransferInput, type TransferResult } from '../schema/contracts/saga.ts';
import type { SignedTransaction } from '../schema/contracts/transaction.ts';
import { rethrowDefect } from './defects.ts';
import { readInput } from './input.ts';
import { whoAsks } from './payout-lines.ts';
import { followsPolicy, PolicyChangeWait, refreshPolicy, waitForQuorum } from './policy-watch.ts';
import { signTransaction } from './signing.ts';
import { chain, ledger } from './steps.ts';
import { TransferSaga } from './transfer-state.ts';
import { type Final, fillGap, follow, send, voidLine } from './voiding.ts';

export async function transfer(raw: TransferInput): Promise<TransferResult> {
  return payAndSettle(new TransferSaga(readInput(TransferInput, raw, checked)));
}

/** The whole saga, of a transfer or a payout. */
export async function payAndSettle(saga: TransferSaga): Promise<TransferResult> {
  // Temporal's own cancel is the same wish as the update's; the saga decides what may still be undone.
  CancellationScope.current().cancelRequested.catch(() => saga.requestCancel());
  return CancellationScope.nonCancellable(async () => {
    try {
      return await complete(saga, await pay(saga).catch((error: unknown) => undo(saga, error)));
    } catch (error) {
      rethrowDefect(error);
      throw toApplicationFailure(fromFailure(error), { forWorkflow: true });
    } finally {
      saga.desk.close();
      await condition(allHandlersFinished);
    }
  });
}

function checked(input: TransferInput): TransferInput {
  if (intentDigest(input.intent) !== input.intentDigest)
    throw new KeysagaError('InvalidInput', 'The digest is not the intent’s.', {
      field: 'intentDigest',
    });
  return input;
}

/** The saga's path. Throws what ends it otherwise; `undo` decides what follows. */
async function pay(saga: TransferSaga): Promise<Final> {
  await reserve(saga);
  if (saga.paid !== undefined) return finalOf(saga.paid);
  if (saga.fillsGap)
    throw new KeysagaError('StateConflict', 'It was given up before its workflow was reset.');
  // Signed before a reset: everybody who had to approve it has, whatever has expired since.
  const signed = saga.transaction ?? (await payment(saga));
  saga.pivotPassed = true;
  saga.undos.dismissAll();
  saga.transactionId = signed.id;
  saga.transaction = signed;
  return deliver(saga);
}

/** Approved, built and signed, under one version of the policy: when that changes on the way, it begins anew. */
async function payment(saga: TransferSaga): Promise<SignedTransaction> {
  const change = new PolicyChangeWait();
  for (;;) {
    await approvals(saga);
    const built = await build(saga);
    if (built.unsigned === undefined) {
      await change.counted(saga, built.policy);
      continue;
    }
    const signed =
      built.signed ??
      (await signTransaction(saga, {
        purpose: 'payment',
        built,
        moot: () => saga.pivotPassed && saga.cancelRequested,
        ready: () => readyToSign(saga),
        renew: async () => {
          if (!(await refreshPolicy(saga))) return 'same';
          // Past the pivot the bytes are fixed; before it the new version may want another fee.
          return saga.pivotPassed ? 'again' : 'rebuild';
        },
      }));
    if (signed !== undefined) return signed;
  }
}

const finalOf = ({ transactionId, confirmations }: NonNullable<TransferSaga['paid']>): Final => ({
  won: 'payment',
  id: transactionId,
  confirmations,
});

const reservation = (saga: TransferSaga): Promise<Reservation> =>
  ledger('reserve', 'reserve', saga.group()).reserve({
    intent: saga.intent,
    intentDigest: saga.input.intentDigest,
    workflowId: workflowInfo().workflowId,
  });

async function reserve(saga: TransferSaga): Promise<void> {
  const { requestId } = saga.intent;
  saga.undos.register({
    step: 'release the reservation',
    run: async () => {
      const released = await ledger(
        'undoLedger',
        'undo: release the reservation',
        saga.group(),
      ).release({ requestId, reason: saga.failure?.code ?? 'undone', ...whoAsks(saga.intent) });
      // A run of an earlier release has no answer in its history.
      saga.nonceKept = released?.fillsGap === true;
    },
  });
  saga.reservation = await saga.run(() => reservation(saga));
  saga.recall();
  if (saga.reservation.holdsNonce === true && patched(FILL_GAP)) registerRelease(saga);
}

/** Waits for the quorum, days if it must, and for the policy's start delay. Ends with the intent's expiry. */
async function approvals(saga: TransferSaga): Promise<void> {
  const { desk } = saga;
  const expires = Date.parse(saga.intent.expiresAt);
  while (!desk.quorumReached) {
    if (saga.clock.phase !== 'AwaitingApprovals') {
      saga.enter('AwaitingApprovals');
      saga.recordPhase();
    }
    if (saga.pivotPassed) {
      diverted(saga);
      saga.wait('ALERT: the pivot has passed, and the approvals must be given again');
      if (!followsPolicy()) {
        await condition(() => desk.quorumReached || saga.cancelRequested);
        continue;
      }
      await waitForQuorum(saga, expires);
      diverted(saga);
    } else {
      saga.wait(`approvals until ${saga.intent.expiresAt}`);
      if (followsPolicy()) await waitForQuorum(saga, expires);
      else
        await saga.until(
          () => desk.quorumReached,
          expires - Date.now(),
          `intent expires ${saga.intent.expiresAt}`,
        );
    }
    if (!desk.quorumReached && Date.now() >= expires)
      throw new KeysagaError('IntentExpired', `Not approved before ${saga.intent.expiresAt}.`, {
        missing: saga.missing,
      });
  }
  const { policy } = saga.reservation.policy;
  if (policy.startDelaySeconds > 0 && !saga.pivotPassed) {
    // Parties measure the same delay by their own clocks: a second of grace.
    const startsAt = desk.startsAt(policy) + 1_000;
    saga.wait(`start delay of the policy until ${new Date(startsAt).toISOString()}`);
    await saga.until(() => false, startsAt - Date.now(), 'start delay of the policy');
  }
  saga.wait('');
}

const RELEASE_LEASE = 'release the lease';
const FILL_GAP = 'fill-gap';

function registerRelease(saga: TransferSaga): void {
  const { requestId } = saga.intent;
  const release = () => chain('undoChain', 'undo: release the lease', saga.group());
  saga.undos.register({
    step: RELEASE_LEASE,
    run: async () => {
      if (!patched(FILL_GAP)) {
        await release().releaseLease({ requestId });
        return;
      }
      // Parties sign the void of a nonce for approvals alone, so the ledger must know of them when it decides.
      await saga.recording.settled();
      const { gap } = await release().releaseLease({ requestId, fillGap: true });
      if (gap !== undefined) saga.fill(gap.approvals);
    },
  });
}

async function build(saga: TransferSaga): Promise<BuildAnswer> {
  const { intent } = saga;
  saga.enter('Preparing', 'a lease and the unsigned transaction');
  // Past the pivot an earlier run may have asked for some already: it signs in all rounds.
  const usePool = !saga.pivotPassed && patched('pool') ? (uuid4() as AttemptId) : undefined;
  const step = () =>
    chain('build', 'build the payment', saga.group()).build({
      intent,
      policyHash: saga.reservation.policyHash,
      ...(usePool === undefined ? {} : { usePool }),
    });
  if (saga.pivotPassed) {
    const built = await saga
      .insist('build', step, () => saga.cancelRequested)
      .catch((error: unknown) => {
        diverted(saga);
        throw error;
      });
    saga.wait('');
    return built;
  }
  if (!saga.undos.has(RELEASE_LEASE)) registerRelease(saga);
  const built = await saga.run(step);
  saga.wait('');
  return built;
}

/** Before every attempt: is the payment still wanted and still approved? */
async function readyToSign(saga: TransferSaga): Promise<void> {
  saga.throwIfInterrupted();
  diverted(saga);
  if (!saga.pivotPassed && Date.now() >= Date.parse(saga.intent.expiresAt))
    throw new KeysagaError('IntentExpired', `Expired ${saga.intent.expiresAt}.`);
  if (!saga.desk.quorumReached) await approvals(saga);
}

/** After the pivot a cancel leads to the void. */
function diverted(saga: TransferSaga): void {
  if (saga.pivotPassed && saga.cancelRequested)
    throw new KeysagaError('Cancelled', 'Cancelled on request.');
}

async function deliver(saga: TransferSaga): Promise<Final> {
  diverted(saga);
  saga.enter('Broadcasting');
  const cancelled = (): boolean => saga.cancelRequested;
  saga.sent = true;
  const { taken, reason } = await send(saga, 'payment', cancelled).catch((error: unknown) => {
    diverted(saga);
    throw error;
  });
  if (!taken)
    throw new KeysagaError('BroadcastRejected', `The node refuses the payment: ${reason}`, {
      reason,
    });
  saga.enter('Confirming', reason === '' ? '' : `the broadcast was unclear: ${reason}`);
  const final = await follow(saga, { payment: saga.transactionId as string }, cancelled);
  if (final !== undefined) return final;
  throw new KeysagaError('Cancelled', 'Cancelled on request.');
}

async function askAgain(saga: TransferSaga): Promise<void> {
  saga.reservation = await saga.insist('asking what the ledger knows', () => reservation(saga));
  saga.recall();
}

/** What follows a failure: compensation before the pivot, a void after it. Returns only with something final. */
async function undo(saga: TransferSaga, error: unknown): Promise<Final> {
  rethrowDefect(error);
  const reason = fromFailure(error, { timeout: 'TimeLimit' });
  saga.failed(reason);
  if (!saga.pivotPassed) {
    saga.enter('Compensating', reason.code);
    saga.recordPhase(reason.code);
    try {
      await saga.undos.unwind();
    } catch (met) {
      // Only `PivotPassed` gets here: the ledger knows of a pivot that a reset made this run forget.
      rethrowDefect(met);
      saga.pivotPassed = true;
      saga.undos.dismissAll();
      if (patched('ask-again-past-pivot')) await askAgain(saga);
    }
    // The ledger has kept the nonce in a run that a reset made this one forget before it could reserve.
    if (saga.nonceKept && !saga.fillsGap && patched(FILL_GAP)) await askAgain(saga);
    if (!saga.pivotPassed) return saga.fillsGap ? filled(saga, reason) : end(saga, reason);
    if (saga.paid !== undefined) return finalOf(saga.paid);
  }
  const final = await voidLine(saga, reason);
  if (final.won === 'payment') return final;
  if (final.won === 'none')
    return end(
      saga,
      new KeysagaError(
        reason.code,
        `${reason.message} The line is over: ${final.reason}`,
        reason.details,
      ),
    );
  return end(saga, reason, final.id);
}

/** Undone but for its nonce, which others wait for: it ends with its own reason once something has used that. */
async function filled(saga: TransferSaga, reason: KeysagaError): Promise<never> {
  const final = await fillGap(saga);
  return end(saga, reason, final.won === 'void' ? final.id : undefined);
}

/** Closes the books on a transfer that failed, and throws its reason. */
async function end(
  saga: TransferSaga,
  reason: KeysagaError,
  voidTransactionId?: string,
): Promise<never> {
  const failure = saga.failed(reason);
  saga.ended = true;
  await saga.background.settled();
  await saga.insist('closing the ledger', () =>
    ledger('ledger', 'fail', saga.group()).fail({
      requestId: saga.intent.requestId,
      failure,
      ...(voidTransactionId === undefined ? {} : { voidTransactionId }),
      ...whoAsks(saga.intent),
    }),
  );
  saga.enter('Failed');
  throw reason;
}

async function complete(saga: TransferSaga, final: Final): Promise<TransferResult> {
  if (final.won !== 'payment') {
    const reason = final.won === 'none' ? final.reason : `void ${final.id} is final`;
    return end(
      saga,
      new KeysagaError('BroadcastRejected', `The payment did not take effect: ${reason}`, {
        reason,
      }),
    );
  }
  saga.ended = true;
  saga.transactionId = final.id;
  saga.confirmations = final.confirmations;
  saga.failure = undefined;
  saga.wait(saga.cancelRequested ? 'the cancel came too late: the payment is final' : '');
  const { id: transactionId, confirmations } = final;
  await saga.insist('settling', () =>
    ledger('ledger', 'settle', saga.group()).settle({
      requestId: saga.intent.requestId,
      transactionId,
      confirmations,
    }),
  );
  await saga.background.settled();
  saga.enter('Completed', saga.waitingFor);
  return { transactionId, confirmations, phasesMs: saga.clock.spentMs };
}
