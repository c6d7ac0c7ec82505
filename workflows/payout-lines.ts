/** What a list adds to a transfer's saga: each line's fate, and whose words the ledger hears. */
import { workflowInfo } from '@temporalio/workflow';
import { lineGroups } from '../core/payout.ts';
import { isPayout, type PaymentIntent } from '../core/ports/payment.ts';
import type { LineGroup, PayoutInput } from '../schema/contracts/payout-saga.ts';
import type { TransferInput } from '../schema/contracts/saga.ts';
import type { TransferSaga } from './transfer-state.ts';

export type PaymentInput = TransferInput | PayoutInput;

/** Where the lines of a payout stand; none of a transfer. */
export function linesOfSaga(saga: TransferSaga): LineGroup[] {
  const { intent, pivotPassed, sent, transactionId, voidTransactionId } = saga;
  if (!isPayout(intent)) return [];
  const { phase } = saga.clock;
  const ended = phase === 'Completed' ? 'paid' : phase === 'Failed' ? 'not-paid' : undefined;
  return lineGroups(intent, { ended, pivotPassed, sent, transactionId, voidTransactionId });
}

/** Who asks the ledger: of a payout, since a ledger of an earlier release knows none, nor takes the name. */
export const whoAsks = (intent: PaymentIntent): { readonly workflowId?: string } =>
  isPayout(intent) ? { workflowId: workflowInfo().workflowId } : {};
