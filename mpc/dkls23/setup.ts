/**
 * The set-up between two parties: oblivious-transfer keys in both directions. It runs inside the rounds of key
 * generation and refresh, a private message a round and pair.
 *
 * Functionality: F_COTe's initialisation for both orders of the pair, which DKLs23 (ePrint 2023/765, section 5) runs
 * twice. Here κ verified base transfers are made once, with the lower index as their receiver; the keys of the other
 * direction come out of one run of the OT extension over the first, a set of κ random transfers like any other.
 *
 *   round  lower index (chooser)          higher index (offerer)
 *     1                                   base 1: offer
 *     2    base 2: choices
 *     3                                   base 3: challenge
 *     4    base 4: response
 *     5                                   base 5: opening; extension with κ choices of its own
 *     6    checks, done                   done
 */
import { concatBytes, domainHash, u8 } from '../bytes.ts';
import { held } from '../faults.ts';
import {
  type BothKeys,
  CHALLENGE_BYTES,
  CHOICE_BYTES,
  type ChosenKeys,
  challenge,
  choose,
  finish,
  OFFER_BYTES,
  OPENING_BYTES,
  type OtReceiver,
  type OtSender,
  offer,
  open,
  RESPONSE_BYTES,
  respond,
} from './base-ot.ts';
import { KAPPA, ROW_WORDS } from './bits.ts';
import { KEY_WORDS } from './blake3.ts';
import { extendReceiver, extendSender, extensionBytes, padKey, pads } from './ot-extension.ts';
import type { Random } from './random.ts';

/** What a party keeps for one peer. Secret. */
export type PairKeys = {
  /** This party as sender of transfers, hence Alice of multiplications. */
  readonly send: ChosenKeys;
  /** This party as receiver, hence Bob. */
  readonly receive: BothKeys;
};

const EXTENSION_BYTES = extensionBytes(KAPPA);

export type Pairing = {
  /** Round of the next message, 1 … 5, or 6 for the end. */
  step: number;
  readonly context: Uint8Array;
  readonly self: number;
  readonly peer: number;
  /** κ random bits: this party's Δ for its own direction. */
  delta: Uint32Array | undefined;
  sender?: OtSender;
  receiver?: OtReceiver;
  receive?: BothKeys;
  send?: ChosenKeys;
};

/** `context` names the ceremony; the pair is added here. */
export const startPairing = (context: Uint8Array, self: number, peer: number): Pairing => ({
  step: 1,
  context: domainHash(
    'keysaga/dkls23/pair/v1',
    context,
    u8(Math.min(self, peer)),
    u8(Math.max(self, peer)),
  ),
  self,
  peer,
  delta: undefined,
});

/** Bytes of the set-up part that `from` sends to `to` in a round. */
export function setupBytes(round: number, from: number, to: number): number {
  const offering = from > to;
  if (round === 1) return offering ? OFFER_BYTES : 0;
  if (round === 2) return offering ? 0 : CHOICE_BYTES;
  if (round === 3) return offering ? CHALLENGE_BYTES : 0;
  if (round === 4) return offering ? 0 : RESPONSE_BYTES;
  return offering ? OPENING_BYTES + EXTENSION_BYTES : 0;
}

const bootContext = (pairing: Pairing) =>
  domainHash('keysaga/dkls23/setup-extension/v1', pairing.context);
const NOTHING = new Uint8Array();

/**
 * Takes the peer's part of the round before and gives this party's part of the next round; empty where it has nothing
 * to say. After the peer's fifth the keys are there. Names (and bars) the peer whose part fails a check.
 */
export function advance(pairing: Pairing, message: Uint8Array, random: Random): Uint8Array {
  const { context, self, peer, step } = pairing;
  pairing.step = step + 1;
  const offering = self > peer;
  if (step === 1) {
    pairing.delta = random.words(ROW_WORDS);
    if (!offering) return NOTHING;
    const made = offer(context, self, peer, random);
    pairing.sender = made.state;
    return made.message;
  }
  if (step === 2 && !offering) {
    const made = choose(context, peer, message, held(pairing.delta), random);
    pairing.receiver = made.state;
    return made.message;
  }
  if (step === 3 && offering) return challenge(held(pairing.sender), message);
  if (step === 4 && !offering) return respond(held(pairing.receiver), message);
  if (step === 5 && offering) {
    const opened = open(held(pairing.sender), message);
    pairing.receive = opened.keys;
    return concatBytes(opened.message, bootstrapReceiver(pairing, opened.keys, random));
  }
  if (step === 6 && !offering) {
    pairing.send = finish(held(pairing.receiver), message.subarray(0, OPENING_BYTES));
    bootstrapSender(pairing, pairing.send, message.subarray(OPENING_BYTES));
  }
  return NOTHING;
}

/** The higher index receives κ transfers with its own Δ as choices: its keys as sender. */
function bootstrapReceiver(pairing: Pairing, keys: BothKeys, random: Random): Uint8Array {
  const delta = held(pairing.delta);
  const choices = new Uint32Array(ROW_WORDS + KAPPA / 32);
  choices.set(delta);
  choices.set(random.words(KAPPA / 32), ROW_WORDS);
  const { message, rows, transcript } = extendReceiver(keys, bootContext(pairing), choices, KAPPA);
  const chosen = new Uint32Array(KAPPA * KEY_WORDS);
  pads(padKey(transcript, 'setup'), rows, undefined, 0, KAPPA, KEY_WORDS, chosen);
  pairing.send = { delta, chosen };
  return message;
}

function bootstrapSender(pairing: Pairing, keys: ChosenKeys, message: Uint8Array): void {
  const { rows, transcript } = extendSender(
    keys,
    bootContext(pairing),
    KAPPA,
    message,
    pairing.peer,
  );
  const key = padKey(transcript, 'setup');
  const zero = new Uint32Array(KAPPA * KEY_WORDS);
  const one = new Uint32Array(KAPPA * KEY_WORDS);
  pads(key, rows, undefined, 0, KAPPA, KEY_WORDS, zero);
  pads(key, rows, keys.delta, 0, KAPPA, KEY_WORDS, one);
  rows.fill(0);
  pairing.receive = { zero, one };
}

/** After round 6. */
export const pairKeys = (pairing: Pairing): PairKeys => ({
  send: held(pairing.send),
  receive: held(pairing.receive),
});

export function wipePair({ send, receive }: Partial<PairKeys>): void {
  send?.delta.fill(0);
  send?.chosen.fill(0);
  receive?.zero.fill(0);
  receive?.one.fill(0);
}
