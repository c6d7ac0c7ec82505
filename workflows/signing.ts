/**
 * From unsigned to signed transaction: what the attempts of `attempts.ts` ask parties, ledger and chain for. After the pivot a
 * refusal of the intent leads to a void.
 */
import { CancellationScope } from '@temporalio/workflow';
import { isPayout } from '../core/ports/payment.ts';
import type { Built } from '../schema/contracts/activities.ts';
import { KeysagaError } from '../schema/contracts/errors.ts';
import { fromFailure } from '../schema/contracts/failures.ts';
import type { SigningPurpose } from '../schema/contracts/party.ts';
import type { AttemptId } from '../schema/contracts/primitives.ts';
import type { SignedTransaction } from '../schema/contracts/transaction.ts';
import { type Signable, sign } from './attempts.ts';
import { chain, ledger } from './steps.ts';
import type { TransferSaga } from './transfer-state.ts';

export type SigningJob = Pick<Signable<SignedTransaction>, 'ready' | 'renew' | 'moot'> & {
  readonly purpose: SigningPurpose;
  readonly built: Built;
};

/** As `sign`. */
export function signTransaction(
  saga: TransferSaga,
  job: SigningJob,
): Promise<SignedTransaction | undefined> {
  const { purpose, built } = job;
  const { intent } = saga;
  return sign(saga, {
    ...job,
    ranking: built.ranking,
    refusable: purpose === 'payment',
    ...(built.pooled === undefined ? {} : { pooled: built.pooled }),
    request: (signers, attempt, pooled) => {
      const { key, policyHash } = saga.reservation;
      const common = {
        requestId: intent.requestId,
        attempt,
        keyId: key.keyId,
        epoch: key.epoch,
        purpose,
        signers: [...signers],
        approvals: saga.approvalsFor(purpose),
        policyHash,
        unsigned: built.unsigned,
        ...(pooled === undefined ? {} : { pooled: [...pooled] }),
      };
      return isPayout(intent)
        ? { kind: 'payout', ...common, intent }
        : { kind: 'sign', ...common, intent, line: 0 };
    },
    enter(phase) {
      if (purpose === 'payment') saga.enter(phase);
    },
    pivot: (attempt) => passPivot(saga, job, attempt),
    attach: (signers, attempt, { rounds }, pooled) =>
      chain('attach', `attach ${purpose}`, saga.group()).attach({
        requestId: intent.requestId,
        purpose,
        attempt,
        unsigned: built.unsigned,
        signers,
        rounds,
        ...(pooled ? { pooled: true as const } : {}),
      }),
  });
}

/**
 * The pivot: after it a signature may be out. It is taken for passed before the ledger is asked, so that a cancel in
 * between leads to a void; only the ledger's own refusal takes that back.
 */
async function passPivot(saga: TransferSaga, job: SigningJob, attempt: AttemptId): Promise<void> {
  if (!saga.recording.idle)
    await saga.until(() => saga.recording.idle, undefined, 'decisions on their way to the ledger');
  const unrecorded = await saga.recording.settled();
  if (unrecorded !== undefined && !saga.onlyForward) throw unrecorded;
  saga.throwIfInterrupted();
  const before = saga.pivotPassed;
  // A void that fills a nonce has no payment's pivot before it.
  if (job.purpose === 'payment') saga.pivotPassed = true;
  const reports = saga.reports;
  saga.reports = [];
  try {
    await CancellationScope.nonCancellable(() =>
      ledger('ledger', `pivot: ${job.purpose}`, saga.group()).passPivot({
        requestId: saga.intent.requestId,
        attempt,
        purpose: job.purpose,
        reports,
      }),
    );
  } catch (error) {
    saga.pivotPassed = before;
    const failure = fromFailure(error, { timeout: 'TimeLimit' });
    if (job.purpose === 'payment' && !before && saga.cancelRequested)
      throw new KeysagaError('Cancelled', 'Cancelled on request.');
    throw failure;
  }
  saga.undos.dismissAll();
  saga.changed();
  await job.ready();
}
