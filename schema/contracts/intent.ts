/** What somebody wants paid: the thing approvers sign and parties enforce. */
import * as z from 'zod';
import {
  AccountPath,
  Caip2,
  Decimal,
  Hex32,
  IsoTime,
  PositiveDecimal,
  RequestId,
  WalletId,
} from './primitives.ts';

/** Resource that every transaction of the intent must spend, so that all of them conflict by construction. */
export const Anchor = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('ethereum-nonce'), nonce: Decimal }),
  z.strictObject({ kind: z.literal('bitcoin-outpoint'), txid: Hex32, vout: Decimal }),
  z.strictObject({
    kind: z.literal('solana-nonce'),
    account: z.string().min(32).max(44),
    value: Hex32,
  }),
]);
export type Anchor = z.infer<typeof Anchor>;

/**
 * A transfer intent. All leaf values are strings; absent fields are absent.
 * `asset` is `native` (sats, lamports, wei) until token rows arrive; `amount` and `feeCap` are in its and the
 * fee asset's smallest unit. `memo` is for the people who approve; it never reaches the chain.
 */
export const TransferIntent = z.strictObject({
  requestId: RequestId,
  walletId: WalletId,
  chain: Caip2,
  destination: z.string().min(10).max(128),
  asset: z.string().regex(/^[-a-zA-Z0-9:./]{3,128}$/, 'an asset name such as native'),
  amount: PositiveDecimal,
  feeCap: PositiveDecimal,
  issuedAt: IsoTime,
  expiresAt: IsoTime,
  memo: z.string().min(1).max(280).exactOptional(),
  anchor: Anchor.exactOptional(),
  /** The deposit address that pays; absent: the wallet's own. */
  path: AccountPath.exactOptional(),
});
export type TransferIntent = z.infer<typeof TransferIntent>;

/**
 * What an anchor is leased for: the transfer that will carry this request id, told before its intent is signed by
 * anyone. `amount` and `feeCap` choose an anchor that suits the payment; `expiresAt` is the intent's own, and the lease
 * outlives it a little.
 */
export const AnchorRequest = z.strictObject({
  requestId: RequestId,
  walletId: WalletId,
  amount: PositiveDecimal,
  feeCap: PositiveDecimal,
  expiresAt: IsoTime,
  /** The intent's own. */
  path: AccountPath.exactOptional(),
});
export type AnchorRequest = z.infer<typeof AnchorRequest>;

/** An anchor that is leased to a request id. */
export const LeasedAnchor = z.strictObject({
  anchor: Anchor,
  /** Given back then, unless the transfer of this request id has taken it. */
  until: IsoTime,
});
export type LeasedAnchor = z.infer<typeof LeasedAnchor>;
