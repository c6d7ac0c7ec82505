/** `prepare`: the request's hash, the signers' signed answers, and the session id that comes out of them. */
import { canonicalJson } from '../../schema/contracts/canonical.ts';
import { type ErrorDetails, KeysagaError } from '../../schema/contracts/errors.ts';
import { type PrepareRequest, SignedPrepareAnswer } from '../../schema/contracts/party.ts';
import type { PartyId } from '../../schema/contracts/primitives.ts';
import { digestHex, type VerifySignature, verifySigned } from '../signed.ts';

/** SHA-256 of `keysaga/prepare-request/v1`, hex. */
export const requestHash = (request: PrepareRequest): string =>
  digestHex('prepare-request', request);

/**
 * t ≤ signers ≤ n, in the order of the key's party list, nobody twice, this party among them. Throws `InvalidInput`
 * (`signers`).
 */
export function checkSigners(check: {
  readonly signers: readonly PartyId[];
  readonly parties: readonly PartyId[];
  readonly threshold: number;
  readonly self: PartyId;
}): void {
  const { signers, parties, threshold, self } = check;
  const refuse = (message: string): never => {
    throw new KeysagaError('InvalidInput', message, { field: 'signers' });
  };
  if (signers.length < threshold) refuse('Fewer signers than the threshold.');
  if (!signers.includes(self)) refuse(`${self} is not among the signers.`);
  const places = signers.map((s) => parties.indexOf(s));
  if (places.includes(-1)) refuse('A signer has no share of the key.');
  if (places.some((p, i) => i > 0 && p <= (places[i - 1] ?? -1)))
    refuse('Signers follow the order of the key’s parties.');
}

/**
 * SHA-256 of `keysaga/session/v1` over request hash, attempt and the signers' nonces in signer order, hex. The request
 * hash covers the signers; the nonces are fresh, so that no session repeats after a rollback.
 * Throws `EnvelopeInvalid` (`prepared`) when a signer's answer is missing or doubled.
 */
export function sessionId(input: {
  readonly requestHash: string;
  readonly attempt: string;
  readonly signers: readonly PartyId[];
  readonly prepared: readonly SignedPrepareAnswer[];
}): string {
  const nonces = input.signers.map((signer) => {
    const found = input.prepared.filter((p) => p.answer.party === signer);
    if (found.length !== 1 || found[0] === undefined)
      throw new KeysagaError('EnvelopeInvalid', `There is not exactly one answer of ${signer}.`, {
        field: 'prepared',
        party: signer,
      });
    return found[0].answer.nonce;
  });
  return digestHex('session', { requestHash: input.requestHash, attempt: input.attempt, nonces });
}

export type PreparedCheck = {
  readonly answers: readonly SignedPrepareAnswer[];
  /** The request as this party stored it at its own `prepare`. */
  readonly request: PrepareRequest;
  readonly requestHash: string;
  /** Pinned by this party. */
  readonly identityKeys: ReadonlyMap<PartyId, string>;
  readonly self: PartyId;
  /** This party's own stored answer. */
  readonly own: SignedPrepareAnswer;
  readonly now: number;
  readonly verify?: VerifySignature | undefined;
};

/**
 * All signers answered this very request, each once, under pinned keys; one's own answer is byte for byte the stored
 * one. Answers with the session id and the answers in signer order. Throws `EnvelopeInvalid` (`field`, `party`; `culprit`
 * only where the signer's own valid signature convicts it) and `SessionExpired`.
 */
export function checkPrepared(check: PreparedCheck): {
  readonly sessionId: string;
  readonly answers: readonly SignedPrepareAnswer[];
} {
  const { answers, request, self, own, now } = check;
  const refuse = (field: string, message: string, details: ErrorDetails = {}): never => {
    throw new KeysagaError('EnvelopeInvalid', message, { ...details, field });
  };
  if (answers.length !== request.signers.length)
    refuse('prepared', `${answers.length} answers for ${request.signers.length} signers.`);
  for (const signed of answers)
    if (!SignedPrepareAnswer.safeParse(signed).success)
      refuse('prepared', 'An answer is malformed.');
  const id = sessionId({
    requestHash: check.requestHash,
    attempt: request.attempt,
    signers: request.signers,
    prepared: answers,
  });
  const ordered = request.signers.flatMap((s) => answers.filter((a) => a.answer.party === s));
  for (const signed of ordered) checkAnswer(check, signed, refuse);
  const mine = ordered.find((a) => a.answer.party === self);
  if (mine === undefined || canonicalJson(mine) !== canonicalJson(own))
    refuse('prepared', 'This party’s own answer is not the one it gave.', { party: self });
  // Equal one-time keys or nonces mean that one signer copied another's.
  for (const field of ['nonce', 'hpkePublicKey'] as const)
    if (new Set(ordered.map((a) => a.answer[field])).size !== ordered.length)
      refuse(field, `Two answers have the same ${field}.`);
  const machine = own.answer.machineVersion;
  for (const { answer } of ordered) {
    if (answer.machineVersion !== machine)
      refuse(
        'machineVersion',
        `${answer.party} runs ${answer.machineVersion}, this party ${machine}.`,
        {
          party: answer.party,
        },
      );
    if (Date.parse(answer.expiresAt) <= now)
      throw new KeysagaError('SessionExpired', `The session of ${answer.party} has ended.`, {
        party: answer.party,
      });
  }
  return { sessionId: id, answers: ordered };
}

function checkAnswer(
  { request, requestHash: hash, identityKeys, verify }: PreparedCheck,
  { answer, signature }: SignedPrepareAnswer,
  refuse: (field: string, message: string, details?: ErrorDetails) => never,
): void {
  const { party } = answer;
  const identity =
    identityKeys.get(party) ?? refuse('party', `No key is pinned for ${party}.`, { party });
  if (!verifySigned('prepare-answer', answer, identity, signature, verify))
    refuse('signature', `The answer of ${party} does not verify.`, { party });
  // From here the answer is its signer's; but one of another attempt or request is a replay by whoever delivered it.
  if (answer.attempt !== request.attempt)
    refuse('attempt', `${party} answered another attempt.`, { party });
  if (answer.requestHash !== hash)
    refuse('requestHash', `${party} was asked something else.`, { party });
  if (answer.policyHash !== request.policyHash)
    refuse('policyHash', `${party} holds another policy than it was asked for.`, {
      party,
      culprit: party,
    });
  const { head, signature: headSignature } = answer.head;
  if (head.party !== party || !verifySigned('head', head, identity, headSignature, verify))
    refuse('head', `The release head of ${party} is not its own.`, { party, culprit: party });
  for (const witnessed of answer.witnessed) {
    const key = identityKeys.get(witnessed.head.party);
    if (
      key !== undefined &&
      !verifySigned('head', witnessed.head, key, witnessed.signature, verify)
    )
      refuse('witnessed', `${party} shows a forged head of ${witnessed.head.party}.`, {
        party,
        culprit: party,
      });
  }
}
