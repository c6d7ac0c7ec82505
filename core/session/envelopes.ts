/** Messages between parties: what is signed, what an inbox hashes to, and when one is believed. */
import { type ErrorDetails, KeysagaError } from '../../schema/contracts/errors.ts';
import { Envelope, type SignedPrepareAnswer } from '../../schema/contracts/party.ts';
import type { PartyId } from '../../schema/contracts/primitives.ts';
import { digestHex, type VerifySignature, verifySigned } from '../signed.ts';

export type EnvelopeBody = Omit<Envelope, 'signature'>;

/** The signed form (`keysaga/envelope/v1`): all fields but the signature. */
export function envelopeBody(envelope: Envelope): EnvelopeBody {
  const { signature: _, ...body } = envelope;
  return body;
}

/** By UTF-16 code units, as JCS sorts: no locale, so every party gets the same order. */
const order = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/**
 * SHA-256 of `keysaga/inbox/v1`, hex, whatever the order of delivery: prepare answers sorted by party, envelopes by
 * (from, to, rest). Signatures are covered: what is replayed must be what was committed, byte for byte.
 */
export function inboxHash(items: readonly SignedPrepareAnswer[] | readonly Envelope[]): string {
  const entries = items.map((item) =>
    'answer' in item
      ? { by: item.answer.party, to: '', item: digestHex('inbox', item) }
      : { by: item.from, to: item.to, item: digestHex('inbox', item) },
  );
  entries.sort((a, b) => order(a.by, b.by) || order(a.to, b.to) || order(a.item, b.item));
  return digestHex('inbox', entries);
}

/**
 * The echo: SHA-256 of `keysaga/echo/v1` over the sorted (sender, hash of its signed form) of the broadcasts of one
 * round, one's own included, hex. Private envelopes are left out; those of round 1 echo an empty list. Signatures do not enter:
 * a sender that signs the same words twice has told one story.
 */
export function echoOf(envelopes: readonly Envelope[]): string {
  const seen = envelopes
    .filter((e) => e.to === '*')
    .map((e) => ({ from: e.from, hash: digestHex('envelope', envelopeBody(e)) }));
  seen.sort((a, b) => order(a.from, b.from) || order(a.hash, b.hash));
  return digestHex('echo', seen);
}

export type EnvelopesCheck = {
  /** What came in: the envelopes of `round`, from the others, for this party. */
  readonly envelopes: readonly Envelope[];
  readonly session: { readonly sessionId: string; readonly keyId: string; readonly epoch: number };
  /** The round in which they were sent: one before the round that they are the inbox of. */
  readonly round: number;
  readonly signers: readonly PartyId[];
  readonly self: PartyId;
  /** Pinned by this party. */
  readonly identityKeys: ReadonlyMap<PartyId, string>;
  /** `echoOf` the round before `round`, as this party saw it. */
  readonly expectedEcho: string;
  /**
   * What this party itself sent in `round`. A round has one shape for all, so the own outbox tells whether the others'
   * must hold a broadcast and a private envelope, and what a coordinator withheld is refused here, before a machine
   * could blame the sender. Without it the shape is what the envelopes themselves agree on.
   */
  readonly own?: readonly Envelope[] | undefined;
  readonly verify?: VerifySignature | undefined;
};

/**
 * Every other signer sent its envelopes of this session and round, each signed by its pinned key and echoing what
 * this party saw. Throws `EnvelopeInvalid` with `field` and `party`; `culprit` stands only where two valid signatures
 * of one sender contradict each other. Nothing of a refused inbox may be kept.
 */
export function checkEnvelopes(check: EnvelopesCheck): void {
  const { envelopes, session, round, signers, self, identityKeys, verify } = check;
  const refuse = (field: string, message: string, details: ErrorDetails = {}): never => {
    throw new KeysagaError('EnvelopeInvalid', message, { ...details, field, round });
  };
  const seen = new Map<string, Envelope>();
  for (const envelope of envelopes) {
    if (!Envelope.safeParse(envelope).success) refuse('inbox', 'An envelope is malformed.');
    const { from, to } = envelope;
    const details = { party: from };
    if (from === self) refuse('from', 'An envelope claims to be from this party.', details);
    if (!signers.includes(from)) refuse('from', `${from} is no signer of the session.`, details);
    const identity =
      identityKeys.get(from) ?? refuse('from', `No key is pinned for ${from}.`, details);
    if (envelope.sessionId !== session.sessionId)
      refuse('sessionId', 'An envelope is of another session.', details);
    if (envelope.keyId !== session.keyId)
      refuse('keyId', 'An envelope is of another key.', details);
    if (envelope.epoch !== session.epoch)
      refuse('epoch', 'An envelope is of another epoch.', details);
    if (envelope.round !== round)
      refuse('round', `An envelope is of round ${envelope.round}.`, details);
    if (to !== '*' && to !== self) refuse('to', `An envelope is for ${to}.`, details);
    // A private message in the clear, or a broadcast that only one can read, is not what the contract says.
    if ((to === '*') === (envelope.enc !== undefined))
      refuse('enc', 'Private envelopes are encrypted, broadcasts are not.', details);
    if (!verifySigned('envelope', envelopeBody(envelope), identity, envelope.signature, verify))
      refuse('signature', `An envelope of ${from} does not verify.`, details);
    const place = `${from} ${to}`;
    const twin = seen.get(place);
    if (twin !== undefined) {
      const contradicts =
        digestHex('envelope', envelopeBody(twin)) !== digestHex('envelope', envelopeBody(envelope));
      refuse(
        'inbox',
        `${from} sent two envelopes to ${to}.`,
        contradicts ? { ...details, culprit: from } : details,
      );
    }
    seen.set(place, envelope);
    if (envelope.echo !== check.expectedEcho)
      refuse('echo', `${from} saw other broadcasts than this party.`, details);
  }
  const others = signers.filter((s) => s !== self);
  const some = (to: string): boolean =>
    check.own === undefined
      ? others.some((s) => seen.has(`${s} ${to}`))
      : check.own.some((e) => (to === '*' ? e.to === '*' : e.to !== '*'));
  for (const kind of ['*', self]) {
    const expected = some(kind);
    for (const sender of others)
      if (seen.has(`${sender} ${kind}`) !== expected)
        refuse(
          'inbox',
          `${kind === '*' ? 'The broadcast' : 'The private envelope'} of ${sender} is ${expected ? 'missing' : 'not expected'}.`,
          { party: sender },
        );
  }
  if (others.some((s) => !seen.has(`${s} *`) && !seen.has(`${s} ${self}`)))
    refuse('inbox', 'A signer’s envelope is missing.');
}

/**
 * The sender that signed two different broadcasts of one session and round, given what two parties hold: the proof
 * behind an echo mismatch. Both lists must have been authenticated.
 */
export function equivocator(
  mine: readonly Envelope[],
  theirs: readonly Envelope[],
): PartyId | undefined {
  const place = (e: Envelope): string =>
    `${e.sessionId} ${e.keyId} ${e.epoch} ${e.round} ${e.from}`;
  const told = new Map(
    mine.filter((e) => e.to === '*').map((e) => [place(e), digestHex('envelope', envelopeBody(e))]),
  );
  return theirs.find((e) => {
    const other = e.to === '*' ? told.get(place(e)) : undefined;
    return other !== undefined && other !== digestHex('envelope', envelopeBody(e));
  })?.from;
}
