/**
 * The round contract. Envelopes are authenticated first; what does not verify leaves no trace. A round that was
 * answered is answered with the stored bytes; an inbox that differs from the committed one closes the session.
 * Otherwise the inbox is committed, then the outbox or a terminal failure is computed and committed, then answered.
 */
import { isOpen, type PartyTransaction, type RoundRow, type SessionRow } from '../../core/ports/party-store.ts';
import { parseWith } from '../../core/parse.ts';
import { checkEnvelopes, checkPrepared, decideRound, inboxHash } from '../../core/session/session.ts';
import { isKeysagaError, KeysagaError } from '../../schema/contracts/errors.ts';
import { type RoundAnswer, RoundRequest } from '../../schema/contracts/party.ts';
import type { Hex } from '../../schema/contracts/primitives.ts';
import type { LiveRuns } from './live-runs.ts';
import type { PartyDeps } from './deps.ts';
import { commitOutbox } from './commit.ts';
import { echoBefore } from './envelopes.ts';
import { closedError, closeSession, erase } from './sessions.ts';

type Begun =
  | { readonly kind: 'stored'; readonly answer: RoundAnswer }
  | { readonly kind: 'refused'; readonly error: KeysagaError; readonly dataKeyId?: string }
  | { readonly kind: 'compute'; readonly row: SessionRow; readonly rounds: readonly RoundRow[] };

export async function round(deps: PartyDeps, live: LiveRuns, input: unknown): Promise<RoundAnswer> {
  const request = parseWith(RoundRequest, input, 'round');
  return live.exclusive(request.attempt, async () => {
    const begun = await deps.store.transaction((tx) => begin(deps, tx, request));
    if (begun.kind === 'stored') return begun.answer;
    if (begun.kind === 'refused') {
      if (begun.dataKeyId !== undefined) {
        live.drop(request.attempt);
        await erase(deps, [begun.dataKeyId]);
      }
      throw begun.error;
    }
    await deps.failPoints.at('party.round:after-inbox-commit');
    return compute(deps, live, begun.row, begun.rounds, request.round);
  });
}

async function begin(deps: PartyDeps, tx: PartyTransaction, request: RoundRequest): Promise<Begun> {
  const now = deps.clock.now();
  const row = await tx.session(request.attempt, { lock: true });
  if (row === undefined || row.keyId !== request.keyId)
    throw new KeysagaError('SessionUnknown', 'This party has no such session.', { attempt: request.attempt });
  const rounds = await tx.rounds(row.attempt);
  const hash = inboxHash(request.round === 1 ? (request.prepared ?? []) : request.inbox);
  const stored = rounds.find((r) => r.round === request.round);
  if (!isOpen(row.state) && row.state !== 'released') return { kind: 'refused', error: closedError(row) };
  if (stored?.outbox && stored.inboxHash === hash) return { kind: 'stored', answer: answerOf(row, stored) };
  if (isOpen(row.state) && row.expiresAt <= now) {
    await closeSession(tx, row, 'expired', now);
    return { kind: 'refused', error: closedError({ ...row, state: 'expired' }), dataKeyId: row.dataKeyId };
  }
  const sessionId = authenticate(deps, row, rounds, request, now);
  try {
    const verdict = decideRound(
      { ...row, log: rounds },
      { round: request.round, inboxHash: hash, now },
    );
    if (verdict.kind === 'resume') return { kind: 'compute', row, rounds };
  } catch (error) {
    if (!isKeysagaError(error, 'RoundConflict') || !isOpen(row.state)) throw error;
    // Authentic, and yet another inbox for the same round: somebody shows two stories. The session ends here.
    await closeSession(tx, row, 'failed', now, { code: error.code, message: error.message });
    return { kind: 'refused', error, dataKeyId: row.dataKeyId };
  }

  await tx.insertInbox(row.attempt, { round: request.round, inboxHash: hash, inbox: request.inbox, at: now });
  let session = row;
  if (request.round === 1) {
    const prepared = request.prepared ?? [];
    for (const { answer } of prepared)
      if (answer.party !== deps.settings.party) await tx.witness(answer.head, now);
    await tx.updateSession(row.attempt, { state: 'running', sessionId, prepared });
    session = { ...row, state: 'running', sessionId, prepared };
  }
  await deps.failPoints.at('party.round:before-inbox-commit');
  const committed: RoundRow = { round: request.round, inboxHash: hash, inbox: request.inbox, outboxHash: null, outbox: null, keygen: null };
  return { kind: 'compute', row: session, rounds: [...rounds, committed] };
}

/** Throws for whatever does not verify; answers with the session id. */
function authenticate(deps: PartyDeps, row: SessionRow, rounds: readonly RoundRow[], request: RoundRequest, now: number): Hex {
  const { settings, verify } = deps;
  if (request.round === 1) {
    if (request.inbox.length > 0)
      throw new KeysagaError('InvalidInput', 'Round 1 takes the prepare answers and no envelopes.', { field: 'inbox' });
    const answers = request.prepared ?? [];
    const checked = checkPrepared({
      answers: request.prepared ?? [],
      request: row.request,
      requestHash: row.requestHash,
      identityKeys: settings.directory,
      self: settings.party,
      own: row.answer,
      now,
      verify,
    });
    return checked.sessionId;
  }
  if (request.prepared !== undefined)
    throw new KeysagaError('InvalidInput', 'Prepare answers belong to round 1.', { field: 'prepared' });
  if (row.sessionId === null)
    throw new KeysagaError('RoundOutOfOrder', 'The session has not begun.', { field: 'round', round: request.round });
  const sentIn = request.round - 1;
  checkEnvelopes({
    envelopes: request.inbox,
    session: { sessionId: row.sessionId, keyId: row.keyId, epoch: row.epoch },
    round: sentIn,
    signers: row.request.signers,
    self: settings.party,
    identityKeys: settings.directory,
    expectedEcho: echoBefore(rounds, sentIn),
    own: rounds.find((r) => r.round === sentIn)?.outbox ?? undefined,
    verify,
  });
  return row.sessionId;
}

export function answerOf(row: SessionRow, stored: RoundRow): RoundAnswer {
  return {
    attempt: row.request.attempt,
    round: stored.round,
    sessionId: row.sessionId ?? '',
    done: stored.round === row.rounds,
    outbox: stored.outbox ?? [],
    ...(stored.keygen === null ? {} : { keygen: stored.keygen }),
  };
}

async function compute(
  deps: PartyDeps,
  live: LiveRuns,
  row: SessionRow,
  rounds: readonly RoundRow[],
  round: number,
): Promise<RoundAnswer> {
  try {
    const computed = await live.compute(row, rounds, round);
    return await commitOutbox(deps, live, row, rounds, round, computed);
  } catch (error) {
    live.drop(row.attempt);
    // A verdict of the protocol, the replay or a rule is terminal; a lost database or disk says nothing.
    if (!isKeysagaError(error) || error.retryable) throw error;
    await recordFailure(deps, row, error);
    throw error;
  }
}

/** The failure is terminal and durable before it is answered, so that the same seed never meets another input. */
async function recordFailure(deps: PartyDeps, row: SessionRow, error: KeysagaError): Promise<void> {
  const closed = await deps.store.transaction(async (tx) => {
    const now = await tx.session(row.attempt, { lock: true });
    if (now === undefined || !isOpen(now.state)) return false;
    await closeSession(tx, now, 'failed', deps.clock.now(), {
      code: error.code,
      message: error.message,
      culprit: error.details.culprit,
    });
    return true;
  });
  if (closed) await erase(deps, [row.dataKeyId]);
}
