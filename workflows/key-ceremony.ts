/**
 * The ceremony of a key generation, with all n parties, and its undo. A party signs a certificate or a `never` for
 * a ceremony, not both; so either n certificates come together and the key goes forward, or one `never` lets the
 * others destroy what they certified.
 */
import { uuid4 } from '@temporalio/workflow';
import { withDefaults } from '../core/transfer/limits.ts';
import { canonicalJson } from '../schema/contracts/canonical.ts';
import { KeysagaError } from '../schema/contracts/errors.ts';
import { fromFailure } from '../schema/contracts/failures.ts';
import type { KeyDescriptor, SignedCertificate, SignedNever } from '../schema/contracts/key.ts';
import type { PrepareKeygen, RoundAnswer } from '../schema/contracts/party.ts';
import type { AttemptId, KeyId, PartyId, WalletId } from '../schema/contracts/primitives.ts';
import { AttemptFailed, runCeremony } from './ceremony.ts';
import { isIntentLevel } from './codes.ts';
import type { KeygenSaga } from './keygen-state.ts';
import { startDelivery } from './owed.ts';
import { BACKOFF_CAPS, backoffMs } from './profiles.ts';
import type { Registered } from './saga.ts';
import { party } from './steps.ts';

export type Reserved = {
  readonly protocol: PrepareKeygen['protocol'];
  readonly policyHash: string;
  readonly keygenRounds: number;
  readonly certified?: Pick<Certified, 'key' | 'certificates'>;
};
export type Certified = {
  readonly attempt: AttemptId;
  readonly key: KeyDescriptor;
  readonly certificates: readonly SignedCertificate[];
};

/** Attempts until one succeeds; all n parties are needed, so an absent one is waited for, visibly and within limits. */
export async function generate(saga: KeygenSaga, reserved: Reserved): Promise<Certified> {
  const limitMs = withDefaults(saga.input.limits).waitForParties * 1_000;
  let since: number | undefined;
  const leftMs = (): number => {
    since ??= Date.now();
    return since + limitMs - Date.now();
  };
  for (let wave = 1; ; wave++) {
    const attempt = uuid4() as AttemptId;
    const undo = registerUndo(saga, attempt);
    try {
      return await attemptCeremony(saga, reserved, attempt, leftMs);
    } catch (error) {
      if (!(error instanceof AttemptFailed)) throw error;
      saga.throwIfInterrupted();
      const failure =
        error.failures.find(({ error: { code } }) => isIntentLevel(code)) ?? error.failures[0];
      if (failure === undefined) throw error;
      const { code, message, details } = failure.error;
      if (isIntentLevel(code) || leftMs() <= 0)
        throw new KeysagaError(code, `${failure.party}: ${message}`, {
          ...details,
          party: failure.party,
        });
      // Certificates may be out: this ceremony is undone before another begins.
      for (const undos of [...undo].reverse()) await saga.undos.runNow(undos);
      const absent = error.failures
        .filter((other) => other.error.code === 'PartyUnavailable')
        .map((other) => other.party);
      await waitFor(saga, absent, `${failure.party}: ${code}`, leftMs(), wave);
    }
  }
}

async function attemptCeremony(
  saga: KeygenSaga,
  reserved: Reserved,
  attempt: AttemptId,
  leftMs: () => number,
): Promise<Certified> {
  const { request } = saga;
  saga.attempt = attempt;
  saga.enter('Preparing');
  const prepare: PrepareKeygen = {
    kind: 'keygen',
    requestId: request.requestId,
    attempt,
    keyId: keyOf(saga),
    walletId: request.requestId as string as WalletId,
    epoch: 0,
    network: request.network,
    protocol: reserved.protocol,
    threshold: request.threshold,
    signers: request.parties,
    policyId: request.policyId,
    policyHash: reserved.policyHash,
  };
  const { last } = await runCeremony({
    request: prepare,
    rounds: reserved.keygenRounds,
    progress: saga.progress,
    limits: saga.input.limits ?? {},
    reports: saga.reports,
    group: () => saga.group(),
    changed: () => saga.changed(),
    run: (step) => saga.run(step),
    prepared: () => saga.enter('Rounds'),
    beforeLastRound: async () => {},
    // The others may have certified already, so the ceremony is not given up while its last answer can still come.
    askAgain: async (id, { code }) => {
      if (code !== 'PartyUnavailable' || saga.interrupted || leftMs() <= 0) return false;
      await waitFor(saga, [id], `last round of ${id}`, leftMs(), 1);
      return leftMs() > 0;
    },
  });
  return agreed(saga, attempt, last);
}

const keyOf = (saga: KeygenSaga): KeyId => saga.request.requestId as string as KeyId;

/** All n said the same about the key, and each brought its certificate. */
function agreed(saga: KeygenSaga, attempt: AttemptId, last: readonly RoundAnswer[]): Certified {
  const results = last.map(({ keygen }, i) => {
    const id = saga.request.parties[i] as PartyId;
    if (keygen === undefined || keygen.certificate.certificate.party !== id)
      throw new KeysagaError('CertificateInvalid', `${id} brought no certificate.`, { party: id });
    return keygen;
  });
  const key = results[0]?.key;
  if (key === undefined) throw new KeysagaError('CertificateInvalid', 'No party answered.');
  const text = canonicalJson(key);
  results.forEach((result, i) => {
    if (canonicalJson(result.key) !== text)
      throw new KeysagaError('CertificateInvalid', 'The parties disagree about the key.', {
        party: saga.request.parties[i],
      });
  });
  saga.certificates = results.length;
  return { attempt, key, certificates: results.map(({ certificate }) => certificate) };
}

/**
 * Registered before `prepare`, in this order, so that it runs the other way round: every party aborts and destroys;
 * then what was certified is destroyed on a `never`, and what a party did not take is owed.
 */
function registerUndo(saga: KeygenSaga, attempt: AttemptId): readonly Registered[] {
  const keyId = keyOf(saga);
  const { requestId, parties } = saga.request;
  const kept: PartyId[] = [];
  const owed: PartyId[] = [];
  let never: SignedNever | undefined;
  const abort = { keyId, attempt, reason: 'the ceremony is undone' };
  const destroy = () => ({ keyId, attempt, ...(never === undefined ? {} : { never }) });
  const owe = (id: PartyId): Promise<void> =>
    startDelivery(
      {
        requestId,
        party: id,
        attempt,
        actions: [
          { kind: 'abort', request: abort },
          { kind: 'destroy', request: destroy() },
        ],
        kept: never === undefined ? kept.filter((other) => other !== id) : [],
      },
      saga.group(),
    );

  const followUp = saga.undos.register({
    step: 'destroy what was certified',
    // Nobody here can do more: the debt stays on the board.
    owe: async () => {},
    run: async () => {
      if (never !== undefined)
        for (const id of kept.splice(0)) {
          try {
            await party('undo', id, `destroy ${id}, on a never`, { group: saga.group() }).destroy(
              destroy(),
            );
          } catch (error) {
            fromFailure(error);
            owed.push(id);
          }
        }
      const delivered = owed.length > 0;
      for (const id of owed.splice(0)) await owe(id);
      // With a delivery under way its answer may still bring the `never`.
      if (kept.length > 0 && never === undefined && !delivered)
        throw new KeysagaError(
          'StateConflict',
          `Certified shares stay at ${kept.join(', ')}: only a member's never or an administrators' order destroys them.`,
        );
    },
  });
  const each = saga.undos.register(
    ...parties.map((id) => ({
      step: `abort and destroy ${id}`,
      party: id,
      run: async () => {
        const at = party('undo', id, `abort ${id}`, { group: saga.group() });
        await at.abort(abort);
        const answer = await party('undo', id, `destroy ${id}`, { group: saga.group() }).destroy(
          destroy(),
        );
        if (answer.outcome === 'kept') kept.push(id);
        never ??= answer.never;
      },
      owe: async () => {
        owed.push(id);
      },
    })),
  );
  return [followUp, each];
}

/** Until the absent are back, and at least the back-off of this wave; the limit of the whole wait is the caller's. */
async function waitFor(
  saga: KeygenSaga,
  absent: readonly PartyId[],
  why: string,
  leftMs: number,
  wave: number,
): Promise<void> {
  saga.wait(
    absent.length === 0
      ? `${why}; another attempt follows`
      : `parties: no answer from ${absent.join(', ')} (${why})`,
  );
  const pause = Math.min(leftMs, backoffMs(wave, BACKOFF_CAPS.beforePivot));
  if (absent.length > 0) {
    await saga.run(() =>
      Promise.all(
        absent.map((id) =>
          party('health', id, `wait for ${id}`, {
            group: saga.group(),
            scheduleToCloseMs: Math.max(1, leftMs),
          })
            .health()
            .catch((error: unknown) => {
              // Still absent: the next attempt finds that out, or the limit is over.
              if (fromFailure(error).code === 'Cancelled') throw error;
            }),
        ),
      ),
    );
    if (wave === 1) {
      saga.wait('');
      return;
    }
  }
  await saga.until(() => false, pause, 'before the next attempt');
  saga.wait('');
}
