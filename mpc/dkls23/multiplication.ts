/**
 * Two-party multiplication: random vector oblivious linear evaluation over Z_q, a batch at a time.
 *
 * Functionality: F_RVOLE of DKLs23 (ePrint 2023/765, functionality 3.5) with vectors of ℓ = 2: Bob gets a random χ,
 * Alice puts in a = (a_u, a_v), and they get c and d with c_u + d_u = a_u·χ and c_v + d_v = a_v·χ.
 * Protocol: the paper's two-round multiplication (section 5, π_RVOLE) with its check: gadget vector g of
 * ξ = κ + 2λ = 256 + 2·80 = 416 elements, one transfer for each, and ρ = 1 check element.
 *
 *   Bob:   β ← {0,1}^ξ, χ = ⟨g, β⟩; receives p_β of each transfer
 *   Alice: â ← Z_q; α = (a_u, a_v, â); sends τ_j = α + p0_j − p1_j; θ = H(τ); sends η = â + θ·a and
 *          μ = H(p0_{j,3} + θ·p0_{j,·} for all j)
 *   Bob:   γ_j = p_β + β_j·τ_j, which is p0_j + β_j·α; checks μ = H(γ_{j,3} + θ·γ_{j,·} − β_j·η for all j)
 *   c = −⟨g, p0⟩, d = ⟨g, γ⟩
 *
 * In a batch of m multiplications everything but θ and μ is there m times over one run of the OT extension; a_v is the
 * same in all of them. An Alice with different inputs in different transfers passes only by guessing bits of β, which
 * the 2λ extra transfers make harmless; a failed check names it and bars it.
 */
import { concatBytes, domainHash, equalBytes } from '../bytes.ts';
import { protocolFault } from '../faults.ts';
import type { BothKeys, ChosenKeys } from './base-ot.ts';
import { bitAt, byteWords, wordBytes } from './bits.ts';
import { BLOCK_WORDS, blake3Fill, keyWords } from './blake3.ts';
import { negate } from './curve.ts';
import { extendReceiver, extendSender, extensionBytes, padKey, pads } from './ot-extension.ts';
import type { Random } from './random.ts';
import {
  addMasked,
  addSubtract,
  bigintToWords,
  carry,
  isCanonical,
  LIMBS,
  mod,
  multiplyAdd,
  PRODUCT_LIMBS,
  PRODUCTS_PER_CARRY,
  readScalar,
  reduce,
  SCALAR_BYTES,
  scalarBytes,
  toLimbs,
  WORDS,
  wordsToBigint,
} from './scalars.ts';

/** Transfers of one multiplication, ξ. */
export const XI = 416;
/** Elements of each transfer: both inputs and the check's. */
const WIDTH = 3;
const PAD_WORDS = WIDTH * WORDS;
const DOMAIN = 'keysaga/dkls23/multiplication';

/** Bytes of Bob's message for a batch. */
export const requestBytes = (batch: number): number => extensionBytes(batch * XI);
/** Bytes of Alice's: τ, η, μ. */
export const correctionBytes = (batch: number): number => batch * XI * WIDTH * SCALAR_BYTES;
export const replyBytes = (batch: number): number =>
  correctionBytes(batch) + batch * SCALAR_BYTES + 32;

/** g, as limbs; from the transcript of the transfers, so that neither side chose it and β is fixed before it. */
function gadgetOf(transcript: Uint8Array): Gadget {
  const key = keyWords(domainHash(`${DOMAIN}/gadget/v1`, transcript));
  const block = new Uint32Array(BLOCK_WORDS);
  const words = new Uint32Array(XI * WORDS);
  const limbs = new Float64Array(XI * LIMBS);
  for (let j = 0; j < XI; j++) {
    block[0] = j;
    blake3Fill(key, 0, block, 4, words, j * WORDS, WORDS);
    toLimbs(words, j * WORDS, limbs, j * LIMBS);
  }
  return { words, limbs };
}
/** Elements are below 2^256 and stand for their values modulo q. */
type Gadget = { readonly words: Uint32Array; readonly limbs: Float64Array };

/** θ_u and θ_v, fixed by all corrections. */
function challengesOf(transcript: Uint8Array, corrections: Uint8Array) {
  const key = keyWords(domainHash(`${DOMAIN}/theta/v1`, transcript, corrections));
  const words = new Uint32Array(2 * WORDS);
  blake3Fill(key, 0, new Uint32Array(BLOCK_WORDS), 0, words, 0, 2 * WORDS);
  const limbs = new Float64Array(2 * LIMBS);
  toLimbs(words, 0, limbs, 0);
  toLimbs(words, WORDS, limbs, LIMBS);
  return { limbs, u: mod(wordsToBigint(words, 0)), v: mod(wordsToBigint(words, WORDS)) };
}

const checkHash = (transcript: Uint8Array, values: Uint32Array): Uint8Array =>
  domainHash(`${DOMAIN}/check/v1`, transcript, wordBytes(values));

/** ⟨g, ·⟩ of both columns of one multiplication and its check values. */
class Evaluation {
  readonly #gadget: Gadget;
  readonly #theta: Float64Array;
  readonly #sums = new Float64Array(2 * PRODUCT_LIMBS);
  readonly #check = new Float64Array(PRODUCT_LIMBS);
  readonly #out = new Uint32Array(WORDS);
  constructor(gadget: Gadget, theta: Float64Array) {
    this.#gadget = gadget;
    this.#theta = theta;
  }
  /**
   * Takes the three elements of transfer j (limbs below 2^23) and writes the check value to `values[at …]`.
   * `extra`: added to the check value, limbs.
   */
  add(j: number, gamma: Float64Array, values: Uint32Array, at: number): void {
    const sums = this.#sums;
    const g = this.#gadget.limbs;
    multiplyAdd(sums, 0, gamma, 0, g, j * LIMBS);
    multiplyAdd(sums, PRODUCT_LIMBS, gamma, LIMBS, g, j * LIMBS);
    if (j % PRODUCTS_PER_CARRY === PRODUCTS_PER_CARRY - 1) {
      carry(sums, 0, PRODUCT_LIMBS);
      carry(sums, PRODUCT_LIMBS, PRODUCT_LIMBS);
    }
    const check = this.#check;
    for (let i = 0; i < LIMBS; i++) check[i] = gamma[2 * LIMBS + i] as number;
    multiplyAdd(check, 0, gamma, 0, this.#theta, 0);
    multiplyAdd(check, 0, gamma, LIMBS, this.#theta, LIMBS);
    reduce(check, 0, values, at);
  }
  /** Both inner products; starts over. */
  take(): { u: bigint; v: bigint } {
    const value = (at: number): bigint => {
      reduce(this.#sums, at, this.#out, 0);
      return wordsToBigint(this.#out, 0);
    };
    return { u: value(0), v: value(PRODUCT_LIMBS) };
  }
}

/** A share for each multiplication of the batch. */
export type Shares = { readonly u: readonly bigint[]; readonly v: readonly bigint[] };

export type Bob = {
  readonly peer: number;
  readonly batch: number;
  /** β. Secret. */
  readonly choices: Uint32Array;
  readonly rows: Uint32Array;
  readonly transcript: Uint8Array;
  readonly gadget: Gadget;
  /** χ of each multiplication. Secret. */
  readonly chi: readonly bigint[];
};

/** Bob's request. `context` (32 bytes) names the ordered pair and the session, and never repeats under the same keys. */
export function request(
  keys: BothKeys,
  context: Uint8Array,
  peer: number,
  batch: number,
  random: Random,
): { state: Bob; message: Uint8Array } {
  const count = batch * XI;
  const choices = random.words((count + 128) / 32);
  const { message, rows, transcript } = extendReceiver(keys, context, choices, count);
  const gadget = gadgetOf(transcript);
  const limbs = new Float64Array(PRODUCT_LIMBS);
  const out = new Uint32Array(WORDS);
  const chi = Array.from({ length: batch }, (_, m) => {
    for (let j = 0; j < XI; j++)
      addMasked(gadget.words, j * WORDS, limbs, 0, bitAt(choices, m * XI + j));
    reduce(limbs, 0, out, 0);
    return wordsToBigint(out, 0);
  });
  out.fill(0);
  return { state: { peer, batch, choices, rows, transcript, gadget, chi }, message };
}

/**
 * Alice's reply to Bob's request and her shares c. Inputs: `u[m]`, and `v` in every multiplication. Names and bars
 * Bob (`peer`) when the transfers are not consistent.
 */
export function reply(
  keys: ChosenKeys,
  context: Uint8Array,
  peer: number,
  message: Uint8Array,
  inputs: { readonly u: readonly bigint[]; readonly v: bigint },
  random: Random,
): { shares: Shares; message: Uint8Array } {
  const batch = inputs.u.length;
  const count = batch * XI;
  const { rows, transcript } = extendSender(keys, context, count, message, peer);
  const key = padKey(transcript, 'multiplication');
  const zero = new Uint32Array(count * PAD_WORDS);
  pads(key, rows, undefined, 0, count, PAD_WORDS, zero);
  const tau = new Uint32Array(count * PAD_WORDS);
  const one = new Uint32Array(XI * PAD_WORDS);
  const alpha = new Uint32Array(PAD_WORDS);
  bigintToWords(inputs.v, alpha, WORDS);
  const checks: bigint[] = [];
  inputs.u.forEach((u, m) => {
    const check = random.scalar();
    checks.push(check);
    bigintToWords(u, alpha, 0);
    bigintToWords(check, alpha, 2 * WORDS);
    pads(key, rows, keys.delta, m * XI, XI, PAD_WORDS, one);
    for (let j = 0; j < XI; j++) {
      const at = (m * XI + j) * PAD_WORDS;
      for (let k = 0; k < PAD_WORDS; k += WORDS)
        addSubtract(alpha, k, zero, at + k, one, j * PAD_WORDS + k, tau, at + k);
    }
  });
  one.fill(0);
  alpha.fill(0);
  const corrections = wordBytes(tau);
  const theta = challengesOf(transcript, corrections);
  const eta = inputs.u.map((u, m) =>
    scalarBytes(mod((checks[m] ?? 0n) + theta.u * u + theta.v * inputs.v)),
  );
  const evaluation = new Evaluation(gadgetOf(transcript), theta.limbs);
  const gamma = new Float64Array(WIDTH * LIMBS);
  const values = new Uint32Array(count * WORDS);
  const c = { u: [] as bigint[], v: [] as bigint[] };
  for (let m = 0; m < batch; m++) {
    for (let j = 0; j < XI; j++) {
      const at = (m * XI + j) * PAD_WORDS;
      for (let k = 0; k < WIDTH; k++) toLimbs(zero, at + k * WORDS, gamma, k * LIMBS);
      evaluation.add(j, gamma, values, (m * XI + j) * WORDS);
    }
    const { u, v } = evaluation.take();
    c.u.push(negate(u));
    c.v.push(negate(v));
  }
  zero.fill(0);
  rows.fill(0);
  gamma.fill(0);
  return {
    shares: c,
    message: concatBytes(corrections, ...eta, checkHash(transcript, values)),
  };
}

/** Bob's shares d. Names and bars Alice when her message is malformed or fails the check. */
export function receive(state: Bob, message: Uint8Array): Shares {
  const { peer, batch, choices, rows, transcript, gadget } = state;
  const fault = (text: string, field: string) =>
    protocolFault(text, { field: `multiplication.${field}`, culprit: peer, barring: true });
  const count = batch * XI;
  const corrections = message.subarray(0, correctionBytes(batch));
  const tau = byteWords(corrections);
  for (let at = 0; at < tau.length; at += WORDS)
    if (!isCanonical(tau, at)) throw fault('a correction is not a scalar', 'corrections');
  const eta = new Uint32Array(batch * WORDS);
  for (let m = 0; m < batch; m++) {
    const from = corrections.length + m * SCALAR_BYTES;
    const value = readScalar(message.subarray(from, from + SCALAR_BYTES));
    if (value === undefined) throw fault('a check element is not a scalar', 'eta');
    bigintToWords(negate(value), eta, m * WORDS);
  }
  const theta = challengesOf(transcript, corrections);
  const key = padKey(transcript, 'multiplication');
  const chosen = new Uint32Array(XI * PAD_WORDS);
  const evaluation = new Evaluation(gadget, theta.limbs);
  const gamma = new Float64Array(WIDTH * LIMBS);
  const values = new Uint32Array(count * WORDS);
  const d = { u: [] as bigint[], v: [] as bigint[] };
  for (let m = 0; m < batch; m++) {
    pads(key, rows, undefined, m * XI, XI, PAD_WORDS, chosen);
    for (let j = 0; j < XI; j++) {
      const bit = bitAt(choices, m * XI + j);
      const at = (m * XI + j) * PAD_WORDS;
      for (let k = 0; k < WIDTH; k++) {
        toLimbs(chosen, j * PAD_WORDS + k * WORDS, gamma, k * LIMBS);
        addMasked(tau, at + k * WORDS, gamma, k * LIMBS, bit);
      }
      // −β_j·η, in the check's element only: the inner products take the other two.
      addMasked(eta, m * WORDS, gamma, 2 * LIMBS, bit);
      evaluation.add(j, gamma, values, (m * XI + j) * WORDS);
    }
    const { u, v } = evaluation.take();
    d.u.push(u);
    d.v.push(v);
  }
  chosen.fill(0);
  gamma.fill(0);
  if (!equalBytes(message.subarray(message.length - 32), checkHash(transcript, values)))
    throw fault('the multiplication is not consistent', 'check');
  return d;
}
