/**
 * The two rounds of signing that do not depend on the message: DKLs23 (ePrint 2023/765), protocol 3.6 (π_ECDSA), for a
 * batch of m nonces at once. Party i, toward every other signer j:
 *
 *   round 1  r_i, φ_i random; commits to R_i = r_i·G; as Bob requests a multiplication with random χ_ij
 *   round 2  as Alice multiplies a = (r_i, sk_i), sk_i = λ_i·p(i) + ζ_i, and gets c_ij; opens R_i, sends pk_i = sk_i·G,
 *            Γu = cu_ij·G, Γv = cv_ij·G, ψ_ij = φ_i − χ_ij
 *   checks   χ_ij·R_j − Γu_ji = du_ij·G, χ_ij·pk_j − Γv_ji = dv_ij·G, Σ pk = pk
 *   result   R = Σ R_j, u_i = r_i·(φ_i + Σ ψ_ji) + Σ (cu_ij + du_ij), v_i the same with sk_i:
 *            shares of r·φ and sk·φ. With a digest h: w_i = h·φ_i + x(R)·v_i, and s = Σ w_i ÷ Σ u_i.
 *
 * The commitments are broadcast and echoed in round 2, so that all honest signers have one R before round 3.
 */
import type { Draws, OutgoingMessage, ProtocolMessage } from '../../core/ports/protocol.ts';
import { concatBytes, copy, domainHash, equalBytes, u8 } from '../bytes.ts';
import { held, protocolFault } from '../faults.ts';
import { checkPresigned } from './consistency.ts';
import {
  G,
  lagrange,
  multiply,
  OPEN_POINT_BYTES,
  openPointBytes,
  type Point,
  Point as Points,
  readOpenPoint,
  samePoint,
} from './curve.ts';
import type { Share } from './encoding.ts';
import { body, HASH_BYTES, openBody, pairsOf, seenHash } from './messages.ts';
import {
  type Bob,
  receive,
  reply,
  replyBytes,
  request,
  requestBytes,
  type Shares,
} from './multiplication.ts';
import { createRandom } from './random.ts';
import { mod, readScalar, SCALAR_BYTES, scalarBytes } from './scalars.ts';
import { wipePair } from './setup.ts';
import { zeroShare } from './zero-sharing.ts';

const SALT_BYTES = 32;

/** One signer's state over both rounds. Emptied when the machine ends. */
export type Presign = {
  readonly index: number;
  readonly parties: number;
  readonly signers: readonly number[];
  readonly batch: number;
  /** Stands in every header. */
  readonly context: Uint8Array;
  /** The context without the session; base of what is echoed. */
  readonly base: Uint8Array;
  /** The key that is signed under, and what was added to the shared one. */
  readonly key: Point;
  readonly tweak: bigint;
  readonly share: Share;
  /** r_i and φ_i. Secret. */
  r: bigint[];
  phi: bigint[];
  keyShare: bigint;
  opening: Uint8Array;
  bobs: Map<number, Bob>;
  /** c by peer. Secret. */
  alice: Map<number, Shares>;
  /** Round-1 and round-2 broadcasts by signer, own included. */
  readonly first: Map<number, Uint8Array>;
  readonly second: Map<number, Uint8Array>;
};

export const createPresign = (
  fixed: Pick<
    Presign,
    'index' | 'parties' | 'signers' | 'batch' | 'context' | 'base' | 'key' | 'tweak' | 'share'
  >,
): Presign => ({
  ...fixed,
  r: [],
  phi: [],
  keyShare: 0n,
  opening: new Uint8Array(),
  bobs: new Map(),
  alice: new Map(),
  first: new Map(),
  second: new Map(),
});

/** Context of the multiplication with `bob` as Bob: unique for the ordered pair in this session. */
const pairContext = ({ context }: Presign, bob: number, alice: number): Uint8Array =>
  domainHash('keysaga/dkls23/sign-pair/v1', context, u8(bob), u8(alice));

/** Binds a signer to its nonces. */
export const nonceCommitment = (
  context: Uint8Array,
  from: number,
  opening: Uint8Array,
): Uint8Array => domainHash('keysaga/dkls23/nonce-commitment/v1', context, u8(from), opening);
export const openingBytes = (batch: number): number => SALT_BYTES + batch * OPEN_POINT_BYTES;
/** The points of an opening. Names the sender of one that is none. */
export const openedNonces = (from: number, opening: Uint8Array): Point[] =>
  Array.from({ length: (opening.length - SALT_BYTES) / OPEN_POINT_BYTES }, (_, m) => {
    const at = SALT_BYTES + m * OPEN_POINT_BYTES;
    const point = readOpenPoint(opening.subarray(at, at + OPEN_POINT_BYTES));
    if (point === undefined)
      throw protocolFault('a nonce is not an element of the group', {
        field: `presignOpening.nonces[${m}]`,
        culprit: from,
      });
    return point;
  });

/** Round 1. */
export function begin(state: Presign, draws: Draws): OutgoingMessage[] {
  const { index, signers, batch, context, share } = state;
  const random = createRandom(draws, context);
  state.r = Array.from({ length: batch }, () => random.scalar());
  state.phi = Array.from({ length: batch }, () => random.scalar());
  const nonces = openPointBytes(state.r.map((r) => multiply(G, r)));
  state.opening = concatBytes(random.bytes(SALT_BYTES), ...nonces);
  const broadcast = body(
    'presignCommitment',
    { from: index, to: 0, context },
    nonceCommitment(context, index, state.opening),
  );
  state.first.set(index, broadcast);
  const secrets = signers
    .filter((signer) => signer !== index)
    .map((peer) => {
      const { receive: keys } = held(share.pairs.get(peer));
      const pair = pairContext(state, index, peer);
      const { state: bob, message } = request(keys, pair, peer, batch, random);
      state.bobs.set(peer, bob);
      return {
        to: peer,
        body: body('presignRequest', { from: index, to: peer, context }, message),
      };
    });
  random.dispose();
  return [{ to: 'all', body: broadcast }, ...secrets];
}

/** Round 2. Names and bars a signer whose transfers are not consistent. */
export function exchange(
  state: Presign,
  inbox: readonly ProtocolMessage[],
  draws: Draws,
): OutgoingMessage[] {
  const { index, parties, signers, batch, context, base, share } = state;
  const random = createRandom(draws, context);
  const requests = new Map<number, Uint8Array>();
  const expected = { self: index, parties, members: signers };
  for (const [from, { broadcast, secret }] of pairsOf(inbox, expected)) {
    const { reader } = openBody('presignCommitment', broadcast, { from, to: 0, context });
    reader.take(HASH_BYTES, 'commitment');
    reader.end();
    state.first.set(from, copy(broadcast));
    const own = openBody('presignRequest', secret, { from, to: index, context }).reader;
    requests.set(from, own.take(requestBytes(batch), 'request'));
    own.end();
  }
  const shareOfZero = zeroShare(context, index, signers, share.zeroSeeds);
  // The tweak is the first signer's to add; the sum is checked under the key that it leads to.
  const tweak = index === signers[0] ? state.tweak : 0n;
  state.keyShare = mod(lagrange(index, signers) * share.value + shareOfZero + tweak);
  const secrets: { to: number; shares: Shares; message: Uint8Array }[] = [];
  for (const [peer, message] of requests) {
    const { send: keys } = held(share.pairs.get(peer));
    const inputs = { u: state.r, v: state.keyShare };
    const pair = pairContext(state, peer, index);
    const replied = reply(keys, pair, peer, message, inputs, random);
    state.alice.set(peer, replied.shares);
    secrets.push({ to: peer, ...replied });
  }
  // One inversion for all points of this round.
  const points = openPointBytes([
    multiply(G, state.keyShare),
    ...secrets.flatMap(({ shares: { u, v } }) => [...u, ...v].map((c) => multiply(G, c))),
  ]);
  const broadcast = body(
    'presignOpening',
    { from: index, to: 0, context },
    ...signers.map((signer) => seenHash(base, signer, held(state.first.get(signer)))),
    state.opening,
    held(points[0]),
  );
  state.second.set(index, broadcast);
  random.dispose();
  return [
    { to: 'all', body: broadcast },
    ...secrets.map(({ to, message }, i) => {
      const { chi } = held(state.bobs.get(to));
      const psi = state.phi.map((phi, m) => scalarBytes(mod(phi - held(chi[m]))));
      const gamma = points.slice(1 + 2 * batch * i, 1 + 2 * batch * (i + 1));
      return {
        to,
        body: body('presignReply', { from: index, to, context }, message, ...psi, ...gamma),
      };
    }),
  ];
}

/** What one signer holds of one presignature. `R` and its x are public, the rest secret. */
export type Presigned = {
  readonly R: Point;
  readonly u: bigint;
  readonly v: bigint;
  readonly phi: bigint;
};

/**
 * After round 2: every check of the paper, then the shares. Names (and bars) whoever failed one; where only a sum is
 * wrong, the suspects are all others.
 */
export function combine(
  state: Presign,
  inbox: readonly ProtocolMessage[],
  draws: Draws,
): Presigned[] {
  const { index, parties, signers, batch, context, key } = state;
  const random = createRandom(draws, context);
  const nonces = state.r.map((): Point => Points.ZERO);
  const own = openedNonces(index, state.opening);
  own.forEach((point, m) => {
    nonces[m] = point;
  });
  let keySum = multiply(G, state.keyShare);
  const masks = [...state.phi];
  const u = state.r.map(() => 0n);
  const v = state.r.map(() => 0n);
  const expected = { self: index, parties, members: signers };
  for (const [from, { broadcast, secret }] of pairsOf(inbox, expected)) {
    const opened = openedBroadcast(state, from, broadcast);
    state.second.set(from, copy(broadcast));
    const { message, psi, gammaU, gammaV } = readReply(state, from, secret);
    const bob = held(state.bobs.get(from));
    const d = receive(bob, message);
    const claim = { nonces: opened.nonces, key: opened.key, gammaU, gammaV };
    if (!checkPresigned(bob.chi, d, claim, random))
      throw protocolFault('the product is not of the nonce and the key share that were opened', {
        field: 'presignReply.gamma',
        culprit: from,
        barring: true,
      });
    const c = held(state.alice.get(from));
    opened.nonces.forEach((point, m) => {
      nonces[m] = held(nonces[m]).add(point);
      masks[m] = held(masks[m]) + held(psi[m]);
      u[m] = held(u[m]) + held(c.u[m]) + held(d.u[m]);
      v[m] = held(v[m]) + held(c.v[m]) + held(d.v[m]);
    });
    keySum = keySum.add(opened.key);
  }
  if (!samePoint(keySum, key)) {
    const others = signers.filter((signer) => signer !== index);
    const [only] = others;
    throw protocolFault('the key shares do not add up to the key', {
      field: 'presignOpening.key',
      ...(others.length === 1 && only !== undefined ? { culprit: only } : { suspects: others }),
    });
  }
  if (nonces.some((point) => point.is0()))
    throw protocolFault('the nonces add up to nothing', { field: 'presignOpening.nonces' });
  random.dispose();
  return Array.from({ length: batch }, (_, m) => {
    const mask = mod(held(masks[m]));
    return {
      R: held(nonces[m]),
      u: mod(held(state.r[m]) * mask + held(u[m])),
      v: mod(state.keyShare * mask + held(v[m])),
      phi: held(state.phi[m]),
    };
  });
}

/** One signer's broadcast of round 2, checked against its commitment and against what this party saw of round 1. */
function openedBroadcast(
  state: Presign,
  from: number,
  broadcast: Uint8Array,
): { nonces: Point[]; key: Point } {
  const { index, signers, batch, context, base } = state;
  const { reader } = openBody('presignOpening', broadcast, { from, to: 0, context });
  const seen = reader.many(signers.length, HASH_BYTES, 'seen');
  const opening = reader.take(openingBytes(batch), 'opening');
  const encodedKey = reader.take(OPEN_POINT_BYTES, 'key');
  reader.end();
  const committed = held(state.first.get(from)).subarray(-HASH_BYTES);
  if (!equalBytes(nonceCommitment(context, from, opening), committed))
    throw protocolFault('the opening is not what was committed to', {
      field: 'presignOpening.opening',
      culprit: from,
    });
  const differs = (signer: number, i: number) =>
    !equalBytes(held(seen[i]), seenHash(base, signer, held(state.first.get(signer))));
  const wrong = signers.filter(differs);
  if (wrong.includes(from) || wrong.includes(index))
    throw protocolFault('it saw other commitments than were sent', {
      field: 'presignOpening.seen',
      culprit: from,
    });
  const [other] = wrong;
  if (other !== undefined)
    throw protocolFault('two signers saw different commitments of a third', {
      field: 'presignOpening.seen',
      suspects: [from, other],
    });
  const key = readOpenPoint(encodedKey);
  if (key === undefined)
    throw protocolFault('a key share is not an element of the group', {
      field: 'presignOpening.key',
      culprit: from,
    });
  return { nonces: openedNonces(from, opening), key };
}

function readReply({ index, batch, context }: Presign, from: number, secret: Uint8Array) {
  const { reader } = openBody('presignReply', secret, { from, to: index, context });
  const message = reader.take(replyBytes(batch), 'multiplication');
  const psi = reader.many(batch, SCALAR_BYTES, 'psi').map((bytes, m) => {
    const value = readScalar(bytes);
    if (value === undefined)
      throw protocolFault('a mask is not a scalar', {
        field: `presignReply.psi[${m}]`,
        culprit: from,
      });
    return value;
  });
  const gamma = reader.many(2 * batch, OPEN_POINT_BYTES, 'gamma').map((bytes, i) => {
    const point = readOpenPoint(bytes);
    if (point === undefined)
      throw protocolFault('a product is not an element of the group', {
        field: `presignReply.gamma[${i}]`,
        culprit: from,
      });
    return point;
  });
  reader.end();
  return { message, psi, gammaU: gamma.slice(0, batch), gammaV: gamma.slice(batch) };
}

/** Wipes what arrays can be wiped, and lets go of the rest. */
export function wipePresign(state: Presign): void {
  for (const pair of state.share.pairs.values()) wipePair(pair);
  for (const seed of state.share.zeroSeeds.values()) seed.fill(0);
  for (const bob of state.bobs.values()) {
    bob.choices.fill(0);
    bob.rows.fill(0);
  }
  state.share.value = 0n;
  state.keyShare = 0n;
  state.r = [];
  state.phi = [];
  state.opening = new Uint8Array();
  state.bobs = new Map();
  state.alice = new Map();
}
