/** Anchors: leased to a request id before anyone approves, given back when its transfer does not begin. */
import { anchorFold, anchorUntil, giveBack, leasedBefore } from '../../core/anchor.ts';
import type { AnchorCandidate } from '../../core/ports/blockchain.ts';
import { transferFold } from '../../core/transfer/index.ts';
import type { ChainActivities } from '../../schema/contracts/activities.ts';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import { streams } from '../../schema/contracts/events.ts';
import type { AnchorRequest, LeasedAnchor } from '../../schema/contracts/intent.ts';
import { commit } from '../ledger/deps.ts';
import { payerOf, releaseHeld } from '../ledger/state.ts';
import type { ChainContext } from './deps.ts';
import { parse } from './inputs.ts';
import { lockLeases, takeLease } from './leaser.ts';

export function createAnchorActivities(
  context: ChainContext,
): Pick<ChainActivities, 'leaseAnchor' | 'releaseAnchor'> {
  const { uow, chains, clock, keyOf } = context;

  /** One candidate in one short transaction: no row lock waits for another candidate, or for a node. */
  const tryLease = (
    request: AnchorRequest,
    network: string,
    until: string,
    { anchor, lease }: AnchorCandidate,
  ): Promise<LeasedAnchor | undefined> =>
    commit(context, 'leaseAnchor', async (tx) => {
      const { requestId, walletId } = request;
      await lockLeases(tx, requestId);
      const stream = streams.anchor(requestId);
      const { state, version } = await tx.events.load(stream, anchorFold);
      const before = leasedBefore(state, request);
      if (before !== undefined) return before;
      const transfer = await tx.events.load(streams.transfer(requestId), transferFold);
      if (transfer.state !== null)
        throw new KeysagaError('StateConflict', `Transfer ${requestId} has begun without one.`, {
          field: 'anchor',
          requestId,
        });
      if (!(await takeLease(tx, requestId, walletId, network, lease))) return undefined;
      const { resource } = lease;
      await tx.events.append(stream, version, [
        {
          type: 'keysaga.anchor.leased.v1',
          data: { requestId, walletId, network, anchor, resource, until },
        },
      ]);
      return { anchor, until };
    });

  return {
    leaseAnchor: async (input) => {
      const { request } = parse('leaseAnchor', input);
      const { requestId, walletId } = request;
      const { state } = await uow.events.load(streams.anchor(requestId), anchorFold);
      const before = leasedBefore(state, request);
      if (before !== undefined) return before;
      const until = anchorUntil(request, clock.now());
      const key = await keyOf(walletId);
      const chain = chains.get(key.network);
      const payer = payerOf(chains, key, request).key;
      if (request.path !== undefined) await chain.provision(payer, key);
      const candidates = await chain.anchors(payer, {
        amount: BigInt(request.amount),
        feeCap: BigInt(request.feeCap),
      });
      for (const candidate of candidates) {
        const leased = await tryLease(request, key.network, until, candidate);
        if (leased !== undefined) return leased;
      }
      throw new KeysagaError('LeaseUnavailable', 'Other transfers hold all that could anchor it.', {
        resource: 'anchor',
        walletId,
        candidates: candidates.length,
      });
    },

    releaseAnchor: async (input) => {
      const { requestId, reason } = parse('releaseAnchor', input);
      return commit(context, 'releaseAnchor', async (tx) => {
        await lockLeases(tx, requestId);
        // The rows before the stream: a transfer that begins locks them too, and is seen here or sees them released.
        const leases = await tx.leases.lockByOwner(requestId);
        const transfer = await tx.events.load(streams.transfer(requestId), transferFold);
        if (transfer.state !== null) return { outcome: 'taken' as const };
        const stream = streams.anchor(requestId);
        const { state, version } = await tx.events.load(stream, anchorFold);
        const events = giveBack(state, requestId, reason);
        if (events.length > 0) await tx.events.append(stream, version, events);
        await releaseHeld(tx, requestId, leases);
        return { outcome: 'given-back' as const };
      });
    },
  };
}
