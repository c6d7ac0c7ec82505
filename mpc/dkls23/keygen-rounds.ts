/**
 * Rounds 1 to 3 of key generation: F_DLKeyGen of DKLs23 (ePrint 2023/765, protocol 7.1 in its Feldman form). Each
 * party commits to a random polynomial of degree t − 1 and a proof that it knows its constant, opens, sends each other
 * party its value, and checks each value received against its sender's polynomial. A refresh is the same with constant
 * zero, added to the key that is there: no proof is needed for a zero, and the group's key stays.
 */
import type {
  Draws,
  KeygenOutput,
  ProtocolMessage,
  RoundOutcome,
} from '../../core/ports/protocol.ts';
import { concatBytes, copy, domainHash, equalBytes, u8, utf8ToBytes } from '../bytes.ts';
import { held, protocolFault } from '../faults.ts';
import {
  checkKnowledge,
  evaluate,
  G,
  multiply,
  POINT_BYTES,
  type Point,
  Point as Points,
  PROOF_BYTES,
  pointBytes,
  proveKnowledge,
  readPoint,
  samePoint,
} from './curve.ts';
import { encodePublicPackage } from './encoding.ts';
import type { KeygenContext, KeygenState } from './keygen-state.ts';
import { body, HASH_BYTES, openBody, pairsOf, seenHash } from './messages.ts';
import { createRandom } from './random.ts';
import { mod, readScalar, SCALAR_BYTES, scalarBytes } from './scalars.ts';
import { advance, setupBytes, startPairing } from './setup.ts';
import { agree, commitToss, TOSS_BYTES } from './zero-sharing.ts';

type Outcome = RoundOutcome<KeygenOutput>;
const PROOF = 'keysaga/dkls23/keygen-proof/v1';
const SALT_BYTES = 32;

/** A refreshed polynomial has no constant of its own to commit to. */
const pointCount = ({ threshold }: KeygenContext, state: KeygenState): number =>
  state.old === undefined ? threshold : threshold - 1;
const proofBytes = (state: KeygenState): number => (state.old === undefined ? PROOF_BYTES : 0);

const commitmentOf = (context: KeygenContext, from: number, opening: Uint8Array): Uint8Array =>
  domainHash('keysaga/dkls23/keygen-commitment/v1', context.hash, u8(from), opening);

/** Round 1: commitment to polynomial and proof, to everyone; to each, a commitment to a toss, and the set-up begins. */
export function commit(context: KeygenContext, state: KeygenState, draws: Draws): Outcome {
  const { index, threshold, members, hash } = context;
  const random = createRandom(draws, hash);
  const polynomial = Array.from({ length: threshold }, () => random.scalar());
  if (state.old !== undefined) polynomial[0] = 0n;
  state.polynomial = polynomial;
  const coefficients = state.old === undefined ? polynomial : polynomial.slice(1);
  const encoded = pointBytes(coefficients.map((coefficient) => multiply(G, coefficient)));
  const salt = random.bytes(SALT_BYTES);
  const proof =
    state.old === undefined
      ? proveKnowledge(PROOF, hash, index, held(polynomial[0]), held(encoded[0]), random)
      : new Uint8Array();
  state.opening = concatBytes(salt, ...encoded, proof);
  const commitment = commitmentOf(context, index, state.opening);
  const first = body('keygenCommitment', { from: index, to: 0, context: hash }, commitment);
  state.firstBodies = new Map([[index, first]]);
  const tosses = new Map<number, Uint8Array>();
  const pairings = new Map<number, ReturnType<typeof startPairing>>();
  state.tosses = tosses;
  state.pairings = pairings;
  const peers = members.filter((member) => member !== index);
  const secrets = peers.map((peer) => {
    const toss = random.bytes(TOSS_BYTES);
    tosses.set(peer, toss);
    const pairing = startPairing(hash, index, peer);
    pairings.set(peer, pairing);
    return {
      to: peer,
      body: body(
        'keygenOffer',
        { from: index, to: peer, context: hash },
        commitToss(hash, index, peer, toss),
        advance(pairing, new Uint8Array(), random),
      ),
    };
  });
  random.dispose();
  return { outbox: [{ to: 'all', body: first }, ...secrets] };
}

/** Round 2: opens, with what it saw of round 1; to each its value of the polynomial and the toss. */
export function distribute(
  context: KeygenContext,
  state: KeygenState,
  inbox: readonly ProtocolMessage[],
  draws: Draws,
): Outcome {
  const { index, parties, members, hash } = context;
  const random = createRandom(draws, hash);
  const firstBodies = held(state.firstBodies);
  state.commitments = new Map();
  state.tossCommitments = new Map();
  const parts = new Map<number, Uint8Array>();
  for (const [from, { broadcast, secret }] of pairsOf(inbox, { self: index, parties, members })) {
    const { reader } = openBody('keygenCommitment', broadcast, { from, to: 0, context: hash });
    state.commitments.set(from, reader.take(HASH_BYTES, 'commitment'));
    reader.end();
    firstBodies.set(from, copy(broadcast));
    const own = openBody('keygenOffer', secret, { from, to: index, context: hash }).reader;
    state.tossCommitments.set(from, own.take(HASH_BYTES, 'toss'));
    parts.set(from, own.take(setupBytes(1, from, index), 'setup'));
    own.end();
  }
  const seen = members.map((member) => seenHash(hash, member, held(firstBodies.get(member))));
  const second = body(
    'keygenOpening',
    { from: index, to: 0, context: hash },
    ...seen,
    held(state.opening),
  );
  state.secondBodies = new Map([[index, second]]);
  const secrets = [...parts].map(([to, part]) => ({
    to,
    body: body(
      'keygenShare',
      { from: index, to, context: hash },
      scalarBytes(valueAt(held(state.polynomial), to)),
      held(held(state.tosses).get(to)),
      advance(held(held(state.pairings).get(to)), part, random),
    ),
  }));
  random.dispose();
  return { outbox: [{ to: 'all', body: second }, ...secrets] };
}

/** The polynomial at an index. */
const valueAt = (polynomial: readonly bigint[], index: number): bigint =>
  polynomial.reduceRight((sum, coefficient) => mod(sum * BigInt(index) + coefficient), 0n);

/**
 * Round 3: every opening is what was committed to, every proof and value verifies; then the key is there, and everyone
 * broadcasts the hash of the whole transcript with what it saw of round 2.
 */
export function confirm(
  context: KeygenContext,
  state: KeygenState,
  inbox: readonly ProtocolMessage[],
  draws: Draws,
): Outcome {
  const { index, threshold, parties, members, hash } = context;
  const random = createRandom(draws, hash);
  const polynomials = new Map<number, readonly Point[]>([
    [index, polynomialOf(state, index, held(state.opening).subarray(SALT_BYTES), threshold)],
  ]);
  const parts = new Map<number, Uint8Array>();
  const zeroSeeds = new Map<number, Uint8Array>();
  state.zeroSeeds = zeroSeeds;
  let value = valueAt(held(state.polynomial), index) + (state.old?.value ?? 0n);
  for (const [from, { broadcast, secret }] of pairsOf(inbox, { self: index, parties, members })) {
    polynomials.set(from, opened(context, state, from, broadcast));
    held(state.secondBodies).set(from, copy(broadcast));
    const { reader } = openBody('keygenShare', secret, { from, to: index, context: hash });
    const share = reader.take(SCALAR_BYTES, 'share');
    const toss = reader.take(TOSS_BYTES, 'toss');
    parts.set(from, reader.take(setupBytes(2, from, index), 'setup'));
    reader.end();
    const received = readScalar(share);
    share.fill(0);
    // The value is this party's secret: the constant-time multiplication.
    if (
      received === undefined ||
      !samePoint(multiply(G, received), evaluate(held(polynomials.get(from)), index))
    )
      throw protocolFault('the share is not the committed polynomial at this index', {
        field: 'keygenShare.share',
        culprit: from,
      });
    value += received;
    zeroSeeds.set(
      from,
      agree(
        hash,
        index,
        from,
        held(held(state.tosses).get(from)),
        toss,
        held(held(state.tossCommitments).get(from)),
      ),
    );
  }
  deriveKey(context, state, polynomials, mod(value));
  const seen = members.map((m) => seenHash(hash, m, held(held(state.secondBodies).get(m))));
  state.seen = seen;
  const broadcast = body(
    'keygenConfirmation',
    { from: index, to: 0, context: hash },
    held(state.transcriptHash),
    ...seen,
  );
  const secrets = [...parts].map(([to, part]) => ({
    to,
    body: body(
      'keygenChallenge',
      { from: index, to, context: hash },
      advance(held(held(state.pairings).get(to)), part, random),
    ),
  }));
  random.dispose();
  return { outbox: [{ to: 'all', body: broadcast }, ...secrets] };
}

/** The committed polynomial of one party, from what it opened. */
function polynomialOf(
  state: KeygenState,
  from: number,
  points: Uint8Array,
  threshold: number,
): Point[] {
  const count = state.old === undefined ? threshold : threshold - 1;
  const decoded = Array.from({ length: count }, (_, k) => {
    const point = readPoint(points.subarray(k * POINT_BYTES, (k + 1) * POINT_BYTES));
    if (point === undefined)
      throw protocolFault('a commitment is not an element of the group', {
        field: `keygenOpening.points[${k}]`,
        culprit: from,
      });
    return point;
  });
  return state.old === undefined ? decoded : [Points.ZERO, ...decoded];
}

/** Checks one party's opening of round 2. */
function opened(
  context: KeygenContext,
  state: KeygenState,
  from: number,
  broadcast: Uint8Array,
): Point[] {
  const { threshold, members, hash, index } = context;
  const { reader } = openBody('keygenOpening', broadcast, { from, to: 0, context: hash });
  const seen = reader.many(members.length, HASH_BYTES, 'seen');
  const length = SALT_BYTES + pointCount(context, state) * POINT_BYTES + proofBytes(state);
  const opening = reader.take(length, 'opening');
  reader.end();
  if (!equalBytes(commitmentOf(context, from, opening), held(held(state.commitments).get(from))))
    throw protocolFault('the opening is not what was committed to', {
      field: 'keygenOpening.opening',
      culprit: from,
    });
  compareSeen(context, index, from, seen, held(state.firstBodies), 'keygenOpening.seen');
  const points = polynomialOf(state, from, opening.subarray(SALT_BYTES), threshold);
  if (state.old === undefined) {
    const constant = opening.subarray(SALT_BYTES, SALT_BYTES + POINT_BYTES);
    if (
      !checkKnowledge(PROOF, hash, from, constant, opening.subarray(opening.length - PROOF_BYTES))
    )
      throw protocolFault('the proof of knowledge does not verify', {
        field: 'keygenOpening.proof',
        culprit: from,
      });
  }
  return points;
}

/** What `from` says it saw against what this party saw. */
export function compareSeen(
  { members, hash }: KeygenContext,
  self: number,
  from: number,
  seen: readonly Uint8Array[],
  bodies: ReadonlyMap<number, Uint8Array>,
  field: string,
): void {
  const differs = (member: number) =>
    !equalBytes(held(seen[member - 1]), seenHash(hash, member, held(bodies.get(member))));
  // What a party says of its own message, or of this party's, is its own doing.
  if (differs(self) || (bodies.has(from) && differs(from)))
    throw protocolFault('it saw other messages than were sent', { field, culprit: from });
  const other = members.find(differs);
  // Either the one sent two different messages, or the other misreports it. The signed envelopes tell, not this.
  if (other !== undefined)
    throw protocolFault('two parties saw different messages of a third', {
      field,
      suspects: [from, other],
    });
}

/** Sums the polynomials; public package, key and transcript. */
function deriveKey(
  context: KeygenContext,
  state: KeygenState,
  polynomials: ReadonlyMap<number, readonly Point[]>,
  value: bigint,
): void {
  const { version, threshold, parties, members, sessionId, hash } = context;
  const sums = Array.from({ length: threshold }, (_, k) =>
    members.reduce(
      (sum, member) => sum.add(held(held(polynomials.get(member))[k])),
      held(state.old?.commitments[k] ?? Points.ZERO),
    ),
  );
  const shares = members.map((member) => evaluate(sums, member));
  // Honest coefficients make this as likely as guessing a key; nobody can be named for it.
  if (value === 0n || [...sums, ...shares].some((point) => point.is0()))
    throw protocolFault('the polynomials give no valid key', { field: 'groupKey' });
  const encoded = pointBytes([...sums, ...shares]);
  state.value = value;
  state.publicPackage = encodePublicPackage({
    threshold,
    parties,
    commitments: encoded.slice(0, threshold),
    verificationShares: encoded.slice(threshold),
  });
  state.publicKey = held(encoded[0]);
  state.transcriptHash = domainHash(
    'keysaga/dkls23/keygen-transcript/v1',
    utf8ToBytes(version),
    sessionId,
    hash,
    ...members.map((member) => held(held(state.firstBodies).get(member))),
    ...members.map((member) => held(held(state.secondBodies).get(member))),
    state.publicPackage,
  );
}
