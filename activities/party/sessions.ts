/** Closing sessions: the tombstone, what it gives back, and the erasure after its commit. */
import { isOpen, type PartyTransaction, type SessionRow, type SessionState } from '../../core/ports/party-store.ts';
import { type ErrorCode, type ErrorDetails, isErrorCode, KeysagaError } from '../../schema/contracts/errors.ts';
import type { PartyDeps } from './deps.ts';

export type Failure = { readonly code: ErrorCode; readonly message: string; readonly culprit?: string | undefined };

/**
 * Writes the tombstone of an open session: the sealed seed leaves the row, an unreleased payment gives its limit
 * back, its transaction no longer counts as open. The caller destroys the data key after the commit.
 */
export async function closeSession(
  tx: PartyTransaction,
  row: SessionRow,
  state: Exclude<SessionState, 'prepared' | 'running' | 'released'>,
  now: number,
  failure?: Failure,
): Promise<void> {
  await tx.updateSession(row.attempt, {
    state,
    sealedSeed: null,
    closedAt: now,
    failureCode: failure?.code ?? null,
    failureMessage: failure?.message ?? null,
    failureCulprit: failure?.culprit ?? null,
  });
  if (row.intentDigest !== null && row.line !== null) {
    await tx.setLineTransactionState(row.attempt, 'closed');
    await tx.releaseSpend(row.intentDigest, row.line);
  }
  await tx.audit({
    kind: `session-${state}`,
    keyId: row.keyId,
    attempt: row.attempt,
    at: now,
    detail: failure === undefined ? {} : { code: failure.code, ...(failure.culprit ? { culprit: failure.culprit } : {}) },
  });
}

/** Why a closed session answers nothing any more. */
export function closedError(row: SessionRow): KeysagaError {
  const details: ErrorDetails = { attempt: row.attempt, state: row.state };
  if (row.state === 'failed') {
    const code = isErrorCode(row.failureCode) ? row.failureCode : 'SessionFailed';
    return new KeysagaError(
      code,
      row.failureMessage ?? 'The session failed.',
      row.failureCulprit === null ? details : { ...details, culprit: row.failureCulprit },
      { retryable: false },
    );
  }
  if (row.state === 'expired') return new KeysagaError('SessionExpired', 'The session outlived its time.', details);
  return new KeysagaError('SessionSuperseded', 'The attempt is closed.', details);
}

/** Data keys are named by the attempt, so that a repeat after a crash meets the same one. */
export const sessionDataKeyId = (attempt: string): string => `session-${attempt}`;
export const shareDataKeyId = (attempt: string): string => `share-${attempt}`;

/** Destroys the data keys of closed sessions. The sweep repeats it for whatever a crash left. */
export async function erase(deps: PartyDeps, dataKeyIds: readonly string[]): Promise<void> {
  for (const id of dataKeyIds) await deps.sealer.destroy(id);
}

/** Closes what is past its time. Returns the data keys to destroy after the commit. */
export async function expireSessions(tx: PartyTransaction, now: number): Promise<string[]> {
  const rows = await tx.expiredSessions(now);
  for (const row of rows) if (isOpen(row.state)) await closeSession(tx, row, 'expired', now);
  return rows.map((row) => row.dataKeyId);
}

/**
 * Run at start and every few seconds: closes expired sessions and destroys every data key without a living
 * owner, also those of a crash between a key's creation and its row's commit, or between a tombstone and the erasure.
 * `seenBefore` is the answer of the sweep before.
 */
export async function sweep(deps: PartyDeps, seenBefore: ReadonlySet<string>): Promise<ReadonlySet<string>> {
  // Listed before the rows are read, so that a key whose row commits in between is not taken for an orphan.
  const present = await deps.sealer.list();
  const { expired, owned } = await deps.store.transaction(async (tx) => {
    const expired = await expireSessions(tx, deps.clock.now());
    const sessions = await tx.sessionsWithDataKey();
    const shares = await tx.shareDataKeys();
    const owned = new Set([
      // While a ceremony is open its share's key may be about to be used, before the share's row commits.
      ...sessions
        .filter((s) => s.open && !expired.includes(s.dataKeyId))
        .flatMap((s) => [s.dataKeyId, shareDataKeyId(s.attempt)]),
      ...shares.filter((s) => s.state !== 'destroyed').map((s) => s.dataKeyId),
    ]);
    return { expired, owned };
  });
  await erase(deps, expired);
  const orphans = present.filter((id) => !owned.has(id));
  // An orphan goes when two sweeps in a row saw it: an instance may be between writing a key and committing its row.
  await erase(
    deps,
    orphans.filter((id) => seenBefore.has(id)),
  );
  await deps.store.transaction(async (tx) => {
    const left = new Set(await deps.sealer.list());
    for (const s of await tx.sessionsWithDataKey())
      if (!s.open && !left.has(s.dataKeyId)) await tx.updateSession(s.attempt, { dataKeyDestroyed: true });
  });
  return new Set(orphans.filter((id) => !seenBefore.has(id)));
}
