/** What a party requires of a payment's bytes: they do what the intent says, and nothing else. */
import { KeysagaError } from '../../schema/contracts/errors.ts';
import type { AssetLimit, Policy } from '../../schema/contracts/policy.ts';
import { anchorDemanded } from '../anchor.ts';
import { limitFor, voidFeeCap } from '../policy.ts';
import { accountFor, mismatch, requireAnchor, type TransactionCheck } from './effects.ts';

/**
 * Throws `TransactionMismatch` (`field` as in `accountFor`, or `destination`, `asset`, `amount`, `anchor`), `FeeAboveCap`
 * (`fee`), `PolicyViolation` (`asset`, `anchor`, `destination`, `voidFeeCaps`) or `LimitExceeded` (`amount`).
 */
export function checkPayment(check: TransactionCheck): void {
  const { intent, decoded, address, policy, network } = check;
  const { payments } = accountFor(check);
  // Paying oneself has no approvable meaning and would make payment and change indistinguishable.
  if (intent.destination === address) mismatch('destination', 'The intent pays the wallet itself.');
  const payment = payments[0];
  if (payment === undefined || payments.length !== 1)
    mismatch('effects', `The transaction makes ${payments.length} payments instead of one.`);
  if (payment.destination !== intent.destination)
    mismatch('destination', 'The transaction pays another destination.', {
      approved: intent.destination,
      found: payment.destination,
    });
  if (payment.asset !== intent.asset)
    mismatch('asset', 'The transaction pays another asset.', {
      approved: intent.asset,
      found: payment.asset,
    });
  const amount = BigInt(intent.amount);
  if (payment.amount !== amount)
    mismatch('amount', 'The transaction pays another amount.', {
      approved: intent.amount,
      found: `${payment.amount}`,
    });
  requireAnchor(intent, decoded, address);
  checkFee(check);

  const limit = limitFor(policy, network, intent.asset);
  if (intent.anchor === undefined && anchorDemanded(limit.anchorFrom, amount))
    throw new KeysagaError(
      'PolicyViolation',
      `From ${limit.anchorFrom} on the policy demands an anchor.`,
      {
        field: 'anchor',
        rule: 'anchorFrom',
        anchorFrom: limit.anchorFrom,
      },
    );
  requireAllowed(policy, network, intent.destination);
  requireWithinTransfer(limit, amount);
}

/** Throws `PolicyViolation` (`destination`) for one that is not on the policy's allow-list, where there is one. */
export function requireAllowed(
  { allowList }: Pick<Policy, 'allowList'>,
  network: string,
  destination: string,
): void {
  if (
    allowList !== undefined &&
    !allowList.some((a) => a.network === network && a.destination === destination)
  )
    throw new KeysagaError('PolicyViolation', 'The destination is not on the allow-list.', {
      field: 'destination',
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
