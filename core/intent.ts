/** Transfer intents: reading them, their digest, and their words for the people who approve. */
import { KeysagaError } from '../schema/contracts/errors.ts';
import { type Anchor, TransferIntent } from '../schema/contracts/intent.ts';
import { assetName, formatAmount, networkFamily, networkName } from './assets.ts';
import { parseWith } from './parse.ts';
import { digestHex } from './signed.ts';

const DAY_MS = 86_400_000;
/** An intent lives at most 90 days: what nobody acted on for a quarter is asked for anew. */
export const MAX_INTENT_LIFETIME_MS = 90 * DAY_MS;

const refuse = (field: string, message: string): never => {
  throw new KeysagaError('InvalidInput', `intent: ${field}: ${message}`, { field });
};

// Characters that make a screen show something else than what is signed: C0/C1 controls, lone surrogates,
// zero-width and bidirectional formatting (the "Trojan Source" set), line separators, byte-order mark, tags.
const DECEPTIVE =
  /[\p{Cc}\p{Cs}\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]/u;

export const isDeceptive = (text: string): boolean => DECEPTIVE.test(text);
/** ASCII without spaces. */
export const isPrintable = (text: string): boolean => /^[\x21-\x7e]+$/.test(text);

const ANCHOR_FAMILY = {
  'ethereum-nonce': 'ethereum',
  'bitcoin-outpoint': 'bitcoin',
  'solana-nonce': 'solana',
} as const satisfies Record<Anchor['kind'], string>;

/** What intents of every kind have in common: times and memo. Throws `InvalidInput` with `field`. */
export function requireIntentFrame(intent: {
  readonly issuedAt: string;
  readonly expiresAt: string;
  readonly memo?: string;
}): void {
  const issued = Date.parse(intent.issuedAt);
  const expires = Date.parse(intent.expiresAt);
  if (expires <= issued) refuse('expiresAt', 'must be later than issuedAt');
  if (expires - issued > MAX_INTENT_LIFETIME_MS)
    refuse('expiresAt', 'at most 90 days after issuedAt');
  if (intent.memo !== undefined && isDeceptive(intent.memo))
    refuse('memo', 'has characters that do not show as they are signed');
}

/** An anchor of the chain's own kind. Throws `InvalidInput` with `field`. */
export function requireAnchorOfChain({
  anchor,
  chain,
}: {
  readonly anchor?: Anchor;
  readonly chain: string;
}): void {
  if (anchor === undefined) return;
  if (ANCHOR_FAMILY[anchor.kind] !== networkFamily(chain))
    refuse('anchor.kind', 'is not of this chain');
  if (anchor.kind === 'solana-nonce' && !/^[1-9A-HJ-NP-Za-km-z]+$/.test(anchor.account))
    refuse('anchor.account', 'must be base58');
}

/** No path where keys have no children. Throws `InvalidInput` (`path`). */
export function requireChildPath(intent: { readonly path?: string; readonly chain: string }): void {
  if (intent.path !== undefined && networkFamily(intent.chain) === 'solana')
    refuse('path', 'wallets of Ed25519 keys have one address');
}

/**
 * Reads an intent from outside. Beyond the shape: issued before it expires, at most 90 days of life, a memo that
 * shows as it is signed, an address in plain ASCII, an anchor of the chain's own kind, no path where keys have no children.
 * Throws `InvalidInput` with `field`. Whether the address is one of the network, its codec judges.
 */
export function parseIntent(x: unknown): TransferIntent {
  const intent = parseWith(TransferIntent, x, 'intent');
  requireIntentFrame(intent);
  if (!isPrintable(intent.destination)) refuse('destination', 'must be printable ASCII');
  requireChildPath(intent);
  requireAnchorOfChain(intent);
  return intent;
}

/** SHA-256 of the intent's signed form (`keysaga/intent/v1`), hex. What approvals name. */
export const intentDigest = (intent: TransferIntent): string => digestHex('intent', intent);

export type IntentLine = { readonly label: string; readonly value: string };

/** The intent in words, every field that is signed, amounts in coins with the exact smallest-unit figure. */
export function describeIntent(intent: TransferIntent): IntentLine[] {
  const lines: IntentLine[] = [
    { label: 'Request', value: intent.requestId },
    { label: 'From wallet', value: intent.walletId },
    ...(intent.path === undefined ? [] : [{ label: 'From path', value: intent.path }]),
    { label: 'Network', value: `${networkName(intent.chain)} (${intent.chain})` },
    { label: 'Asset', value: assetName(intent.chain, intent.asset) },
    { label: 'Pay to', value: intent.destination },
    { label: 'Amount', value: formatAmount(intent.chain, intent.asset, intent.amount) },
    { label: 'Fee at most', value: formatAmount(intent.chain, 'native', intent.feeCap) },
    { label: 'Issued', value: timeWords(intent.issuedAt) },
    { label: 'Expires', value: timeWords(intent.expiresAt) },
  ];
  if (intent.memo !== undefined) lines.push({ label: 'Memo', value: intent.memo });
  if (intent.anchor !== undefined)
    lines.push({ label: 'Anchor', value: describeAnchor(intent.anchor) });
  return lines;
}

export const timeWords = (iso: string): string =>
  iso.replace('T', ' ').replace(/\.(\d{3})Z$/, '.$1 UTC');

export function describeAnchor(anchor: Anchor): string {
  switch (anchor.kind) {
    case 'ethereum-nonce':
      return `account nonce ${anchor.nonce}`;
    case 'bitcoin-outpoint':
      return `output ${anchor.txid}:${anchor.vout}`;
    case 'solana-nonce':
      return `nonce account ${anchor.account} at value ${anchor.value}`;
  }
}
