/** State of one transfer saga and everything that watches it: board, search attributes, status query, messages. */
import {
  CancellationScope,
  condition,
  type EventGroupMarker,
  patched,
  setCurrentDetails,
  setHandler,
  sleep,
} from '@temporalio/workflow';
import { isPayout, type PaymentIntent } from '../core/ports/payment.ts';
import { TRANSFER_MACHINE } from '../core/transfer/machine.ts';
import type { PartyReport, Reservation } from '../schema/contracts/activities.ts';
import type { SignedApproval } from '../schema/contracts/approval.ts';
import { KeysagaError } from '../schema/contracts/errors.ts';
import { fromFailure } from '../schema/contracts/failures.ts';
import type { SigningPurpose } from '../schema/contracts/party.ts';
import type { TransferPolicy } from '../schema/contracts/policy-change.ts';
import type { AttemptId } from '../schema/contracts/primitives.ts';
import type { CancelReceipt, FailureInfo, TransferPhase } from '../schema/contracts/saga.ts';
import type { SignedTransaction } from '../schema/contracts/transaction.ts';
import { ApprovalDesk } from './approvals.ts';
import { Background } from './background.ts';
import { type PaymentStatus, transferBoard } from './board.ts';
import { isoNow, PhaseClock } from './clock.ts';
import { cancelUpdate, paymentStatus, policyChangedSignal } from './messages.ts';
import { linesOfSaga, type PaymentInput, whoAsks } from './payout-lines.ts';
import { refreshForStranger } from './policy-watch.ts';
import { BACKOFF_CAPS, backoffMs } from './profiles.ts';
import { Progress } from './progress.ts';
import { Compensations } from './saga.ts';
import { SearchAttributes } from './search-attributes.ts';
import { ledger, PhaseGroups } from './steps.ts';

const approvalsOf = (decisions: readonly SignedApproval[]): readonly SignedApproval[] =>
  decisions.filter(({ approval }) => approval.decision === 'approve');

/** A transfer, or a payout: a list that one transaction pays. */
export class TransferSaga {
  readonly input: PaymentInput;
  readonly intent: PaymentIntent;
  readonly clock = new PhaseClock<TransferPhase>('Initiated');
  readonly progress = new Progress();
  readonly undos = new Compensations(() => this.changed());
  readonly desk: ApprovalDesk;
  /** Decisions on their way to the ledger: awaited before the pivot. */
  readonly recording = new Background();
  /** Everything else beside the path: awaited before the end. */
  readonly background = new Background();
  /** How parties did since the ledger last heard of it. */
  reports: PartyReport[] = [];

  attempt: AttemptId | undefined;
  attempts = 0;
  waitingFor = '';
  pivotPassed = false;
  /** Others wait for the nonce that it would give back: its void uses it, and only then does the saga end. */
  fillsGap = false;
  /** So the ledger said when the reservation was given back. */
  nonceKept = false;
  /** After the pivot: a void is wanted. */
  cancelRequested = false;
  transactionId: string | undefined;
  /** The signed payment, once its bytes are stored. */
  transaction: SignedTransaction | undefined;
  /** The payment was handed to a node, or may have been. */
  sent = false;
  voidTransactionId: string | undefined;
  /** The payment was final on chain before this run began. */
  paid: { readonly transactionId: string; readonly confirmations: number } | undefined;
  confirmations = 0;
  failure: FailureInfo | undefined;
  /** Nothing can change the end any more. */
  ended = false;
  /** How often somebody said that the policy may have changed. */
  policyHints = 0;
  /** How often it was looked at while waiting for a quorum. */
  policyLooks = 0;

  readonly #scope = new CancellationScope();
  readonly #groups = new PhaseGroups();
  readonly #attributes = new SearchAttributes();
  #reservation: Reservation | undefined;
  /** Approvals that an earlier run counted. */
  #earlier: readonly SignedApproval[] = [];
  #interruption: KeysagaError | undefined;
  #phaseTimer: CancellationScope | undefined;
  #overdue = '';
  /** The version changed after the reservation. */
  #recounted = false;

  constructor(input: PaymentInput) {
    this.input = input;
    this.intent = input.intent;
    const stranger = refreshForStranger();
    this.desk = new ApprovalDesk(input.intentDigest, {
      accepted: (signed) => {
        const { approver, decision } = signed.approval;
        this.recording.start(() =>
          ledger('ledger', `record: ${approver} ${decision}s`, this.group()).recordDecision({
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
        if (this.pivotPassed && !this.desk.quorumReached && !this.ended) return;
        if (this.pivotPassed)
          throw new KeysagaError('PivotPassed', 'The signature may be out: decisions are closed.');
        if (this.ended || this.#interruption !== undefined)
          throw new KeysagaError('StateConflict', `The transfer is ${this.clock.phase}.`, {
            state: this.clock.phase,
          });
      },
      stranger: () => stranger(this),
      receipt: ({ approved, missing }) => ({
        approved: approved.length,
        quorum: this.quorum,
        missing,
        phase: this.clock.phase,
      }),
    });
    setHandler(paymentStatus, () => this.status());
    setHandler(policyChangedSignal, () => {
      this.policyHints += 1;
    });
    setHandler(cancelUpdate, () => this.requestCancel());
    this.#attributes.update({
      wallet: this.intent.walletId,
      chain: this.intent.chain,
      phase: 'Initiated',
    });
    this.changed();
  }

  get reservation(): Reservation {
    if (this.#reservation === undefined)
      throw new KeysagaError('StateConflict', 'The transfer has no reservation yet.');
    return this.#reservation;
  }
  set reservation(reservation: Reservation) {
    this.#reservation = reservation;
    this.desk.policy = reservation.policy.policy;
    this.#attributes.update({ protocol: reservation.key.protocol });
  }
  /**
   * Takes the version in force; true when it is another than before. Answers may overtake each other, and no version
   * follows an older one. Whoever the new version names and has rejected already ends the transfer.
   */
  adoptPolicy({ signed, policyHash }: TransferPolicy): boolean {
    const { reservation } = this;
    if (
      policyHash === reservation.policyHash ||
      signed.policy.version <= reservation.policy.policy.version
    )
      return false;
    this.#recounted = true;
    this.reservation = { ...reservation, policy: signed, policyHash };
    const [by] = this.desk.count().rejected;
    if (by !== undefined)
      this.interrupt(new KeysagaError('IntentRejected', `Rejected by ${by}.`, { approver: by }));
    this.changed();
    return true;
  }
  /**
   * A reset forgot what the ledger did not: the pivot, after which nothing is undone, the signed payment, and the decisions
   * that have expired since, without which no party signs a void.
   */
  recall(): void {
    if (this.reservation.fillsGap === true) this.fill(this.reservation.earlier?.decisions ?? []);
    if (!this.reservation.pivotPassed) return;
    this.pivotPassed = true;
    this.undos.dismissAll();
    const { earlier } = this.reservation;
    if (earlier === undefined || !patched('recall-payment')) return;
    this.#earlier = approvalsOf(earlier.decisions);
    this.paid = earlier.paid;
    this.sent = earlier.sent;
    this.transaction = earlier.signed;
    this.transactionId = earlier.signed?.id;
    this.changed();
  }
  /** The ledger has kept its nonce for a void. `decisions`: what the ledger knows, also of a run before a reset. */
  fill(decisions: readonly SignedApproval[]): void {
    this.fillsGap = true;
    this.#earlier = approvalsOf(decisions);
    this.changed();
  }
  /** Past the pivot, or with a nonce to fill. */
  get onlyForward(): boolean {
    return this.pivotPassed || this.fillsGap;
  }
  /** What parties are shown. For a void they ask for approvals that counted once. */
  approvalsFor(purpose: SigningPurpose): SignedApproval[] {
    const own = this.desk.approvals;
    if (purpose === 'payment') return own;
    const known = new Set(own.map(({ signature }) => signature));
    return [...own, ...this.#earlier.filter(({ signature }) => !known.has(signature))];
  }
  get quorum(): number {
    return this.#reservation?.policy.policy.quorum ?? 0;
  }
  get missing(): string[] {
    return this.desk.count().missing;
  }
  group(): EventGroupMarker {
    return this.#groups.of(this.clock.phase);
  }

  enter(phase: TransferPhase, waitingFor = ''): void {
    this.waitingFor = waitingFor;
    if (this.clock.enter(phase)) this.#limit(phase);
    this.changed();
  }
  /** A phase that lasts longer than it should says so; that ends nothing. Its timer costs a task only when it fires. */
  #limit(phase: TransferPhase): void {
    this.#phaseTimer?.cancel();
    this.#phaseTimer = undefined;
    this.#overdue = '';
    const seconds = TRANSFER_MACHINE.limits?.[phase];
    if (seconds === undefined || !patched('phase-limits')) return;
    this.#phaseTimer = new CancellationScope();
    this.#phaseTimer
      .run(async () => {
        await sleep(seconds * 1_000, { summary: `${phase}: time limit` });
        this.#overdue = `ALERT: ${phase} for longer than ${seconds} s`;
        this.changed();
      })
      .catch(() => undefined);
  }
  wait(waitingFor: string): void {
    this.waitingFor = waitingFor;
    this.changed();
  }
  /** Appends the phase to the ledger beside the path; phases that other events imply are not repeated there. */
  recordPhase(reason?: string): void {
    const { phase } = this.clock;
    this.background.start(() =>
      ledger('ledger', `record: ${phase}`, this.group()).recordPhase({
        requestId: this.intent.requestId,
        phase,
        ...(reason === undefined ? {} : { reason }),
        ...whoAsks(this.intent),
      }),
    );
  }

  changed(): void {
    const awaited = this.clock.phase === 'AwaitingApprovals' ? this.missing : [];
    this.#attributes.update({ phase: this.clock.phase, approvers: awaited });
    setCurrentDetails(transferBoard(this.status()));
  }

  status(): PaymentStatus {
    return {
      phase: this.clock.phase,
      intent: this.intent,
      ...(isPayout(this.intent) ? { lines: linesOfSaga(this) } : {}),
      intentDigest: this.input.intentDigest,
      quorum: this.quorum,
      approvals: [...this.desk.decisions],
      missing: this.missing,
      ...(this.#reservation === undefined
        ? {}
        : {
            policy: {
              policyId: this.#reservation.policy.policy.policyId,
              version: this.#reservation.policy.policy.version,
              policyHash: this.#reservation.policyHash,
              recounted: this.#recounted,
            },
          }),
      refusedMessages: this.desk.refused,
      ...(this.attempt === undefined ? {} : { attempt: this.attempt }),
      attempts: this.attempts,
      parties: this.progress.rows,
      waitingFor: [this.#overdue, this.waitingFor].filter((part) => part !== '').join('; '),
      pivotPassed: this.pivotPassed,
      ...(this.transactionId === undefined ? {} : { transactionId: this.transactionId }),
      ...(this.transaction === undefined ? {} : { transaction: this.transaction }),
      ...(this.voidTransactionId === undefined
        ? {}
        : { voidTransactionId: this.voidTransactionId }),
      confirmations: this.confirmations,
      cancelRequested: this.cancelRequested,
      undos: this.undos.status,
      ...(this.failure === undefined ? {} : { failure: this.failure }),
      phasesMs: this.clock.spentMs,
    };
  }

  /** Before the pivot the reason ends the saga; after it nothing does but a final transaction. */
  interrupt(reason: KeysagaError): void {
    if (this.onlyForward || this.ended || this.#interruption !== undefined) return;
    this.#interruption = reason;
    this.#scope.cancel();
  }
  get interrupted(): boolean {
    return this.#interruption !== undefined && !this.onlyForward;
  }
  throwIfInterrupted(): void {
    if (this.#interruption !== undefined && !this.onlyForward) throw this.#interruption;
  }

  requestCancel(): CancelReceipt {
    if (this.ended)
      return { accepted: false, path: 'too-late', message: `The transfer is ${this.clock.phase}.` };
    this.cancelRequested = true;
    if (!this.pivotPassed) {
      this.interrupt(new KeysagaError('Cancelled', 'Cancelled on request.'));
      this.changed();
      return {
        accepted: true,
        path: 'compensate',
        message: 'Nothing was signed; the steps are undone.',
      };
    }
    this.changed();
    return {
      accepted: true,
      path: 'void',
      message:
        'A signature may be out: a void transaction is made and waited for; the payment may still win.',
    };
  }

  /** A step: before the pivot an interruption cancels it, and is what it then throws; after it, nothing does. */
  async run<T>(step: () => Promise<T>): Promise<T> {
    if (this.onlyForward) return step();
    this.throwIfInterrupted();
    try {
      return await this.#scope.run(step);
    } catch (error) {
      if (fromFailure(error).code === 'Cancelled') this.throwIfInterrupted();
      throw error;
    }
  }

  /** Waits for `met` or the time; an interruption ends it with its reason. Undefined milliseconds: no limit. */
  async until(
    met: () => boolean,
    milliseconds: number | undefined,
    summary: string,
  ): Promise<boolean> {
    const awake = (): boolean => met() || this.interrupted;
    if (milliseconds === undefined) await condition(awake);
    else if (milliseconds > 0) await condition(awake, milliseconds, { summary });
    this.throwIfInterrupted();
    return met();
  }

  /** For what must succeed however long it takes: failures are shown and it is tried again, more slowly each time. */
  async insist<T>(
    what: string,
    step: () => Promise<T>,
    giveUp: () => boolean = () => false,
  ): Promise<T> {
    for (let wave = 1; ; wave++) {
      try {
        const result = await step();
        if (wave > 1) this.wait('');
        return result;
      } catch (error) {
        const failure = fromFailure(error, { timeout: 'ChainUnavailable' });
        if (giveUp()) throw failure;
        this.wait(`ALERT: ${what} failed ${wave} times (${failure.code}: ${failure.message})`);
        await condition(giveUp, backoffMs(wave, BACKOFF_CAPS.afterPivot), {
          summary: `${what} failed (${failure.code}), tried again`,
        });
        if (giveUp()) throw failure;
      }
    }
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
