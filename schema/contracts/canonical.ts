/**
 * Every signed object has one byte form: UTF-8 of `keysaga/<type>/v1`, a line feed, and the object's RFC 8785
 * (JCS) encoding. Its digest is the SHA-256 of that; signatures are Ed25519 over the bytes themselves.
 * Leaf values are strings and small integers and absent fields are absent, so JCS has no number corner cases to trip over.
 */
import canonicalize from 'canonicalize';
import { KeysagaError } from './errors.ts';

export type SignedType =
  | 'intent'
  | 'message-intent'
  | 'payout-intent'
  | 'approval'
  | 'policy'
  | 'prepare-request'
  | 'prepare-answer'
  | 'envelope'
  | 'inbox'
  | 'head'
  | 'certificate'
  | 'never'
  | 'receipt'
  | 'order'
  | 'order-receipt'
  | 'bar'
  | 'head-file'
  | 'session'
  | 'echo'
  | 'unsigned'
  | 'request'
  | 'chain-code'
  | 'pooled-message';

const encoder = new TextEncoder();

/** RFC 8785 text of a JSON value. Throws `InvalidInput` on values JSON cannot hold. */
export function canonicalJson(value: unknown): string {
  let text: string | undefined;
  try {
    text = canonicalize(value);
  } catch (cause) {
    throw new KeysagaError('InvalidInput', 'The value has no canonical JSON form.', {}, { cause });
  }
  if (text === undefined)
    throw new KeysagaError('InvalidInput', 'The value has no canonical JSON form.');
  return text;
}

/** The bytes a signature or digest of `value` covers. */
export const signedBytes = (type: SignedType, value: unknown): Uint8Array =>
  encoder.encode(`keysaga/${type}/v1\n${canonicalJson(value)}`);
