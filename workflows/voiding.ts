/**
 * Past the pivot a transfer ends only with a transaction that is final on chain. This file follows the payment,
 * and when it must not or cannot be, makes the void: the one transaction that excludes it.
 */
import { CancellationScope, condition, sleep } from '@temporalio/workflow';
import { KeysagaError } from '../schema/contracts/errors.ts';
import { fromFailure } from '../schema/contracts/failures.ts';
import type { TransactionStatus } from '../schema/contracts/transaction.ts';
import { BACKOFF_CAPS, backoffMs } from './profiles.ts';
import { signTransaction } from './signing.ts';
import { chain } from './steps.ts';
import type { TransferSaga } from './transfer-state.ts';

/** How a line ended on chain. `none`: over, but neither payment nor void took effect. */
export type Final =
  | { readonly won: 'payment'; readonly id: string; readonly confirmations: number }
  | { readonly won: 'void'; readonly id: string }
  | { readonly won: 'none'; readonly reason: string };

type Answer = { readonly id: string; readonly status: TransactionStatus };

/**
 * Asks until one of the transactions is final. Undefined when `stop` says so first. A provider's failure is shown
 * and asked again: there is nothing else a saga past its pivot could do.
 */
export async function follow(
  saga: TransferSaga,
  ids: { readonly payment?: string; readonly void?: string },
  stop: () => boolean,
): Promise<Final | undefined> {
  let waiting = [ids.payment, ids.void].filter((id) => id !== undefined);
  let wanted = 1;
  let failures = 0;
  while (!stop()) {
    let answer: Answer | undefined;
    try {
      answer = await ask(saga, waiting, wanted, stop);
      failures = 0;
    } catch (error) {
      failures += 1;
      const failure = fromFailure(error, { timeout: 'ChainUnavailable' });
      saga.wait(`ALERT: no word of the transaction (${failure.code}), tried again`);
      await condition(stop, backoffMs(failures, BACKOFF_CAPS.afterPivot), {
        summary: `confirm failed (${failure.code}), tried again`,
      });
      continue;
    }
    if (answer === undefined) return undefined;
    const { id, status } = answer;
    const isPayment = id === ids.payment;
    switch (status.status) {
      case 'included': {
        if (isPayment) saga.confirmations = status.confirmations;
        saga.wait(
          `${status.confirmations} confirmations of ${isPayment ? 'the payment' : 'the void'}`,
        );
        if (status.final)
          return isPayment
            ? { won: 'payment', id, confirmations: status.confirmations }
            : { won: 'void', id };
        wanted = nextWanted(status.confirmations);
        break;
      }
      case 'failed':
        // On chain without effect: what it consumed is consumed, so the line is over.
        if (status.final) return { won: 'none', reason: `failed on chain: ${status.reason}` };
        await sleep(1_000, { summary: 'failed, not final yet' });
        break;
      case 'conflicted': {
        if (!status.final) {
          await sleep(1_000, { summary: 'conflicted, not final yet' });
          break;
        }
        const other = waiting.filter((candidate) => candidate !== id);
        if (other.length > 0) waiting = other;
        else if (
          ids.void === id &&
          status.by !== undefined &&
          ids.payment === undefined &&
          saga.pivotPassed
        )
          // Somebody finished the payment's signature: shares were out, its id was not known here.
          return { won: 'payment', id: status.by, confirmations: 0 };
        else return { won: 'none', reason: `excluded by ${status.by ?? 'another transaction'}` };
        break;
      }
      default:
        await sleep(1_000, { summary: `${status.status}, asked again` });
    }
  }
  return undefined;
}

/** Doubled, up to what `confirm` takes: a handful of answers on the way to final, however many blocks that is. */
const nextWanted = (confirmations: number): number =>
  Math.max(confirmations + 1, Math.min(confirmations * 2, 10_000));

/** One long poll, left behind when `stop` says so. */
async function ask(
  saga: TransferSaga,
  ids: readonly string[],
  untilConfirmations: number,
  stop: () => boolean,
): Promise<Answer | undefined> {
  const scope = new CancellationScope();
  let outcome: { answer: Answer } | { error: unknown } | undefined;
  const asking = scope.run(async () => {
    try {
      const answer = await chain('confirm', `confirm ${ids.join(' or ')}`, saga.group()).confirm({
        requestId: saga.intent.requestId,
        transactionIds: ids,
        untilConfirmations,
      });
      outcome = { answer };
    } catch (error) {
      outcome = { error };
    }
  });
  await condition(() => outcome !== undefined || stop());
  if (outcome === undefined) {
    scope.cancel();
    await asking;
    return undefined;
  }
  if ('error' in outcome) throw outcome.error;
  return outcome.answer;
}

/** Sends stored bytes. Answers whether the node took them; `unclear` counts as taken, the look-up settles it. */
export async function send(
  saga: TransferSaga,
  purpose: 'payment' | 'void',
  giveUp: () => boolean,
): Promise<{ readonly taken: boolean; readonly reason: string }> {
  const outcome = await saga.insist(
    `broadcast of the ${purpose}`,
    () =>
      chain('broadcast', `broadcast ${purpose}`, saga.group()).broadcast({
        requestId: saga.intent.requestId,
        purpose,
      }),
    giveUp,
  );
  if (outcome.status === 'rejected') return { taken: false, reason: outcome.reason };
  return { taken: true, reason: outcome.status === 'unclear' ? outcome.reason : '' };
}

/** Makes the line end: a void transaction, unless the payment is final first. Returns only with something final. */
export async function voidLine(saga: TransferSaga, reason: KeysagaError): Promise<Final> {
  saga.enter('Voiding', `${reason.code}: a void transaction is made`);
  saga.recordPhase(reason.code);
  const payment = saga.transactionId;

  // A payment that was sent may be final before there is a void: then none is needed. One that was not is left
  // alone, since following it could send it.
  let decided: Final | undefined;
  let made: { readonly id: string } | undefined;
  const watching =
    payment === undefined || !saga.sent
      ? Promise.resolve()
      : follow(saga, { payment }, () => made !== undefined).then((final) => {
          decided ??= final;
        });
  const moot = (): boolean => decided !== undefined;
  const making = makeVoid(saga, moot).then((id) => {
    if (id !== undefined) made = { id };
  });
  await Promise.all([watching, making]);
  if (decided !== undefined) return decided;
  if (made === undefined)
    throw new KeysagaError('StateConflict', 'The void ended without a transaction.');

  return deliverVoid(saga, { ...(payment === undefined ? {} : { payment }), void: made.id });
}

/**
 * Uses up the nonce that later transactions of the account wait for: of this transfer nothing was signed, so its void is
 * alone. `none`: a transaction that nobody here knows took the nonce, which serves as well.
 */
export async function fillGap(saga: TransferSaga): Promise<Final> {
  saga.wait('a void fills its nonce, which later transactions wait for');
  const id = await makeVoid(saga, () => false);
  if (id === undefined)
    throw new KeysagaError('StateConflict', 'The void ended without a transaction.');
  return deliverVoid(saga, { void: id });
}

/** Sends the void until it, or what it excludes, is final. */
async function deliverVoid(
  saga: TransferSaga,
  ids: { readonly payment?: string; readonly void: string },
): Promise<Final> {
  for (let wave = 1; ; wave++) {
    // A refusal is no end: the payment may be in the way and win, or the node may think again.
    const { taken, reason: why } = await send(saga, 'void', () => false);
    if (!taken)
      saga.wait(`ALERT: the node refuses the void (${why}); payment and void are watched`);
    let pausing = !taken;
    const pause = taken
      ? Promise.resolve()
      : sleep(backoffMs(wave + 4, BACKOFF_CAPS.afterPivot), {
          summary: 'until the void is sent again',
        }).then(() => {
          pausing = false;
        });
    const final = await follow(saga, ids, () => !taken && !pausing);
    if (final !== undefined) return final;
    await pause;
  }
}

/** Undefined when the payment became final meanwhile. */
async function makeVoid(saga: TransferSaga, moot: () => boolean): Promise<string | undefined> {
  try {
    const signed = await saga.insist(
      'the void',
      async () => {
        const built = await chain('build', 'build the void', saga.group()).buildVoid({
          intent: saga.intent,
        });
        const signed =
          built.signed ??
          (await signTransaction(saga, {
            purpose: 'void',
            built,
            moot,
            ready: async () => {
              if (moot()) throw new KeysagaError('StateConflict', 'The payment is final.');
            },
          }));
        // A void needs no version of its own, so that nothing asks for another.
        if (signed === undefined)
          throw new KeysagaError('StateConflict', 'The void was not signed.');
        return signed;
      },
      moot,
    );
    saga.voidTransactionId = signed.id;
    saga.changed();
    return signed.id;
  } catch (error) {
    if (moot()) return undefined;
    throw error;
  }
}
