/**
 * Aggregate `SigningSession` (R5), for key generation and signing alike: one attempt of one party, rounds in
 * order, one inbox and one outbox a round for ever, one release. Pure: `decide…` judges, `apply` folds.
 * Messages between parties stand in `prepared.ts` and `envelopes.ts`, re-exported here.
 */
import { type ErrorCode, KeysagaError } from '../../schema/contracts/errors.ts';
import type { SessionState } from '../ports/party-store.ts';
import { canApply, next, type TransitionTable } from '../state-machine.ts';

export * from './envelopes.ts';
export * from './prepared.ts';

export type SessionCommand = 'run' | 'release' | 'fail' | 'abort' | 'expire' | 'supersede';

const open = {
  fail: 'failed',
  abort: 'aborted',
  expire: 'expired',
  supersede: 'superseded',
} as const;
/** A closed session never reopens; a released one keeps its answers for retries. */
export const SESSION_MACHINE: TransitionTable<SessionState, SessionCommand> = {
  name: 'SigningSession',
  initial: 'prepared',
  final: ['released', 'failed', 'aborted', 'expired', 'superseded'],
  transitions: {
    prepared: { run: 'running', ...open },
    running: { run: 'running', release: 'released', ...open },
    released: {},
    failed: {},
    aborted: {},
    expired: {},
    superseded: {},
  },
};

/** A round as the log has it; `outboxHash` is null between the inbox's commit and the answer's. */
export type RoundLog = {
  readonly round: number;
  readonly inboxHash: string;
  readonly outboxHash: string | null;
};

export type Session = {
  readonly attempt: string;
  readonly requestHash: string;
  readonly state: SessionState;
  /** Number of rounds of the pinned machine. */
  readonly rounds: number;
  /** Milliseconds, the party's clock. */
  readonly expiresAt: number;
  readonly log: readonly RoundLog[];
  readonly failureCode: string | null;
};

export type RoundVerdict =
  /** The stored outbox, byte for byte. */
  | { readonly kind: 'answer-stored' }
  /** Commit the inbox hash, compute, commit the outbox or the failure, answer. */
  | { readonly kind: 'compute' }
  /** The inbox is committed, the answer is not: compute again from seed and log, on this very inbox. */
  | { readonly kind: 'resume' };

const CLOSED: { readonly [state in SessionState]?: readonly [ErrorCode, string] } = {
  failed: ['SessionFailed', 'The session failed for good.'],
  aborted: ['SessionSuperseded', 'The attempt was aborted.'],
  expired: ['SessionExpired', 'The session outlived its time.'],
  superseded: ['SessionSuperseded', 'A newer attempt took the line.'],
};

function requireNotClosed(session: Pick<Session, 'state' | 'attempt' | 'failureCode'>): void {
  const closed = CLOSED[session.state];
  if (closed === undefined) return;
  throw new KeysagaError(closed[0], closed[1], {
    attempt: session.attempt,
    state: session.state,
    ...(session.failureCode === null ? {} : { failure: session.failureCode }),
  });
}

/**
 * The round contract. Call it under the session's row lock, after the inbox has been authenticated: what does not
 * verify leaves no trace. Throws `RoundConflict` (the caller closes an open session and audits), `RoundOutOfOrder`,
 * `SessionExpired`, `SessionFailed`, `SessionSuperseded`.
 */
export function decideRound(
  session: Session,
  asked: { readonly round: number; readonly inboxHash: string; readonly now: number },
): RoundVerdict {
  const { round, inboxHash, now } = asked;
  requireNotClosed(session);
  const entry = session.log.find((r) => r.round === round);
  if (entry !== undefined && entry.inboxHash !== inboxHash)
    throw new KeysagaError('RoundConflict', `Round ${round} has another inbox already.`, {
      attempt: session.attempt,
      round,
    });
  if (entry !== undefined && entry.outboxHash !== null) return { kind: 'answer-stored' };
  const answered = session.log.filter((r) => r.outboxHash !== null).length;
  if (session.state === 'released' || round !== answered + 1 || round > session.rounds)
    throw new KeysagaError('RoundOutOfOrder', `Round ${round} is not the one expected.`, {
      attempt: session.attempt,
      round,
      expected: Math.min(answered + 1, session.rounds),
    });
  if (now >= session.expiresAt)
    throw new KeysagaError('SessionExpired', 'The session outlived its time.', {
      attempt: session.attempt,
    });
  return { kind: entry === undefined ? 'compute' : 'resume' };
}

/**
 * A `prepare` for an attempt: new, or a repeat that gets the stored answer. Throws `RequestConflict` for another body
 * under a known attempt, and what `decideRound` throws when the attempt is closed: it never reopens.
 */
export function decidePrepare(
  session:
    | Pick<Session, 'state' | 'attempt' | 'failureCode' | 'requestHash' | 'expiresAt'>
    | undefined,
  asked: { readonly requestHash: string; readonly now: number },
): { readonly kind: 'new' } | { readonly kind: 'answer-stored' } {
  if (session === undefined) return { kind: 'new' };
  if (session.requestHash !== asked.requestHash)
    throw new KeysagaError('RequestConflict', 'The attempt was prepared with another body.', {
      field: 'attempt',
      attempt: session.attempt,
    });
  requireNotClosed(session);
  if (session.state !== 'released' && asked.now >= session.expiresAt)
    throw new KeysagaError('SessionExpired', 'The session outlived its time.', {
      attempt: session.attempt,
    });
  return { kind: 'answer-stored' };
}

/** What `abort` answers and does: nothing is left to abort once shares are out. */
export function decideAbort(
  session: Pick<Session, 'state'> | undefined,
): 'abort' | 'already-closed' | 'unknown' | 'released' {
  if (session === undefined) return 'unknown';
  if (session.state === 'released') return 'released';
  return canApply(SESSION_MACHINE, session.state, 'abort') ? 'abort' : 'already-closed';
}

export type SessionEvent =
  | { readonly type: 'InboxCommitted'; readonly round: number; readonly inboxHash: string }
  /** The last round's answer is the release. */
  | { readonly type: 'RoundAnswered'; readonly round: number; readonly outboxHash: string }
  | {
      readonly type: 'SessionClosed';
      readonly by: 'fail' | 'abort' | 'expire' | 'supersede';
      readonly code?: ErrorCode;
      readonly culprit?: string;
    };

export const newSession = (
  fields: Pick<Session, 'attempt' | 'requestHash' | 'rounds' | 'expiresAt'>,
): Session => ({ ...fields, state: SESSION_MACHINE.initial, log: [], failureCode: null });

/**
 * Folds one event. It holds the aggregate's invariants by itself, whoever decided: inboxes in order and once,
 * one outbox per committed inbox, nothing after the end. Throws `StateConflict`.
 */
export function apply(session: Session, event: SessionEvent): Session {
  const refuse = (message: string): never => {
    throw new KeysagaError('StateConflict', message, {
      machine: SESSION_MACHINE.name,
      state: session.state,
      command: event.type,
    });
  };
  const last = session.log.at(-1);
  switch (event.type) {
    case 'InboxCommitted': {
      const state = next(SESSION_MACHINE, session.state, 'run');
      if (last !== undefined && last.outboxHash === null)
        refuse('The round before is not answered.');
      if (event.round !== session.log.length + 1 || event.round > session.rounds)
        refuse('Rounds go in order.');
      return {
        ...session,
        state,
        log: [...session.log, { round: event.round, inboxHash: event.inboxHash, outboxHash: null }],
      };
    }
    case 'RoundAnswered': {
      if (last === undefined || last.round !== event.round || last.outboxHash !== null)
        return refuse('No inbox waits for this answer.');
      const state = next(
        SESSION_MACHINE,
        session.state,
        event.round === session.rounds ? 'release' : 'run',
      );
      return {
        ...session,
        state,
        log: [...session.log.slice(0, -1), { ...last, outboxHash: event.outboxHash }],
      };
    }
    case 'SessionClosed':
      return {
        ...session,
        state: next(SESSION_MACHINE, session.state, event.by),
        failureCode: event.code ?? null,
      };
  }
}
