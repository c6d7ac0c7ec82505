/** `abort` and `destroy`: the undos. Idempotent; neither reaches an active share. */
import { verifyNever } from '../../core/certificates.ts';
import { decideAbort } from '../../core/session/session.ts';
import { destroy as decideDestroy, type KeyShare } from '../../core/keyshare/keyshare.ts';
import { isOpen, type ShareRow } from '../../core/ports/party-store.ts';
import { parseWith } from '../../core/parse.ts';
import { signedBytes } from '../../schema/contracts/canonical.ts';
import type { SignedNever } from '../../schema/contracts/key.ts';
import { type AbortAnswer, AbortRequest, type DestroyAnswer, DestroyRequest } from '../../schema/contracts/party.ts';
import { backupName } from './commit.ts';
import type { PartyDeps } from './deps.ts';
import type { LiveRuns } from './live-runs.ts';
import { closeSession, erase, sessionDataKeyId, shareDataKeyId } from './sessions.ts';

/** Ends a session and destroys its nonces. What was released stays released, and the answer says so. */
export async function abort(deps: PartyDeps, live: LiveRuns, input: unknown): Promise<AbortAnswer> {
  const { keyId, attempt, reason } = parseWith(AbortRequest, input, 'abort');
  const outcome = await deps.store.transaction(async (tx) => {
    const row = await tx.session(attempt, { lock: true });
    const known = row?.keyId === (keyId as string) ? row : undefined;
    const verdict = decideAbort(known);
    if (verdict !== 'abort' || known === undefined) return verdict === 'abort' ? ('unknown' as const) : verdict;
    await closeSession(tx, known, 'aborted', deps.clock.now(), { code: 'Cancelled', message: reason });
    await deps.failPoints.at('party.abort:before-commit');
    return 'aborted' as const;
  });
  await deps.failPoints.at('party.abort:after-commit');
  if (outcome === 'aborted' || outcome === 'already-closed') {
    live.drop(attempt);
    await erase(deps, [sessionDataKeyId(attempt)]);
  }
  return { attempt, outcome };
}

/**
 * Undo of a key ceremony. A share that is not certified goes at once, together with this party's signed `never`; a
 * certified one only on another member's `never`, which proves that the n-th certificate cannot exist; an active one
 * not at all.
 */
export async function destroy(deps: PartyDeps, live: LiveRuns, input: unknown): Promise<DestroyAnswer> {
  const { keyId, attempt, never } = parseWith(DestroyRequest, input, 'destroy');
  const { party } = deps.settings;
  const answer = await deps.store.transaction(async (tx): Promise<DestroyAnswer> => {
    const now = deps.clock.now();
    const session = await tx.session(attempt, { lock: true });
    const share = await tx.shareOfAttempt(keyId, attempt);
    const word = await tx.word(keyId, attempt);
    if (share === undefined) {
      if (word?.never) return { attempt, outcome: 'nothing', never: word.never };
      // Nothing was certified and from here on never will be, so that a late message cannot revive the ceremony.
      if (session !== undefined && (session.kind !== 'keygen' || session.keyId !== (keyId as string)))
        return { attempt, outcome: 'nothing' };
      const body = { party, attempt, keyId, at: new Date(now).toISOString() };
      const signed: SignedNever = { never: body, signature: deps.identity.sign(signedBytes('never', body)) };
      await tx.insertWord(keyId, attempt, { kind: 'never', certificate: null, never: signed, at: now });
      if (session !== undefined && isOpen(session.state))
        await closeSession(tx, session, 'aborted', now, { code: 'Cancelled', message: 'The ceremony was undone.' });
      await deps.failPoints.at('party.destroy:before-commit');
      return { attempt, outcome: session === undefined ? 'nothing' : 'destroyed', never: signed };
    }
    if (never !== undefined)
      verifyNever({
        signed: never,
        attempt,
        keyId,
        members: share.descriptor.parties,
        identityKeys: deps.settings.directory,
        verify: deps.verify,
      });
    const open = await tx.openSessionsOfKey(keyId, share.epoch);
    const { outcome } = decideDestroy(
      shareAggregate(share, open.filter((s) => s.kind === 'sign').map((s) => ({ session: s.attempt, expiresAt: s.expiresAt }))),
      never === undefined ? 'none' : 'never',
      now,
    );
    if (outcome !== 'destroyed') return { attempt, outcome };
    await tx.setShareState(keyId, attempt, 'destroyed', now);
    await tx.audit({ kind: 'share-destroyed', keyId, attempt, at: now, detail: { on: 'never' } });
    await deps.failPoints.at('party.destroy:before-commit');
    return { attempt, outcome };
  });
  await deps.failPoints.at('party.destroy:after-commit');
  if (answer.outcome !== 'kept') await eraseCeremony(deps, live, keyId, attempt);
  return answer;
}

/** After the commit, and again on every repeat: a crash in between must not leave a copy. */
async function eraseCeremony(deps: PartyDeps, live: LiveRuns, keyId: string, attempt: string): Promise<void> {
  const kept = await deps.store.transaction(async (tx) => tx.shareOfAttempt(keyId, attempt));
  if (kept !== undefined && kept.state !== 'destroyed') return;
  live.drop(attempt);
  await erase(deps, [sessionDataKeyId(attempt), shareDataKeyId(attempt)]);
  // Ceremonies begin at epoch 0; a refresh has its own undo.
  await deps.backup.remove(backupName({ keyId, epoch: kept?.epoch ?? 0, attempt }));
}

function shareAggregate(row: ShareRow, leases: KeyShare['leases']): KeyShare {
  const { keyId, epoch, attempt, descriptor, state } = row;
  return {
    keyId,
    epoch,
    attempt,
    network: descriptor.network,
    threshold: descriptor.threshold,
    parties: descriptor.parties,
    status: state === 'active' ? 'Active' : state === 'revoked' ? 'Revoked' : 'Generating',
    word: 'certificate',
    destroyed: state === 'destroyed',
    leases,
  };
}
