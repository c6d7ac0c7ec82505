/**
 * Opening a share for a session: the one place, so that each opening is audited and counted. That it is about to happen
 * commits with the round's inbox, before it does; that it succeeded rides in the commit of the outbox; that it failed has
 * a commit of its own, since no other one follows for sure.
 */
import type {
  AccessRecord,
  PartyTransaction,
  SessionRow,
  ShareRow,
} from '../../core/ports/party-store.ts';
import type { SealContext } from '../../core/ports/sealing.ts';
import { afterFailure, requireUnlocked } from '../../core/rules/access.ts';
import { isKeysagaError, KeysagaError } from '../../schema/contracts/errors.ts';
import type { PartyDeps } from './deps.ts';

/** Associated data of a sealed share. */
export const shareContext = (
  party: string,
  of: { keyId: string; attempt: string; epoch: number },
  purpose: 'share' | 'backup' = 'share',
): SealContext => ({
  party,
  keyId: of.keyId,
  purpose,
  session: of.attempt,
  epoch: of.epoch,
  row: 'shares',
});

/** A share that a session may open, and whether it has. */
export type ShareAccess = {
  readonly row: ShareRow;
  readonly session: Pick<SessionRow, 'attempt'>;
  readonly detail: Readonly<Record<string, string>>;
  /** Failures before this access, if any. */
  readonly record: AccessRecord | undefined;
  outcome: 'asked' | 'opened';
};

/** Refuses while failed openings lock the key (`KeyLocked`, `retryAt`). */
export async function requireOpenable(
  tx: PartyTransaction,
  keyId: string,
  epoch: number,
  now: number,
): Promise<void> {
  requireUnlocked(await tx.shareAccess(keyId, epoch), now);
}

/** The sealed share that a signing session is about to open; the audit entry commits with the round's inbox. */
export async function sealedShare(
  tx: PartyTransaction,
  session: SessionRow,
  now: number,
): Promise<ShareAccess> {
  const { keyId, epoch, attempt, sessionId, request } = session;
  // Sent together: the database answers both in one round trip.
  const [live, record] = await Promise.all([
    tx.liveShare(keyId, epoch),
    tx.shareAccess(keyId, epoch),
  ]);
  if (live?.state !== 'active')
    throw new KeysagaError('KeyNotActive', 'The key share is not active.', { field: 'keyId' });
  requireUnlocked(record, now);
  const detail = {
    epoch: `${epoch}`,
    purpose: 'purpose' in request ? request.purpose : request.kind,
    ...(sessionId === null ? {} : { sessionId }),
  };
  await tx.audit({ kind: 'share-opening', keyId, attempt, at: now, detail });
  return { row: live, session: { attempt }, detail, record, outcome: 'asked' };
}

/**
 * The plain share; the caller wipes it. A failure is on record, and counted if the sealed bytes were tried and did not
 * open, when this throws; when it cannot be recorded, that is what is thrown, and the round is asked again.
 */
export async function openShare(deps: PartyDeps, access: ShareAccess): Promise<Uint8Array> {
  const { row } = access;
  if (row.sealed === null)
    throw new KeysagaError('KeyNotActive', 'The key share is not active.', { field: 'keyId' });
  try {
    const share = await deps.sealer.open(
      row.dataKeyId,
      row.sealed,
      shareContext(deps.settings.party, row),
    );
    access.outcome = 'opened';
    return share;
  } catch (error) {
    await recordFailure(deps, access, error);
    throw error;
  }
}

async function recordFailure(
  deps: PartyDeps,
  { row, session, detail }: ShareAccess,
  error: unknown,
): Promise<void> {
  const { keyId, epoch } = row;
  const broken = isKeysagaError(error, 'SealBroken');
  await deps.store.transaction(async (tx) => {
    const now = deps.clock.now();
    const live = await tx.liveShare(keyId, epoch);
    // A share that was destroyed meanwhile had to fail, and a disk that does not answer is no guess.
    const counts = broken && live?.state === 'active' && live.dataKeyId === row.dataKeyId;
    await tx.audit({
      kind: 'share-open-failed',
      keyId,
      attempt: session.attempt,
      at: now,
      detail: {
        ...detail,
        code: isKeysagaError(error) ? error.code : 'Internal',
        counted: counts ? 'yes' : 'no',
      },
    });
    if (!counts) return;
    const { failures, lockedUntil } = afterFailure(
      await tx.countOpenFailure(keyId, epoch, now),
      now,
    );
    await tx.lockShareAccess(keyId, epoch, lockedUntil);
    if (lockedUntil === null) return;
    await tx.audit({
      kind: 'key-locked',
      keyId,
      attempt: session.attempt,
      at: now,
      detail: {
        epoch: `${epoch}`,
        failures: `${failures}`,
        until: new Date(lockedUntil).toISOString(),
      },
    });
  });
}

/** Puts a success on record in the commit at hand, and ends the row of failures. */
export async function settleAccess(
  tx: PartyTransaction,
  access: ShareAccess | undefined,
  now: number,
): Promise<void> {
  if (access?.outcome !== 'opened') return;
  const { row, session, detail, record } = access;
  const { keyId, epoch } = row;
  await tx.audit({ kind: 'share-opened', keyId, attempt: session.attempt, at: now, detail });
  if (record !== undefined) await tx.clearOpenFailures(keyId, epoch);
}
