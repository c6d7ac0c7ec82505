/** The parameters that all protocols share, checked before a machine exists. */
import type { AggregateParams, KeygenParams, SignParams } from '../core/ports/protocol.ts';
import { invalidInput } from './faults.ts';

/** Most parties a key can have: indices travel as one byte, and policies are written by people. */
export const MAX_PARTIES = 16;
/** Most signatures made in one session. */
export const MAX_MESSAGES = 1024;
/** Longest message for schemes that sign whole messages, in bytes. */
export const MAX_MESSAGE_BYTES = 65_536;

/**
 * Which t of n are taken. `wallet`: 2t > n, so that any two signer sets share a party, which the parties' conflict rule
 * rests on. `any`: every 2 ≤ t ≤ n, for machines by themselves.
 */
export type ThresholdRule = 'wallet' | 'any';

/** Throws `InvalidInput`. */
export function checkThreshold(
  threshold: number,
  parties: number,
  rule: ThresholdRule = 'wallet',
): void {
  if (!Number.isInteger(parties) || parties < 2 || parties > MAX_PARTIES)
    throw invalidInput(`parties must be 2 to ${MAX_PARTIES}`, 'parties');
  if (
    !Number.isInteger(threshold) ||
    threshold < 2 ||
    threshold > parties ||
    (rule === 'wallet' && 2 * threshold <= parties)
  )
    throw invalidInput(
      'threshold must be at least 2, above half of the parties and at most all',
      'threshold',
    );
}

function checkIndex(index: number, parties: number): void {
  if (!Number.isInteger(index) || index < 1 || index > parties)
    throw invalidInput('index must be 1 to the number of parties', 'index');
}

function checkSessionId(sessionId: Uint8Array): void {
  if (!(sessionId instanceof Uint8Array) || sessionId.length !== 32)
    throw invalidInput('sessionId must be 32 bytes', 'sessionId');
}

/** Throws `InvalidInput`. */
export function checkKeygenParams(params: KeygenParams, rule: ThresholdRule = 'wallet'): void {
  checkThreshold(params.threshold, params.parties, rule);
  checkIndex(params.index, params.parties);
  checkSessionId(params.sessionId);
}

/** Signers ascending, each once, t to n of them; messages within bounds. Throws `InvalidInput`. */
export function checkSigners(
  params: Pick<AggregateParams, 'threshold' | 'parties' | 'signers' | 'messages'>,
  rule: ThresholdRule = 'wallet',
): void {
  checkSignerSet(params, rule);
  const { messages } = params;
  if (messages.length < 1 || messages.length > MAX_MESSAGES)
    throw invalidInput(`messages must number 1 to ${MAX_MESSAGES}`, 'messages');
  messages.forEach((message, i) => {
    if (!(message instanceof Uint8Array) || message.length > MAX_MESSAGE_BYTES)
      throw invalidInput(`a message has at most ${MAX_MESSAGE_BYTES} bytes`, `messages[${i}]`);
  });
}

/** t to n signers, ascending, each once. Throws `InvalidInput`. */
export function checkSignerSet(
  params: Pick<AggregateParams, 'threshold' | 'parties' | 'signers'>,
  rule: ThresholdRule = 'wallet',
): void {
  checkThreshold(params.threshold, params.parties, rule);
  const { signers } = params;
  if (signers.length < params.threshold || signers.length > params.parties)
    throw invalidInput('signers must number t to n', 'signers');
  signers.forEach((signer, i) => {
    if (
      !Number.isInteger(signer) ||
      signer < 1 ||
      signer > params.parties ||
      signer <= (signers[i - 1] ?? 0)
    )
      throw invalidInput('signers must be distinct indices in ascending order', 'signers');
  });
}

/** Throws `InvalidInput`. */
export function checkSignParams(params: SignParams, rule: ThresholdRule = 'wallet'): void {
  checkSigners(params, rule);
  checkMember(params);
}

/** One of the signers, and a session. Throws `InvalidInput`. */
export function checkMember(
  params: Pick<SignParams, 'index' | 'parties' | 'signers' | 'sessionId'>,
): void {
  checkIndex(params.index, params.parties);
  if (!params.signers.includes(params.index))
    throw invalidInput('this party is not among the signers', 'signers');
  checkSessionId(params.sessionId);
}
