/**
 * Giving the leases back, which excludes the pivot for good. An Ethereum nonce that others have passed is not given back:
 * everything above it would wait until somebody took it. It stays with the transfer, whose void then uses it. What is above
 * is judged under the account's lock, in the transaction that gives back or keeps, so that no moment is left in between in
 * which a nonce is nobody's.
 */
import { requireOnceValidQuorum } from '../../core/approvals.ts';
import { nonceOfResource, wouldLeaveGap } from '../../core/ports/ethereum-nonces.ts';
import { decideTransfer, everApproved, type Transfer } from '../../core/transfer/index.ts';
import type { ChainActivities, GivenBack } from '../../schema/contracts/activities.ts';
import { isKeysagaError } from '../../schema/contracts/errors.ts';
import type { Policy } from '../../schema/contracts/policy.ts';
import { commit } from '../ledger/deps.ts';
import { knownPolicies } from '../ledger/policy.ts';
import { appendTransfer, loadTransfer, payerOf } from '../ledger/state.ts';
import type { ChainContext } from './deps.ts';
import { parse } from './inputs.ts';
import { lockLeases } from './leaser.ts';

/** Reached within `releaseLease`, and only when it keeps a nonce. */
export const CLAIM_GAP = ['claimGap:before-commit', 'claimGap:after-commit'] as const;

export const createReleaseLease =
  (context: ChainContext): ChainActivities['releaseLease'] =>
  async (input) => {
    const { requestId, fillGap } = parse('releaseLease', input);
    const { uow, failPoints } = context;
    const { transfer: asked } = await loadTransfer(uow.events, requestId);
    const filled = fillGap === true ? await accountOf(context, asked) : undefined;
    const given = await commit(context, 'releaseLease', async (tx): Promise<GivenBack> => {
      await lockLeases(tx, requestId);
      // The account before the rows, as whoever takes a nonce does.
      const nonces = filled && (await tx.leases.lockNonces(filled.network, filled.account.address));
      const leases = await tx.leases.lockByOwner(requestId);
      const { transfer, version } = await loadTransfer(tx.events, requestId);
      const held = leases.filter(({ state }) => state === 'held').map(({ resource }) => resource);
      const gap = held.find((resource) => {
        const nonce = nonceOfResource(resource)?.nonce;
        return nonces !== undefined && nonce !== undefined && wouldLeaveGap(nonces, nonce);
      });
      if (filled !== undefined && (transfer.fillsGap ?? gap) !== undefined) {
        const approvals = everApproved(transfer);
        if (transfer.fillsGap !== null) return { gap: { approvals } };
        // Parties sign no void of what was never approved: such a nonce (an anchor) goes to the wallet's next transfer.
        if (gap !== undefined && onceApproved(context, transfer, filled.policies)) {
          await appendTransfer(tx, requestId, version, decideTransfer.gapClaimed(transfer, gap));
          await failPoints.at(CLAIM_GAP[0]);
          return { gap: { approvals } };
        }
      }
      await appendTransfer(tx, requestId, version, decideTransfer.leaseReleased(transfer, held));
      if (transfer.fillsGap === null) await tx.leases.setState(requestId, 'released', held);
      return {};
    });
    if (given.gap !== undefined) await failPoints.at(CLAIM_GAP[1]);
    return given;
  };

/** The account whose nonces it may hold, and under which versions it may have been approved; undefined on other chains. */
async function accountOf(context: ChainContext, { intent }: Transfer) {
  const { chains, keyOf } = context;
  if (chains.get(intent.chain).fillGap === undefined) return undefined;
  const account = payerOf(chains, await keyOf(intent.walletId), intent).key;
  const known = await knownPolicies(context.uow, account.policyId);
  return { network: intent.chain, account, policies: known.map(({ policy }) => policy) };
}

/** As parties will ask before they sign the void. */
const onceApproved = (
  { clock, verify }: ChainContext,
  transfer: Transfer,
  policies: readonly Policy[],
): boolean =>
  policies.some((policy) => {
    try {
      requireOnceValidQuorum({
        approvals: everApproved(transfer),
        intentDigest: transfer.intentDigest,
        policy,
        now: clock.now(),
        ...(verify === undefined ? {} : { verify }),
      });
      return true;
    } catch (error) {
      if (isKeysagaError(error, 'QuorumMissing')) return false;
      throw error;
    }
  });
