/**
 * Base oblivious transfer: κ = 128 random transfers between two parties, from which all later ones are extended.
 *
 * Functionality: F_SF-OT of DKLs18 (ePrint 2018/499, section VI-A): sender gets pairs of keys (k0, k1), receiver gets
 * k_ω for its choice bits ω. A cheating sender may guess choice bits and is caught when it guesses wrong.
 * Protocol: verified simplest OT (DKLs18, protocol 7): "simplest OT" of Chou and Orlandi (ePrint 2015/267) under one
 * sender key, with a proof of knowledge of that key, then challenge, response and opening, which make the receiver
 * prove that it knows one key of each pair, and the sender that it did not make one key unusable.
 *
 *   1 sender → receiver: Y = y·G, proof of knowledge of y
 *   2 receiver → sender: X_k = x_k·G + ω_k·Y
 *     keys: ρ0 = H(k, Y, X_k, y·X_k), ρ1 = H(k, Y, X_k, y·(X_k − Y)); the receiver has H(k, Y, X_k, x_k·Y) = ρ_ω
 *   3 sender → receiver: ξ_k = h(h(ρ0)) ⊕ h(h(ρ1))
 *   4 receiver → sender: h(h(ρ_ω)) ⊕ ω_k·ξ_k, which is h(h(ρ0)) either way
 *   5 sender → receiver: h(ρ0), h(ρ1)
 *
 * The keys that are used are hashed once more, apart from what is opened.
 */
import { concatBytes, domainHash, equalBytes, u8 } from '../bytes.ts';
import { held, protocolFault } from '../faults.ts';
import { bitAt, KAPPA } from './bits.ts';
import { KEY_WORDS, keyWords } from './blake3.ts';
import {
  checkKnowledge,
  G,
  multiply,
  POINT_BYTES,
  type Point,
  PROOF_BYTES,
  pointBytes,
  proveKnowledge,
  readPoint,
} from './curve.ts';
import type { Random } from './random.ts';

/** Both keys of each transfer: 8 words each, κ of them one after another. Secret. */
export type BothKeys = { readonly zero: Uint32Array; readonly one: Uint32Array };
/** The choice bits (4 words) and the chosen keys. Secret. */
export type ChosenKeys = { readonly delta: Uint32Array; readonly chosen: Uint32Array };

const HASH = 32;
export const OFFER_BYTES = POINT_BYTES + PROOF_BYTES;
export const CHOICE_BYTES = KAPPA * POINT_BYTES;
export const CHALLENGE_BYTES = KAPPA * HASH;
export const RESPONSE_BYTES = KAPPA * HASH;
export const OPENING_BYTES = KAPPA * 2 * HASH;

const DOMAIN = 'keysaga/dkls23/base-ot';
const fault = (message: string, field: string, culprit: number) =>
  protocolFault(message, { field: `setup.${field}`, culprit, barring: true });

const key = (context: Uint8Array, k: number, Y: Uint8Array, X: Uint8Array, shared: Uint8Array) =>
  domainHash(`${DOMAIN}/key/v1`, context, u8(k), Y, X, shared);
const once = (context: Uint8Array, k: number, rho: Uint8Array) =>
  domainHash(`${DOMAIN}/once/v1`, context, u8(k), rho);
const twice = (context: Uint8Array, k: number, onceHashed: Uint8Array) =>
  domainHash(`${DOMAIN}/twice/v1`, context, u8(k), onceHashed);
const used = (context: Uint8Array, k: number, rho: Uint8Array) =>
  domainHash(`${DOMAIN}/used/v1`, context, u8(k), rho);

/** a where `bit` is 0, a ⊕ b where it is 1, without a branch. */
const xorIf = (a: Uint8Array, b: Uint8Array, bit: number): Uint8Array =>
  a.map((byte, i) => byte ^ ((b[i] ?? 0) & -bit));
const part = (bytes: Uint8Array, k: number, length: number): Uint8Array =>
  bytes.subarray(k * length, (k + 1) * length);

const store = (keys: readonly Uint8Array[]): Uint32Array => {
  const words = new Uint32Array(keys.length * KEY_WORDS);
  keys.forEach((bytes, k) => {
    words.set(keyWords(bytes), k * KEY_WORDS);
  });
  return words;
};

export type OtSender = {
  readonly context: Uint8Array;
  readonly peer: number;
  y: bigint;
  readonly Y: Point;
  readonly encodedY: Uint8Array;
  /** ρ0 and ρ1. */
  rho: readonly (readonly [Uint8Array, Uint8Array])[];
};

/** Step 1. `self`: who sends; `context` names the ordered pair and the ceremony. */
export function offer(
  context: Uint8Array,
  self: number,
  peer: number,
  random: Random,
): { state: OtSender; message: Uint8Array } {
  const y = random.scalar();
  const Y = multiply(G, y);
  const encodedY = Y.toBytes(true);
  const proof = proveKnowledge(`${DOMAIN}/proof/v1`, context, self, y, encodedY, random);
  return {
    state: { context, peer, y, Y, encodedY, rho: [] },
    message: concatBytes(encodedY, proof),
  };
}

export type OtReceiver = {
  readonly context: Uint8Array;
  readonly peer: number;
  readonly delta: Uint32Array;
  /** ρ_ω. */
  rho: readonly Uint8Array[];
  challenge: Uint8Array;
};

/** Step 2. `delta`: κ choice bits. Names the sender when its key or proof is not valid. */
export function choose(
  context: Uint8Array,
  peer: number,
  message: Uint8Array,
  delta: Uint32Array,
  random: Random,
): { state: OtReceiver; message: Uint8Array } {
  const encodedY = message.subarray(0, POINT_BYTES);
  const Y = readPoint(encodedY);
  if (Y === undefined) throw fault('the key is not an element of the group', 'offer', peer);
  const proof = message.subarray(POINT_BYTES);
  if (!checkKnowledge(`${DOMAIN}/proof/v1`, context, peer, encodedY, proof))
    throw fault('the proof of knowledge does not verify', 'offer', peer);
  // A table of Y's multiples serves all κ multiplications; it goes with the point.
  Y.precompute(8, false);
  const sent: Point[] = [];
  const shared: Point[] = [];
  for (let k = 0; k < KAPPA; k++) {
    const x = random.scalar();
    const zero = multiply(G, x);
    // Both are computed, so that the time is the same for either choice.
    sent.push(held([zero, zero.add(Y)][bitAt(delta, k)]));
    shared.push(multiply(Y, x));
  }
  // x·G = −Y has no encoding; nobody meets it.
  const X = pointBytes(sent);
  const keys = pointBytes(shared);
  const rho = X.map((encoded, k) => key(context, k, encodedY, encoded, held(keys[k])));
  return {
    state: { context, peer, delta, rho, challenge: new Uint8Array() },
    message: concatBytes(...X),
  };
}

/** Step 3. Names the receiver when a point is not valid. */
export function challenge(state: OtSender, message: Uint8Array): Uint8Array {
  const { context, peer, y, Y, encodedY } = state;
  const yY = multiply(Y, y);
  const points: Point[] = [];
  for (let k = 0; k < KAPPA; k++) {
    const X = readPoint(part(message, k, POINT_BYTES));
    // With X = Y the second key would be the identity's; an honest receiver never draws it.
    if (X === undefined || X.equals(Y))
      throw fault('a choice is not an element of the group', `choices[${k}]`, peer);
    const yX = multiply(X, y);
    points.push(yX, yX.subtract(yY));
  }
  const keys = pointBytes(points);
  state.rho = Array.from({ length: KAPPA }, (_, k) => {
    const X = part(message, k, POINT_BYTES);
    const of = (i: number) => key(context, k, encodedY, X, held(keys[2 * k + i]));
    return [of(0), of(1)] as const;
  });
  state.y = 0n;
  return concatBytes(
    ...state.rho.map(([rho0, rho1], k) =>
      xorIf(
        twice(context, k, once(context, k, rho0)),
        twice(context, k, once(context, k, rho1)),
        1,
      ),
    ),
  );
}

/** Step 4. */
export function respond(state: OtReceiver, message: Uint8Array): Uint8Array {
  const { context, delta, rho } = state;
  state.challenge = message;
  return concatBytes(
    ...rho.map((chosen, k) =>
      xorIf(twice(context, k, once(context, k, chosen)), part(message, k, HASH), bitAt(delta, k)),
    ),
  );
}

/** Step 5. Names the receiver when it does not know one key of each pair. */
export function open(
  state: OtSender,
  message: Uint8Array,
): { keys: BothKeys; message: Uint8Array } {
  const { context, peer, rho } = state;
  const opened: Uint8Array[] = [];
  const expected: Uint8Array[] = [];
  rho.forEach(([rho0, rho1], k) => {
    const once0 = once(context, k, rho0);
    opened.push(once0, once(context, k, rho1));
    expected.push(twice(context, k, once0));
  });
  if (!equalBytes(message, concatBytes(...expected)))
    throw fault('the response does not know a key of each pair', 'response', peer);
  const keys = {
    zero: store(rho.map(([rho0], k) => used(context, k, rho0))),
    one: store(rho.map(([, rho1], k) => used(context, k, rho1))),
  };
  for (const [rho0, rho1] of rho) {
    rho0.fill(0);
    rho1.fill(0);
  }
  return { keys, message: concatBytes(...opened) };
}

/** After step 5. Names the sender when the opening is not what it challenged with. */
export function finish(state: OtReceiver, message: Uint8Array): ChosenKeys {
  const { context, peer, delta, rho, challenge: xi } = state;
  let difference = 0;
  rho.forEach((chosen, k) => {
    const opened = part(message, k, 2 * HASH);
    const both = [opened.subarray(0, HASH), opened.subarray(HASH)] as const;
    const own = once(context, k, chosen);
    const bit = bitAt(delta, k);
    // Every check is made and added up: which one failed first would tell a choice bit.
    const theirs = both[0].map((byte, i) => byte ^ ((byte ^ (both[1][i] ?? 0)) & -bit));
    const sum = xorIf(twice(context, k, both[0]), twice(context, k, both[1]), 1);
    const asked = part(xi, k, HASH);
    for (let i = 0; i < HASH; i++)
      difference |= ((own[i] ?? 0) ^ (theirs[i] ?? 0)) | ((sum[i] ?? 0) ^ (asked[i] ?? 0));
  });
  if (difference !== 0) throw fault('the opening is not what was challenged with', 'opening', peer);
  const chosen = store(rho.map((secret, k) => used(context, k, secret)));
  for (const secret of rho) secret.fill(0);
  return { delta, chosen };
}
