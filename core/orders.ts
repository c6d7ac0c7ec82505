/** Administrators' orders: is this one for this party, for now, and signed by enough of those that it pins? */
import { KeysagaError } from '../schema/contracts/errors.ts';
import { type AdministratorOrder, SignedOrder } from '../schema/contracts/order.ts';
import { CLOCK_SKEW_MS } from './approvals.ts';
import { parseWith } from './parse.ts';
import type { Administrator } from './policy.ts';
import { digestHex, type VerifySignature, verifySigned } from './signed.ts';

/** Longest life of an order: one that was never delivered must not lie around as a blank cheque. */
export const ORDER_LIFE_MS = 7 * 86_400_000;

/** SHA-256 of `keysaga/order/v1`, hex. */
export const orderHash = (order: AdministratorOrder): string => digestHex('order', order);

const refuse = (field: string, message: string): never => {
  throw new KeysagaError('OrderRefused', message, { field });
};

/** May be drafted, signed and sent. Throws `InvalidInput`, `OrderRefused` (`validUntil`). */
export function checkOrder(order: AdministratorOrder): void {
  const life = Date.parse(order.validUntil) - Date.parse(order.issuedAt);
  if (life <= 0 || life > ORDER_LIFE_MS)
    refuse('validUntil', 'An order is valid for at most seven days from its date.');
}

/**
 * For this party, and k distinct pinned administrators signed it; answers with its hash. Signatures in names that are not
 * pinned do not count; one in a pinned name that does not verify refuses the whole. Says nothing about time, so that a
 * repeat is answered after its end. Throws `InvalidInput`, `OrderRefused` (`party`, `validUntil`), `ApprovalInvalid`
 * (`signatures.<i>`), `QuorumMissing` (`have`, `need`).
 */
export function verifySignedOrder(
  input: SignedOrder,
  check: {
    readonly party: string;
    readonly administrators: readonly Administrator[];
    readonly quorum: number;
    readonly verify?: VerifySignature | undefined;
  },
): string {
  const { order, signatures } = parseWith(SignedOrder, input, 'signed order');
  const { party, administrators, quorum, verify } = check;
  const names = new Set(administrators.map((a) => a.name));
  const keys = new Set(administrators.map((a) => a.publicKey));
  if (!Number.isInteger(quorum) || quorum < 1 || quorum > administrators.length)
    throw new KeysagaError('InvalidInput', 'The quorum is not within the pinned list.', {
      field: 'administrators',
    });
  if (names.size !== administrators.length || keys.size !== administrators.length)
    throw new KeysagaError('InvalidInput', 'A name or key is pinned twice.', {
      field: 'administrators',
    });
  if (order.party !== party) refuse('party', `The order is for ${order.party}.`);
  checkOrder(order);
  const counted = new Set<string>();
  signatures.forEach((entry, index) => {
    const pinned = administrators.find((a) => a.name === entry.administrator);
    if (pinned === undefined) return;
    if (
      pinned.publicKey !== entry.publicKey ||
      !verifySigned('order', order, pinned.publicKey, entry.signature, verify)
    )
      throw new KeysagaError(
        'ApprovalInvalid',
        `The signature of ${entry.administrator} does not verify.`,
        { field: `signatures.${index}`, administrator: entry.administrator },
      );
    counted.add(pinned.name);
  });
  if (counted.size < quorum)
    throw new KeysagaError('QuorumMissing', `${counted.size} of ${quorum} administrators signed.`, {
      field: 'signatures',
      have: counted.size,
      need: quorum,
    });
  return orderHash(order);
}

/** By the party's own clock. Throws `OrderRefused` (`issuedAt` more than 5 minutes ahead, `validUntil`). */
export function requireTimely(order: AdministratorOrder, now: number): void {
  if (Date.parse(order.issuedAt) > now + CLOCK_SKEW_MS)
    refuse('issuedAt', 'The order is dated more than 5 minutes in the future.');
  if (Date.parse(order.validUntil) <= now)
    refuse('validUntil', `The order was valid until ${order.validUntil}.`);
}
