/**
 * The round contract. Envelopes are authenticated first; what does not verify leaves no trace. A round that was
 * answered is answered with the stored bytes; an inbox that differs from the committed one closes the session.
 * Otherwise the inbox is committed, then the outbox or a terminal failure is computed and committed, then answered.
 */

import { parseWith } from '../../core/parse.ts';
import {
  isOpen,
  type PartyTransaction,
  type ReleaseHead,
  type RoundRow,
  type SessionRow,
} from '../../core/ports/party-store.ts';
import {
  checkEnvelopes,
  checkPrepared,
  decideRound,
  inboxHash,
} from '../../core/session/session.ts';
import { digestHex } from '../../core/signed.ts';
import { isKeysagaError, KeysagaError } from '../../schema/contracts/errors.ts';
import { type RoundAnswer, RoundRequest } from '../../schema/contracts/party.ts';
import type { Hex } from '../../schema/contracts/primitives.ts';
import { advance, barredBeside, noteCommitted, noteLast, requireNotFenced } from './chain.ts';
import { answerOf, commitOutbox } from './commit.ts';
import type { PartyDeps } from './deps.ts';
import { echoBefore } from './envelopes.ts';
import { guarded, newestHeads, requireUnwitnessed } from './fence.ts';
import { computeRound, type LiveRun, type LiveRuns, type RoundTask } from './live-runs.ts';
import { closedError, closeSession, dataKeysOf, erase, eraseClosed } from './sessions.ts';
import { sealedShare, settleAccess } from './shares.ts';

type Begun =
  /** `released`: the data keys that are left of a session that has ended with this answer or one after it. */
  | { readonly kind: 'stored'; readonly answer: RoundAnswer; readonly released?: readonly string[] }
  /** `closed`: the session that this very request closed. */
  | { readonly kind: 'refused'; readonly error: KeysagaError; readonly closed?: SessionRow }
  | ({ readonly kind: 'compute' } & RoundTask);

export async function round(deps: PartyDeps, live: LiveRuns, input: unknown): Promise<RoundAnswer> {
  const request = parseWith(RoundRequest, input, 'round');
  return guarded(deps, live, () => answer(deps, live, request));
}

function answer(deps: PartyDeps, live: LiveRuns, request: RoundRequest): Promise<RoundAnswer> {
  return live.exclusive(request.attempt, async () => {
    await requireNotFenced(deps);
    const run = live.take(request.attempt, request.round);
    let begun: Begun;
    try {
      begun = await deps.store.transaction((tx) => begin(deps, tx, request, run));
    } catch (error) {
      // A request that left no trace in the session leaves none here.
      if (run !== undefined) live.keep(request.attempt, run);
      throw error;
    }
    if (begun.kind !== 'compute') run?.dispose();
    if (begun.kind === 'stored') {
      if (begun.released !== undefined) await finishRelease(deps, begun.released);
      return begun.answer;
    }
    if (begun.kind === 'refused') {
      if (begun.closed !== undefined) await eraseClosed(deps, [begun.closed]);
      // What closed the session may be a bar, of which nothing is told before the head is noted.
      await noteCommitted(deps);
      throw begun.error;
    }
    await deps.failPoints.at('party.round:after-inbox-commit');
    return compute(deps, live, begun);
  });
}

/**
 * Before a stored answer of an ended session leaves: the seed's key is gone and the head is noted, also when whoever
 * committed it died in between, or is not there yet.
 */
async function finishRelease(deps: PartyDeps, dataKeyIds: readonly string[]): Promise<void> {
  await Promise.all([erase(deps, dataKeyIds), noteCommitted(deps)]);
}

async function begin(
  deps: PartyDeps,
  tx: PartyTransaction,
  request: RoundRequest,
  run: LiveRun | undefined,
): Promise<Begun> {
  const row = await tx.session(request.attempt, { lock: true });
  // After the wait for the lock, which may have been long.
  const now = deps.clock.now();
  if (row === undefined || row.keyId !== request.keyId)
    throw new KeysagaError('SessionUnknown', 'This party has no such session.', {
      attempt: request.attempt,
    });
  const rounds = await tx.rounds(row.attempt);
  const hash = inboxHash(request.round === 1 ? (request.prepared ?? []) : request.inbox);
  const stored = rounds.find((r) => r.round === request.round);
  if (!isOpen(row.state) && row.state !== 'released')
    return { kind: 'refused', error: closedError(row) };
  if (stored?.outbox && stored.inboxHash === hash) {
    return {
      kind: 'stored',
      answer: answerOf(row, stored),
      ...(row.state === 'released'
        ? { released: row.dataKeyDestroyed ? [] : dataKeysOf(row) }
        : {}),
    };
  }
  if (isOpen(row.state) && row.expiresAt <= now) {
    await closeSession(tx, row, 'expired', now);
    return { kind: 'refused', error: closedError({ ...row, state: 'expired' }), closed: row };
  }
  const sessionId = authenticate(deps, row, rounds, request, now);
  try {
    const verdict = decideRound(
      { ...row, log: rounds },
      { round: request.round, inboxHash: hash, now },
    );
    if (verdict.kind === 'resume')
      return {
        kind: 'compute',
        row,
        rounds,
        round: request.round,
        run,
        ...(await needed(row)),
      };
  } catch (error) {
    if (!isKeysagaError(error, 'RoundConflict')) throw error;
    // Authentic, and yet another inbox for the same round: somebody shows two stories. The session ends here; of one
    // that is over already, only the attempt to is recorded.
    if (isOpen(row.state)) {
      await closeSession(tx, row, 'failed', now, { code: error.code, message: error.message });
      return { kind: 'refused', error, closed: row };
    }
    const { keyId, attempt } = row;
    await tx.audit({
      kind: 'round-conflict',
      keyId,
      attempt,
      at: now,
      detail: { round: `${request.round}` },
    });
    return { kind: 'refused', error };
  }

  await tx.insertInbox(row.attempt, {
    round: request.round,
    inboxHash: hash,
    inbox: request.inbox,
    at: now,
  });
  let session = row;
  if (request.round === 1) {
    const prepared = request.prepared ?? [];
    await requireUnwitnessed(deps, tx, prepared);
    await tx.witness(newestHeads(deps, prepared), now);
    await tx.updateSession(row.attempt, { state: 'running', sessionId, prepared });
    session = { ...row, state: 'running', sessionId, prepared };
  }
  const access = await needed(session);
  await deps.failPoints.at('party.round:before-inbox-commit');
  const committed: RoundRow = {
    round: request.round,
    inboxHash: hash,
    inbox: request.inbox,
    outboxHash: null,
    outbox: null,
    keygen: null,
  };
  return {
    kind: 'compute',
    row: session,
    rounds: [...rounds, committed],
    round: request.round,
    run,
    ...access,
  };

  /** A run that is not in memory is rebuilt, for which a signer opens its share, or what it made of it ahead of time. */
  async function needed(session: SessionRow): Promise<Pick<RoundTask, 'share' | 'presigned'>> {
    if (run !== undefined || session.kind === 'keygen') return { share: undefined };
    const { keyId, epoch, attempt } = session;
    if (!('pooled' in session.request) || session.request.pooled === undefined)
      return { share: await sealedShare(tx, session, now) };
    const [share, rows] = await Promise.all([
      tx.liveShare(keyId, epoch),
      tx.presignaturesOf(attempt),
    ]);
    if (share?.state !== 'active')
      throw new KeysagaError('KeyNotActive', 'The key share is not active.', { field: 'keyId' });
    return { share: undefined, presigned: { rows, share } };
  }
}

/** Throws for whatever does not verify; answers with the session id. */
function authenticate(
  deps: PartyDeps,
  row: SessionRow,
  rounds: readonly RoundRow[],
  request: RoundRequest,
  now: number,
): Hex {
  const { settings, verify } = deps;
  if (request.round === 1) {
    if (request.inbox.length > 0)
      throw new KeysagaError(
        'InvalidInput',
        'Round 1 takes the prepare answers and no envelopes.',
        { field: 'inbox' },
      );
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
    throw new KeysagaError('InvalidInput', 'Prepare answers belong to round 1.', {
      field: 'prepared',
    });
  if (row.sessionId === null)
    throw new KeysagaError('RoundOutOfOrder', 'The session has not begun.', {
      field: 'round',
      round: request.round,
    });
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

async function compute(deps: PartyDeps, live: LiveRuns, task: RoundTask): Promise<RoundAnswer> {
  const { row } = task;
  let run: LiveRun | undefined;
  try {
    const done = await computeRound(deps, task);
    run = done.run;
    const wipe = () => done.run.dispose();
    const answer = await commitOutbox(deps, task, done.computed, wipe);
    if (!answer.done) live.keep(row.attempt, run);
    return answer;
  } catch (error) {
    run?.dispose();
    // A verdict of the protocol, the replay or a rule is terminal; a lost database or disk says nothing.
    if (!isKeysagaError(error) || error.retryable) throw error;
    return settleFailure(deps, task, error);
  }
}

/**
 * The failure is terminal and durable before it is answered, so that the same seed never meets another input. Looks
 * again first: another instance may have answered meanwhile and destroyed the key that this one missed.
 */
async function settleFailure(
  deps: PartyDeps,
  { row, round, share }: RoundTask,
  error: KeysagaError,
): Promise<RoundAnswer> {
  const settled = await deps.store.transaction(async (tx) => {
    const now = await tx.session(row.attempt, { lock: true });
    if (now === undefined) throw error;
    await settleAccess(tx, share, deps.clock.now());
    const stored = (await tx.rounds(row.attempt)).find((r) => r.round === round);
    if (stored?.outbox && (isOpen(now.state) || now.state === 'released')) return { now, stored };
    if (now.state === 'released') throw error;
    if (!isOpen(now.state)) return { verdict: closedError(now) };
    // After a bar nothing else is said, so that a second failed check tells its peer nothing.
    const barred = now.kind !== 'keygen' ? await barredBeside(tx, now, 'update') : undefined;
    const verdict = barred ?? error;
    const { culprit } = verdict.details;
    const failure = { code: verdict.code, message: verdict.message, culprit };
    const state = verdict.code === 'SessionExpired' ? 'expired' : 'failed';
    await closeSession(tx, now, state, deps.clock.now(), failure);
    const head = await barCulprit(deps, tx, now, verdict);
    await deps.failPoints.at('party.failure:before-commit');
    return head === undefined ? { verdict } : { verdict, head };
  });
  if (!('verdict' in settled)) {
    const { now, stored } = settled;
    if (now.state === 'released') await finishRelease(deps, dataKeysOf(now));
    return answerOf(now, stored);
  }
  const { verdict, head } = settled;
  await deps.failPoints.at('party.failure:after-commit');
  await (head === undefined ? noteCommitted(deps) : noteLast(deps, head));
  await eraseClosed(deps, [row]);
  throw verdict;
}

/**
 * A proven fault after which this party signs no more with the culprit until the key is refreshed, in the commit that
 * records the failure. The machine marks such faults (`barring`): those of which a second look would leak a secret. The bar
 * is a link of the release chain, so that no older database forgets it.
 */
async function barCulprit(
  deps: PartyDeps,
  tx: PartyTransaction,
  { keyId, epoch, attempt, kind, members, sessionId }: SessionRow,
  { code, details }: KeysagaError,
): Promise<ReleaseHead | undefined> {
  const { culprit } = details;
  if (code !== 'ProtocolFault' || details.barring !== true || kind === 'keygen') return undefined;
  if (culprit === undefined || culprit === deps.settings.party || !members.includes(culprit))
    return undefined;
  const at = deps.clock.now();
  await tx.insertBar({ keyId, epoch, peer: culprit, code, attempt, at });
  await tx.dropPacks({ by: 'key', keyId, epoch, peer: culprit }, 'PeerBarred', at);
  await tx.audit({ kind: 'peer-barred', keyId, attempt, at, detail: { peer: culprit, code } });
  const outboxHash = digestHex('bar', { keyId, epoch, peer: culprit, code });
  const link = { kind: 'bar' as const, attempt, sessionId: sessionId ?? '', outboxHash };
  return advance(deps, tx, link, at);
}
