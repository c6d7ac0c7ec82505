/**
 * FROST with nonces made ahead of time (RFC 9591, section 5.1: round 1 does not depend on the message; the FROST paper's
 * preprocessing, figure 2): the machine that exchanges commitments for many nonce pairs at once, the layout of one at rest,
 * the one round that signs with them, and combining its shares.
 *
 * A presignature at rest: version byte, the suite's tag, t, n, index, SHA-256 of the public package, number of signers and
 * signers, its id (32), signing share, hiding and binding nonce (32 each), then both commitments of each signer. The share
 * stands in it, so that one sealed record is all that signing takes. The id is hashed from the session, the place in the
 * pack and the commitments: the same at every signer.
 *
 * Nothing is re-randomised as it is for ECDSA: the binding factors hash message and commitments, so that commitments that
 * were known before the message was chosen do no harm (FROST paper, section 5).
 */
import type { FrostSecret, Nonces } from '@noble/curves/abstract/frost.js';
import type {
  AggregateParams,
  OnlineParams,
  PresignOutput,
  PresignParams,
  ProtocolMessage,
  RoundMachine,
  RoundOutcome,
  SignOutput,
} from '../../core/ports/protocol.ts';
import { concatBytes, copy, domainHash, equalBytes, Reader, u16 } from '../bytes.ts';
import { boundRandom } from '../draws.ts';
import { held, invalidInput, protocolFault } from '../faults.ts';
import { bodiesOf, expectEmpty } from '../inbox.ts';
import { checkMember, checkSignerSet, checkSigners, MAX_MESSAGES } from '../params.ts';
import { sequence } from '../sequence.ts';
import { aggregate } from './aggregate.ts';
import { decodePublicPackage, decodeShare, packageHash, toFrostPublic } from './encoding.ts';
import {
  decodeNonceCommitments,
  decodePresignedShares,
  encodeNonceCommitments,
  encodePresignedShares,
  encodeSignatureShares,
  type NonceCommitment,
  seenHash,
} from './messages.ts';
import { blame, checkMessages, commitmentList } from './sign.ts';
import {
  onlineVersion,
  presigningContext,
  presignVersion,
  signingBase,
  signingContext,
} from './sign-context.ts';
import { type FrostSuite, identifierOf, SCALAR_BYTES } from './suite.ts';

/** The last round sends nothing. */
export const PRESIGN_ROUNDS = 2;
export const ONLINE_ROUNDS = 1;

const VERSION = 1;

type Header = Pick<PresignParams, 'threshold' | 'parties' | 'index' | 'signers'> & {
  readonly packageHash: Uint8Array;
};

const layout = (suite: FrostSuite, header: Header): Uint8Array =>
  concatBytes(
    Uint8Array.of(VERSION, suite.tag, header.threshold, header.parties, header.index),
    header.packageHash,
    Uint8Array.of(header.signers.length, ...header.signers),
  );

type Presigned = {
  readonly id: Uint8Array;
  readonly share: Uint8Array;
  readonly nonces: Nonces;
  /** In the order of the signers. */
  readonly commitments: readonly NonceCommitment[];
};

const encodePresignature = (
  suite: FrostSuite,
  header: Header,
  { id, share, nonces, commitments }: Presigned,
): Uint8Array =>
  concatBytes(
    layout(suite, header),
    id,
    share,
    nonces.hiding,
    nonces.binding,
    ...commitments.flatMap(({ hiding, binding }) => [hiding, binding]),
  );

/** Throws `InvalidInput`: presignatures come from one's own store. */
function decodePresignature(
  suite: FrostSuite,
  bytes: Uint8Array,
  header: Header,
  name: string,
): Presigned {
  const wrong = (field: string) =>
    invalidInput('the presignature does not belong to this key and signer set', `${name}.${field}`);
  const reader = new Reader(bytes, (field): never => {
    throw wrong(field);
  });
  reader.expect(layout(suite, header), 'header');
  const id = reader.take(32, 'id');
  const share = reader.take(SCALAR_BYTES, 'share');
  const hiding = reader.take(SCALAR_BYTES, 'nonces.hiding');
  const binding = reader.take(SCALAR_BYTES, 'nonces.binding');
  const commitments = header.signers.map((signer) => ({
    hiding: reader.take(suite.pointBytes, `hiding[${signer}]`),
    binding: reader.take(suite.pointBytes, `binding[${signer}]`),
  }));
  reader.end();
  for (const [field, scalar] of Object.entries({ share, hiding, binding }))
    if (!suite.checks.scalar(scalar)) throw wrong(field);
  return { id, share, nonces: { hiding, binding }, commitments };
}

const refuseTweak = (params: object): void => {
  if ('tweak' in params && params.tweak !== undefined)
    throw invalidInput('a child key signs without presignatures', 'tweak');
};

/** One party's side. Throws `InvalidInput` for parameters that make no sense or a share of another key. */
export function createPresigning(
  suite: FrostSuite,
  given: PresignParams,
): RoundMachine<PresignOutput> {
  checkSignerSet(given);
  checkMember(given);
  refuseTweak(given);
  const { index, threshold, parties, count } = given;
  if (!Number.isInteger(count) || count < 1 || count > MAX_MESSAGES)
    throw invalidInput(`presignatures are made 1 to ${MAX_MESSAGES} at a time`, 'count');
  const signers = [...given.signers];
  const publicPackage = copy(given.publicPackage);
  decodePublicPackage(suite, publicPackage, { threshold, parties });
  const context = presigningContext(suite, { ...given, signers, publicPackage });
  const secret = decodeShare(suite, given.share, { threshold, parties, index, publicPackage });
  let nonces: Nonces[] = [];
  let own: readonly NonceCommitment[] = [];

  const commit = (draws: Parameters<typeof boundRandom>[0]): RoundOutcome<PresignOutput> => {
    const random = boundRandom(draws, context);
    const generated = Array.from({ length: count }, () => suite.frost.commit(secret, random));
    nonces = generated.map((one) => one.nonces);
    own = generated.map(({ commitments: { hiding, binding } }) => ({ hiding, binding }));
    const body = encodeNonceCommitments({ from: index, to: 0, context }, own);
    return { outbox: [{ to: 'all', body }] };
  };

  /** A commitment that is no element of the group is found now, so that its sender is named before it can hold up a payment. */
  const keep = (inbox: readonly ProtocolMessage[]): RoundOutcome<PresignOutput> => {
    const received = new Map<number, readonly NonceCommitment[]>([[index, own]]);
    for (const [from, body] of bodiesOf(inbox, { self: index, parties, members: signers })) {
      const decoded = decodeNonceCommitments(suite, from, count, body);
      if (!equalBytes(decoded.context, context))
        throw protocolFault('the commitments are for another pack', {
          field: 'nonceCommitments.context',
          culprit: from,
        });
      const bad = decoded.commitments.some(
        ({ hiding, binding }) => !suite.checks.point(hiding) || !suite.checks.point(binding),
      );
      if (bad) throw blame(suite, new Map([[from, decoded.commitments]]));
      received.set(from, decoded.commitments);
    }
    const header = { threshold, parties, index, signers, packageHash: packageHash(publicPackage) };
    const made = nonces.map((pair, m) => {
      const commitments = signers.map((signer) => held(held(received.get(signer))[m]));
      const id = domainHash(
        'keysaga/frost/presignature-id/v1',
        context,
        u16(m),
        ...commitments.flatMap(({ hiding, binding }) => [hiding, binding]),
      );
      const presigned = { id, share: secret.signingShare, nonces: pair, commitments };
      return { id, bytes: encodePresignature(suite, header, presigned) };
    });
    return {
      outbox: [],
      output: { presignatures: made.map(({ bytes }) => bytes), ids: made.map(({ id }) => id) },
    };
  };

  return sequence<PresignOutput>(
    presignVersion(suite),
    [
      (inbox, draws) => {
        expectEmpty(inbox);
        return commit(draws);
      },
      (inbox) => keep(inbox),
    ],
    () => {
      secret.signingShare.fill(0);
      for (const { hiding, binding } of nonces) {
        hiding.fill(0);
        binding.fill(0);
      }
      nonces = [];
    },
  );
}

/**
 * The round with the messages, over one presignature each. What it sends holds the sender's commitments too, so that its
 * shares can be combined and checked from this round alone. Throws `InvalidInput` for a presignature of another key, epoch,
 * party or signer set, or one given twice.
 */
export function createOnline(suite: FrostSuite, given: OnlineParams): RoundMachine<SignOutput> {
  checkSigners(given);
  checkMember(given);
  refuseTweak(given);
  checkMessages(suite, given.messages);
  const { index, threshold, parties } = given;
  const publicPackage = copy(given.publicPackage);
  const messages = given.messages.map(copy);
  const signers = [...given.signers];
  if (given.presignatures.length !== messages.length)
    throw invalidInput('there must be one presignature for each message', 'presignatures');
  const pub = toFrostPublic(
    suite,
    decodePublicPackage(suite, publicPackage, { threshold, parties }),
  );
  const signing = { threshold, parties, publicPackage, signers, messages };
  const base = signingBase(suite, signing, onlineVersion(suite));
  const context = signingContext(base, copy(given.sessionId));
  const header = { threshold, parties, index, signers, packageHash: packageHash(publicPackage) };
  let presigned = given.presignatures.map((bytes, i) =>
    decodePresignature(suite, bytes, header, `presignatures[${i}]`),
  );
  presigned.forEach(({ id }, i) => {
    if (presigned.slice(0, i).some((earlier) => equalBytes(earlier.id, id)))
      throw invalidInput('a presignature is for one message only', `presignatures[${i}]`);
  });
  const wipe = (): void => {
    for (const { share, nonces } of presigned)
      for (const secret of [share, nonces.hiding, nonces.binding]) secret.fill(0);
    presigned = [];
  };

  const sign = (): RoundOutcome<SignOutput> => {
    const by = (place: number) => presigned.map(({ commitments }) => held(commitments[place]));
    const seen = signers.map((signer, place) =>
      seenHash(base, signer, encodeNonceCommitments({ from: signer, to: 0, context }, by(place))),
    );
    const shares = messages.map((message, m) => {
      const { share, nonces, commitments } = held(presigned[m]);
      const secret: FrostSecret = {
        identifier: identifierOf(suite, index),
        signingShare: copy(share),
      };
      const list = commitmentList(suite, signers, (signer) => commitments[signers.indexOf(signer)]);
      try {
        return suite.frost.signShare(secret, pub, nonces, list, message);
      } finally {
        secret.signingShare.fill(0);
      }
    });
    const body = encodePresignedShares(
      { from: index, to: 0, context },
      { commitments: by(signers.indexOf(index)), seen, shares },
    );
    return { outbox: [{ to: 'all', body }], output: { released: true } };
  };

  return sequence<SignOutput>(
    onlineVersion(suite),
    [
      (inbox) => {
        expectEmpty(inbox);
        return sign();
      },
    ],
    wipe,
  );
}

/** As `aggregate`, over the online round: each broadcast is taken apart into what the two rounds of plain signing send. */
export function aggregatePresigned(suite: FrostSuite, params: AggregateParams): Uint8Array[] {
  checkSigners(params);
  refuseTweak(params);
  const { signers, messages, rounds } = params;
  const [said] = rounds;
  if (said === undefined || rounds.length !== ONLINE_ROUNDS)
    throw protocolFault('signing online has one round of broadcasts', { field: 'rounds' });
  const first = new Map<number, Uint8Array>();
  const second = new Map<number, Uint8Array>();
  for (const [from, body] of said) {
    const { context, commitments, seen, shares } = decodePresignedShares(
      suite,
      from,
      signers.length,
      messages.length,
      body,
    );
    const head = { from, to: 0, context };
    first.set(from, encodeNonceCommitments(head, commitments));
    second.set(from, encodeSignatureShares(head, { seen, shares }));
  }
  return aggregate(suite, { ...params, rounds: [first, second] }, onlineVersion(suite));
}
