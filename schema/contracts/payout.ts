/** Payouts: a list of payments that is approved as one. */
import * as z from 'zod';
import { Anchor } from './intent.ts';
import { AccountPath, Caip2, IsoTime, PositiveDecimal, RequestId, WalletId } from './primitives.ts';

export const MAX_PAYOUT_LINES = 500;

/** One payment. `reference` is for the people who approve and for the books; it never reaches the chain. */
export const PayoutLine = z.strictObject({
  destination: z.string().min(10).max(128),
  amount: PositiveDecimal,
  reference: z.string().min(1).max(140).exactOptional(),
});
export type PayoutLine = z.infer<typeof PayoutLine>;

/**
 * What somebody wants paid to many: what approvers sign and parties enforce, as a transfer's intent. Its signed form is
 * `keysaga/payout-intent/v1` over the whole list in its order, so that an approval of one never counts for a transfer or
 * a message. A line's number is its place, from 0. `total` is the sum of the lines, in the asset's smallest unit;
 * `feeCap` is for everything together.
 */
export const PayoutIntent = z.strictObject({
  requestId: RequestId,
  walletId: WalletId,
  chain: Caip2,
  asset: z.string().regex(/^[-a-zA-Z0-9:./]{3,128}$/, 'an asset name such as native'),
  lines: z.array(PayoutLine).min(1).max(MAX_PAYOUT_LINES),
  total: PositiveDecimal,
  feeCap: PositiveDecimal,
  issuedAt: IsoTime,
  expiresAt: IsoTime,
  memo: z.string().min(1).max(280).exactOptional(),
  anchor: Anchor.exactOptional(),
  /** The deposit address that pays; absent: the wallet's own. */
  path: AccountPath.exactOptional(),
});
export type PayoutIntent = z.infer<typeof PayoutIntent>;
