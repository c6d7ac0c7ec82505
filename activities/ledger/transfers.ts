/** The ledger's part in a transfer: from its reservation to its end. */
import { anchorFold, giveBack, requireAnchorLeased } from '../../core/anchor.ts';
import { checkApproval } from '../../core/approvals.ts';
import { decideMessage, messageFold } from '../../core/messages/aggregate.ts';
import { parsePayment, paymentDigest } from '../../core/payout.ts';
import type { Lease, Transaction } from '../../core/ports/ledger.ts';
import type { PaymentIntent } from '../../core/ports/payment.ts';
import { digestHex } from '../../core/signed.ts';
import {
  decideTransfer,
  phaseFacts,
  pivotPassed,
  reportedPhase,
  type Transfer,
  transferFold,
} from '../../core/transfer/index.ts';
import { reserve, walletFold } from '../../core/wallet/index.ts';
import type { LedgerActivities, Reservation } from '../../schema/contracts/activities.ts';
import type { SignedApproval } from '../../schema/contracts/approval.ts';
import { isKeysagaError, KeysagaError } from '../../schema/contracts/errors.ts';
import { streams } from '../../schema/contracts/events.ts';
import type { KeyDescriptor } from '../../schema/contracts/key.ts';
import type { SignedPolicy } from '../../schema/contracts/policy.ts';
import type { RequestId } from '../../schema/contracts/primitives.ts';
import { type CoordinatorDeps, commit } from './deps.ts';
import { checkDestinations } from './destinations.ts';
import { leftBy } from './earlier.ts';
import { parse } from './inputs.ts';
import { knownPolicies, policyByHash } from './policy.ts';
import {
  appendTransfer,
  closeLeases,
  closeReservation,
  createKeyReader,
  isAnothers,
  loadTransfer,
  payerOf,
  releaseHeld,
} from './state.ts';

export type TransferLedger = Pick<
  LedgerActivities,
  | 'reserve'
  | 'release'
  | 'recordDecision'
  | 'passPivot'
  | 'reportParties'
  | 'settle'
  | 'fail'
  | 'recordPhase'
  | 'recordUndo'
>;

/** Request ids of transfers and of messages are one space: the undo of either names no more than its id. */
export const CLAIM = 'transfer';
/** Claims the id of a request that was undone before it was reserved, so that a late `reserve` finds it taken. */
export const GIVEN_UP = 'given-up';
const BALANCE_LOOKS = 5;

const begun = (requestId: RequestId, cause?: unknown): KeysagaError =>
  new KeysagaError(
    'VersionConflict',
    `Transfer ${requestId} has just begun.`,
    { requestId },
    { cause },
  );

export function createTransferLedger(deps: CoordinatorDeps): TransferLedger {
  const { uow, chains, policies, protocols, clock } = deps;
  const keyOf = createKeyReader(uow);
  const now = () => new Date(clock.now()).toISOString();

  const answer = async (
    transfer: Pick<Transfer, 'requestId' | 'policyHash'> & { pivotPassed: boolean },
    key: KeyDescriptor,
  ): Promise<Reservation> => ({
    key,
    policy: await policyByHash(deps, key.policyId, transfer.policyHash),
    policyHash: transfer.policyHash,
    signRounds: protocols.get(key.protocol).metadata.rounds.sign,
    ranking: (await uow.transaction((tx) =>
      tx.parties.ranking(key.parties, transfer.requestId),
    )) as Reservation['ranking'],
    pivotPassed: transfer.pivotPassed,
  });

  /** The same request again, also after a reset of its workflow. */
  const stored = async (transfer: Transfer, key: KeyDescriptor): Promise<Reservation> => {
    if (transfer.end?.kind === 'failed')
      throw new KeysagaError(
        'StateConflict',
        `Transfer ${transfer.requestId} has failed: ${transfer.end.failure.code}.`,
        {
          requestId: transfer.requestId,
          failure: transfer.end.failure.code,
        },
      );
    const reservation = await answer({ ...transfer, pivotPassed: pivotPassed(transfer) }, key);
    return { ...reservation, ...(await leftBy(deps, transfer)) };
  };

  const checkFresh = (intent: PaymentIntent): void => {
    if (Date.parse(intent.expiresAt) <= clock.now())
      throw new KeysagaError('IntentExpired', `The intent expired at ${intent.expiresAt}.`, {
        field: 'expiresAt',
      });
    checkDestinations(chains.get(intent.chain).codec, intent);
  };

  /** Undefined: the balance was read before a spend that the wallet knows of by now. */
  const tryReserve = async (
    intent: PaymentIntent,
    data: { intentDigest: string; workflowId: string },
    key: KeyDescriptor,
  ): Promise<{ policyHash: string; transfer?: Transfer } | undefined> => {
    const walletStream = streams.wallet(intent.walletId);
    const policy = await policies.inForce(key.policyId, key);
    // The balance is asked for before the transaction: no lock waits for a node.
    const before = (await uow.events.load(walletStream, walletFold)).state.spends;
    const chain = chains.get(key.network);
    const payer = payerOf(chains, key, intent).key;
    if (intent.path !== undefined) await chain.provision(payer, key);
    const native = await chain.balance(payer.address, 'native');
    const asset =
      intent.asset === 'native' ? native : await chain.balance(payer.address, intent.asset);
    return commit(deps, 'reserve', async (tx) => {
      // The rows first, as everywhere: whoever gives the anchor back has done so already, or finds the transfer begun.
      const leases =
        intent.anchor === undefined ? [] : await tx.leases.lockByOwner(intent.requestId);
      const { fresh } = await tx.claim(CLAIM, intent.requestId, digestHex('request', data));
      const current = await tx.events.load(streams.transfer(intent.requestId), transferFold);
      if (!fresh && current.state !== null)
        return { policyHash: current.state.policyHash, transfer: current.state };
      requireAnchorLeased(intent, payer.address, leases);
      await tx.lock(walletStream);
      const wallet = await tx.events.load(walletStream, walletFold);
      if (wallet.state.spends !== before) return undefined;
      const reserved = reserve(wallet.state, {
        intent,
        policy: policy.signed.policy,
        now: now(),
        balance: { asset, native },
      });
      await tx.events.append(walletStream, wallet.version, reserved);
      const initiated = decideTransfer.initiate(current.state, {
        requestId: intent.requestId,
        intent,
        policyHash: policy.hash,
        ...data,
      });
      await appendTransfer(tx, intent.requestId, current.version, initiated);
      return { policyHash: policy.hash };
    });
  };

  /**
   * The word of an approver, under the transfer's version or another that stands: one that the saga counted may have
   * been given before the policy changed, and what a version no longer counts stays evidence for a void.
   */
  const checkDecision = async (
    policyId: string,
    asked: Transfer,
    signed: SignedApproval,
  ): Promise<void> => {
    // The saga counted it when it came; whether it has expired since is not the ledger's question.
    const check = ({ policy }: SignedPolicy) =>
      checkApproval({
        signed,
        intentDigest: asked.intentDigest,
        policy,
        now: Date.parse(signed.approval.at),
        verify: deps.verify,
      });
    try {
      check(await policyByHash(deps, policyId, asked.policyHash));
    } catch (refusal) {
      for (const version of await knownPolicies(uow, policyId)) {
        try {
          return check(version);
        } catch {
          // Not under this one either.
        }
      }
      throw refusal;
    }
  };

  /** Read before a transaction begins: a second connection asked for inside one could wait for ever. */
  const known = async (
    requestId: RequestId,
  ): Promise<{ transfer: Transfer; key: KeyDescriptor }> => {
    const { transfer } = await loadTransfer(uow.events, requestId);
    return { transfer, key: await keyOf(transfer.intent.walletId) };
  };

  /** Nothing was ever reserved under this id, and nothing will be: what was leased ahead for it goes back. */
  const giveAnchorBack = async (
    tx: Transaction,
    requestId: RequestId,
    leases: readonly Lease[],
    reason: string,
  ): Promise<void> => {
    const stream = streams.anchor(requestId);
    const { state, version } = await tx.events.load(stream, anchorFold);
    if (state.leased === null) return;
    const events = giveBack(state, requestId, reason);
    if (events.length > 0) await tx.events.append(stream, version, events);
    await releaseHeld(tx, requestId, leases);
  };

  /** Marks the id as given up when nothing was ever reserved under it. */
  const giveUp = async (tx: Transaction, requestId: RequestId): Promise<void> => {
    const message = await tx.events.load(streams.message(requestId), messageFold);
    // The id is a message's: no transfer will ever begin under it.
    if (message.state !== null) return;
    await tx.claim(CLAIM, requestId, GIVEN_UP).catch((error: unknown) => {
      // Reserved in between: the caller looks again.
      throw isKeysagaError(error, 'RequestConflict') ? begun(requestId, error) : error;
    });
  };

  return {
    reserve: async (input) => {
      const { intent: rawIntent, ...data } = parse('reserve', input);
      const intent = parsePayment(rawIntent);
      if (paymentDigest(intent) !== data.intentDigest)
        throw new KeysagaError('InvalidInput', 'The digest is not that of the intent.', {
          field: 'intentDigest',
        });
      const key = await keyOf(intent.walletId);
      const { state } = await uow.events.load(streams.transfer(intent.requestId), transferFold);
      if (state !== null) {
        decideTransfer.initiate(state, {
          requestId: intent.requestId,
          intent,
          policyHash: state.policyHash,
          ...data,
        });
        return stored(state, key);
      }
      checkFresh(intent);
      for (let look = 1; look <= BALANCE_LOOKS; look++) {
        const done = await tryReserve(intent, data, key);
        if (done?.transfer !== undefined) return stored(done.transfer, key);
        if (done !== undefined)
          return {
            ...(await answer(
              { requestId: intent.requestId, policyHash: done.policyHash, pivotPassed: false },
              key,
            )),
            ...(intent.anchor?.kind === 'ethereum-nonce' ? { holdsNonce: true } : {}),
          };
      }
      throw new KeysagaError(
        'VersionConflict',
        'The wallet changes too fast to read its balance.',
        {
          walletId: intent.walletId,
        },
      );
    },

    release: async (input) => {
      const { requestId, reason, workflowId } = parse('release', input);
      return commit(deps, 'release', async (tx) => {
        const { state, version } = await tx.events.load(streams.transfer(requestId), transferFold);
        if (state === null) {
          await giveUp(tx, requestId);
          return {};
        }
        if (isAnothers(state, workflowId)) return {};
        if (state.end?.kind === 'completed')
          throw new KeysagaError('PivotPassed', `Transfer ${requestId} has completed.`, {
            requestId,
          });
        if (state.end !== null) return {};
        // In the same transaction nothing can be built or pass its pivot any more.
        const phase = reportedPhase(state.phase, 'Compensating', phaseFacts(state));
        if (phase !== undefined)
          await appendTransfer(
            tx,
            requestId,
            version,
            decideTransfer.phase(state, phase, reason.slice(0, 200)),
          );
        await closeReservation(tx, state, { reason, at: now() });
        return state.fillsGap === null ? {} : { fillsGap: true };
      });
    },

    recordDecision: async (input) => {
      const { requestId, signed } = parse('recordDecision', input);
      const { transfer: asked, key } = await known(requestId);
      await checkDecision(key.policyId, asked, signed);
      await commit(deps, 'recordDecision', async (tx) => {
        const { transfer, version } = await loadTransfer(tx.events, requestId);
        await appendTransfer(
          tx,
          requestId,
          version,
          decideTransfer.recordDecision(transfer, signed),
        );
      });
    },

    passPivot: async (input) => {
      const { requestId, attempt, purpose, reports } = parse('passPivot', input);
      await commit(deps, 'passPivot', async (tx) => {
        // Rows first, then the stream: whoever gives these leases back waits here or has done so already.
        const leases = await tx.leases.lockByOwner(requestId);
        const { transfer, version } = await loadTransfer(tx.events, requestId);
        const events = decideTransfer.passPivot(transfer, purpose, attempt, leases);
        if (events.length === 0) return;
        await appendTransfer(tx, requestId, version, events);
        await tx.leases.setState(requestId, 'pivoted', transfer.built[purpose]?.leases ?? []);
        await tx.parties.record(reports);
      });
    },

    reportParties: async (input) => {
      const { walletId, reports } = parse('reportParties', input);
      const key = await keyOf(walletId);
      const ranking = await commit(deps, 'reportParties', async (tx) => {
        await tx.parties.record(reports);
        return tx.parties.ranking(key.parties, walletId);
      });
      return { ranking: ranking as Reservation['ranking'] };
    },

    settle: async (input) => {
      const { requestId, transactionId, confirmations } = parse('settle', input);
      const { key } = await known(requestId);
      await commit(deps, 'settle', async (tx) => {
        const leases = await tx.leases.lockByOwner(requestId);
        const { transfer, version } = await loadTransfer(tx.events, requestId);
        const events = decideTransfer.complete(transfer, transactionId, confirmations);
        if (events.length === 0) return;
        await appendTransfer(tx, requestId, version, events);
        await closeLeases(tx, chains, transfer, key, leases);
        await closeReservation(tx, transfer, { reason: 'settled', at: now(), transactionId });
      });
    },

    fail: async (input) => {
      const { requestId, failure, voidTransactionId, workflowId } = parse('fail', input);
      const before = await uow.events.load(streams.transfer(requestId), transferFold);
      const key = before.state === null ? undefined : await keyOf(before.state.intent.walletId);
      await commit(deps, 'fail', async (tx) => {
        // Excludes a `build` that still takes leases.
        await tx.lock(streams.transfer(requestId));
        const leases = await tx.leases.lockByOwner(requestId);
        const { state, version } = await tx.events.load(streams.transfer(requestId), transferFold);
        if (state === null) {
          await giveUp(tx, requestId);
          return giveAnchorBack(tx, requestId, leases, failure.code);
        }
        if (isAnothers(state, workflowId)) return;
        if (key === undefined) throw begun(requestId);
        // After the pivot this succeeds only when the line is over, so the leases may be closed.
        const events = decideTransfer.fail(state, failure, voidTransactionId);
        if (events.length === 0) return;
        await appendTransfer(tx, requestId, version, events);
        await closeLeases(tx, chains, state, key, leases);
        await closeReservation(tx, state, { reason: failure.code, at: now() });
      });
    },

    recordPhase: async (input) => {
      const { requestId, phase, reason, workflowId } = parse('recordPhase', input);
      await commit(deps, 'recordPhase', async (tx) => {
        const { transfer, version } = await loadTransfer(tx.events, requestId);
        if (isAnothers(transfer, workflowId)) return;
        await appendTransfer(tx, requestId, version, decideTransfer.phase(transfer, phase, reason));
      });
    },

    recordUndo: async (input) => {
      const { requestId, ...report } = parse('recordUndo', input);
      await commit(deps, 'recordUndo', async (tx) => {
        const message = await tx.events.load(streams.message(requestId), messageFold);
        if (message.state !== null) {
          const events = decideMessage.undo(message.state, report);
          if (events.length > 0)
            await tx.events.append(streams.message(requestId), message.version, events);
          return;
        }
        const { transfer, version } = await loadTransfer(tx.events, requestId);
        await appendTransfer(tx, requestId, version, decideTransfer.undo(transfer, report));
      });
    },
  };
}
