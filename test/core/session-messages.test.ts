/** Prepare answers and envelopes: what is believed, and who may be blamed for what is not. */
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  checkEnvelopes,
  checkPrepared,
  checkSigners,
  type EnvelopesCheck,
  echoOf,
  envelopeBody,
  equivocator,
  inboxHash,
  type PreparedCheck,
  requestHash,
  sessionId,
} from '../../core/session/session.ts';
import { signObject } from '../../core/signed.ts';
import type { Envelope, SignedPrepareAnswer } from '../../schema/contracts/party.ts';
import type { PartyId } from '../../schema/contracts/primitives.ts';
import {
  ALPHA,
  at,
  BETA,
  changedLeaves,
  flipBit,
  forAll,
  GAMMA,
  hex32,
  IDENTITIES,
  key,
  keygenRequest,
  MINUTE,
  NOW,
  OTHER_ATTEMPT,
  PARTIES,
  partySeed,
  prepareAnswer,
  refusal,
  seed,
} from './rules-fixtures.ts';

const request = keygenRequest();
const answers = (): SignedPrepareAnswer[] => PARTIES.map((p) => prepareAnswer(p));
const prepared = (list: readonly SignedPrepareAnswer[], patch: Partial<PreparedCheck> = {}) =>
  checkPrepared({
    answers: list,
    request,
    requestHash: requestHash(request),
    identityKeys: IDENTITIES,
    self: ALPHA,
    own: prepareAnswer(ALPHA),
    now: NOW,
    ...patch,
  });
const refusedAnswers = (
  list: readonly SignedPrepareAnswer[],
  field: string,
  patch: Partial<PreparedCheck> = {},
) => refusal(() => prepared(list, patch), 'EnvelopeInvalid', field).details;
const beta = (patch: Record<string, unknown>, signer?: Uint8Array) => [
  prepareAnswer(ALPHA),
  prepareAnswer(BETA, request, patch, signer),
  prepareAnswer(GAMMA),
];

describe('prepare answers', () => {
  it('in any order name one session', () => {
    const id = sessionId({
      requestHash: requestHash(request),
      attempt: request.attempt,
      signers: PARTIES,
      prepared: answers(),
    });
    expect(prepared(answers()).sessionId).toBe(id);
    const reversed = prepared(answers().toReversed());
    expect(reversed.sessionId).toBe(id);
    expect(reversed.answers.map((a) => a.answer.party)).toEqual(PARTIES);
    expect(id).toMatch(/^[0-9a-f]{64}$/);
  });
  it('name another session with another nonce, attempt, request or order of signers', () => {
    const base = {
      requestHash: requestHash(request),
      attempt: request.attempt as string,
      signers: PARTIES,
      prepared: answers(),
    };
    const ids = [
      base,
      { ...base, attempt: OTHER_ATTEMPT },
      { ...base, requestHash: hex32(1) },
      { ...base, signers: PARTIES.toReversed() },
      ...PARTIES.map((p) => ({
        ...base,
        prepared: answers().map((a) =>
          a.answer.party === p ? prepareAnswer(p, request, { nonce: hex32(99) }) : a,
        ),
      })),
    ].map(sessionId);
    expect(new Set(ids).size).toBe(7);
  });
  it.each([
    [
      'one more than the signers',
      [...answers(), prepareAnswer('delta' as PartyId, request, {}, seed(98))],
      'prepared',
    ],
    ['a signer missing', answers().slice(1), 'prepared'],
    [
      'a signer twice',
      [prepareAnswer(ALPHA), prepareAnswer(BETA), prepareAnswer(BETA)],
      'prepared',
    ],
    ['a malformed answer', [...answers().slice(1), {} as SignedPrepareAnswer], 'prepared'],
    ['another key than the pinned one', beta({}, seed(99)), 'signature'],
    ['another signer’s key', beta({}, partySeed(GAMMA)), 'signature'],
    ['another attempt', beta({ attempt: OTHER_ATTEMPT }), 'attempt'],
    ['another request', beta({ requestHash: hex32(1) }), 'requestHash'],
    ['another policy', beta({ policyHash: hex32(1) }), 'policyHash'],
    ['another machine', beta({ machineVersion: 'frost-bip340/keygen/2' }), 'machineVersion'],
    ['a copied nonce', beta({ nonce: hex32(40) }), 'nonce'],
    ['a copied one-time key', beta({ hpkePublicKey: hex32(50) }), 'hpkePublicKey'],
    ['another party’s head', beta({ head: prepareAnswer(GAMMA).answer.head }), 'head'],
    [
      'a forged head',
      beta({ head: { ...prepareAnswer(BETA).answer.head, signature: hex32(1).repeat(2) } }),
      'head',
    ],
    [
      'a forged head of a peer',
      beta({ witnessed: [{ ...prepareAnswer(GAMMA).answer.head, signature: hex32(1).repeat(2) }] }),
      'witnessed',
    ],
    [
      'an own answer that it did not give',
      [prepareAnswer(ALPHA, request, { nonce: hex32(77) }), ...answers().slice(1)],
      'prepared',
    ],
  ])('are refused: %s', (_, list, field) => {
    refusedAnswers(list, field);
  });
  it('are refused past a signer’s time, and without a pinned key', () => {
    refusal(() => prepared(answers(), { now: NOW + MINUTE }), 'SessionExpired');
    refusal(() => prepared(beta({ expiresAt: at(0) })), 'SessionExpired');
    refusedAnswers(answers(), 'party', {
      identityKeys: new Map([[ALPHA, IDENTITIES.get(ALPHA) ?? '']]),
    });
  });
  it('show heads of peers that verify; those of strangers are nobody’s word', () => {
    const stranger = {
      head: { ...prepareAnswer(BETA).answer.head.head, party: 'delta' },
      signature: hex32(1).repeat(2),
    };
    prepared(beta({ witnessed: [prepareAnswer(GAMMA).answer.head, stranger] }));
  });
  it('fall with any change and any bit, and a forgery convicts nobody', () => {
    const signed = prepareAnswer(BETA);
    let changes = 0;
    for (const change of changedLeaves(signed.answer)) {
      if (change.path === 'party') continue;
      const list = [
        prepareAnswer(ALPHA),
        { ...signed, answer: change.value },
        prepareAnswer(GAMMA),
      ];
      expect(refusedAnswers(list, 'signature')).not.toHaveProperty('culprit');
      changes += 1;
    }
    expect(changes).toBe(12);
    forAll(
      fc.property(fc.integer({ min: 0, max: 511 }), (bit) => {
        refusedAnswers(
          [
            prepareAnswer(ALPHA),
            { ...signed, signature: flipBit(signed.signature, bit) },
            prepareAnswer(GAMMA),
          ],
          'signature',
        );
      }),
      { numRuns: 20 },
    );
  });
});

describe('signers', () => {
  const check = (signers: readonly PartyId[], self = ALPHA) =>
    checkSigners({ signers, parties: PARTIES, threshold: 2, self });
  it('are at least t of the key’s parties, in their order, this one among them', () => {
    check([ALPHA, BETA]);
    check([ALPHA, GAMMA]);
    check(PARTIES);
    for (const bad of [
      [ALPHA],
      [BETA, GAMMA],
      [BETA, ALPHA],
      [ALPHA, ALPHA],
      [ALPHA, 'delta' as PartyId],
      ['delta' as PartyId, ALPHA],
    ])
      refusal(() => check(bad), 'InvalidInput', 'signers');
  });
});

const SESSION = { sessionId: hex32(60), keyId: key().keyId, epoch: 0 };
const ECHO = hex32(61);
function envelope(
  from: PartyId,
  to: PartyId | '*',
  patch: Record<string, unknown> = {},
  signer = partySeed(from),
): Envelope {
  const body = {
    ...SESSION,
    round: 2,
    from,
    to,
    ...(to === '*' ? {} : { enc: hex32(62) }),
    body: from === BETA ? 'b0b1' : 'c0c1',
    echo: ECHO,
    ...patch,
  };
  return { ...body, signature: signObject('envelope', body, signer) } as Envelope;
}
const inbox = (): Envelope[] => [
  envelope(BETA, '*'),
  envelope(BETA, ALPHA),
  envelope(GAMMA, '*'),
  envelope(GAMMA, ALPHA),
];
const own = [envelope(ALPHA, '*'), envelope(ALPHA, BETA), envelope(ALPHA, GAMMA)];
const believe = (envelopes: readonly Envelope[], patch: Partial<EnvelopesCheck> = {}) =>
  checkEnvelopes({
    envelopes,
    session: SESSION,
    round: 2,
    signers: PARTIES,
    self: ALPHA,
    identityKeys: IDENTITIES,
    expectedEcho: ECHO,
    own,
    ...patch,
  });
const refusedEnvelopes = (
  envelopes: readonly Envelope[],
  field: string,
  patch: Partial<EnvelopesCheck> = {},
) => refusal(() => believe(envelopes, patch), 'EnvelopeInvalid', field).details;
const first = (e: Envelope): Envelope[] => [e, ...inbox().slice(1)];

describe('envelopes', () => {
  it('are believed when every other signer sent its own, in any order', () => {
    believe(inbox());
    believe(inbox().toReversed());
    const broadcasts = inbox().filter((e) => e.to === '*');
    believe(broadcasts, { own: own.slice(0, 1) });
    believe(broadcasts, { own: undefined });
    believe(
      inbox().filter((e) => e.to !== '*'),
      { own: own.slice(1) },
    );
  });
  it.each([
    ['another session', first(envelope(BETA, '*', { sessionId: hex32(1) })), 'sessionId'],
    ['another key', first(envelope(BETA, '*', { keyId: 'wallet-2' })), 'keyId'],
    ['another epoch', first(envelope(BETA, '*', { epoch: 1 })), 'epoch'],
    ['an earlier round', first(envelope(BETA, '*', { round: 1 })), 'round'],
    ['for somebody else', first(envelope(BETA, GAMMA)), 'to'],
    ['from this party', [...inbox(), envelope(ALPHA, '*')], 'from'],
    ['from no signer', first(envelope('delta' as PartyId, '*', {}, seed(99))), 'from'],
    ['signed by a stranger', first(envelope(BETA, '*', {}, seed(99))), 'signature'],
    ['signed by another signer', first(envelope(BETA, '*', {}, partySeed(GAMMA))), 'signature'],
    [
      'bodies swapped between senders',
      [
        { ...envelope(BETA, '*'), body: 'c0c1' },
        { ...envelope(GAMMA, '*'), body: 'b0b1' },
        ...inbox().filter((e) => e.to !== '*'),
      ],
      'signature',
    ],
    ['a broadcast twice', [...inbox(), envelope(BETA, '*')], 'inbox'],
    ['a private one twice', [...inbox(), envelope(BETA, ALPHA)], 'inbox'],
    ['another echo', first(envelope(BETA, '*', { echo: hex32(1) })), 'echo'],
    [
      'a private one in the clear',
      [...inbox().slice(1), envelope(BETA, ALPHA, { enc: undefined })],
      'inbox',
    ],
    ['a broadcast that is encrypted', first(envelope(BETA, '*', { enc: hex32(1) })), 'enc'],
    ['a broadcast withheld', inbox().slice(1), 'inbox'],
    ['a private one withheld', inbox().slice(0, 3), 'inbox'],
    ['every private one withheld', inbox().filter((e) => e.to === '*'), 'inbox'],
    ['every broadcast withheld', inbox().filter((e) => e.to !== '*'), 'inbox'],
    ['a sender withheld', inbox().slice(2), 'inbox'],
    ['nothing', [], 'inbox'],
    ['malformed', first({} as Envelope), 'inbox'],
  ])('are refused: %s', (_, list, field) => {
    expect(refusedEnvelopes(list, field)).not.toHaveProperty('culprit');
  });
  it('are refused in the clear when private', () => {
    const { enc: _, ...clear } = envelopeBody(envelope(BETA, ALPHA));
    const bare = {
      ...clear,
      signature: signObject('envelope', clear, partySeed(BETA)),
    } as Envelope;
    refusedEnvelopes([envelope(BETA, '*'), bare, ...inbox().slice(2)], 'enc');
  });
  it('without the own outbox still need one shape of all', () => {
    refusedEnvelopes(inbox().slice(0, 3), 'inbox', { own: undefined });
    refusedEnvelopes(inbox().slice(2), 'inbox', { own: undefined });
    refusedEnvelopes([], 'inbox', { own: undefined });
  });
  it('convict a sender only by two signed contradictions', () => {
    const list = [...inbox(), envelope(BETA, '*', { body: 'ffff' })];
    expect(refusedEnvelopes(list, 'inbox')).toMatchObject({ party: 'beta', culprit: 'beta' });
  });
  it('are taken from the signers of this session only, though others are pinned', () => {
    const two = { signers: [ALPHA, BETA] };
    believe(inbox().slice(0, 2), two);
    refusedEnvelopes(inbox(), 'from', two);
  });
  it('need a pinned key', () => {
    refusedEnvelopes(inbox(), 'from', { identityKeys: new Map() });
  });
  it('fall with any change and any bit', () => {
    const signed = envelope(BETA, ALPHA);
    const rest = inbox().filter((e) => e.from !== BETA || e.to !== ALPHA);
    let changes = 0;
    for (const change of changedLeaves(envelopeBody(signed))) {
      refusal(
        () => believe([...rest, { ...change.value, signature: signed.signature }]),
        'EnvelopeInvalid',
      );
      changes += 1;
    }
    expect(changes).toBe(9);
    forAll(
      fc.property(fc.integer({ min: 0, max: 511 }), (bit) => {
        refusedEnvelopes(
          [...rest, { ...signed, signature: flipBit(signed.signature, bit) }],
          'signature',
        );
      }),
      { numRuns: 30 },
    );
  });
});

describe('inbox hash', () => {
  it('does not depend on the order of delivery, but on every byte', () => {
    expect(inboxHash(inbox().toReversed())).toBe(inboxHash(inbox()));
    expect(inboxHash(answers().toReversed())).toBe(inboxHash(answers()));
    const hashes = [
      inboxHash([]),
      inboxHash(inbox()),
      inboxHash(answers()),
      inboxHash(inbox().slice(1)),
    ];
    for (const c of changedLeaves(inbox())) hashes.push(inboxHash(c.value));
    for (const c of changedLeaves(answers())) hashes.push(inboxHash(c.value));
    expect(new Set(hashes).size).toBe(hashes.length);
  });
});

describe('echo', () => {
  it('covers every broadcast’s sender and content, one’s own included, in any order', () => {
    const round = [...inbox(), ...own];
    expect(echoOf(round)).toBe(echoOf(round.toReversed()));
    // Each party sees other private envelopes, and must still see the same echo.
    expect(echoOf(round)).toBe(echoOf(round.filter((e) => e.to === '*')));
    expect(echoOf(round)).not.toBe(echoOf(inbox()));
    expect(echoOf([])).not.toBe(echoOf(own));
    expect(echoOf(first(envelope(BETA, '*', { body: 'ffff' })))).not.toBe(echoOf(inbox()));
    expect(echoOf(first({ ...envelope(BETA, '*'), signature: hex32(1).repeat(2) }))).toBe(
      echoOf(inbox()),
    );
  });
  it('mismatch is followed to the sender that told two stories', () => {
    expect(equivocator(inbox(), first(envelope(BETA, '*', { body: 'ffff' })))).toBe('beta');
    expect(equivocator(inbox(), inbox())).toBeUndefined();
    expect(
      equivocator(inbox(), first(envelope(BETA, '*', { body: 'ffff', round: 3 }))),
    ).toBeUndefined();
    expect(equivocator(inbox(), [envelope(BETA, GAMMA, { body: 'ffff' })])).toBeUndefined();
  });
});
