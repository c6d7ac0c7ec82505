/**
 * One attempt at a ceremony: `prepare` at every signer, then the rounds. The saga only routes envelopes; it can
 * neither read nor change them. Answers come from parties that owe it nothing, so their shape is checked, and
 * whatever is wrong is that party's failure, never the saga's.
 */
import type { EventGroupMarker } from '@temporalio/workflow';
import type { PartyReport } from '../schema/contracts/activities.ts';
import { KeysagaError } from '../schema/contracts/errors.ts';
import { fromFailure } from '../schema/contracts/failures.ts';
import {
  type Envelope,
  type PrepareRequest,
  RoundAnswer,
  type RoundRequest,
  SignedPrepareAnswer,
} from '../schema/contracts/party.ts';
import type { PartyId } from '../schema/contracts/primitives.ts';
import type { SagaLimits } from '../schema/contracts/saga.ts';
import { ceremonySteps, type Progress, roundName } from './progress.ts';
import { party } from './steps.ts';

export type PartyFailure = {
  readonly party: PartyId;
  readonly step: string;
  readonly error: KeysagaError;
};

/** Thrown when parties failed; each says how. */
export class AttemptFailed {
  readonly failures: readonly PartyFailure[];
  constructor(failures: readonly PartyFailure[]) {
    this.failures = failures;
  }
}

export type Ceremony = {
  readonly request: PrepareRequest;
  readonly rounds: number;
  readonly progress: Progress;
  readonly limits: SagaLimits;
  /** Filled as parties answer. */
  readonly reports: PartyReport[];
  /** Event group of the phase at hand. */
  group(): EventGroupMarker;
  changed(): void;
  /** Runs a step: cancellable before the pivot, not after it. */
  run<T>(step: () => Promise<T>): Promise<T>;
  /** Called once all are prepared. */
  prepared(): void;
  /** The pivot, when the last round is one: resolves before its first request. */
  beforeLastRound(): Promise<void>;
  /** After a failure in the last round: true to ask this party again. Rounds are idempotent. */
  askAgain?(id: PartyId, error: KeysagaError): Promise<boolean>;
};

export type CeremonyOutcome = {
  /** Envelopes of every round, in order. */
  readonly rounds: readonly (readonly Envelope[])[];
  /** Answers of the last round, in the order of the signers. */
  readonly last: readonly RoundAnswer[];
};

/** Throws `AttemptFailed`. */
export async function runCeremony(ceremony: Ceremony): Promise<CeremonyOutcome> {
  const { request, rounds, progress } = ceremony;
  const { signers, attempt, keyId } = request;
  progress.begin(signers, ceremonySteps(rounds));
  ceremony.changed();

  const prepared = await atEach(ceremony, 'prepare', false, async (id) => {
    const answer = await party('prepare', id, `prepare ${id}`, {
      limits: ceremony.limits,
      group: ceremony.group(),
    }).prepare(request);
    const { data } = SignedPrepareAnswer.safeParse(answer);
    if (data === undefined || data.answer.party !== id || data.answer.attempt !== attempt)
      throw malformed(id, 'prepare');
    return data;
  });
  ceremony.prepared();

  const envelopes: Envelope[][] = [];
  let last: readonly RoundAnswer[] = [];
  for (let r = 1; r <= rounds; r++) {
    if (r === rounds) await ceremony.beforeLastRound();
    const before = envelopes.at(-1) ?? [];
    const name = roundName(r);
    last = await atEach(ceremony, name, r === rounds, async (id) => {
      const inbox = before.filter(({ from, to }) => from !== id && (to === '*' || to === id));
      const question: RoundRequest = {
        keyId,
        attempt,
        round: r,
        ...(r === 1 ? { prepared: [...prepared] } : {}),
        inbox,
      };
      const answer = await party('round', id, `${name} of ${rounds}, ${id}`, {
        limits: ceremony.limits,
        group: ceremony.group(),
      }).round(question);
      return checked(answer, ceremony.request, r, rounds, id);
    });
    envelopes.push(last.flatMap(({ outbox }) => outbox));
  }
  return { rounds: envelopes, last };
}

/** Shape and address of a round's answer. Signatures are the other parties' business. */
export function checked(
  answer: unknown,
  request: Pick<PrepareRequest, 'signers' | 'attempt' | 'keyId'>,
  round: number,
  rounds: number,
  id: PartyId,
): RoundAnswer {
  const { data } = RoundAnswer.safeParse(answer);
  const addressed = (envelope: Envelope): boolean =>
    envelope.from === id &&
    envelope.round === round &&
    envelope.keyId === request.keyId &&
    envelope.to !== id &&
    (envelope.to === '*' || request.signers.includes(envelope.to as PartyId));
  if (
    data === undefined ||
    data.attempt !== request.attempt ||
    data.round !== round ||
    data.done !== (round === rounds) ||
    !data.outbox.every(addressed)
  )
    throw malformed(id, roundName(round));
  return data;
}

const malformed = (id: PartyId, step: string): KeysagaError =>
  new KeysagaError('EnvelopeInvalid', `${id} answered ${step} with something else.`, {
    party: id,
    step,
  });

/** The same step at every signer, in parallel; waits for all, then throws `AttemptFailed` if any failed. */
async function atEach<T>(
  ceremony: Ceremony,
  step: string,
  isLast: boolean,
  ask: (id: PartyId) => Promise<T>,
): Promise<readonly T[]> {
  const failures: PartyFailure[] = [];
  const answers: T[] = [];
  await Promise.all(
    ceremony.request.signers.map(async (id, i) => {
      const began = Date.now();
      try {
        answers[i] = await patiently(ceremony, id, isLast, ask);
        ceremony.progress.set(id, step, 'done', Date.now());
        ceremony.reports.push({ party: id, ok: true, step, milliseconds: Date.now() - began });
      } catch (error) {
        const failure = fromFailure(error);
        failures.push({ party: id, step, error: failure });
        ceremony.progress.set(id, step, 'failed', Date.now());
        ceremony.reports.push({
          party: id,
          ok: false,
          step,
          code: failure.code,
          milliseconds: Date.now() - began,
        });
      }
      ceremony.changed();
    }),
  );
  if (failures.length > 0) throw new AttemptFailed(failures);
  return answers;
}

async function patiently<T>(
  ceremony: Ceremony,
  id: PartyId,
  isLast: boolean,
  ask: (id: PartyId) => Promise<T>,
): Promise<T> {
  for (;;) {
    try {
      return await ceremony.run(() => ask(id));
    } catch (error) {
      const again = isLast && (await ceremony.askAgain?.(id, fromFailure(error))) === true;
      if (!again) throw error;
    }
  }
}
