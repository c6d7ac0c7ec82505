/** The `Transfer` aggregate's state, folded from `keysaga.transfer.*` events. JSON, since it is kept in snapshots. */
import type { SignedApproval } from '../../schema/contracts/approval.ts';
import type { DomainEvent, EventData } from '../../schema/contracts/events.ts';
import type { SigningPurpose } from '../../schema/contracts/party.ts';
import { type FailureInfo, TransferPhase } from '../../schema/contracts/saga.ts';
import type {
  BroadcastOutcome,
  SignedTransaction,
  UnsignedTransaction,
} from '../../schema/contracts/transaction.ts';
import type { Fold } from '../ports/ledger.ts';
import { isPayout, type PaymentIntent } from '../ports/payment.ts';
import { advanceSignature, type SignatureState } from './life-cycle.ts';
import type { PhaseFacts } from './machine.ts';

export type Purpose = SigningPurpose;
export type BuiltTransaction = {
  readonly unsigned: UnsignedTransaction;
  readonly fee: string;
  readonly leases: readonly string[];
};
export type Finality = Pick<
  EventData<'keysaga.transfer.finalized.v1'>,
  'id' | 'outcome' | 'confirmations' | 'by'
>;
type PerPurpose<T> = { readonly [P in Purpose]: T };
export type UndoRecord = {
  readonly step: string;
  readonly outcome: string;
  readonly party: string | null;
};

export type Transfer = {
  readonly requestId: string;
  readonly workflowId: string;
  readonly intent: PaymentIntent;
  readonly intentDigest: string;
  readonly policyHash: string;
  readonly phase: TransferPhase;
  readonly signature: SignatureState;
  /** The newest decision of each approver; a rejection is never replaced. */
  readonly decisions: readonly SignedApproval[];
  /** Approvals that a rejection by the same approver replaced: evidence for a void. */
  readonly withdrawn: readonly SignedApproval[];
  readonly built: PerPurpose<BuiltTransaction | null>;
  /** Attempts whose last round was asked for. Not empty: signature shares may be out. */
  readonly pivots: PerPurpose<readonly string[]>;
  readonly signed: PerPurpose<SignedTransaction | null>;
  readonly broadcast: PerPurpose<BroadcastOutcome['status'] | null>;
  readonly confirmations: PerPurpose<number>;
  readonly finality: PerPurpose<Finality | null>;
  /** No lease is taken and no pivot passed once the leases went back. */
  readonly leaseReleased: boolean;
  /** The lease of the nonce that its void must use, since later ones wait for it; no payment of it is ever built again. */
  readonly fillsGap: string | null;
  readonly undos: readonly UndoRecord[];
  readonly end:
    | { readonly kind: 'completed'; readonly transactionId: string; readonly confirmations: number }
    | {
        readonly kind: 'failed';
        readonly failure: FailureInfo;
        readonly voidTransactionId: string | null;
      }
    | null;
};

/** Null before `initiated`. */
export type TransferState = Transfer | null;

const both = <T>(value: T): PerPurpose<T> => ({ payment: value, void: value });

/** How a transfer or a payout begins. */
export type Initiated = Omit<EventData<'keysaga.transfer.initiated.v1'>, 'intent'> & {
  readonly intent: PaymentIntent;
};

/** The first event: of a payout it has a type of its own. */
export function beginning({ intent, ...rest }: Initiated): DomainEvent {
  return isPayout(intent)
    ? { type: 'keysaga.payout.initiated.v1', data: { ...rest, intent } }
    : { type: 'keysaga.transfer.initiated.v1', data: { ...rest, intent } };
}

const initiated = (data: Initiated): Transfer => ({
  requestId: data.requestId,
  workflowId: data.workflowId,
  intent: data.intent,
  intentDigest: data.intentDigest,
  policyHash: data.policyHash,
  phase: 'Initiated',
  signature: 'Ready',
  decisions: [],
  withdrawn: [],
  built: both(null),
  pivots: both([]),
  signed: both(null),
  broadcast: both(null),
  confirmations: both(0),
  finality: both(null),
  leaseReleased: false,
  fillsGap: null,
  undos: [],
  end: null,
});

function changed(state: Transfer, event: DomainEvent): Transfer {
  switch (event.type) {
    case 'keysaga.transfer.decision-recorded.v1': {
      const { signed } = event.data;
      const others = state.decisions.filter(
        (d) => d.approval.approver !== signed.approval.approver,
      );
      const replaced = state.decisions.filter(
        (d) =>
          !others.includes(d) &&
          d.approval.decision === 'approve' &&
          signed.approval.decision === 'reject',
      );
      return {
        ...state,
        decisions: [...others, signed],
        withdrawn: [...state.withdrawn, ...replaced],
      };
    }
    case 'keysaga.transfer.policy-changed.v1':
      return { ...state, policyHash: event.data.policyHash };
    case 'keysaga.transfer.transaction-built.v1': {
      const { purpose, unsigned, fee, leases } = event.data;
      return { ...state, built: { ...state.built, [purpose]: { unsigned, fee, leases } } };
    }
    case 'keysaga.transfer.pivot-passed.v1': {
      const { purpose, attempt } = event.data;
      return {
        ...state,
        pivots: { ...state.pivots, [purpose]: [...state.pivots[purpose], attempt] },
      };
    }
    case 'keysaga.transfer.transaction-signed.v1':
      return { ...state, signed: { ...state.signed, [event.data.purpose]: event.data.signed } };
    case 'keysaga.transfer.broadcast.v1':
      return {
        ...state,
        broadcast: { ...state.broadcast, [event.data.purpose]: event.data.outcome.status },
      };
    case 'keysaga.transfer.confirmed.v1':
      return {
        ...state,
        confirmations: { ...state.confirmations, [event.data.purpose]: event.data.confirmations },
      };
    case 'keysaga.transfer.finalized.v1': {
      const { purpose, requestId: _, ...finality } = event.data;
      return { ...state, finality: { ...state.finality, [purpose]: finality } };
    }
    case 'keysaga.transfer.phase-changed.v1': {
      const phase = TransferPhase.safeParse(event.data.phase);
      return phase.success ? { ...state, phase: phase.data } : state;
    }
    case 'keysaga.transfer.lease-released.v1':
      return { ...state, leaseReleased: true };
    case 'keysaga.transfer.gap-claimed.v1':
      return { ...state, fillsGap: event.data.resource };
    case 'keysaga.transfer.undo-recorded.v1': {
      const { step, outcome, party = null } = event.data;
      const others = state.undos.filter((u) => u.step !== step || u.party !== party);
      return { ...state, undos: [...others, { step, outcome, party }] };
    }
    case 'keysaga.transfer.completed.v1': {
      const { transactionId, confirmations } = event.data;
      return {
        ...state,
        phase: 'Completed',
        end: { kind: 'completed', transactionId, confirmations },
      };
    }
    case 'keysaga.transfer.failed.v1': {
      const { failure, voidTransactionId = null } = event.data;
      return { ...state, phase: 'Failed', end: { kind: 'failed', failure, voidTransactionId } };
    }
    default:
      return state;
  }
}

export const transferFold: Fold<TransferState> = {
  name: 'transfer',
  schemaVersion: 3,
  initial: null,
  apply: (state, event) => {
    const base =
      event.type === 'keysaga.transfer.initiated.v1' || event.type === 'keysaga.payout.initiated.v1'
        ? (state ?? initiated(event.data))
        : state;
    if (base === null) return null;
    return { ...changed(base, event), signature: advanceSignature(base.signature, event) };
  },
};

export const pivotPassed = (state: Transfer): boolean => state.pivots.payment.length > 0;

/** Approvals that were given at any time, also those that were withdrawn: what parties ask for before they sign a void. */
export const everApproved = ({ decisions, withdrawn }: Transfer): readonly SignedApproval[] =>
  [...withdrawn, ...decisions].filter(({ approval }) => approval.decision === 'approve');

/** It ends by what is final on chain and not before: its payment may be out, or other transactions wait for its nonce. */
export const needsFinality = (state: Transfer): boolean =>
  pivotPassed(state) || state.fillsGap !== null;

/**
 * Id of the transaction by which the payment took effect for good; `undefined` while it has not. Whoever holds t
 * shares can finish a payment that the saga never saw signed; then it shows as what took the void's input.
 */
export function finalPayment(state: Transfer): string | undefined {
  const { payment, void: voided } = state.finality;
  if (payment?.outcome === 'included') return payment.id;
  // Without a pivot there was nothing that anybody could have finished.
  if (!pivotPassed(state)) return undefined;
  if (voided?.outcome !== 'conflicted' || voided.by === undefined) return undefined;
  const stored = state.signed.payment;
  return stored === null || stored.id === voided.by ? voided.by : undefined;
}

/** Something final has taken the input or nonce, and it is not the payment: no signature of this line can land any more. */
export function lineOver(state: Transfer): boolean {
  const { payment, void: voided } = state.finality;
  // A void is final also when the payment was never signed here: shares were out, and nobody put them together.
  return (payment !== null || voided !== null) && finalPayment(state) === undefined;
}

/** It is certain that nothing was paid. False for a conflict with a transaction that nobody here stored. */
export function surelyUnpaid(state: Transfer): boolean {
  const { payment, void: voided } = state.finality;
  return (
    !pivotPassed(state) ||
    payment?.outcome === 'failed' ||
    voided?.outcome === 'included' ||
    voided?.outcome === 'failed'
  );
}

export const phaseFacts = (state: Transfer): PhaseFacts => ({
  pivotPassed: pivotPassed(state),
  paymentSigned: state.signed.payment !== null,
  lineOver: lineOver(state),
  paymentFinal: finalPayment(state) !== undefined,
});
