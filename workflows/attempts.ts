/**
 * Attempts at a signature with changing signer sets until one succeeds, for whatever saga asks (`SigningHost`). A party that
 * does not answer or refuses for its own reasons is a routing decision; a refusal of the intent ends the saga before the
 * pivot.
 */
import { CancellationScope, type EventGroupMarker, uuid4 } from '@temporalio/workflow';
import { withDefaults } from '../core/transfer/limits.ts';
import type { Built, PartyReport, Reservation } from '../schema/contracts/activities.ts';
import { KeysagaError } from '../schema/contracts/errors.ts';
import { fromFailure } from '../schema/contracts/failures.ts';
import type { TransferIntent } from '../schema/contracts/intent.ts';
import type { PrepareRequest } from '../schema/contracts/party.ts';
import type { PooledPresignature } from '../schema/contracts/pool.ts';
import type { AttemptId, PartyId } from '../schema/contracts/primitives.ts';
import type { SagaLimits } from '../schema/contracts/saga.ts';
import type { Background } from './background.ts';
import { AttemptFailed, type CeremonyOutcome, type PartyFailure, runCeremony } from './ceremony.ts';
import { isIntentLevel, isPoolLevel } from './codes.ts';
import { abortUndo } from './owed.ts';
import { followsPolicy } from './policy-watch.ts';
import { BACKOFF_CAPS, backoffMs } from './profiles.ts';
import type { Progress } from './progress.ts';
import { DEMERIT, Quorum } from './quorum.ts';
import type { Compensations } from './saga.ts';
import { ledger, party } from './steps.ts';

const HOUR_MS = 3_600_000;

/** What attempts need of the saga that runs them. */
export type SigningHost = {
  readonly intent: Pick<TransferIntent, 'requestId' | 'walletId' | 'expiresAt'>;
  readonly input: { readonly limits?: SagaLimits };
  readonly reservation: Pick<Reservation, 'key' | 'signRounds'>;
  readonly progress: Progress;
  readonly undos: Compensations;
  readonly background: Background;
  /** How parties did since the ledger last heard of it. */
  reports: PartyReport[];
  attempt: AttemptId | undefined;
  attempts: number;
  /** Nothing is undone or given up any more: only what is final on chain, or signed, ends the saga. */
  readonly onlyForward: boolean;
  readonly waitingFor: string;
  /** How often somebody said that the policy may have changed. */
  readonly policyHints: number;
  group(): EventGroupMarker;
  changed(): void;
  wait(waitingFor: string): void;
  throwIfInterrupted(): void;
  run<T>(step: () => Promise<T>): Promise<T>;
  until(met: () => boolean, milliseconds: number | undefined, summary: string): Promise<boolean>;
};

/** What is to be signed. `Signed`: what combining gives. */
export type Signable<Signed> = {
  /** Best first. */
  readonly ranking: readonly PartyId[];
  /** A refusal of the intent by a party ends the signing; otherwise it is that party's failure. */
  readonly refusable: boolean;
  /** Before each attempt: throws what must end the signing instead (interrupted, cancelled, moot). */
  ready(): Promise<void>;
  /**
   * Parties hold another version of the policy: asks for the one in force. `same`: nothing new, other parties are tried
   * and waited for; `again`: the next attempt binds the new one; `rebuild`: this signing ends without a result.
   */
  renew?(): Promise<'same' | 'again' | 'rebuild'>;
  /** True when the signing is no longer wanted: waits end early, and `ready` throws. */
  moot(): boolean;
  /** Presignatures of one signer set, for one attempt: the first, if those parties are asked first. */
  readonly pooled?: Built['pooled'];
  request(
    signers: readonly PartyId[],
    attempt: AttemptId,
    pooled?: readonly PooledPresignature[],
  ): PrepareRequest;
  /** An attempt begins; all its parties are prepared. */
  enter(phase: 'Preparing' | 'Signing'): void;
  /** Resolves when the first request for a last round may leave. */
  pivot(attempt: AttemptId): Promise<void>;
  attach(
    signers: readonly PartyId[],
    attempt: AttemptId,
    outcome: CeremonyOutcome,
    pooled: boolean,
  ): Promise<Signed>;
};

/**
 * Throws the reason that `ready` gave, or the refusal of the intent. Undefined: `renew` said that it must be built anew.
 */
export async function sign<Signed>(
  saga: SigningHost,
  job: Signable<Signed>,
): Promise<Signed | undefined> {
  const { key } = saga.reservation;
  const quorum = new Quorum(key.parties, key.threshold, job.ranking);
  let belowSince: number | undefined;
  let waves = 0;
  /** Parties refused for the policy's version since it was last asked for with success. */
  let stale = false;
  let { pooled } = job;
  for (;;) {
    if (stale && job.renew !== undefined && followsPolicy()) {
      const renewed = await job.renew();
      if (renewed === 'rebuild') return undefined;
      if (renewed === 'again') {
        quorum.retrySets();
        stale = false;
      }
    }
    await job.ready();
    const signers = quorum.next();
    if (signers === undefined) {
      belowSince ??= Date.now();
      waves += 1;
      await waitForParties(saga, job, quorum, belowSince, waves, stale);
      continue;
    }
    if (saga.waitingFor.startsWith('parties')) saga.wait('');
    const lent = pooled?.signers.join() === signers.join() ? pooled : undefined;
    // Asked for once: whatever becomes of the attempt, its presignatures are gone.
    pooled = undefined;
    const attempt = lent?.attempt ?? (uuid4() as AttemptId);
    const outcome = await attemptSigning(saga, job, signers, attempt, lent);
    if (outcome.failures === undefined) {
      try {
        return await job.attach(signers, attempt, outcome, lent !== undefined);
      } catch (error) {
        // The coordinator itself found a bad share, or could not combine: other signers, fresh nonces.
        const failure = fromFailure(error, { timeout: 'ChainUnavailable' });
        blame(quorum, key.parties, undefined, failure);
        saga.wait(`attaching failed (${failure.code}); another attempt follows`);
      }
    } else {
      for (const { party: id, error } of outcome.failures) {
        // It has no such presignature (any more), which says nothing of the party: it signs in all rounds.
        if (lent !== undefined && isPoolLevel(error.code)) quorum.retrySets();
        else if (error.code === 'PartyUnavailable') quorum.lost(id);
        else blame(quorum, key.parties, id, error);
      }
      stale ||= outcome.failures.some(({ error }) => error.code === 'PolicyUnknown');
      await report(saga, quorum);
    }
  }
}

type AttemptOutcome =
  | (CeremonyOutcome & { readonly failures?: undefined })
  | { readonly failures: readonly PartyFailure[] };

async function attemptSigning(
  saga: SigningHost,
  job: Signable<unknown>,
  signers: readonly PartyId[],
  attempt: AttemptId,
  lent: Built['pooled'],
): Promise<AttemptOutcome> {
  const { intent, reservation } = saga;
  const { key } = reservation;
  saga.attempt = attempt;
  saga.attempts += 1;
  job.enter('Preparing');
  const request = job.request(signers, attempt, lent?.presignatures);
  const aborts = saga.undos.register(
    ...signers.map((id) =>
      abortUndo({
        requestId: intent.requestId,
        keyId: key.keyId,
        attempt,
        party: id,
        background: saga.background,
        group: () => saga.group(),
      }),
    ),
  );
  try {
    const outcome = await runCeremony({
      request,
      rounds: lent?.rounds ?? reservation.signRounds,
      progress: saga.progress,
      limits: saga.input.limits ?? {},
      reports: saga.reports,
      group: () => saga.group(),
      changed: () => saga.changed(),
      run: (step) => saga.run(step),
      prepared: () => job.enter('Signing'),
      beforeLastRound: () => job.pivot(attempt),
    });
    saga.undos.dismiss(aborts);
    return outcome;
  } catch (error) {
    if (!(error instanceof AttemptFailed)) {
      if (saga.onlyForward) saga.background.start(() => saga.undos.runNow(aborts));
      throw error;
    }
    saga.throwIfInterrupted();
    // The other sessions of this attempt are closed while the next one begins.
    saga.background.start(() => saga.undos.runNow(aborts));
    // What a party lost with its restore is its own: others may still have room for the amount.
    const refused = error.failures.find(
      ({ error: { code, details } }) => isIntentLevel(code) && details.rule !== 'unfenced',
    );
    if (refused !== undefined && job.refusable)
      throw new KeysagaError(refused.error.code, refused.error.message, {
        ...refused.error.details,
        party: refused.party,
      });
    return { failures: error.failures };
  }
}

/** A culprit is named by its id or, by a protocol, by its index from 1. */
function culpritOf(error: KeysagaError, parties: readonly PartyId[]): PartyId | undefined {
  const { culprit } = error.details;
  if (culprit === undefined) return undefined;
  return (
    parties.find((id) => id === culprit) ??
    (/^[1-9][0-9]?$/.test(culprit) ? parties[Number(culprit) - 1] : undefined)
  );
}

function blame(
  quorum: Quorum,
  parties: readonly PartyId[],
  accuser: PartyId | undefined,
  error: KeysagaError,
): void {
  const culprit = culpritOf(error, parties);
  if (accuser === undefined) {
    if (culprit !== undefined) quorum.blame(culprit, DEMERIT.proven);
  } else if (culprit === undefined || culprit === accuser) quorum.blame(accuser, DEMERIT.failed);
  else {
    quorum.blame(culprit, DEMERIT.accused);
    quorum.blame(accuser, DEMERIT.accuser);
  }
}

/** Tells the ledger who failed and takes its fresh ranking; only a hint, so a failure of it changes nothing. */
async function report(saga: SigningHost, quorum: Quorum): Promise<void> {
  const reports = saga.reports;
  saga.reports = [];
  try {
    const { ranking } = await saga.run(() =>
      ledger('report', 'report failed parties', saga.group()).reportParties({
        walletId: saga.intent.walletId,
        reports,
      }),
    );
    quorum.rank(ranking);
  } catch {
    saga.throwIfInterrupted();
  }
}

/**
 * Fewer than t parties are left, or every set of them failed. A `health` question waits in the queue of each absent
 * party and is answered the moment the party is back; where sets remain, a timer with back-off tries them again.
 * Before the pivot this ends at `limits.waitForParties`; after it, never.
 */
async function waitForParties(
  saga: SigningHost,
  job: Signable<unknown>,
  quorum: Quorum,
  belowSince: number,
  wave: number,
  stale: boolean,
): Promise<void> {
  const { key } = saga.reservation;
  const hints = saga.policyHints;
  const away = quorum.away;
  const here = key.parties.length - away.length;
  const limitMs = withDefaults(saga.input.limits).waitForParties * 1_000;
  const left = belowSince + limitMs - Date.now();
  const missing = away.length === 0 ? key.parties : away;
  if (!saga.onlyForward && left <= 0)
    throw new KeysagaError(
      'PartyUnavailable',
      `Fewer than ${key.threshold} parties signed within ${limitMs / 1000} s.`,
      { parties: missing.map(String), needed: key.threshold },
    );
  // At the intent's expiry `ready` looks again.
  const untilExpiry = Math.max(1_000, Date.parse(saga.intent.expiresAt) - Date.now());
  const remaining = saga.onlyForward ? HOUR_MS : Math.min(left, untilExpiry);
  const why = [
    ...(stale ? ['parties hold another version of the policy'] : []),
    ...(away.length > 0 ? [`no answer from ${away.join(', ')}`] : []),
    ...(!stale && away.length === 0 ? ['every signer set failed'] : []),
  ].join('; ');
  const alert = saga.onlyForward ? 'ALERT past the pivot: ' : '';
  saga.wait(`parties: ${alert}${why}; ${here} of ${key.threshold} needed are here`);
  const pause = Math.min(
    remaining,
    backoffMs(wave, saga.onlyForward ? BACKOFF_CAPS.afterPivot : BACKOFF_CAPS.beforePivot),
  );

  let back = 0;
  let open = away.length;
  const probing = new CancellationScope();
  const probes = probing.run(() =>
    Promise.all(
      away.map(async (id) => {
        try {
          const health = await party('health', id, `wait for ${id}`, {
            group: saga.group(),
            scheduleToCloseMs: remaining,
          }).health();
          if (health.fenced !== true) {
            quorum.back(id);
            back += 1;
          }
        } catch {
          // Still absent, or no longer asked.
        } finally {
          open -= 1;
        }
      }),
    ),
  );
  try {
    const settled = (): boolean =>
      back > 0 ||
      (away.length > 0 && open === 0) ||
      (stale && saga.policyHints !== hints) ||
      job.moot();
    const enough = here >= key.threshold;
    await saga.until(settled, enough ? pause : remaining, 'until parties are back');
    // Parties that come and go must not fill the history.
    if (wave > 1 && back > 0 && !job.moot())
      await saga.until(() => job.moot(), pause, 'before the next attempt');
  } finally {
    probing.cancel();
    await probes;
  }
  quorum.retrySets();
}
