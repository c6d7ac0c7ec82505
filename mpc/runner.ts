/**
 * Drives one round machine with a seed and a log. The log is enough to rebuild a machine after a crash: the
 * machine is deterministic given (seed, inboxes), and the hashes of its plaintext outboxes prove that the rebuilt
 * one said the same.
 */
import type {
  OutgoingMessage,
  ProtocolMessage,
  RoundMachine,
  RoundOutcome,
} from '../core/ports/protocol.ts';
import { isKeysagaError, KeysagaError } from '../schema/contracts/errors.ts';
import { concatBytes, copy, domainHash, equalBytes, u32 } from './bytes.ts';
import { createDraws } from './draws.ts';

/** One answered round, as the session's log keeps it. */
export type LogEntry = {
  readonly round: number;
  readonly inbox: readonly ProtocolMessage[];
  /** `outboxHash` of the plaintext outbox that was answered. */
  readonly outboxHash: Uint8Array;
};

/** What the session pinned when it began, and what it answered since. */
export type RunLog = { readonly version: string; readonly entries: readonly LogEntry[] };

export type RoundResult<Output> = RoundOutcome<Output> & {
  readonly inboxHash: Uint8Array;
  readonly outboxHash: Uint8Array;
};

export interface Run<Output> {
  readonly version: string;
  readonly rounds: number;
  /** The round that is expected next; `rounds` + 1 after the last. */
  readonly next: number;
  /**
   * Computes round r. Throws `RoundOutOfOrder` when r is not `next`; whatever the machine throws ends the run for
   * good (`SessionFailed` from then on): a failed check is never repeated on the same seed.
   */
  round(r: number, inbox: readonly ProtocolMessage[]): RoundResult<Output>;
  /** Wipes the seed's copy and the machine's secrets. */
  dispose(): void;
}

/** SHA-256 over the messages in their order: who, then the body behind its length. */
export const outboxHash = (outbox: readonly OutgoingMessage[]): Uint8Array =>
  domainHash(
    'keysaga/outbox/v1',
    ...outbox.map(({ to, body }) => concatBytes(u32(to === 'all' ? 0 : to), body)),
  );
export const inboxHash = (inbox: readonly ProtocolMessage[]): Uint8Array =>
  domainHash('keysaga/inbox/v1', ...inbox.map(({ from, body }) => concatBytes(u32(from), body)));

/** A fresh run. `factory` builds the machine; `seed` (32 bytes) is copied. Throws `InvalidInput`. */
export function createRun<Output>(
  factory: () => RoundMachine<Output>,
  seed: Uint8Array,
): Run<Output> {
  // Refuses a bad seed before the machine exists.
  createDraws(seed, '', 0);
  const own = copy(seed);
  const machine = factory();
  let next = 1;
  let dead = false;
  const dispose = () => {
    dead = true;
    own.fill(0);
    machine.dispose();
  };
  return {
    version: machine.version,
    rounds: machine.rounds,
    get next() {
      return next;
    },
    round(r, inbox) {
      if (r !== next || next > machine.rounds)
        throw new KeysagaError('RoundOutOfOrder', 'the run does not expect this round', {
          round: r,
        });
      if (dead) throw new KeysagaError('SessionFailed', 'the run has ended', { round: r });
      try {
        const seen = inboxHash(inbox);
        const outcome = machine.round(r, inbox, createDraws(own, machine.version, r));
        next = r + 1;
        if (next > machine.rounds) dispose();
        return { ...outcome, inboxHash: seen, outboxHash: outboxHash(outcome.outbox) };
      } catch (error) {
        dispose();
        if (isKeysagaError(error)) throw error;
        // What a library says may quote its input, so only its kind goes on.
        throw new KeysagaError(
          'Internal',
          'a round machine failed unexpectedly',
          {
            round: r,
            version: machine.version,
            kind: error instanceof Error ? error.name : typeof error,
          },
          { retryable: false },
        );
      }
    },
    dispose,
  };
}

/**
 * Rebuilds a run from its log. Throws `ReplayMismatch` when the machine's version is not the pinned one, a round
 * is not in sequence, an outbox differs, or a round that was once answered now fails.
 */
export function replayRun<Output>(
  factory: () => RoundMachine<Output>,
  seed: Uint8Array,
  log: RunLog,
): Run<Output> {
  const run = createRun(factory, seed);
  const mismatch = (message: string, round: number) => {
    run.dispose();
    return new KeysagaError('ReplayMismatch', message, { round, version: run.version });
  };
  if (run.version !== log.version)
    throw mismatch('another version of the machine began this session', 0);
  for (const entry of log.entries) {
    if (entry.round !== run.next || entry.round > run.rounds)
      throw mismatch('the log is not a sequence of rounds', entry.round);
    let answered: Uint8Array;
    try {
      answered = run.round(entry.round, entry.inbox).outboxHash;
    } catch {
      throw mismatch('a round that was answered fails in the replay', entry.round);
    }
    if (!equalBytes(answered, entry.outboxHash))
      throw mismatch('the outbox differs from the log', entry.round);
  }
  return run;
}
