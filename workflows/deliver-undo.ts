/**
 * Delivers to one party what it is owed: it outlives the saga that started it, waits in the party's queue for days,
 * and tells the ledger when the party has taken it. Its being open is how an operator sees the debt.
 */
import { setCurrentDetails, sleep, workflowInfo } from '@temporalio/workflow';
import { parseWith } from '../core/parse.ts';
import { fromFailure, toApplicationFailure } from '../schema/contracts/failures.ts';
import type { DestroyRequest } from '../schema/contracts/party.ts';
import type { PartyId } from '../schema/contracts/primitives.ts';
import { plain } from '../schema/contracts/summaries.ts';
import {
  DeliverUndoInput,
  type DeliverUndoResult,
  type OwedAction,
} from '../schema/contracts/undo.ts';
import { rethrowDefect } from './defects.ts';
import { ledger, party } from './steps.ts';

/** Tries of seven days each. */
const WEEKS = 26;
const PAUSE_MS = 3_600_000;

export async function deliverUndo(raw: DeliverUndoInput): Promise<DeliverUndoResult> {
  try {
    const input = parseWith(DeliverUndoInput, raw, 'input');
    const outcomes: string[] = [];
    for (const action of input.actions) {
      show(input, outcomes, `${action.kind} waits for ${input.party}`);
      const outcome = await deliver(input, action, input.party, outcomes);
      outcomes.push(`${action.kind} ${input.party}: ${outcome}`);
    }
    show(input, outcomes, 'delivered');
    return { outcomes };
  } catch (error) {
    rethrowDefect(error);
    throw toApplicationFailure(fromFailure(error), { forWorkflow: true });
  }
}

function show(input: DeliverUndoInput, outcomes: readonly string[], now: string): void {
  setCurrentDetails(
    [
      `**Owed to ${input.party}** by ${input.requestId}`,
      '',
      plain(now),
      ...outcomes.map((outcome) => `- ${plain(outcome)}`),
    ].join('\n'),
  );
}

async function deliver(
  input: DeliverUndoInput,
  action: OwedAction,
  to: PartyId,
  outcomes: string[],
): Promise<string> {
  for (let week = 1; ; week++) {
    try {
      const outcome = await once(input, action, to, outcomes);
      await record(input, action, to, outcome);
      return outcome;
    } catch (error) {
      rethrowDefect(error);
      const failure = fromFailure(error);
      if (failure.code === 'Cancelled' || week >= WEEKS) throw failure;
      show(input, outcomes, `${action.kind} at ${to} failed (${failure.code}), tried again`);
      await sleep(PAUSE_MS, { summary: `${action.kind} at ${to}: ${failure.code}` });
    }
  }
}

async function once(
  input: DeliverUndoInput,
  action: OwedAction,
  to: PartyId,
  outcomes: string[],
): Promise<string> {
  const at = party('owed', to, `${action.kind} at ${to}`);
  switch (action.kind) {
    case 'abort':
      return (await at.abort(action.request)).outcome;
    case 'activate':
      return (await at.activate(action.request)).state;
    case 'destroy': {
      const { outcome, never } = await at.destroy(action.request);
      // This party never certified: the others may destroy what they kept.
      if (never !== undefined) {
        const request: DestroyRequest = { ...action.request, never };
        const others = input.kept.filter((id) => id !== to);
        await Promise.all(
          others.map(async (id) => {
            const result = await deliver(
              { ...input, kept: [] },
              { kind: 'destroy', request },
              id,
              outcomes,
            );
            outcomes.push(`destroy ${id}: ${result}`);
          }),
        );
      }
      return outcome;
    }
  }
}

async function record(
  input: DeliverUndoInput,
  action: OwedAction,
  to: PartyId,
  outcome: string,
): Promise<void> {
  const { requestId } = input;
  if (action.kind === 'activate') {
    await ledger('ledger', `record: ${to} is active`).recordActivation({ requestId, party: to });
    return;
  }
  // The ledger keeps undos of transfers; a ceremony's debts are the parties' own records.
  if (workflowInfo().parent?.workflowId.startsWith('keygen/')) return;
  await ledger('ledger', `record: ${action.kind} ${to} delivered`).recordUndo({
    requestId,
    step: `${action.kind} ${to}`,
    outcome: 'delivered',
    party: to,
    reason: outcome,
  });
}
