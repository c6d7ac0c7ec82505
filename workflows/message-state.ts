/** State of one saga that signs a message, and everything that watches it: board, search attributes, status, decisions. */
import {
  CancellationScope,
  condition,
  type EventGroupMarker,
  setCurrentDetails,
  setHandler,
} from '@temporalio/workflow';
import type { PartyReport, Reservation } from '../schema/contracts/activities.ts';
import { KeysagaError } from '../schema/contracts/errors.ts';
import { fromFailure } from '../schema/contracts/failures.ts';
import type { MessageIntent } from '../schema/contracts/message.ts';
import type {
  MessageInput,
  MessagePhase,
  MessageStatus,
  SignedMessage,
} from '../schema/contracts/message-saga.ts';
import type { AttemptId } from '../schema/contracts/primitives.ts';
import type { CancelReceipt, FailureInfo } from '../schema/contracts/saga.ts';
import { ApprovalDesk } from './approvals.ts';
import type { SigningHost } from './attempts.ts';
import { Background } from './background.ts';
import { messageBoard } from './board.ts';
import { isoNow, PhaseClock } from './clock.ts';
import { cancelUpdate, messageStatus } from './messages.ts';
import { Progress } from './progress.ts';
import { Compensations } from './saga.ts';
import { SearchAttributes } from './search-attributes.ts';
import { ledger, PhaseGroups } from './steps.ts';

export class MessageSaga implements SigningHost {
  readonly input: MessageInput;
  readonly intent: MessageIntent;
  readonly clock = new PhaseClock<MessagePhase>('Initiated');
  readonly progress = new Progress();
  readonly undos = new Compensations(() => this.changed());
  readonly desk: ApprovalDesk;
  /** Decisions on their way to the ledger: awaited before the pivot. */
  readonly recording = new Background();
  readonly background = new Background();
  reports: PartyReport[] = [];
  attempt: AttemptId | undefined;
  attempts = 0;
  waitingFor = '';
  pivotPassed = false;
  get onlyForward(): boolean {
    return this.pivotPassed;
  }
  cancelRequested = false;
  signed: SignedMessage | undefined;
  failure: FailureInfo | undefined;
  ended = false;
  /** A message is signed under the version it was reserved with, or not at all. */
  readonly policyHints = 0;

  readonly #scope = new CancellationScope();
  readonly #groups = new PhaseGroups();
  readonly #attributes = new SearchAttributes();
  #reservation: Reservation | undefined;
  #interruption: KeysagaError | undefined;

  constructor(input: MessageInput) {
    this.input = input;
    this.intent = input.intent;
    this.desk = new ApprovalDesk(input.intentDigest, {
      accepted: (signed) => {
        const { approver, decision } = signed.approval;
        this.recording.start(() =>
          ledger('ledger', `record: ${approver} ${decision}s`, this.group()).recordMessageDecision({
            requestId: this.intent.requestId,
            signed,
          }),
        );
        if (decision === 'reject')
          this.interrupt(
            new KeysagaError('IntentRejected', `Rejected by ${approver}.`, { approver }),
          );
        this.changed();
      },
      changed: () => this.changed(),
      open: () => {
        // A reset forgot the decisions, the ledger did not forget the pivot: they are given again.
        if (this.pivotPassed && !this.desk.quorumReached && !this.ended) return;
        if (this.pivotPassed)
          throw new KeysagaError('PivotPassed', 'The signature may be out: decisions are closed.');
        if (this.ended || this.#interruption !== undefined)
          throw new KeysagaError('StateConflict', `The message is ${this.clock.phase}.`, {
            state: this.clock.phase,
          });
      },
      stranger: async () => undefined,
      receipt: ({ approved, missing }) => ({
        approved: approved.length,
        quorum: this.quorum,
        missing,
        phase: this.clock.phase,
      }),
    });
    setHandler(messageStatus, () => this.status());
    setHandler(cancelUpdate, () => this.requestCancel());
    const { walletId: wallet, chain } = this.intent;
    this.#attributes.update({ wallet, chain, phase: 'Initiated' });
    this.changed();
  }

  get reservation(): Reservation {
    if (this.#reservation === undefined)
      throw new KeysagaError('StateConflict', 'The message has no reservation yet.');
    return this.#reservation;
  }
  set reservation(reservation: Reservation) {
    this.#reservation = reservation;
    this.desk.policy = reservation.policy.policy;
    this.#attributes.update({ protocol: reservation.key.protocol });
  }
  get quorum(): number {
    return this.#reservation?.policy.policy.quorum ?? 0;
  }
  group(): EventGroupMarker {
    return this.#groups.of(this.clock.phase);
  }
  enter(phase: MessagePhase, waitingFor = ''): void {
    this.waitingFor = waitingFor;
    this.clock.enter(phase);
    this.changed();
  }
  wait(waitingFor: string): void {
    this.waitingFor = waitingFor;
    this.changed();
  }
  changed(): void {
    const { phase } = this.clock;
    const approvers = phase === 'AwaitingApprovals' ? this.desk.count().missing : [];
    this.#attributes.update({ phase, approvers });
    setCurrentDetails(messageBoard(this.status()));
  }

  status(): MessageStatus {
    return {
      phase: this.clock.phase,
      intent: this.intent,
      intentDigest: this.input.intentDigest,
      quorum: this.quorum,
      approvals: [...this.desk.decisions],
      missing: this.desk.count().missing,
      refusedMessages: this.desk.refused,
      ...(this.attempt === undefined ? {} : { attempt: this.attempt }),
      attempts: this.attempts,
      parties: this.progress.rows,
      waitingFor: this.waitingFor,
      pivotPassed: this.pivotPassed,
      ...(this.signed === undefined ? {} : { signed: this.signed }),
      cancelRequested: this.cancelRequested,
      undos: this.undos.status,
      ...(this.failure === undefined ? {} : { failure: this.failure }),
      phasesMs: this.clock.spentMs,
    };
  }

  /** Before the pivot the reason ends the saga; after it nothing does but the signature or the intent's end. */
  interrupt(reason: KeysagaError): void {
    if (this.pivotPassed || this.ended || this.#interruption !== undefined) return;
    this.#interruption = reason;
    this.#scope.cancel();
  }
  throwIfInterrupted(): void {
    if (this.#interruption !== undefined && !this.pivotPassed) throw this.#interruption;
  }
  requestCancel(): CancelReceipt {
    if (this.ended || this.pivotPassed) {
      const message = this.ended
        ? `The message is ${this.clock.phase}.`
        : 'A signature may be out, and nothing can make it worthless.';
      return { accepted: false, path: 'too-late', message };
    }
    this.cancelRequested = true;
    this.interrupt(new KeysagaError('Cancelled', 'Cancelled on request.'));
    this.changed();
    return {
      accepted: true,
      path: 'compensate',
      message: 'Nothing was signed; the steps are undone.',
    };
  }

  /** A step: before the pivot an interruption cancels it, and is what it then throws; after it, nothing does. */
  async run<T>(step: () => Promise<T>): Promise<T> {
    if (this.pivotPassed) return step();
    this.throwIfInterrupted();
    try {
      return await this.#scope.run(step);
    } catch (error) {
      if (fromFailure(error).code === 'Cancelled') this.throwIfInterrupted();
      throw error;
    }
  }
  /** Waits for `met` or the time; an interruption ends it with its reason. */
  async until(
    met: () => boolean,
    milliseconds: number | undefined,
    summary: string,
  ): Promise<boolean> {
    const awake = (): boolean => met() || (this.#interruption !== undefined && !this.pivotPassed);
    if (milliseconds === undefined) await condition(awake);
    else if (milliseconds > 0) await condition(awake, milliseconds, { summary });
    this.throwIfInterrupted();
    return met();
  }

  failed(error: KeysagaError): FailureInfo {
    const { party, field } = error.details;
    this.failure = {
      code: error.code,
      message: error.message.slice(0, 500),
      ...(typeof party === 'string' ? { party: party as NonNullable<FailureInfo['party']> } : {}),
      ...(field === undefined ? {} : { field }),
      at: isoNow(),
    };
    this.changed();
    return this.failure;
  }
}
