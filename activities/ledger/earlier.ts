/** What a run left in the ledger that a reset made its saga forget. */
import { nonceOfResource } from '../../core/ports/ethereum-nonces.ts';
import {
  finalPayment,
  needsFinality,
  pivotPassed,
  type Transfer,
} from '../../core/transfer/index.ts';
import type { Reservation } from '../../schema/contracts/activities.ts';
import type { CoordinatorDeps } from './deps.ts';

type Earlier = NonNullable<Reservation['earlier']>;

/** What a saga that can only go on has to know of itself. */
function known(transfer: Transfer): Earlier {
  const { decisions, withdrawn, signed, broadcast, finality } = transfer;
  const paid = finalPayment(transfer);
  return {
    decisions: [...withdrawn, ...decisions],
    sent: broadcast.payment !== null,
    ...(signed.payment === null ? {} : { signed: signed.payment }),
    ...(paid === undefined
      ? {}
      : { paid: { transactionId: paid, confirmations: finality.payment?.confirmations ?? 0 } }),
  };
}

/** Whoever makes others wait with a nonce has to ask before it ends, even if it never builds on it. */
async function holdsNonce(
  { chains, uow }: CoordinatorDeps,
  { intent, requestId }: Transfer,
): Promise<boolean> {
  if (chains.get(intent.chain).fillGap === undefined) return false;
  const leases = await uow.transaction((tx) => tx.leases.lockByOwner(requestId));
  return leases.some(
    ({ resource, state }) => state === 'held' && nonceOfResource(resource) !== undefined,
  );
}

export async function leftBy(
  deps: CoordinatorDeps,
  transfer: Transfer,
): Promise<Pick<Reservation, 'earlier' | 'fillsGap' | 'holdsNonce'>> {
  if (needsFinality(transfer))
    return {
      earlier: known(transfer),
      ...(pivotPassed(transfer) ? {} : { fillsGap: true }),
    };
  return (await holdsNonce(deps, transfer)) ? { holdsNonce: true } : {};
}
