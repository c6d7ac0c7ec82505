/**
 * The `Transfer` aggregate's commands: each looks at the folded state and answers with the events that follow, none
 * when the work is done already. They throw `StateConflict`, `PivotPassed`, `PivotRefused`, `FeeAboveCap`,
 * `ApprovalDuplicate`, `RequestConflict` or `NotFound`, and never change anything themselves.
 *
 * What they hold up: one signed transaction per purpose and never another; no lease goes back after the pivot, and
 * no pivot passes without its leases; after the pivot a transfer ends only by what is final on chain; after its
 * end nothing happens but the delivery of an owed undo.
 */

import type { SignedApproval } from '../../schema/contracts/approval.ts';
import { canonicalJson } from '../../schema/contracts/canonical.ts';
import { type ErrorCode, KeysagaError } from '../../schema/contracts/errors.ts';
import type { DomainEvent, EventData } from '../../schema/contracts/events.ts';
import { AttemptId, type PartyId, type RequestId } from '../../schema/contracts/primitives.ts';
import type { FailureInfo, TransferPhase } from '../../schema/contracts/saga.ts';
import type {
  BroadcastOutcome,
  SignedTransaction,
  UnsignedTransaction,
} from '../../schema/contracts/transaction.ts';
import type { Lease } from '../ports/ledger.ts';
import { advance, impliedPhase, reportedPhase } from './machine.ts';
import {
  beginning,
  finalPayment,
  type Initiated,
  lineOver,
  needsFinality,
  type Purpose,
  phaseFacts,
  pivotPassed,
  type Transfer,
  type TransferState,
} from './state.ts';

const same = (a: unknown, b: unknown): boolean => canonicalJson(a) === canonicalJson(b);
const idOf = (state: Transfer) => ({ requestId: state.requestId as RequestId });

function refuse(
  code: ErrorCode,
  state: Transfer,
  message: string,
  details: Record<string, string> = {},
): never {
  throw new KeysagaError(code, `Transfer ${state.requestId}: ${message}`, {
    requestId: state.requestId,
    phase: state.phase,
    ...details,
  });
}

/** The event, and the phase that it brings with it. */
function withPhase(state: Transfer, event: DomainEvent): DomainEvent[] {
  const phase = impliedPhase(state.phase, event);
  return phase === undefined || phase === state.phase
    ? [event]
    : [event, phaseChanged(state, phase)];
}

/** The transfer, or `NotFound`. */
export function existing(state: TransferState, requestId: string): Transfer {
  if (state === null)
    throw new KeysagaError('NotFound', `There is no transfer ${requestId}.`, {
      field: 'requestId',
      requestId,
    });
  return state;
}

/** Throws `RequestConflict` when the id stands with another intent or workflow. */
export function initiate(state: TransferState, data: Initiated): DomainEvent[] {
  if (state === null) return [beginning(data)];
  if (state.intentDigest !== data.intentDigest || state.workflowId !== data.workflowId)
    refuse('RequestConflict', state, 'the request id was used with another body.', {
      field: state.intentDigest === data.intentDigest ? 'workflowId' : 'intentDigest',
    });
  return [];
}

/**
 * One decision counts per approver: the first, but a rejection may follow an approval, and an approval may be
 * renewed by one that stays valid longer. The signature was checked before.
 */
export function recordDecision(state: Transfer, signed: SignedApproval): DomainEvent[] {
  const { approver, decision, intentDigest, validUntil } = signed.approval;
  if (intentDigest !== state.intentDigest)
    refuse('ApprovalInvalid', state, 'the approval is about another intent.', {
      field: 'intentDigest',
      approver,
    });
  const before = state.decisions.find((d) => d.approval.approver === approver);
  if (before !== undefined && same(before, signed)) return [];
  if (state.end !== null) return [];
  if (before?.approval.decision === 'reject' && decision === 'approve')
    refuse('ApprovalDuplicate', state, `${approver} has rejected.`, {
      field: 'approver',
      approver,
    });
  if (
    before?.approval.decision === decision &&
    (decision === 'reject' || validUntil <= before.approval.validUntil)
  )
    return [];
  return [{ type: 'keysaga.transfer.decision-recorded.v1', data: { ...idOf(state), signed } }];
}

/**
 * Its approvals are counted under another version from now on. Nothing once its payment is signed or its void begun,
 * which outlive every version, or when it is over.
 */
export function policyChanged(state: Transfer, policyHash: string): DomainEvent[] {
  const settled =
    state.signed.payment !== null || state.pivots.void.length > 0 || state.fillsGap !== null;
  if (state.end !== null || settled || state.policyHash === policyHash) return [];
  return [{ type: 'keysaga.transfer.policy-changed.v1', data: { ...idOf(state), policyHash } }];
}

/** May leases be taken and bytes be built for this purpose now? */
export function requireBuildable(state: Transfer, purpose: Purpose): void {
  const fills = purpose === 'void' && state.fillsGap !== null;
  if (state.end !== null || (state.phase === 'Compensating' && !fills))
    refuse('StateConflict', state, 'it has ended or is being undone; nothing is built.');
  if (state.leaseReleased)
    refuse('StateConflict', state, 'its leases went back; nothing is built.');
  if (purpose === 'payment' && state.fillsGap !== null)
    refuse('StateConflict', state, 'its void fills the nonce; no payment is built.');
  if (purpose === 'void' && !needsFinality(state))
    refuse('StateConflict', state, 'before the pivot a transfer is released, not voided.');
  if (purpose === 'void' && finalPayment(state) !== undefined)
    refuse('StateConflict', state, 'the payment is final; there is nothing to void.');
}

export type Built = {
  readonly unsigned: UnsignedTransaction;
  readonly fee: bigint;
  readonly leases: readonly string[];
};
/** `feeCap`: of the intent for a payment, of the policy for a void. From the purpose's pivot on the bytes are fixed. */
export function built(state: Transfer, purpose: Purpose, tx: Built, feeCap: bigint): DomainEvent[] {
  if (state.pivots[purpose].length > 0 || state.signed[purpose] !== null) return [];
  requireBuildable(state, purpose);
  if (tx.fee > feeCap)
    refuse('FeeAboveCap', state, `the fee ${tx.fee} is above the cap ${feeCap}.`, {
      field: 'feeCap',
      fee: String(tx.fee),
      cap: String(feeCap),
    });
  if (tx.unsigned.network !== state.intent.chain)
    refuse('ChainMismatch', state, 'the transaction is for another network.', {
      field: 'unsigned.network',
    });
  const data = { unsigned: tx.unsigned, fee: String(tx.fee), leases: [...tx.leases] };
  const before = state.built[purpose];
  if (before !== null && same(before, data)) return [];
  return withPhase(state, {
    type: 'keysaga.transfer.transaction-built.v1',
    data: { ...idOf(state), purpose, ...data },
  });
}

/**
 * `leases` are the transfer's rows, locked by the caller in the transaction that appends. Throws `PivotRefused`
 * when the attempt may not ask for its last round.
 */
export function passPivot(
  state: Transfer,
  purpose: Purpose,
  attempt: string,
  leases: readonly Pick<Lease, 'resource' | 'state'>[],
): DomainEvent[] {
  if (state.pivots[purpose].includes(attempt)) return [];
  const no = (message: string, details: Record<string, string> = {}): never =>
    refuse('PivotRefused', state, message, { purpose, ...details });
  const fills = purpose === 'void' && state.fillsGap !== null;
  if (state.end !== null || (state.phase === 'Compensating' && !fills))
    no('it has ended or is being undone.');
  if (state.leaseReleased) no('its leases went back.');
  if (state.signed[purpose] !== null) no('it is signed already; the stored bytes are sent.');
  const tx = state.built[purpose];
  if (tx === null) return no('nothing is built.');
  if (purpose === 'payment' && (state.pivots.void.length > 0 || state.fillsGap !== null))
    no('its void is under way.');
  if (purpose === 'void' && !needsFinality(state))
    no('before the pivot a transfer is released, not voided.');
  if (purpose === 'payment' && tx.leases.length === 0) no('it holds no lease.');
  const live = new Set(
    leases.filter((l) => l.state === 'held' || l.state === 'pivoted').map((l) => l.resource),
  );
  for (const resource of tx.leases) if (!live.has(resource)) no('a lease is gone.', { resource });
  return withPhase(state, {
    type: 'keysaga.transfer.pivot-passed.v1',
    data: { ...idOf(state), purpose, attempt: AttemptId.parse(attempt) },
  });
}

export type Signature = {
  readonly attempt: string;
  readonly signers: readonly PartyId[];
  readonly signed: SignedTransaction;
};
/** Stores the one signed transaction of its purpose. A second one with other bytes is a `StateConflict`. */
export function signed(state: Transfer, purpose: Purpose, signature: Signature): DomainEvent[] {
  const before = state.signed[purpose];
  if (before !== null) {
    if (same(before, signature.signed)) return [];
    refuse('StateConflict', state, `another ${purpose} is signed and stored.`, {
      purpose,
      id: before.id,
    });
  }
  if (state.end !== null) refuse('StateConflict', state, 'it has ended.', { purpose });
  if (!state.pivots[purpose].includes(signature.attempt))
    refuse('StateConflict', state, 'the attempt has not passed its pivot.', {
      purpose,
      attempt: signature.attempt,
    });
  if (signature.signed.network !== state.intent.chain)
    refuse('ChainMismatch', state, 'the transaction is for another network.', {
      field: 'signed.network',
    });
  return withPhase(state, {
    type: 'keysaga.transfer.transaction-signed.v1',
    data: {
      ...idOf(state),
      purpose,
      attempt: AttemptId.parse(signature.attempt),
      signers: [...signature.signers],
      signed: signature.signed,
    },
  });
}

/** Which of its signed transactions has this id; `undefined` for a foreign one. */
export const purposeOf = (state: Transfer, id: string): Purpose | undefined =>
  state.signed.payment?.id === id ? 'payment' : state.signed.void?.id === id ? 'void' : undefined;

export function broadcast(
  state: Transfer,
  purpose: Purpose,
  outcome: BroadcastOutcome,
): DomainEvent[] {
  const tx = state.signed[purpose];
  if (tx === null) return refuse('StateConflict', state, `no ${purpose} is signed.`, { purpose });
  if (state.end !== null || state.broadcast[purpose] === outcome.status) return [];
  return withPhase(state, {
    type: 'keysaga.transfer.broadcast.v1',
    data: { ...idOf(state), purpose, id: tx.id, outcome },
  });
}

/** Records progress only; a reorganisation that takes confirmations back shows at the next look. */
export function confirmed(state: Transfer, purpose: Purpose, confirmations: number): DomainEvent[] {
  const tx = state.signed[purpose];
  if (tx === null) return refuse('StateConflict', state, `no ${purpose} is signed.`, { purpose });
  if (state.end !== null || confirmations <= state.confirmations[purpose]) return [];
  return [
    {
      type: 'keysaga.transfer.confirmed.v1',
      data: { ...idOf(state), purpose, id: tx.id, confirmations },
    },
  ];
}

export type FinalOutcome = {
  readonly outcome: 'included' | 'failed' | 'conflicted';
  readonly confirmations: number;
  readonly by?: string;
};
/** What the chain says for good. Payment and void both included would be a breach of the conflict rule. */
export function finalized(state: Transfer, purpose: Purpose, final: FinalOutcome): DomainEvent[] {
  const tx = state.signed[purpose];
  if (tx === null) return refuse('StateConflict', state, `no ${purpose} is signed.`, { purpose });
  const before = state.finality[purpose];
  if (before !== null) {
    if (before.outcome === final.outcome) return [];
    refuse('StateConflict', state, `the ${purpose} was ${before.outcome} for good.`, { purpose });
  }
  if (state.end !== null) return [];
  const other = state.finality[purpose === 'payment' ? 'void' : 'payment'];
  if (final.outcome === 'included' && other?.outcome === 'included')
    refuse('StateConflict', state, 'both the payment and its void show as final.', {
      purpose,
      id: tx.id,
    });
  return withPhase(state, {
    type: 'keysaga.transfer.finalized.v1',
    data: { ...idOf(state), purpose, id: tx.id, ...final },
  });
}

/** Nothing when the ledger is there already or further; `StateConflict` or `PivotPassed` when it cannot go there. */
export function phase(state: Transfer, to: TransferPhase, reason?: string): DomainEvent[] {
  if (to === 'Completed' || to === 'Failed') {
    if (state.end !== null) return [];
    refuse(
      'StateConflict',
      state,
      `${to} comes from ${to === 'Failed' ? 'fail' : 'settle'} only.`,
      { field: 'phase' },
    );
  }
  const reached = reportedPhase(state.phase, to, phaseFacts(state));
  return reached === undefined ? [] : [phaseChanged(state, reached, reason)];
}

const phaseChanged = (state: Transfer, to: TransferPhase, reason?: string): DomainEvent => ({
  type: 'keysaga.transfer.phase-changed.v1',
  data: { ...idOf(state), phase: to, ...(reason === undefined ? {} : { reason }) },
});

/** The barrier that excludes the pivot: appended even when nothing is held, so that a late `build` finds it. */
export function leaseReleased(state: Transfer, leases: readonly string[]): DomainEvent[] {
  if (pivotPassed(state))
    refuse('PivotPassed', state, 'signature shares may be out; only a void undoes it.');
  if (state.leaseReleased || state.fillsGap !== null || state.end !== null) return [];
  return [
    { type: 'keysaga.transfer.lease-released.v1', data: { ...idOf(state), leases: [...leases] } },
  ];
}

/**
 * Instead of `leaseReleased`: the nonce under this lease is needed by later ones, so it is kept for the void. Decided under
 * the account's lock, in the transaction that would have given it back. Excludes the pivot as a release does.
 */
export function gapClaimed(state: Transfer, resource: string): DomainEvent[] {
  if (pivotPassed(state))
    refuse('PivotPassed', state, 'signature shares may be out; only a void undoes it.');
  if (state.leaseReleased || state.fillsGap !== null || state.end !== null) return [];
  return [{ type: 'keysaga.transfer.gap-claimed.v1', data: { ...idOf(state), resource } }];
}

export type UndoReport = Omit<EventData<'keysaga.transfer.undo-recorded.v1'>, 'requestId'>;
/** Allowed after the end too: an owed undo is delivered when its party is back. */
export function undo(state: Transfer, report: UndoReport): DomainEvent[] {
  const before = state.undos.find(
    (u) => u.step === report.step && u.party === (report.party ?? null),
  );
  // Once done or delivered it stays so, whatever a late report says.
  if (before !== undefined && (before.outcome === report.outcome || before.outcome !== 'owed'))
    return [];
  return [{ type: 'keysaga.transfer.undo-recorded.v1', data: { ...idOf(state), ...report } }];
}

/** Throws `StateConflict` unless this transaction is final on chain. */
export function complete(
  state: Transfer,
  transactionId: string,
  confirmations: number,
): DomainEvent[] {
  if (state.end?.kind === 'completed' && state.end.transactionId === transactionId) return [];
  if (state.end !== null)
    refuse('StateConflict', state, 'it has ended otherwise.', { transactionId });
  if (finalPayment(state) !== transactionId)
    refuse('StateConflict', state, 'this payment is not final on chain.', {
      field: 'transactionId',
      transactionId,
    });
  advance(state.phase, 'complete', phaseFacts(state));
  return [
    {
      type: 'keysaga.transfer.completed.v1',
      data: { ...idOf(state), transactionId, confirmations },
    },
  ];
}

/**
 * Throws `PivotPassed` after the pivot, or while its void fills a nonce, until the line is over on chain; `StateConflict`
 * when it has completed.
 */
export function fail(
  state: Transfer,
  failure: FailureInfo,
  voidTransactionId?: string,
): DomainEvent[] {
  if (state.end?.kind === 'failed') return [];
  if (state.end !== null) refuse('StateConflict', state, 'it has completed.');
  if (needsFinality(state) && !lineOver(state))
    refuse('PivotPassed', state, 'it ends when a conflicting transaction is final, not before.');
  if (voidTransactionId !== undefined && state.finality.void?.id !== voidTransactionId)
    refuse('StateConflict', state, 'this void is not final on chain.', {
      field: 'voidTransactionId',
    });
  const events: DomainEvent[] = [];
  if (state.phase !== 'Compensating')
    events.push(
      phaseChanged(state, advance(state.phase, 'compensate', phaseFacts(state)), failure.code),
    );
  events.push({
    type: 'keysaga.transfer.failed.v1',
    data: {
      ...idOf(state),
      failure,
      ...(voidTransactionId === undefined ? {} : { voidTransactionId }),
    },
  });
  return events;
}
