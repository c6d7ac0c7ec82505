/**
 * Lending while a transaction is built. Each lease is taken in a short transaction of its own, so that no row lock
 * waits for a node's answer. What a crash between taking and building leaves behind is given back by the next try
 * or by `releaseLease`; a lease is taken only while the transfer may still build, under the lock that `releaseLease`
 * and `fail` hold too, so that none is taken after they have given everything back.
 *
 * Transactions of an Ethereum account wait for one another, so its nonces follow two more rules. No nonce is taken above one
 * that was given back, judged under the account's lock (`takeLease`). And a transfer keeps the nonce that it once had to its
 * end, through all tries: only `releaseLease` gives one back, which looks at what is above it.
 */
import type { LeaseRequest, Leaser } from '../../core/ports/blockchain.ts';
import { freeBelow, nonceOfResource } from '../../core/ports/ethereum-nonces.ts';
import type { Transaction } from '../../core/ports/ledger.ts';
import { anchorResource } from '../../core/rules/effects.ts';
import { decideTransfer, type Transfer } from '../../core/transfer/index.ts';
import { streams } from '../../schema/contracts/events.ts';
import type { RequestId } from '../../schema/contracts/primitives.ts';
import { commit } from '../ledger/deps.ts';
import { loadTransfer } from '../ledger/state.ts';
import type { ChainContext } from './deps.ts';

export type OpenLeaser = Leaser & {
  /** Gives back what was taken through this leaser and no built transaction needs. */
  giveBack(): Promise<void>;
};

/** Everything that changes this transfer's leases holds this lock. */
export const lockLeases = (tx: Transaction, requestId: RequestId): Promise<void> =>
  tx.lock(streams.transfer(requestId));

/** False when another holds it, or when it is a nonce and a lower one of its account has been given back. */
export async function takeLease(
  tx: Transaction,
  owner: RequestId,
  walletId: string,
  network: string,
  request: LeaseRequest,
): Promise<boolean> {
  const account = nonceOfResource(request.resource);
  if (account !== undefined) {
    const nonces = await tx.leases.lockNonces(account.network, account.address);
    if (freeBelow(nonces, account.nonce)) return false;
  }
  return tx.leases.tryTake(owner, walletId, network, request);
}

/** What its built transactions stand on, and its anchor, which is part of what people approve: held to the end. */
function needed(transfer: Transfer, address: string): ReadonlySet<string> {
  const { anchor, chain } = transfer.intent;
  return new Set([
    ...(transfer.built.payment?.leases ?? []),
    ...(transfer.built.void?.leases ?? []),
    ...(anchor === undefined ? [] : [anchorResource(anchor, chain, address)]),
  ]);
}

/** Of this transfer's held leases, releases those of `candidates` (all when absent) that it does not need. */
async function releaseUnneeded(
  context: ChainContext,
  requestId: RequestId,
  address: string,
  candidates?: ReadonlySet<string>,
): Promise<LeaseRequest[]> {
  return commit(context, 'releaseUnneeded', async (tx) => {
    await lockLeases(tx, requestId);
    const held = (await tx.leases.lockByOwner(requestId)).filter((lease) => lease.state === 'held');
    const { transfer } = await loadTransfer(tx.events, requestId);
    const need = needed(transfer, address);
    const keep = new Set(
      held
        .map(({ resource }) => resource)
        .filter((resource) => need.has(resource) || nonceOfResource(resource) !== undefined),
    );
    const unneeded = held.filter(
      ({ resource }) =>
        !keep.has(resource) && (candidates === undefined || candidates.has(resource)),
    );
    await tx.leases.setState(
      requestId,
      'released',
      unneeded.map(({ resource }) => resource),
    );
    return held
      .filter(({ resource }) => keep.has(resource))
      .map(({ resource, detail }) => ({ resource, detail }));
  });
}

/** `address`: that of the account that pays. */
export async function openLeaser(
  context: ChainContext,
  transfer: Transfer,
  address: string,
): Promise<OpenLeaser> {
  const requestId = transfer.requestId as RequestId;
  const { walletId, chain } = transfer.intent;
  const taken = new Set<string>();
  return {
    held: await releaseUnneeded(context, requestId, address),
    tryTake: async (resource, detail) => {
      const got = await commit(context, 'lend', async (tx) => {
        await lockLeases(tx, requestId);
        const { transfer: now } = await loadTransfer(tx.events, requestId);
        decideTransfer.requireBuildable(now, 'payment');
        return takeLease(tx, requestId, walletId, chain, { resource, detail });
      });
      if (got) taken.add(resource);
      return got;
    },
    giveBack: async () => {
      if (taken.size > 0) await releaseUnneeded(context, requestId, address, taken);
    },
  };
}
