/**
 * The desk where approvals arrive. A saga verifies each one itself, so that neither Temporal nor an operator can
 * make one up; what does not verify is answered (update) or shown (signal), and never fails a task.
 */
import {
  CancellationScope,
  condition,
  setDefaultSignalHandler,
  setHandler,
} from '@temporalio/workflow';
import {
  type Count,
  checkApproval,
  countApprovals,
  earliestStart,
  parseSignedApproval,
} from '../core/approvals.ts';
import { type VerifySignature, verifyEd25519, verifySigned } from '../core/signed.ts';
import type { Decision, SignedApproval } from '../schema/contracts/approval.ts';
import { isKeysagaError, KeysagaError } from '../schema/contracts/errors.ts';
import { fromFailure, toApplicationFailure } from '../schema/contracts/failures.ts';
import type { Policy } from '../schema/contracts/policy.ts';
import type { ApprovalReceipt, TransferStatus } from '../schema/contracts/saga.ts';
import { isoNow } from './clock.ts';
import { approveSignal, approveUpdate, rejectSignal, rejectUpdate } from './messages.ts';
import { APPROVAL_HORIZON_MS } from './profiles.ts';

type Refused = TransferStatus['refusedMessages'][number];

export type DeskHooks = {
  /** A decision that counts came in. */
  accepted(signed: SignedApproval): void;
  /** Something to show changed. */
  changed(): void;
  /** Somebody decided whom the policy at hand does not name: it may have changed. Never rejects. */
  stranger(): Promise<void>;
  /** Throws when no decision may come in any more. */
  open(): void;
  receipt(count: Count): ApprovalReceipt;
};

/** A count, and all that it depends on. */
type Counted = {
  readonly now: number;
  readonly policy: Policy;
  readonly decisions: number;
  readonly count: Count;
};

/** Decisions of strangers that are kept until a version names them. A flood pushes out the oldest. */
const STRANGERS_KEPT = 32;
/** Said of whom the policy does not name, or names with another key. */
const isStranger = (error: unknown): boolean =>
  isKeysagaError(error, 'ApproverUnknown') ||
  (isKeysagaError(error, 'ApprovalInvalid') && error.details.field === 'publicKey');

/** Each signature is verified once: counting again costs nothing. */
function remembering(verify: VerifySignature): VerifySignature {
  const known = new Map<string, boolean>();
  return (publicKey, message, signature) => {
    const name = `${publicKey.join()}|${signature.join()}|${message.join()}`;
    const answer = known.get(name) ?? verify(publicKey, message, signature);
    known.set(name, answer);
    return answer;
  };
}

export class ApprovalDesk {
  readonly #intentDigest: string;
  readonly #hooks: DeskHooks;
  readonly #verify = remembering(verifyEd25519);
  readonly #decisions: SignedApproval[] = [];
  readonly #refused: Refused[] = [];
  readonly #strangers: SignedApproval[] = [];
  #policy: Policy | undefined;
  #counted: Counted | undefined;
  #closed = false;

  constructor(intentDigest: string, hooks: DeskHooks) {
    this.#intentDigest = intentDigest;
    this.#hooks = hooks;
    setHandler(approveSignal, (raw) => this.#signal('approve', raw));
    setHandler(rejectSignal, (raw) => this.#signal('reject', raw));
    setHandler(approveUpdate, (raw) => this.#update('approve', raw), {
      validator: (raw) => this.#validate('approve', raw),
    });
    setHandler(rejectUpdate, (raw) => this.#update('reject', raw), {
      validator: (raw) => this.#validate('reject', raw),
    });
    setDefaultSignalHandler((name) =>
      this.#refuse(
        new KeysagaError('InvalidInput', `No such signal: ${String(name).slice(0, 50)}`, {
          field: 'signal',
        }),
      ),
    );
  }

  /**
   * Known once the wallet is reserved; messages that came earlier are judged then. With another version the decisions of
   * those whom only it names begin to count.
   */
  set policy(policy: Policy) {
    this.#policy = policy;
    for (const signed of this.#strangers.splice(0)) {
      try {
        this.#judge(signed, policy);
        this.#take(signed);
      } catch (error) {
        if (isStranger(error)) this.#strangers.push(signed);
      }
    }
  }
  /** The saga ends: messages that still wait for the policy are answered. */
  close(): void {
    this.#closed = true;
  }
  async #policyKnown(): Promise<Policy> {
    if (this.#policy === undefined)
      await CancellationScope.nonCancellable(() =>
        condition(() => this.#policy !== undefined || this.#closed),
      );
    if (this.#policy === undefined)
      throw new KeysagaError('StateConflict', 'The transfer ended before it was reserved.');
    return this.#policy;
  }
  get decisions(): readonly SignedApproval[] {
    return this.#decisions;
  }
  get approvals(): SignedApproval[] {
    return this.#decisions.filter(({ approval }) => approval.decision === 'approve');
  }
  get refused(): Refused[] {
    return [...this.#refused];
  }
  get rejection(): SignedApproval | undefined {
    return this.#decisions.find(({ approval }) => approval.decision === 'reject');
  }

  #input(policy: Policy) {
    return {
      approvals: this.#decisions,
      intentDigest: this.#intentDigest,
      policy,
      now: Date.now(),
      horizonMs: APPROVAL_HORIZON_MS,
      verify: this.#verify,
    };
  }
  /** Who counts now. Before the policy is known: nobody. */
  count(): Count {
    if (this.#policy === undefined) return { approved: [], rejected: [], missing: [], invalid: [] };
    const input = this.#input(this.#policy);
    const known = this.#counted;
    // The board asks at every change, and time stands still within a task.
    if (
      known?.now !== input.now ||
      known.policy !== input.policy ||
      known.decisions !== input.approvals.length
    )
      this.#counted = {
        now: input.now,
        policy: input.policy,
        decisions: input.approvals.length,
        count: countApprovals(input),
      };
    return (this.#counted as Counted).count;
  }
  get quorumReached(): boolean {
    const policy = this.#policy;
    if (policy === undefined) return false;
    const { approved, rejected } = this.count();
    return rejected.length === 0 && approved.length >= policy.quorum;
  }
  /** Milliseconds since the epoch at which the policy's start delay is over. Only with a quorum. */
  startsAt(policy: Policy): number {
    return earliestStart(this.#input(policy));
  }

  /** The decision, if it may count. Throws the reason otherwise. */
  #read(expected: Decision, raw: unknown): SignedApproval {
    const signed = parseSignedApproval(raw);
    if (signed.approval.decision !== expected)
      throw new KeysagaError('ApprovalInvalid', `This is no ${expected}.`, { field: 'decision' });
    return signed;
  }
  #judge(signed: SignedApproval, policy: Policy): void {
    this.#hooks.open();
    checkApproval({
      signed,
      intentDigest: this.#intentDigest,
      policy,
      now: Date.now(),
      verify: this.#verify,
    });
    const { approver, decision } = signed.approval;
    // What was signed with a key that the version no longer names is no decision any more.
    const earlier = this.#decisions.filter(
      (other) => other.approval.approver === approver && other.publicKey === signed.publicKey,
    );
    // An approval that ran out may be renewed, and an approver may turn from yes to no, never back.
    const renewed =
      decision === 'approve' &&
      earlier.every(
        (other) =>
          other.approval.decision === 'approve' &&
          Date.parse(other.approval.validUntil) <= Date.now() + APPROVAL_HORIZON_MS,
      );
    const turned = decision === 'reject' && !earlier.some((o) => o.approval.decision === 'reject');
    if (earlier.length > 0 && !renewed && !turned)
      throw new KeysagaError('ApprovalDuplicate', `${approver} has already decided.`, { approver });
  }
  #take(signed: SignedApproval): void {
    this.#decisions.push(signed);
    this.#hooks.accepted(signed);
  }

  /**
   * Takes the decision, or keeps a stranger's until a version of the policy names them, and throws why. Answers with the
   * count right after it: of two that come in one task, each sees its own.
   */
  async #admit(signed: SignedApproval): Promise<Count> {
    try {
      this.#judge(signed, this.#policy as Policy);
    } catch (error) {
      if (!isStranger(error)) throw error;
      await this.#hooks.stranger();
      try {
        this.#judge(signed, this.#policy as Policy);
      } catch (still) {
        if (isStranger(still)) this.#keep(signed);
        throw still;
      }
    }
    this.#take(signed);
    return this.count();
  }
  /** Only what its own key signed about this very intent. */
  #keep(signed: SignedApproval): void {
    const { approval, publicKey, signature } = signed;
    const known = this.#strangers.some((other) => other.signature === signature);
    if (known || approval.intentDigest !== this.#intentDigest) return;
    if (!verifySigned('approval', approval, publicKey, signature, this.#verify)) return;
    this.#strangers.push(signed);
    if (this.#strangers.length > STRANGERS_KEPT) this.#strangers.shift();
  }

  async #signal(expected: Decision, raw: unknown): Promise<void> {
    try {
      const signed = this.#read(expected, raw);
      await this.#policyKnown();
      await this.#admit(signed);
    } catch (error) {
      this.#refuse(fromFailure(error));
    }
  }

  /** Runs before the update enters the history; what it throws is the answer. */
  #validate(expected: Decision, raw: unknown): void {
    try {
      const signed = this.#read(expected, raw);
      this.#hooks.open();
      if (this.#policy !== undefined) this.#judge(signed, this.#policy);
    } catch (error) {
      // The policy may have changed: asked in the handler, where questions may be asked.
      if (isStranger(error)) return;
      throw toApplicationFailure(fromFailure(error), { forWorkflow: true });
    }
  }
  async #update(expected: Decision, raw: unknown): Promise<ApprovalReceipt> {
    try {
      const signed = this.#read(expected, raw);
      if (this.#policy === undefined) await condition(() => this.#policy !== undefined);
      // Again, since another message may have come in between, and a replay runs no validators.
      return this.#hooks.receipt(await this.#admit(signed));
    } catch (error) {
      throw toApplicationFailure(fromFailure(error), { forWorkflow: true });
    }
  }

  #refuse(error: KeysagaError): void {
    this.#refused.push({ at: isoNow(), code: error.code, message: error.message.slice(0, 200) });
    if (this.#refused.length > 10) this.#refused.shift();
    this.#hooks.changed();
  }
}
