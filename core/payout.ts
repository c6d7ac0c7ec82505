/** Payouts: reading them, their digest, their words, and what they have in common with transfers. */
import { KeysagaError } from '../schema/contracts/errors.ts';
import { PayoutIntent, type PayoutLine } from '../schema/contracts/payout.ts';
import type { LineFate, LineGroup } from '../schema/contracts/payout-saga.ts';
import { assetName, formatAmount, networkFamily, networkName } from './assets.ts';
import {
  describeAnchor,
  type IntentLine,
  intentDigest,
  isDeceptive,
  isPrintable,
  parseIntent,
  requireAnchorOfChain,
  requireChildPath,
  requireIntentFrame,
  timeWords,
} from './intent.ts';
import { parseWith } from './parse.ts';
import { isPayout, type PaymentIntent } from './ports/payment.ts';
import { digestHex } from './signed.ts';

const refuse = (field: string, message: string): never => {
  throw new KeysagaError('InvalidInput', `payout: ${field}: ${message}`, { field });
};

/**
 * Reads a payout from outside. Beyond the shape: times, memo and anchor as of a transfer; references that show as they
 * are signed; no line twice, which is how a list pays somebody double by mistake: where both are meant, their references
 * differ; `total` is the sum. Throws `InvalidInput` with `field` (`lines[17].destination`), and `ChainUnsupported`
 * (`chain`) where payouts are not made: so far they are one Bitcoin transaction.
 */
export function parsePayout(x: unknown): PayoutIntent {
  const payout = parseShape(x);
  requireIntentFrame(payout);
  requireChildPath(payout);
  requireAnchorOfChain(payout);
  let sum = 0n;
  const places = new Map<string, number>();
  for (const [i, { destination, amount, reference }] of payout.lines.entries()) {
    if (!isPrintable(destination)) refuse(`lines[${i}].destination`, 'must be printable ASCII');
    if (reference !== undefined && isDeceptive(reference))
      refuse(`lines[${i}].reference`, 'has characters that do not show as they are signed');
    const line = JSON.stringify([destination, amount, reference]);
    const earlier = places.get(line);
    if (earlier !== undefined)
      refuse(
        `lines[${i}]`,
        `the same as lines[${earlier}]; where both are meant, give each a reference of its own`,
      );
    places.set(line, i);
    sum += BigInt(amount);
  }
  if (BigInt(payout.total) !== sum) refuse('total', `the lines add up to ${sum}`);
  if (networkFamily(payout.chain) !== 'bitcoin')
    throw new KeysagaError(
      'ChainUnsupported',
      `Payouts are made on Bitcoin only, not on ${networkName(payout.chain)}: use one transfer for each line.`,
      { field: 'chain' },
    );
  return payout;
}

function parseShape(x: unknown): PayoutIntent {
  try {
    return parseWith(PayoutIntent, x, 'payout');
  } catch (error) {
    if (!(error instanceof KeysagaError) || error.details.field === undefined) throw error;
    const field = error.details.field.replace(/^lines\.(\d+)/, 'lines[$1]');
    const message = error.message.replace(error.details.field, field);
    throw new KeysagaError(error.code, message, { ...error.details, field });
  }
}

/** SHA-256 of the payout's signed form (`keysaga/payout-intent/v1`), hex. What approvals name. */
export const payoutDigest = (payout: PayoutIntent): string => digestHex('payout-intent', payout);

/** As `parseIntent` or `parsePayout`, by whether there are lines. */
export const parsePayment = (x: unknown): PaymentIntent =>
  typeof x === 'object' && x !== null && 'lines' in x ? parsePayout(x) : parseIntent(x);

export const paymentDigest = (intent: PaymentIntent): string =>
  isPayout(intent) ? payoutDigest(intent) : intentDigest(intent);

/** The sum of the lines, in the asset's smallest unit. */
export const sumOf = (lines: readonly Pick<PayoutLine, 'amount'>[]): string =>
  String(lines.reduce((sum, { amount }) => sum + BigInt(amount), 0n));

/** The payout in words, every field that is signed: count and sum first, then each line. */
export function describePayout(payout: PayoutIntent): IntentLine[] {
  const { chain, asset, lines, memo, anchor } = payout;
  const width = String(lines.length - 1).length;
  return [
    { label: 'Request', value: payout.requestId },
    { label: 'From wallet', value: payout.walletId },
    ...(payout.path === undefined ? [] : [{ label: 'From path', value: payout.path }]),
    { label: 'Network', value: `${networkName(chain)} (${chain})` },
    { label: 'Asset', value: assetName(chain, asset) },
    { label: 'Payments', value: String(lines.length) },
    { label: 'Together', value: formatAmount(chain, asset, payout.total) },
    { label: 'Fee at most', value: formatAmount(chain, 'native', payout.feeCap) },
    { label: 'Issued', value: timeWords(payout.issuedAt) },
    { label: 'Expires', value: timeWords(payout.expiresAt) },
    ...(memo === undefined ? [] : [{ label: 'Memo', value: memo }]),
    ...(anchor === undefined ? [] : [{ label: 'Anchor', value: describeAnchor(anchor) }]),
    ...lines.map(({ destination, amount, reference }, i) => ({
      label: `Line ${String(i).padStart(width)}`,
      value: [formatAmount(chain, asset, amount), 'to', destination, ...named(reference)].join(' '),
    })),
  ];
}
const named = (reference: string | undefined): string[] =>
  reference === undefined ? [] : [`(${reference})`];

/** What the fate of a Bitcoin payout follows from: one transaction pays all lines. */
export type PayoutCourse = {
  readonly ended: 'paid' | 'not-paid' | undefined;
  readonly pivotPassed: boolean;
  readonly sent: boolean;
  readonly transactionId: string | undefined;
  readonly voidTransactionId: string | undefined;
};

export function lineGroups(
  { lines }: Pick<PayoutIntent, 'lines'>,
  { ended, pivotPassed, sent, transactionId, voidTransactionId }: PayoutCourse,
): LineGroup[] {
  const fate: LineFate =
    ended === 'paid'
      ? 'paid'
      : ended === 'not-paid'
        ? voidTransactionId === undefined
          ? 'not-paid'
          : 'voided'
        : sent
          ? 'sent'
          : pivotPassed
            ? 'signing'
            : 'open';
  const id = fate === 'voided' ? voidTransactionId : transactionId;
  return [
    {
      from: 0,
      to: lines.length - 1,
      fate,
      ...(id === undefined ? {} : { transactionId: id }),
    },
  ];
}

/** Every line by itself. */
export const eachLine = (
  { lines }: Pick<PayoutIntent, 'lines'>,
  groups: readonly LineGroup[],
): (PayoutLine & Pick<LineGroup, 'fate' | 'transactionId'> & { readonly line: number })[] =>
  groups.flatMap(({ from, to, fate, transactionId }) =>
    lines.slice(from, to + 1).map((line, i) => ({
      line: from + i,
      ...line,
      fate,
      ...(transactionId === undefined ? {} : { transactionId }),
    })),
  );
