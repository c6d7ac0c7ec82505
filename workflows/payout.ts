/**
 * The saga of a payout: an approved list that one transaction pays. It takes a transfer's path with another intent; since the
 * lines are outputs of one transaction, they are paid together or not at all.
 */

import { parseWith } from '../core/parse.ts';
import { parsePayout, payoutDigest } from '../core/payout.ts';
import { KeysagaError } from '../schema/contracts/errors.ts';
import { fromFailure, toApplicationFailure } from '../schema/contracts/failures.ts';
import { PayoutInput, type PayoutResult } from '../schema/contracts/payout-saga.ts';
import { rethrowDefect } from './defects.ts';
import { linesOfSaga } from './payout-lines.ts';
import { payAndSettle } from './transfer.ts';
import { TransferSaga } from './transfer-state.ts';

export async function payout(raw: PayoutInput): Promise<PayoutResult> {
  const saga = new TransferSaga(readInput(raw));
  return { ...(await payAndSettle(saga)), lines: linesOfSaga(saga) };
}

function readInput(raw: unknown): PayoutInput {
  try {
    const input = parseWith(PayoutInput, raw, 'input');
    const intent = parsePayout(input.intent);
    if (payoutDigest(intent) !== input.intentDigest)
      throw new KeysagaError('InvalidInput', 'The digest is not the payout’s.', {
        field: 'intentDigest',
      });
    return { ...input, intent };
  } catch (error) {
    rethrowDefect(error);
    throw toApplicationFailure(fromFailure(error), { forWorkflow: true });
  }
}
