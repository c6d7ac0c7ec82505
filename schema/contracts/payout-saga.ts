/** What the saga of a payout takes, tells and answers: a transfer's, about a list. */
import * as z from 'zod';
import { PayoutIntent } from './payout.ts';
import { Line } from './primitives.ts';
import { TransferInput, TransferResult, TransferStatus } from './saga.ts';

export const PayoutInput = z.strictObject({ ...TransferInput.shape, intent: PayoutIntent });
export type PayoutInput = z.infer<typeof PayoutInput>;

/**
 * `open`: no signature is out; `signing`: one may be; `sent`: its transaction was handed to a node; `paid`: final on
 * chain. `voided` and `not-paid`: nothing was paid, and nothing will be.
 */
export const LineFate = z.enum(['open', 'signing', 'sent', 'paid', 'voided', 'not-paid']);
export type LineFate = z.infer<typeof LineFate>;

/** Lines `from` to `to`, both included, that one transaction pays: they share their fate. */
export const LineGroup = z.strictObject({
  from: Line,
  to: Line,
  fate: LineFate,
  transactionId: z.string().exactOptional(),
});
export type LineGroup = z.infer<typeof LineGroup>;

/** Answer of the `status` query. */
export const PayoutStatus = z.strictObject({
  ...TransferStatus.shape,
  intent: PayoutIntent,
  /** Every line is in exactly one. */
  lines: z.array(LineGroup),
});
export type PayoutStatus = z.infer<typeof PayoutStatus>;

/** Result of a payout that completed. One of which nothing was paid fails the workflow with the typed code. */
export const PayoutResult = z.strictObject({
  ...TransferResult.shape,
  lines: z.array(LineGroup),
});
export type PayoutResult = z.infer<typeof PayoutResult>;
