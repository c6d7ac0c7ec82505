/** What a party requires of a void: it moves nothing, and makes every released payment of its line impossible. */
import { KeysagaError } from '../../schema/contracts/errors.ts';
import { networkFamily } from '../assets.ts';
import { voidFeeCap } from '../policy.ts';
import { requireConflict } from './conflict.ts';
import { accountFor, mismatch, requireAnchor, type TransactionCheck } from './effects.ts';

export type VoidCheck = TransactionCheck & {
  /** Conflict keys of every released and open transaction of the line at this party, earlier voids included. */
  readonly released: readonly (readonly string[])[];
};

/**
 * Expiry, rejections, daily limit and the policy's version do not matter here (see `requireOnceValidQuorum`); `policy`
 * gives the cap. Throws `TransactionMismatch` (`field`), `FeeAboveCap` (`fee`), `PolicyViolation` (`voidFeeCaps`),
 * `ConflictRule`.
 */
export function checkVoid(check: VoidCheck): void {
  const { intent, decoded, address, policy, network, released } = check;
  const { payments, changes } = accountFor(check);
  if (payments.length > 0) mismatch('effects', 'A void pays nobody.');
  const family = networkFamily(network);
  if (family === 'solana' && decoded.effects.length !== 1)
    mismatch('effects', 'A Solana void advances its nonce and does nothing else.');
  if (family === 'ethereum' && decoded.effects.length > 0)
    mismatch('effects', 'An Ethereum void uses its nonce and does nothing else.');
  // Without an output to itself a Bitcoin transaction leaves everything to the miners.
  if (family === 'bitcoin' && changes === 0)
    mismatch('change', 'A Bitcoin void pays the wallet itself.');
  requireAnchor(intent, decoded, address);
  const cap = voidFeeCap(policy, network);
  if (decoded.fee > cap)
    throw new KeysagaError('FeeAboveCap', 'The fee is above the policy’s cap for voids.', {
      field: 'fee',
      rule: 'voidFeeCap',
      cap: `${cap}`,
      fee: `${decoded.fee}`,
    });
  requireConflict(decoded.conflictKeys, released);
}
