/** What the saga that signs a message takes, tells and answers. */
import * as z from 'zod';
import { SignedApproval } from './approval.ts';
import { MessageIntent } from './message.ts';
import { AttemptId, Hex32 } from './primitives.ts';
import {
  FailureInfo,
  PartyProgress,
  SagaLimits,
  TransferPhase,
  TransferStatus,
  UndoStatus,
} from './saga.ts';

export const MessageInput = z.strictObject({
  intent: MessageIntent,
  intentDigest: Hex32,
  limits: SagaLimits.exactOptional(),
});
export type MessageInput = z.infer<typeof MessageInput>;

/** A transfer's phases without those that a chain brings. */
export const MessagePhase = TransferPhase.extract([
  'Initiated',
  'AwaitingApprovals',
  'Preparing',
  'Signing',
  'Completed',
  'Compensating',
  'Failed',
]);
export type MessagePhase = z.infer<typeof MessagePhase>;

/** The signature of a message: `digest` is what was signed, hex; `signature` as verifiers of its standard take it. */
export const SignedMessage = z.strictObject({
  digest: Hex32,
  signature: z.string().min(1).max(1024),
});
export type SignedMessage = z.infer<typeof SignedMessage>;

/** Answer of the `status` query. */
export const MessageStatus = z.strictObject({
  phase: MessagePhase,
  intent: MessageIntent,
  intentDigest: Hex32,
  quorum: z.int(),
  approvals: z.array(SignedApproval),
  missing: z.array(z.string()),
  refusedMessages: TransferStatus.shape.refusedMessages,
  attempt: AttemptId.exactOptional(),
  attempts: z.int(),
  parties: z.array(PartyProgress),
  waitingFor: z.string(),
  pivotPassed: z.boolean(),
  signed: SignedMessage.exactOptional(),
  cancelRequested: z.boolean(),
  undos: z.array(UndoStatus),
  failure: FailureInfo.exactOptional(),
  phasesMs: z.record(z.string(), z.int()),
});
export type MessageStatus = z.infer<typeof MessageStatus>;

export const MessageResult = z.strictObject({
  ...SignedMessage.shape,
  phasesMs: z.record(z.string(), z.int()),
});
export type MessageResult = z.infer<typeof MessageResult>;
