/** Transfers and payouts, as those see them who serve both: what is paid to whom, and how much that is. */
import { KeysagaError } from '../../schema/contracts/errors.ts';
import type { TransferIntent } from '../../schema/contracts/intent.ts';
import type { PayoutIntent, PayoutLine } from '../../schema/contracts/payout.ts';

/** What moves value: one payment, or a list of them. */
export type PaymentIntent = TransferIntent | PayoutIntent;

export const isPayout = (intent: PaymentIntent): intent is PayoutIntent => 'lines' in intent;

/** What counts against limits and balance, in the asset's smallest unit. */
export const totalOf = (intent: PaymentIntent): string =>
  isPayout(intent) ? intent.total : intent.amount;

/** Each payment, with the name of its fields in errors: `lines[17].destination`; of a transfer `destination`. */
export type NamedLine = Pick<PayoutLine, 'destination' | 'amount'> & { readonly prefix: string };
export const linesOf = (intent: PaymentIntent): readonly NamedLine[] =>
  isPayout(intent)
    ? intent.lines.map(({ destination, amount }, i) => ({
        destination,
        amount,
        prefix: `lines[${i}].`,
      }))
    : [{ destination: intent.destination, amount: intent.amount, prefix: '' }];

/** For chains where one transaction makes one payment. Throws `ChainUnsupported` (`chain`) for a payout. */
export function requireTransfer(intent: PaymentIntent): TransferIntent {
  if (!isPayout(intent)) return intent;
  throw new KeysagaError('ChainUnsupported', 'Payouts are not made on this chain.', {
    field: 'chain',
  });
}
