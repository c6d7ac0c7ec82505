/** How the sagas read a failure: whose it is, and what follows from it. */
import type { ErrorCode } from '../schema/contracts/errors.ts';

/**
 * The intent, its approvals or its transaction are refused: another party would say the same. Before the pivot
 * the saga compensates at once; after it only a void can end the line.
 */
const INTENT_LEVEL: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'InvalidInput',
  'RequestConflict',
  'ApprovalInvalid',
  'ApproverUnknown',
  'ApprovalDuplicate',
  'ApprovalExpired',
  'QuorumMissing',
  'IntentExpired',
  'IntentRejected',
  'PolicyViolation',
  'LimitExceeded',
  'ConflictRule',
  'LineClosed',
  'TransactionMalformed',
  'TransactionMismatch',
  'NonceUnproven',
  'FeeAboveCap',
  'ChainMismatch',
  'ChainUnsupported',
  'ProtocolUnsupported',
]);
export const isIntentLevel = (code: ErrorCode): boolean => INTENT_LEVEL.has(code);

/** The presignatures of an attempt are refused: another attempt does without. */
export const isPoolLevel = (code: ErrorCode): boolean =>
  code === 'PresignatureUsed' || code === 'PresignatureStale';
