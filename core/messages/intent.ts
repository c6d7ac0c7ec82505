/** Intents to sign a message: reading them, their digest, and their words for the people who approve. */
import { KeysagaError } from '../../schema/contracts/errors.ts';
import { MessageIntent, type SignableMessage } from '../../schema/contracts/message.ts';
import { networkFamily, networkName } from '../assets.ts';
import { type IntentLine, requireIntentFrame, timeWords } from '../intent.ts';
import { parseWith } from '../parse.ts';
import type { TransactionCodec } from '../ports/blockchain.ts';
import { digestHex } from '../signed.ts';
import { bip322Digest } from './bip322.ts';
import { readTypedData } from './eip712.ts';
import { eip191Digest, requireReadable } from './text.ts';

const FAMILY = { eip191: 'ethereum', eip712: 'ethereum', bip322: 'bitcoin' } as const;
const TITLE = {
  eip191: 'text (EIP-191)',
  eip712: 'typed data (EIP-712)',
  bip322: 'text (BIP-322)',
} as const;

const otherKind = ({ kind }: SignableMessage, network: string): KeysagaError =>
  new KeysagaError('TransactionMismatch', `Wallets of ${network} sign no such messages.`, {
    field: 'message.kind',
    kind,
  });

/** Throws `TransactionMismatch` (`message.kind`) for a kind that wallets of the network do not sign. */
export function requireKind(message: SignableMessage, network: string): void {
  if (FAMILY[message.kind] !== networkFamily(network)) throw otherKind(message, network);
}

/** What is signed for the wallet with this key. Throws `TransactionMismatch` (`message.kind`), `InvalidInput`. */
export function messageDigest(
  message: SignableMessage,
  { network, message: codec }: Pick<TransactionCodec, 'network' | 'message'>,
  publicKey: Uint8Array,
): Uint8Array {
  requireKind(message, network);
  if (message.kind === 'eip191') return eip191Digest(message.text);
  if (message.kind === 'eip712') return readTypedData(message.json).digest;
  if (codec?.script === undefined) throw otherKind(message, network);
  return bip322Digest(message.text, codec.script(publicKey));
}

/**
 * Reads an intent from outside. As `parseIntent`: times, memo; and a message that shows as it is signed, of a kind that the
 * chain has. Throws `InvalidInput` or `TransactionMismatch` with the field.
 */
export function parseMessageIntent(x: unknown): MessageIntent {
  const intent = parseWith(MessageIntent, x, 'intent');
  requireIntentFrame(intent);
  requireKind(intent.message, intent.chain);
  if (intent.message.kind === 'eip712') readTypedData(intent.message.json);
  else requireReadable(intent.message.text, 'text');
  return intent;
}

/** SHA-256 of the signed form (`keysaga/message-intent/v1`), hex. What approvals name. */
export const messageIntentDigest = (intent: MessageIntent): string =>
  digestHex('message-intent', intent);

/** The intent in words: every field that is signed, typed data by its members. */
export function describeMessageIntent(intent: MessageIntent): IntentLine[] {
  const { message } = intent;
  const lines: IntentLine[] = [
    { label: 'Request', value: intent.requestId },
    { label: 'Signing wallet', value: intent.walletId },
    { label: 'Network', value: `${networkName(intent.chain)} (${intent.chain})` },
    { label: 'Message', value: TITLE[message.kind] },
    ...(message.kind === 'eip712'
      ? readTypedData(message.json).words
      : [{ label: 'Text', value: message.text }]),
    { label: 'Issued', value: timeWords(intent.issuedAt) },
    { label: 'Expires', value: timeWords(intent.expiresAt) },
  ];
  if (intent.memo !== undefined) lines.push({ label: 'Memo', value: intent.memo });
  return lines;
}
