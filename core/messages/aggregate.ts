/**
 * Aggregate of one message to sign: folded from `keysaga.message.*` events, and its commands. As with a transfer: one
 * signature and never another, no end by failure while a signature may come, nothing after the end but an owed undo.
 */
import type { SignedApproval } from '../../schema/contracts/approval.ts';
import { type ErrorCode, KeysagaError } from '../../schema/contracts/errors.ts';
import type { DomainEvent, EventData } from '../../schema/contracts/events.ts';
import type { MessageIntent } from '../../schema/contracts/message.ts';
import type { SignedMessage } from '../../schema/contracts/message-saga.ts';
import type { AttemptId, PartyId, RequestId } from '../../schema/contracts/primitives.ts';
import type { FailureInfo } from '../../schema/contracts/saga.ts';
import type { Fold } from '../ports/ledger.ts';

export type Message = {
  readonly requestId: RequestId;
  readonly workflowId: string;
  readonly intent: MessageIntent;
  readonly intentDigest: string;
  readonly policyHash: string;
  /** The newest decision of each approver. */
  readonly decisions: readonly SignedApproval[];
  /** Attempts whose last round was asked for. */
  readonly pivots: readonly string[];
  readonly signed: SignedMessage | null;
  readonly undos: readonly string[];
  readonly failure: FailureInfo | null;
};
/** Null before `initiated`. */
export type MessageState = Message | null;

function changed(state: Message, event: DomainEvent): Message {
  switch (event.type) {
    case 'keysaga.message.decision-recorded.v1': {
      const { signed } = event.data;
      const others = state.decisions.filter(
        (d) => d.approval.approver !== signed.approval.approver,
      );
      return { ...state, decisions: [...others, signed] };
    }
    case 'keysaga.message.pivot-passed.v1':
      return { ...state, pivots: [...state.pivots, event.data.attempt] };
    case 'keysaga.message.signed.v1':
      return { ...state, signed: event.data.signed };
    case 'keysaga.message.undo-recorded.v1':
      return { ...state, undos: [...state.undos, undoName(event.data)] };
    case 'keysaga.message.failed.v1':
      return { ...state, failure: event.data.failure };
    default:
      return state;
  }
}

export const messageFold: Fold<MessageState> = {
  name: 'message',
  schemaVersion: 1,
  initial: null,
  apply(state, event) {
    if (event.type === 'keysaga.message.initiated.v1')
      return (
        state ?? {
          ...event.data,
          decisions: [],
          pivots: [],
          signed: null,
          undos: [],
          failure: null,
        }
      );
    return state === null ? null : changed(state, event);
  },
};

function refuse(code: ErrorCode, { requestId }: Message, message: string, field?: string): never {
  throw new KeysagaError(code, `Message ${requestId}: ${message}`, {
    requestId,
    ...(field === undefined ? {} : { field }),
  });
}
const ended = ({ signed, failure }: Message): boolean => signed !== null || failure !== null;

type Undo = Omit<EventData<'keysaga.message.undo-recorded.v1'>, 'requestId'>;
const undoName = ({ step, party, outcome }: Undo): string => `${step}/${party ?? ''}/${outcome}`;

/** Each looks at the folded state and answers with the events that follow, none when the work is done already. */
export const decideMessage = {
  /** The message, or `NotFound`. */
  existing(state: MessageState, requestId: string): Message {
    if (state !== null) return state;
    throw new KeysagaError('NotFound', `There is no message ${requestId}.`, {
      field: 'requestId',
      requestId,
    });
  },
  /** Throws `RequestConflict` when the id stands with another intent or workflow. */
  initiate(state: MessageState, data: EventData<'keysaga.message.initiated.v1'>): DomainEvent[] {
    if (state === null) return [{ type: 'keysaga.message.initiated.v1', data }];
    if (state.intentDigest !== data.intentDigest || state.workflowId !== data.workflowId)
      refuse(
        'RequestConflict',
        state,
        'the request id was used with another body.',
        state.intentDigest === data.intentDigest ? 'workflowId' : 'intentDigest',
      );
    return [];
  },
  /** One decision counts per approver, but a rejection may follow an approval. The signature was checked before. */
  recordDecision(state: Message, signed: SignedApproval): DomainEvent[] {
    const { requestId } = state;
    const { approver, decision, intentDigest, validUntil } = signed.approval;
    if (intentDigest !== state.intentDigest)
      refuse('ApprovalInvalid', state, 'the approval is about another intent.', 'intentDigest');
    const before = state.decisions.find((d) => d.approval.approver === approver)?.approval;
    if (ended(state) || before?.decision === 'reject') return [];
    if (before?.decision === decision && validUntil <= before.validUntil) return [];
    return [{ type: 'keysaga.message.decision-recorded.v1', data: { requestId, signed } }];
  },
  /** Throws `PivotRefused` when nothing may be signed any more. */
  passPivot(state: Message, attempt: AttemptId): DomainEvent[] {
    const { requestId } = state;
    if (state.pivots.includes(attempt)) return [];
    if (ended(state)) refuse('PivotRefused', state, 'it has ended.');
    return [{ type: 'keysaga.message.pivot-passed.v1', data: { requestId, attempt } }];
  },
  /** Throws `StateConflict` for an attempt that has not passed the pivot. */
  signed(
    state: Message,
    by: {
      readonly attempt: AttemptId;
      readonly signers: readonly PartyId[];
      readonly signed: SignedMessage;
    },
  ): DomainEvent[] {
    const { requestId } = state;
    if (state.signed !== null) return [];
    if (state.failure !== null) refuse('StateConflict', state, 'it has failed.');
    if (!state.pivots.includes(by.attempt))
      refuse('StateConflict', state, 'the attempt has not passed its pivot.', 'attempt');
    const data = { requestId, attempt: by.attempt, signers: [...by.signers], signed: by.signed };
    return [{ type: 'keysaga.message.signed.v1', data }];
  },
  /**
   * Before the pivot at any time; after it once the intent has expired (`now`, ms), since from then on no party signs. Throws
   * `PivotPassed`.
   */
  fail(state: Message, failure: FailureInfo, now: number): DomainEvent[] {
    const { requestId } = state;
    if (state.failure !== null) return [];
    if (state.signed !== null) refuse('StateConflict', state, 'it is signed.');
    if (state.pivots.length > 0 && now < Date.parse(state.intent.expiresAt))
      refuse('PivotPassed', state, 'a signature may be out, and can still be finished.');
    return [{ type: 'keysaga.message.failed.v1', data: { requestId, failure } }];
  },
  undo(state: Message, undo: Undo): DomainEvent[] {
    if (state.undos.includes(undoName(undo))) return [];
    return [
      { type: 'keysaga.message.undo-recorded.v1', data: { requestId: state.requestId, ...undo } },
    ];
  },
};
