/** Signals, updates and queries of the sagas. `approve` and `reject` exist as a signal and as an update. */
import { defineQuery, defineSignal, defineUpdate } from '@temporalio/workflow';
import type { SignedApproval } from '../schema/contracts/approval.ts';
import type {
  ApprovalReceipt,
  CancelReceipt,
  KeygenStatus,
  TransferStatus,
} from '../schema/contracts/saga.ts';
import { MESSAGES } from '../schema/contracts/temporal.ts';

/** Unread: anyone who reaches Temporal can send one. */
export const approveSignal = defineSignal<[unknown]>(MESSAGES.approve);
export const rejectSignal = defineSignal<[unknown]>(MESSAGES.reject);
export const approveUpdate = defineUpdate<ApprovalReceipt, [SignedApproval]>(MESSAGES.approve);
export const rejectUpdate = defineUpdate<ApprovalReceipt, [SignedApproval]>(MESSAGES.reject);
export const cancelUpdate = defineUpdate<CancelReceipt>(MESSAGES.cancel);
export const transferStatus = defineQuery<TransferStatus>(MESSAGES.status);
export const keygenStatus = defineQuery<KeygenStatus>(MESSAGES.status);
