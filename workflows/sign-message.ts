/**
 * The saga that signs a message: reserve, approvals, prepare and sign at t parties, attach. Nothing on a chain takes part, so
 * nothing can be voided: before its pivot a failure is undone, after it the saga insists until the signature is there or the
 * intent has ended, from when on no party signs it.
 */
import {
  allHandlersFinished,
  CancellationScope,
  condition,
  workflowInfo,
} from '@temporalio/workflow';
import { messageIntentDigest } from '../core/messages/intent.ts';
import { KeysagaError } from '../schema/contracts/errors.ts';
import { fromFailure, toApplicationFailure } from '../schema/contracts/failures.ts';
import {
  MessageInput,
  type MessageResult,
  type SignedMessage,
} from '../schema/contracts/message-saga.ts';
import type { AttemptId } from '../schema/contracts/primitives.ts';
import { sign } from './attempts.ts';
import { rethrowDefect } from './defects.ts';
import { readInput } from './input.ts';
import { MessageSaga } from './message-state.ts';
import { chain, ledger } from './steps.ts';

export async function signMessage(raw: MessageInput): Promise<MessageResult> {
  const saga = new MessageSaga(readInput(MessageInput, raw, checked));
  // Temporal's own cancel is the same wish as the update's.
  CancellationScope.current().cancelRequested.catch(() => saga.requestCancel());
  return CancellationScope.nonCancellable(async () => {
    try {
      return await complete(saga, await signed(saga));
    } catch (error) {
      rethrowDefect(error);
      const reason = fromFailure(error, { timeout: 'TimeLimit' });
      await undo(saga, reason).catch((met: unknown) => {
        rethrowDefect(met);
        throw toApplicationFailure(fromFailure(met), { forWorkflow: true });
      });
      throw toApplicationFailure(reason, { forWorkflow: true });
    } finally {
      saga.desk.close();
      await condition(allHandlersFinished);
    }
  });
}

function checked(input: MessageInput): MessageInput {
  if (messageIntentDigest(input.intent) !== input.intentDigest)
    throw new KeysagaError('InvalidInput', 'The digest is not the intent’s.', {
      field: 'intentDigest',
    });
  return input;
}

async function signed(saga: MessageSaga): Promise<SignedMessage> {
  const { intent, input } = saga;
  const { requestId } = intent;
  saga.reservation = await saga.run(() =>
    ledger('reserve', 'reserve', saga.group()).reserveMessage({
      intent,
      intentDigest: input.intentDigest,
      workflowId: workflowInfo().workflowId,
    }),
  );
  const { key, policyHash, ranking } = saga.reservation;
  // A reset forgot the pivot, the ledger did not.
  saga.pivotPassed = saga.reservation.pivotPassed;
  await approvals(saga);
  const answer = await sign<SignedMessage>(saga, {
    ranking,
    get refusable() {
      return !saga.pivotPassed;
    },
    moot: () => false,
    ready: () => ready(saga),
    request: (signers, attempt) => ({
      kind: 'message',
      requestId,
      attempt,
      keyId: key.keyId,
      epoch: key.epoch,
      signers: [...signers],
      intent,
      approvals: saga.desk.approvals,
      policyHash,
    }),
    enter: (phase) => saga.enter(phase),
    pivot: (attempt) => passPivot(saga, attempt),
    attach: (signers, attempt, { rounds }) =>
      chain('attach', 'attach the signature', saga.group()).attachMessage({
        requestId,
        attempt,
        signers,
        rounds,
      }),
  });
  if (answer === undefined) throw new KeysagaError('StateConflict', 'The message was not signed.');
  return answer;
}

/** Waits for the quorum, days if it must, and for the policy's start delay. Ends with the intent's expiry. */
async function approvals(saga: MessageSaga): Promise<void> {
  const { desk, intent } = saga;
  if (!desk.quorumReached) {
    saga.enter('AwaitingApprovals', `approvals until ${intent.expiresAt}`);
    const left = Date.parse(intent.expiresAt) - Date.now();
    await saga.until(() => desk.quorumReached, left, `intent expires ${intent.expiresAt}`);
    if (!desk.quorumReached)
      throw new KeysagaError('IntentExpired', `Not approved before ${intent.expiresAt}.`, {
        missing: desk.count().missing,
      });
  }
  const { policy } = saga.reservation.policy;
  if (policy.startDelaySeconds > 0) {
    // Parties measure the same delay by their own clocks: a second of grace.
    const startsAt = desk.startsAt(policy) + 1_000;
    saga.wait(`start delay of the policy until ${new Date(startsAt).toISOString()}`);
    await saga.until(() => false, startsAt - Date.now(), 'start delay of the policy');
  }
  saga.wait('');
}

/** Before every attempt. */
async function ready(saga: MessageSaga): Promise<void> {
  saga.throwIfInterrupted();
  // Past the pivot the ledger must agree that it is over, by its own clock.
  const end = Date.parse(saga.intent.expiresAt) + (saga.pivotPassed ? 60_000 : 0);
  if (Date.now() >= end)
    throw new KeysagaError('IntentExpired', `Expired ${saga.intent.expiresAt}.`);
  if (!saga.desk.quorumReached) await approvals(saga);
}

/** Taken for passed before the ledger is asked; only the ledger's own refusal takes that back. */
async function passPivot(saga: MessageSaga, attempt: AttemptId): Promise<void> {
  const unrecorded = await saga.recording.settled();
  if (unrecorded !== undefined && !saga.pivotPassed) throw unrecorded;
  saga.throwIfInterrupted();
  const before = saga.pivotPassed;
  saga.pivotPassed = true;
  const reports = saga.reports;
  saga.reports = [];
  try {
    await ledger('ledger', 'pivot', saga.group()).passMessagePivot({
      requestId: saga.intent.requestId,
      attempt,
      reports,
    });
  } catch (error) {
    saga.pivotPassed = before;
    throw fromFailure(error, { timeout: 'TimeLimit' });
  }
  saga.undos.dismissAll();
  saga.changed();
}

/** Undoes what is not past the pivot, and closes the books. */
async function undo(saga: MessageSaga, reason: KeysagaError): Promise<void> {
  const failure = saga.failed(reason);
  if (!saga.pivotPassed) {
    saga.enter('Compensating', reason.code);
    await saga.undos.unwind();
  }
  saga.ended = true;
  await saga.background.settled();
  await saga.recording.settled();
  const { requestId } = saga.intent;
  await ledger('ledger', 'fail', saga.group()).failMessage({ requestId, failure });
  saga.enter('Failed');
}

async function complete(saga: MessageSaga, signature: SignedMessage): Promise<MessageResult> {
  saga.ended = true;
  saga.pivotPassed = true;
  saga.undos.dismissAll();
  saga.signed = signature;
  saga.failure = undefined;
  await saga.background.settled();
  saga.enter('Completed');
  return { ...signature, phasesMs: saga.clock.spentMs };
}
