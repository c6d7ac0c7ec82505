/** Signals, updates and queries of the sagas. `approve` and `reject` exist as a signal and as an update. */
import { defineQuery, defineSignal, defineUpdate } from '@temporalio/workflow';
import type { SignedApproval } from '../schema/contracts/approval.ts';
import type { LeasedAnchor } from '../schema/contracts/intent.ts';
import type { MessageStatus } from '../schema/contracts/message-saga.ts';
import type { PolicyChangeStatus } from '../schema/contracts/policy-change.ts';
import type { PoolStatus } from '../schema/contracts/pool.ts';
import type { ApprovalReceipt, CancelReceipt, KeygenStatus } from '../schema/contracts/saga.ts';
import { MESSAGES } from '../schema/contracts/temporal.ts';
import type { PaymentStatus } from './board.ts';

/** Unread: anyone who reaches Temporal can send one. */
export const approveSignal = defineSignal<[unknown]>(MESSAGES.approve);
export const rejectSignal = defineSignal<[unknown]>(MESSAGES.reject);
export const approveUpdate = defineUpdate<ApprovalReceipt, [SignedApproval]>(MESSAGES.approve);
export const rejectUpdate = defineUpdate<ApprovalReceipt, [SignedApproval]>(MESSAGES.reject);
/** Of the saga that changes a policy: look at it again. Nothing in it is believed. */
export const policyChangedSignal = defineSignal<[unknown?]>(MESSAGES.policyChanged);
/** Waits for the lease; fails with what kept it from being had. */
export const anchorUpdate = defineUpdate<LeasedAnchor>(MESSAGES.anchor);
export const cancelUpdate = defineUpdate<CancelReceipt>(MESSAGES.cancel);
/** Of a transfer or a payout. */
export const paymentStatus = defineQuery<PaymentStatus>(MESSAGES.status);
export const messageStatus = defineQuery<MessageStatus>(MESSAGES.status);
export const policyChangeStatus = defineQuery<PolicyChangeStatus>(MESSAGES.status);
/** Marks, if they parse; and it looks at its stock now. */
export const fillPoolSignal = defineSignal<[unknown?]>(MESSAGES.fillPool);
/** With a reason. */
export const dropPoolSignal = defineSignal<[unknown?]>(MESSAGES.dropPool);
export const poolStatus = defineQuery<PoolStatus>(MESSAGES.status);
export const keygenStatus = defineQuery<KeygenStatus>(MESSAGES.status);
