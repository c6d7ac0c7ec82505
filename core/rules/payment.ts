/** What a party requires of a payment's bytes: they do what the intent says, and nothing else. */
import { KeysagaError } from '../../schema/contracts/errors.ts';
import type { AssetLimit, Policy } from '../../schema/contracts/policy.ts';
import { anchorDemanded } from '../anchor.ts';
import { limitFor, voidFeeCap } from '../policy.ts';
import { linesOf, type NamedLine, totalOf } from '../ports/payment.ts';
import {
  accountFor,
  mismatch,
  type Payment,
  requireAnchor,
  type TransactionCheck,
} from './effects.ts';

/**
 * Payments and lines are the same in number and order, so each line is paid once and nothing else is.
 * Throws `TransactionMismatch` (`field` as in `accountFor`, or `destination`, `asset`, `amount`, `anchor`), `FeeAboveCap`
 * (`fee`), `PolicyViolation` (`asset`, `anchor`, `destination`, `voidFeeCaps`) or `LimitExceeded` (`amount`). Of a payout
 * `destination` and `amount` name their line (`lines[17].destination`); its limit is one transfer's, on the total.
 */
export function checkPayment(check: TransactionCheck): void {
  const { intent, decoded, address, policy, network } = check;
  const { payments } = accountFor(check);
  const lines = linesOf(intent);
  if (lines.length === 0 || payments.length !== lines.length)
    mismatch(
      'effects',
      lines.length === 1
        ? `The transaction makes ${payments.length} payments instead of one.`
        : `The transaction makes ${payments.length} payments for ${lines.length} lines.`,
    );
  for (const [i, line] of lines.entries()) requirePaid(line, payments[i], intent.asset, address);
  const total = lines.reduce((sum, line) => sum + BigInt(line.amount), 0n);
  if (total !== BigInt(totalOf(intent))) mismatch('total', 'The lines add up to another total.');
  requireAnchor(intent, decoded, address);
  checkFee(check);

  const limit = limitFor(policy, network, intent.asset);
  if (intent.anchor === undefined && anchorDemanded(limit.anchorFrom, total))
    throw new KeysagaError(
      'PolicyViolation',
      `From ${limit.anchorFrom} on the policy demands an anchor.`,
      {
        field: 'anchor',
        rule: 'anchorFrom',
        anchorFrom: limit.anchorFrom,
      },
    );
  for (const { destination, prefix } of lines)
    requireAllowed(policy, network, destination, `${prefix}destination`);
  requireWithinTransfer(limit, total);
}

function requirePaid(
  { destination, amount, prefix }: NamedLine,
  payment: Payment | undefined,
  asset: string,
  address: string,
): void {
  // Paying oneself has no approvable meaning and would make payment and change indistinguishable.
  if (destination === address)
    mismatch(`${prefix}destination`, 'The intent pays the wallet itself.');
  if (payment?.destination !== destination)
    mismatch(`${prefix}destination`, 'The transaction pays another destination.', {
      approved: destination,
      found: payment?.destination,
    });
  if (payment?.asset !== asset)
    mismatch('asset', 'The transaction pays another asset.', {
      approved: asset,
      found: payment?.asset,
    });
  if (payment?.amount !== BigInt(amount))
    mismatch(`${prefix}amount`, 'The transaction pays another amount.', {
      approved: amount,
      found: `${payment?.amount}`,
    });
}

/** Throws `PolicyViolation` (`field`) for one that is not on the policy's allow-list, where there is one. */
export function requireAllowed(
  { allowList }: Pick<Policy, 'allowList'>,
  network: string,
  destination: string,
  field = 'destination',
): void {
  if (
    allowList !== undefined &&
    !allowList.some((a) => a.network === network && a.destination === destination)
  )
    throw new KeysagaError('PolicyViolation', 'The destination is not on the allow-list.', {
      field,
    });
}

/** Throws `LimitExceeded` (`amount`). */
export function requireWithinTransfer(limit: AssetLimit, amount: bigint): void {
  if (amount > BigInt(limit.perTransfer))
    throw new KeysagaError('LimitExceeded', 'Above the limit of one transfer.', {
      field: 'amount',
      rule: 'perTransfer',
      limit: limit.perTransfer,
      asked: `${amount}`,
    });
}

function checkFee({ intent, decoded, policy, network }: TransactionCheck): void {
  const above = (rule: string, cap: bigint, message: string): never => {
    throw new KeysagaError('FeeAboveCap', message, {
      field: 'fee',
      rule,
      cap: `${cap}`,
      fee: `${decoded.fee}`,
    });
  };
  const approved = BigInt(intent.feeCap);
  if (decoded.fee > approved) above('feeCap', approved, 'The fee is above the approved cap.');
  const cap = voidFeeCap(policy, network);
  // fee ≤ 0.8 · cap in integers: a void within its own cap can then always outbid the payment.
  if (decoded.fee * 5n > cap * 4n)
    above('voidFeeCap', cap, 'The fee is above 80 % of the void cap, so no void could outbid it.');
}
