/** Sending stored bytes and following them until they are final. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Context } from '@temporalio/activity';
import type { Blockchain } from '../../core/ports/blockchain.ts';
import { hexToBytes } from '../../core/signed.ts';
import { decideTransfer, type Purpose, type Transfer } from '../../core/transfer/index.ts';
import type { ChainActivities } from '../../schema/contracts/activities.ts';
import { isKeysagaError, KeysagaError } from '../../schema/contracts/errors.ts';
import type { KeyDescriptor } from '../../schema/contracts/key.ts';
import type { RequestId } from '../../schema/contracts/primitives.ts';
import type {
  BroadcastOutcome,
  SignedTransaction,
  TransactionStatus,
} from '../../schema/contracts/transaction.ts';
import { commit } from '../ledger/deps.ts';
import { appendTransfer, loadTransfer, payerOf } from '../ledger/state.ts';
import type { ChainContext } from './deps.ts';
import { parse } from './inputs.ts';

const DEFAULT_POLL_MS = 500;
/** An unknown transaction is sent again at once, then at most this often. */
const RESEND_MS = 5_000;
/** An unclear answer is looked up this long; then the wait for confirmations goes on with it, and sends the same bytes. */
const SETTLE_MS = 3_000;

type Watched = {
  readonly id: string;
  readonly purpose: Purpose;
  readonly signed: SignedTransaction;
};
type Seen = Watched & { readonly status: TransactionStatus };
type Answer = { id: string; status: TransactionStatus };

export function createDeliverActivities(
  context: ChainContext,
): Pick<ChainActivities, 'broadcast' | 'confirm'> {
  const { uow, chains, clock, keyOf } = context;

  const open = async (requestId: RequestId) => {
    const { transfer } = await loadTransfer(uow.events, requestId);
    const key = payerOf(chains, await keyOf(transfer.intent.walletId), transfer.intent).key;
    return { transfer, key, chain: chains.get(transfer.intent.chain) };
  };

  const lookUp = (
    chain: Blockchain,
    transfer: Transfer,
    key: KeyDescriptor,
    { id, purpose }: Omit<Watched, 'signed'>,
  ) => {
    const built = transfer.built[purpose];
    if (built === null)
      throw new KeysagaError('StateConflict', 'The transaction was not built here.', { id });
    return chain.lookup(id, built.unsigned, hexToBytes(key.publicKey));
  };

  /** A refusal or a doubt is settled by looking the id up at every provider, never by other bytes. */
  const settled = (outcome: BroadcastOutcome, status: TransactionStatus): BroadcastOutcome => {
    if (status.status === 'pending' || status.status === 'included' || status.status === 'failed')
      return { status: 'already-known' };
    if (status.status === 'conflicted')
      return {
        status: 'rejected',
        reason: `Another transaction took its input or nonce${status.by ? `: ${status.by}` : ''}.`,
      };
    return outcome;
  };

  /** A transaction may take a moment from the provider that took it to those that are asked. */
  const settle = async (
    outcome: BroadcastOutcome,
    look: () => Promise<TransactionStatus>,
  ): Promise<BroadcastOutcome> => {
    const { settleMs = SETTLE_MS, confirmPollMs = DEFAULT_POLL_MS } = context;
    const began = performance.now();
    for (;;) {
      const now = settled(outcome, await look());
      if (now !== outcome || outcome.status !== 'unclear') return now;
      if (performance.now() - began >= settleMs) return outcome;
      await sleep(confirmPollMs);
    }
  };

  const broadcast: ChainActivities['broadcast'] = async (input) => {
    const { requestId, purpose } = parse('broadcast', input);
    const { transfer, key, chain } = await open(requestId);
    const signed = transfer.signed[purpose];
    if (signed === null)
      throw new KeysagaError('StateConflict', `No ${purpose} is signed.`, {
        field: 'purpose',
        requestId,
      });
    // A payment whose void is signed is no longer wanted: it is looked up, not pushed.
    const sendable = purpose === 'void' || transfer.signed.void === null;
    let outcome: BroadcastOutcome = sendable
      ? await chain.broadcast(signed)
      : { status: 'rejected', reason: 'A void of this transfer is signed.' };
    if (outcome.status === 'rejected' || outcome.status === 'unclear')
      outcome = await settle(outcome, () =>
        lookUp(chain, transfer, key, { id: signed.id, purpose }),
      );
    await commit(context, 'broadcast', async (tx) => {
      const { transfer: now, version } = await loadTransfer(tx.events, requestId);
      await appendTransfer(tx, requestId, version, decideTransfer.broadcast(now, purpose, outcome));
    });
    return outcome;
  };

  /** Appends what the chain says; only called with an answer for the saga in hand. */
  const record = async (requestId: RequestId, seen: readonly Seen[]): Promise<void> => {
    await commit(context, 'confirm', async (tx) => {
      let { transfer, version } = await loadTransfer(tx.events, requestId);
      for (const { purpose, status } of seen) {
        if (status.status === 'unknown' || status.status === 'pending') continue;
        const confirmations = status.status === 'included' ? status.confirmations : 0;
        const events = [
          ...(status.status === 'included'
            ? decideTransfer.confirmed(transfer, purpose, confirmations)
            : []),
          ...(status.final
            ? decideTransfer.finalized(transfer, purpose, {
                outcome: status.status,
                confirmations,
                ...(status.status === 'conflicted' && status.by !== undefined
                  ? { by: status.by }
                  : {}),
              })
            : []),
        ];
        await appendTransfer(tx, requestId, version, events);
        if (events.length > 0) ({ transfer, version } = await loadTransfer(tx.events, requestId));
      }
    });
  };

  const confirm: ChainActivities['confirm'] = async (input) => {
    const { requestId, transactionIds, untilConfirmations } = parse('confirm', input);
    const { transfer, key, chain } = await open(requestId);
    const watched = transactionIds.map((id): Watched => {
      const purpose = decideTransfer.purposeOf(transfer, id);
      const signed = purpose === undefined ? null : transfer.signed[purpose];
      if (purpose === undefined || signed === null)
        throw new KeysagaError('InvalidInput', `${id} is no signed transaction of ${requestId}.`, {
          field: 'transactionIds',
        });
      return { id, purpose, signed };
    });
    const activity = Context.current();
    const resentAt = new Map<string, number>();

    const resend = async ({ id, signed, status, purpose }: Seen): Promise<void> => {
      if (status.status !== 'unknown' || clock.now() - (resentAt.get(id) ?? 0) < RESEND_MS) return;
      // A void signed while we wait ends the payment's sending too.
      const { transfer: now } = await loadTransfer(uow.events, requestId);
      if (purpose === 'payment' && now.signed.void !== null) return;
      resentAt.set(id, clock.now());
      await chain.broadcast(signed);
    };

    for (;;) {
      activity.heartbeat(transactionIds);
      try {
        const seen: Seen[] = [];
        for (const tx of watched)
          seen.push({ ...tx, status: await lookUp(chain, transfer, key, tx) });
        const answer = decisive(seen, untilConfirmations);
        if (answer !== undefined) {
          await record(requestId, seen);
          return answer;
        }
        for (const tx of seen) await resend(tx);
      } catch (error) {
        // A provider that is away is waited for; the heartbeat shows that this worker is not.
        if (!isKeysagaError(error, 'ChainUnavailable')) throw error;
      }
      await activity.sleep(context.confirmPollMs ?? DEFAULT_POLL_MS);
    }
  };

  return { broadcast, confirm };
}

/** The answer to give now, if any: enough confirmations, or something final that leaves nothing to wait for. */
function decisive(seen: readonly Seen[], untilConfirmations: number): Answer | undefined {
  const included = seen.find(
    ({ status }) =>
      status.status === 'included' && (status.final || status.confirmations >= untilConfirmations),
  );
  if (included !== undefined) return { id: included.id, status: included.status };
  const failed = seen.find(({ status }) => status.status === 'failed' && status.final);
  if (failed !== undefined) return { id: failed.id, status: failed.status };
  const out = seen.every(({ status }) => status.status === 'conflicted' && status.final);
  const first = seen[0];
  return out && first !== undefined ? { id: first.id, status: first.status } : undefined;
}
