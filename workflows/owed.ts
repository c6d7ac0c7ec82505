/** Undos that are a party's to do, and the child that delivers them when the party did not take them in time. */
import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import { type EventGroupMarker, startChild } from '@temporalio/workflow';
import type { KeysagaError } from '../schema/contracts/errors.ts';
import type { AttemptId, KeyId, PartyId, RequestId } from '../schema/contracts/primitives.ts';
import { WORKFLOWS, workflowId } from '../schema/contracts/temporal.ts';
import type { DeliverUndoInput, DeliverUndoResult } from '../schema/contracts/undo.ts';
import type { Background } from './background.ts';
import type { Undo } from './saga.ts';
import { ledger, party } from './steps.ts';

/** Starts the delivery; it outlives the saga. One that runs already (after a reset) is left to it. */
export async function startDelivery(
  input: DeliverUndoInput,
  group?: EventGroupMarker,
): Promise<void> {
  try {
    await startChild<(input: DeliverUndoInput) => Promise<DeliverUndoResult>>(
      WORKFLOWS.deliverUndo,
      {
        workflowId: workflowId.undo(input.requestId, input.party, input.attempt),
        args: [input],
        parentClosePolicy: 'ABANDON',
        cancellationType: 'ABANDON',
        workflowIdReusePolicy: 'ALLOW_DUPLICATE',
        staticSummary: `${input.party} is owed: ${input.actions.map(({ kind }) => kind).join(', ')}`,
        ...(group === undefined ? {} : { eventGroups: [group] }),
      },
    );
  } catch (error) {
    if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
  }
}

export type AbortUndo = {
  readonly requestId: RequestId;
  readonly keyId: KeyId;
  readonly attempt: AttemptId;
  readonly party: PartyId;
  /** Where the ledger is told what became of it. */
  readonly background: Background;
  group(): EventGroupMarker;
};

/** Undo of `prepare` and of the rounds: the session's seed is destroyed, the key unlocked, the limit given back. */
export function abortUndo(options: AbortUndo): Undo {
  const { requestId, keyId, attempt, party: id, background } = options;
  const step = `abort ${id}`;
  const record = (outcome: 'done' | 'owed', reason?: string): void =>
    background.start(() =>
      ledger('ledger', `record: ${step} ${outcome}`, options.group()).recordUndo({
        requestId,
        step,
        outcome,
        party: id,
        ...(reason === undefined ? {} : { reason }),
      }),
    );
  const request = { keyId, attempt, reason: 'the attempt is undone' };
  return {
    step,
    party: id,
    async run() {
      const answer = await party('undo', id, step, { group: options.group() }).abort(request);
      record('done', answer.outcome);
    },
    async owe(reason: KeysagaError) {
      record('owed', reason.code);
      await startDelivery(
        { requestId, party: id, attempt, actions: [{ kind: 'abort', request }], kept: [] },
        options.group(),
      );
    },
  };
}
