/**
 * The saga of a payout: an approved list that one transaction pays. It takes a transfer's path with another intent; since the
 * lines are outputs of one transaction, they are paid together or not at all.
 */

import { parsePayout, payoutDigest } from '../core/payout.ts';
import { KeysagaError } from '../schema/contracts/errors.ts';
import { PayoutInput, type PayoutResult } from '../schema/contracts/payout-saga.ts';
import { readInput } from './input.ts';
import { linesOfSaga } from './payout-lines.ts';
import { payAndSettle } from './transfer.ts';
import { TransferSaga } from './transfer-state.ts';

export async function payout(raw: PayoutInput): Promise<PayoutResult> {
  const saga = new TransferSaga(readInput(PayoutInput, raw, checked));
  return { ...(await payAndSettle(saga)), lines: linesOfSaga(saga) };
}

function checked(input: PayoutInput): PayoutInput {
  const intent = parsePayout(input.intent);
  if (payoutDigest(intent) !== input.intentDigest)
    throw new KeysagaError('InvalidInput', 'The digest is not the payout’s.', {
      field: 'intentDigest',
    });
  return { ...input, intent };
}
