/** What every saga with approvers is told, the same way: a decision as an update or a signal, and a cancel. */
import type { WorkflowHandle } from '@temporalio/client';
import { parseSignedApproval } from '../core/approvals.ts';
import { parseWith } from '../core/parse.ts';
import type { SignedApproval } from '../schema/contracts/approval.ts';
import { ApprovalReceipt, CancelReceipt } from '../schema/contracts/saga.ts';
import { MESSAGES } from '../schema/contracts/temporal.ts';

/** Waits for the count. Repeating the same one is harmless: its update has the same id. Throws why it does not count. */
export async function decide(
  handle: WorkflowHandle,
  signed: SignedApproval,
): Promise<ApprovalReceipt> {
  const body = parseSignedApproval(signed);
  const { decision, approver } = body.approval;
  const answer: unknown = await handle.executeUpdate(MESSAGES[decision], {
    args: [body],
    updateId: `${decision}-${approver}-${body.signature.slice(0, 32)}`,
  });
  return parseWith(ApprovalReceipt, answer, 'receipt');
}

/** The same as a signal: taken even while every coordinator is down. */
export async function signalDecision(
  handle: WorkflowHandle,
  signed: SignedApproval,
): Promise<void> {
  const body = parseSignedApproval(signed);
  await handle.signal(MESSAGES[body.approval.decision], body);
}

/** `subject`: what has ended, where it has: `The payout`. */
export async function cancelSaga(handle: WorkflowHandle, subject: string): Promise<CancelReceipt> {
  const { status } = await handle.describe();
  if (status.name !== 'RUNNING')
    return { accepted: false, path: 'too-late', message: `${subject} has ended.` };
  return parseWith(CancelReceipt, await handle.executeUpdate(MESSAGES.cancel), 'receipt');
}
