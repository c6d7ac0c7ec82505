/**
 * What a party requires of a message. Text moves nothing; typed data may let others take value later, and then it is judged
 * as the transfer that it is.
 */
import { KeysagaError } from '../../schema/contracts/errors.ts';
import type { MessageIntent } from '../../schema/contracts/message.ts';
import type { Policy } from '../../schema/contracts/policy.ts';
import { anchorDemanded } from '../anchor.ts';
import { readTypedData } from '../messages/eip712.ts';
import { requireKind } from '../messages/intent.ts';
import { checkTypedData } from '../messages/typed-data.ts';
import { limitFor } from '../policy.ts';
import { mismatch } from './effects.ts';
import { requireAllowed, requireWithinTransfer } from './payment.ts';

export type MessageCheck = {
  readonly intent: MessageIntent;
  readonly policy: Policy;
  /** Of the key, from the party's own share: address, network, wallet. */
  readonly address: string;
  readonly network: string;
  readonly walletId: string;
};

/** What others may take once they hold the signature: of one asset, in its smallest unit. */
export type MessageSpend = { readonly asset: string; readonly amount: bigint };

/**
 * Answers with what counts against the day's limit; undefined: nothing. Throws `TransactionMismatch` (`chain`, `walletId`,
 * `message.kind`, or the member of a permit), `ChainMismatch`, `InvalidInput`, `PolicyViolation` (`chain`, `type`,
 * `asset`, `destination`, `anchor`) or `LimitExceeded` (`amount`).
 */
export function checkMessage(check: MessageCheck): MessageSpend | undefined {
  const { intent, policy, address, network, walletId } = check;
  const { message } = intent;
  if (intent.chain !== network)
    mismatch('chain', `The intent is for ${intent.chain}, the key for ${network}.`);
  if (intent.walletId !== walletId)
    mismatch('walletId', `The intent is for wallet ${intent.walletId}, the key is of ${walletId}.`);
  requireKind(message, network);
  // As with payments: what the policy does not speak of is not signed.
  if (!policy.limits.some((limit) => limit.network === network))
    throw violated('chain', `The policy has no limits on ${network}, so nothing is signed there.`);
  if (message.kind !== 'eip712') return undefined;
  const payments = checkTypedData({
    data: readTypedData(message.json),
    network,
    address,
    allowed: policy.typedData ?? [],
  });
  const [first] = payments;
  if (first === undefined) return undefined;
  const { asset } = first;
  // A line counts against one limit.
  if (payments.some((payment) => payment.asset !== asset))
    throw violated('asset', 'A permit over more than one asset is not signed.');
  for (const { destination } of payments) requireAllowed(policy, network, destination);
  const amount = payments.reduce((sum, payment) => sum + payment.amount, 0n);
  const limit = limitFor(policy, network, asset);
  // A message has no nonce or output of the wallet to be bound to.
  if (anchorDemanded(limit.anchorFrom, amount))
    throw violated('anchor', `From ${limit.anchorFrom} on the policy demands an anchor.`);
  requireWithinTransfer(limit, amount);
  return amount === 0n ? undefined : { asset, amount };
}

const violated = (field: string, message: string): KeysagaError =>
  new KeysagaError('PolicyViolation', message, { field });
