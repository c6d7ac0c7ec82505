/** What the sagas take, tell and answer: inputs, the status query, the approve/reject update. */
import * as z from 'zod';
import { SignedApproval } from './approval.ts';
import { AnchorRequest, LeasedAnchor, TransferIntent } from './intent.ts';
import { GenerateKeyRequest, KeyDescriptor, SignedCertificate } from './key.ts';
import { AttemptId, Hex32, IsoTime, PartyId, PolicyId } from './primitives.ts';
import { SignedTransaction } from './transaction.ts';

/** R7's states plus the waits a person sees. */
export const TransferPhase = z.enum([
  'Initiated',
  'AwaitingApprovals',
  'Preparing',
  'Signing',
  'Broadcasting',
  'Confirming',
  'Voiding',
  'Completed',
  'Compensating',
  'Failed',
]);
export type TransferPhase = z.infer<typeof TransferPhase>;

/**
 * Time limits in seconds, all optional; the defaults stand in `core/transfer/limits.ts`.
 * `waitForParties`: how long a saga below threshold waits before its pivot until it compensates.
 */
export const SagaLimits = z.strictObject({
  waitForParties: z.int().min(1).max(604_800).exactOptional(),
  prepare: z.int().min(1).max(600).exactOptional(),
  round: z.int().min(1).max(600).exactOptional(),
});
export type SagaLimits = z.infer<typeof SagaLimits>;

export const TransferInput = z.strictObject({
  intent: TransferIntent,
  intentDigest: Hex32,
  limits: SagaLimits.exactOptional(),
});
export type TransferInput = z.infer<typeof TransferInput>;

export const AnchorInput = z.strictObject({ request: AnchorRequest });
export type AnchorInput = z.infer<typeof AnchorInput>;

/** `Held` until the transfer has taken it, or it was given back: at `until`, on request, or because no lease was had. */
export const AnchorPhase = z.enum(['Leasing', 'Held', 'Taken', 'GivenBack', 'Failed']);
export type AnchorPhase = z.infer<typeof AnchorPhase>;
/** Result of the anchor's workflow, also of one that gave the anchor back. */
export const AnchorOutcome = z.strictObject({
  outcome: z.enum(['taken', 'given-back']),
  leased: LeasedAnchor,
});
export type AnchorOutcome = z.infer<typeof AnchorOutcome>;

export const GenerateKeyInput = z.strictObject({
  request: GenerateKeyRequest,
  limits: SagaLimits.exactOptional(),
});
export type GenerateKeyInput = z.infer<typeof GenerateKeyInput>;

/** Failure as it stands on the board, in results and in the ledger. */
export const FailureInfo = z.strictObject({
  code: z.string(),
  message: z.string(),
  party: PartyId.exactOptional(),
  field: z.string().exactOptional(),
  at: IsoTime,
});
export type FailureInfo = z.infer<typeof FailureInfo>;

/** One undo as the board shows it. `owed`: a party did not take it in its limit; it is delivered on its return. */
export const UndoStatus = z.strictObject({
  step: z.string(),
  state: z.enum(['registered', 'running', 'done', 'owed', 'not-needed']),
  tries: z.int(),
  lastError: z.string().exactOptional(),
});
export type UndoStatus = z.infer<typeof UndoStatus>;

export const PartyProgress = z.strictObject({
  party: PartyId,
  /** Per step `prepare`, `round 1` …: waiting, done, failed. `lagMs`: how long after the step's first answer this one came. */
  steps: z.array(
    z.strictObject({
      name: z.string(),
      state: z.enum(['waiting', 'done', 'failed']),
      lagMs: z.int().nonnegative().exactOptional(),
    }),
  ),
});
export type PartyProgress = z.infer<typeof PartyProgress>;

/** Answer of the `status` query. */
export const TransferStatus = z.strictObject({
  phase: TransferPhase,
  intent: TransferIntent,
  intentDigest: Hex32,
  quorum: z.int(),
  approvals: z.array(SignedApproval),
  missing: z.array(z.string()),
  /** Under which the approvals are counted. `recounted`: it changed after the transfer had begun. */
  policy: z
    .strictObject({
      policyId: PolicyId,
      version: z.int(),
      policyHash: Hex32,
      recounted: z.boolean(),
    })
    .exactOptional(),
  /** Signals that could not be counted, newest last, at most ten. */
  refusedMessages: z.array(z.strictObject({ at: IsoTime, code: z.string(), message: z.string() })),
  attempt: AttemptId.exactOptional(),
  attempts: z.int(),
  parties: z.array(PartyProgress),
  waitingFor: z.string(),
  pivotPassed: z.boolean(),
  transactionId: z.string().exactOptional(),
  voidTransactionId: z.string().exactOptional(),
  /** The signed payment, from the moment its bytes are stored: anyone may verify them, or send them again. */
  transaction: SignedTransaction.exactOptional(),
  confirmations: z.int(),
  cancelRequested: z.boolean(),
  undos: z.array(UndoStatus),
  failure: FailureInfo.exactOptional(),
  /** Milliseconds spent in each phase that has ended. */
  phasesMs: z.record(z.string(), z.int()),
});
export type TransferStatus = z.infer<typeof TransferStatus>;

/** Result of a transfer workflow that completed. A failed or voided one fails the workflow with the typed code. */
export const TransferResult = z.strictObject({
  transactionId: z.string(),
  confirmations: z.int(),
  phasesMs: z.record(z.string(), z.int()),
});
export type TransferResult = z.infer<typeof TransferResult>;

export const KeygenPhase = z.enum([
  'Reserving',
  'Preparing',
  'Rounds',
  'Certifying',
  'Activating',
  'Provisioning',
  'Active',
  'Compensating',
  'Failed',
]);
export type KeygenPhase = z.infer<typeof KeygenPhase>;

export const KeygenStatus = z.strictObject({
  phase: KeygenPhase,
  request: GenerateKeyRequest,
  attempt: AttemptId.exactOptional(),
  parties: z.array(PartyProgress),
  certificates: z.int(),
  activated: z.array(PartyId),
  waitingFor: z.string(),
  address: z.string().exactOptional(),
  undos: z.array(UndoStatus),
  failure: FailureInfo.exactOptional(),
  phasesMs: z.record(z.string(), z.int()),
});
export type KeygenStatus = z.infer<typeof KeygenStatus>;

/**
 * Result of a key generation that succeeded. A client shows the address only after it has checked the n certificates
 * against the party keys that it pins, and derived the address from the public key by itself.
 */
export const KeygenOutcome = z.strictObject({
  key: KeyDescriptor,
  certificates: z.array(SignedCertificate),
  /** Parties whose share was active when the saga ended; at least `key.threshold`. */
  activated: z.array(PartyId),
});
export type KeygenOutcome = z.infer<typeof KeygenOutcome>;

/** The `approve`/`reject` update's answer. */
export const ApprovalReceipt = z.strictObject({
  approved: z.int(),
  quorum: z.int(),
  missing: z.array(z.string()),
  phase: TransferPhase,
});
export type ApprovalReceipt = z.infer<typeof ApprovalReceipt>;

/** Answer of the `cancelTransfer` update: `void` says that a conflicting transaction is under way and is waited for. */
export const CancelReceipt = z.strictObject({
  accepted: z.boolean(),
  path: z.enum(['compensate', 'void', 'too-late']),
  message: z.string(),
});
export type CancelReceipt = z.infer<typeof CancelReceipt>;
