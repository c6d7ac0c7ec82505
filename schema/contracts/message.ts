/** Messages, in contrast to transactions: what is signed to log in, to prove a reserve, or to be used by a contract. */
import * as z from 'zod';
import { Caip2, IsoTime, RequestId, WalletId } from './primitives.ts';

/** Text is what people can read: bytes that are no text are not signed. */
const Text = z.string().min(1).max(16_384);

export const SignableMessage = z.discriminatedUnion('kind', [
  /** EIP-191, version 0x45 (`personal_sign`). */
  z.strictObject({ kind: z.literal('eip191'), text: Text }),
  /** EIP-712: `{types, primaryType, domain, message}` as JSON text. */
  z.strictObject({ kind: z.literal('eip712'), json: z.string().min(2).max(65_536) }),
  /** BIP-322, simple: signs for the wallet's own address. */
  z.strictObject({ kind: z.literal('bip322'), text: Text }),
]);
export type SignableMessage = z.infer<typeof SignableMessage>;

/**
 * A message that somebody wants signed by a wallet: what approvers sign and parties enforce, as a transfer's intent. Its
 * signed form is `keysaga/message-intent/v1`, so that an approval of one never counts for the other.
 */
export const MessageIntent = z.strictObject({
  requestId: RequestId,
  walletId: WalletId,
  chain: Caip2,
  message: SignableMessage,
  issuedAt: IsoTime,
  expiresAt: IsoTime,
  memo: z.string().min(1).max(280).exactOptional(),
});
export type MessageIntent = z.infer<typeof MessageIntent>;

/** Typed data that a policy allows: this type, for this contract, on this network. */
export const TypedDataRule = z.strictObject({
  network: Caip2,
  /** EIP-55. */
  contract: z.string().regex(/^0x[0-9a-fA-F]{40}$/, 'an Ethereum address'),
  type: z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,127}$/, 'the name of a type'),
});
export type TypedDataRule = z.infer<typeof TypedDataRule>;
