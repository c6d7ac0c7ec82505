/**
 * Administrators' orders to one party: the only way out of a fence or a quarantine, and the only way an active share
 * goes. k of m pinned administrators sign the same bytes; the party verifies them by itself, whoever delivers.
 */
import * as z from 'zod';
import { PolicySignature } from './policy.ts';
import {
  Ed25519Signature,
  Epoch,
  Hex32,
  IsoTime,
  KeyId,
  PartyId,
  RequestId,
} from './primitives.ts';

const common = {
  /** Once and for ever: a party takes an order id once, and answers a repeat with what it answered. */
  orderId: RequestId,
  party: PartyId,
  issuedAt: IsoTime,
  /** At most seven days after `issuedAt`. */
  validUntil: IsoTime,
  /** For the audit; no secret. */
  reason: z.string().min(1).max(200),
};

/** Signed form `keysaga/order/v1`. */
export const AdministratorOrder = z.discriminatedUnion('kind', [
  /** Ends the fence of the chain epoch it names and opens the next one, so it works once. */
  z.strictObject({ ...common, kind: z.literal('unfence'), chainEpoch: z.int().nonnegative() }),
  /** No session of the key any more; those under way end. */
  z.strictObject({ ...common, kind: z.literal('quarantine'), keyId: KeyId }),
  /** Ends a quarantine. */
  z.strictObject({ ...common, kind: z.literal('release'), keyId: KeyId }),
  /** Destroys the share's data key and its backup, for ever. Refused while sessions hold the share. */
  z.strictObject({ ...common, kind: z.literal('destroy'), keyId: KeyId, epoch: Epoch }),
]);
export type AdministratorOrder = z.infer<typeof AdministratorOrder>;
export type OrderKind = AdministratorOrder['kind'];

export const SignedOrder = z.strictObject({
  order: AdministratorOrder,
  signatures: z.array(PolicySignature).min(1).max(64),
});
export type SignedOrder = z.infer<typeof SignedOrder>;

/** Signed form `keysaga/order-receipt/v1`, by the party: what it did, and where its release chain stood then. */
export const OrderReceipt = z.strictObject({
  party: PartyId,
  orderId: RequestId,
  /** Digest of the order's signed form. */
  orderHash: Hex32,
  kind: z.enum(['unfence', 'quarantine', 'release', 'destroy']),
  at: IsoTime,
  chainEpoch: z.int().nonnegative(),
  /** Of `unfence`: payments of intents issued at or before this are never signed here. */
  intentsAfter: IsoTime.exactOptional(),
});
export type OrderReceipt = z.infer<typeof OrderReceipt>;
export const SignedOrderReceipt = z.strictObject({
  receipt: OrderReceipt,
  signature: Ed25519Signature,
});
export type SignedOrderReceipt = z.infer<typeof SignedOrderReceipt>;

/** Input of the workflow `deliverOrder`. */
export const DeliverOrderInput = z.strictObject({ signed: SignedOrder });
export type DeliverOrderInput = z.infer<typeof DeliverOrderInput>;
