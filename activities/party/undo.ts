/** `abort` and `destroy`: the undos. Idempotent; neither reaches an active share. */
import { verifyNever } from '../../core/certificates.ts';
import { destroy as decideDestroy, type KeyShare } from '../../core/keyshare/keyshare.ts';
import { parseWith } from '../../core/parse.ts';
import {
  isOpen,
  type PartyTransaction,
  type ReleaseHead,
  type SessionRow,
  type ShareRow,
} from '../../core/ports/party-store.ts';
import { decideAbort } from '../../core/session/session.ts';
import { digestHex } from '../../core/signed.ts';
import { signedBytes } from '../../schema/contracts/canonical.ts';
import type { SignedNever } from '../../schema/contracts/key.ts';
import {
  type AbortAnswer,
  AbortRequest,
  type DestroyAnswer,
  DestroyRequest,
} from '../../schema/contracts/party.ts';
import { advance, fencedError, noteCommitted, noteLast } from './chain.ts';
import type { PartyDeps } from './deps.ts';
import { checkChain, guarded } from './fence.ts';
import type { LiveRuns } from './live-runs.ts';
import { backupName, closeSession, erase, eraseClosed } from './sessions.ts';

/** Ends a session and destroys its nonces. What was released stays released, and the answer says so. */
export async function abort(deps: PartyDeps, live: LiveRuns, input: unknown): Promise<AbortAnswer> {
  const { keyId, attempt, reason } = parseWith(AbortRequest, input, 'abort');
  // A fenced party closes everything by itself, and must not erase on the word of a restored database.
  await checkChain(deps, live);
  const { outcome, row } = await deps.store.transaction(async (tx) => {
    const found = await tx.session(attempt, { lock: true });
    const known = found?.keyId === (keyId as string) ? found : undefined;
    const verdict = decideAbort(known);
    if (known === undefined) return { outcome: 'unknown' as const, row: undefined };
    // The others did not stock it: nobody will ask for any of it. The sweep destroys its data keys.
    if (known.kind === 'presign' && known.sessionId !== null && !isOpen(known.state))
      await tx.dropPacks({ by: 'pack', packId: known.sessionId }, 'aborted', deps.clock.now());
    if (verdict !== 'abort') return { outcome: verdict, row: known };
    await closeSession(tx, known, 'aborted', deps.clock.now(), {
      code: 'Cancelled',
      message: reason,
    });
    await deps.failPoints.at('party.abort:before-commit');
    return { outcome: 'aborted' as const, row: known };
  });
  await deps.failPoints.at('party.abort:after-commit');
  // Also on a repeat: a crash may have come between the commit and the erasure.
  if (row !== undefined && (outcome === 'aborted' || outcome === 'already-closed')) {
    live.drop(row.attempt);
    await eraseClosed(deps, [row]);
  }
  return { attempt, outcome };
}

/**
 * Undo of a key ceremony. A share that is not certified goes at once, together with this party's signed `never`; a
 * certified one only on another member's `never`, which proves that the n-th certificate cannot exist; an active one
 * not at all.
 */
export async function destroy(
  deps: PartyDeps,
  live: LiveRuns,
  input: unknown,
): Promise<DestroyAnswer> {
  const { keyId, attempt, never } = parseWith(DestroyRequest, input, 'destroy');
  const { party } = deps.settings;
  const { answer, dead, head } = await guarded(deps, live, async () => {
    if ((await checkChain(deps, live)) === 'fenced') throw fencedError();
    return deps.store.transaction(undo);
  });
  await deps.failPoints.at('party.destroy:after-commit');
  if (head !== undefined) await noteLast(deps, head);
  else if (answer.never !== undefined) await noteCommitted(deps);
  if (answer.outcome !== 'kept') await eraseCeremony(deps, live, dead);
  return answer;

  async function undo(tx: PartyTransaction): Promise<Undone> {
    await tx.lockAttempt(attempt);
    const now = deps.clock.now();
    const session = await tx.session(attempt, { lock: true });
    const share = await tx.shareOfAttempt(keyId, attempt);
    // What names another key, or a signing session, is not this ceremony: nothing of it may be touched.
    if (session !== undefined && (session.kind !== 'keygen' || session.keyId !== (keyId as string)))
      return {
        answer: { attempt, outcome: 'nothing' },
        dead: { session: undefined, share: undefined },
      };
    const dead = { session, share };
    if (share === undefined) {
      const word = await tx.word(keyId, attempt);
      if (word?.never) return { answer: { attempt, outcome: 'nothing', never: word.never }, dead };
      // A restored database that lost its share is no ground for an oath that it never certified.
      if (await certifiedBefore(deps, session, attempt))
        return { answer: { attempt, outcome: 'kept' }, dead };
      // Nothing was certified and from here on never will be, so that a late message cannot revive the ceremony.
      const body = { party, attempt, keyId, at: new Date(now).toISOString() };
      const signed: SignedNever = {
        never: body,
        signature: deps.identity.sign(signedBytes('never', body)),
      };
      await tx.insertWord(keyId, attempt, {
        kind: 'never',
        certificate: null,
        never: signed,
        at: now,
      });
      if (session !== undefined && isOpen(session.state))
        await closeSession(tx, session, 'aborted', now, {
          code: 'Cancelled',
          message: 'The ceremony was undone.',
        });
      const link = { kind: 'never' as const, attempt, sessionId: '' };
      const head = await advance(deps, tx, { ...link, outboxHash: digestHex('never', body) }, now);
      await deps.failPoints.at('party.destroy:before-commit');
      return {
        answer: {
          attempt,
          outcome: session === undefined ? 'nothing' : 'destroyed',
          never: signed,
        },
        dead,
        head,
      };
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
      shareAggregate(
        share,
        open
          .filter((s) => s.kind !== 'keygen')
          .map((s) => ({ session: s.attempt, expiresAt: s.expiresAt })),
      ),
      never === undefined ? 'none' : 'never',
      now,
    );
    if (outcome !== 'destroyed') return { answer: { attempt, outcome }, dead };
    await tx.setShareState(keyId, attempt, 'destroyed', now);
    await tx.audit({ kind: 'share-destroyed', keyId, attempt, at: now, detail: { on: 'never' } });
    await deps.failPoints.at('party.destroy:before-commit');
    return { answer: { attempt, outcome }, dead };
  }
}

/**
 * The key store knows a share of the ceremony, and this database nothing that became of it: there is no session, or the
 * fence closed it.
 */
async function certifiedBefore(
  deps: PartyDeps,
  session: SessionRow | undefined,
  attempt: string,
): Promise<boolean> {
  if (session !== undefined && session.failureCode !== 'PartyFenced') return false;
  return (await deps.sealer.list()).some((id) => id.startsWith(`share-${attempt}-`));
}

/** The ceremony's own rows; nothing is erased that they do not name. */
type Undone = {
  readonly answer: DestroyAnswer;
  readonly dead: { readonly session: SessionRow | undefined; readonly share: ShareRow | undefined };
  /** Of the link that the commit added to the release chain. */
  readonly head?: ReleaseHead;
};

/**
 * After the commit, and again on every repeat: a crash in between must not leave a copy. A key that `certify` made and
 * did not commit is of a closed ceremony now, and the sweep's.
 */
async function eraseCeremony(
  deps: PartyDeps,
  live: LiveRuns,
  { session, share }: Undone['dead'],
): Promise<void> {
  if (session !== undefined) {
    live.drop(session.attempt);
    await eraseClosed(deps, [session]);
  }
  if (share !== undefined) {
    await erase(deps, [share.dataKeyId]);
    await deps.backup.remove(backupName(share));
  }
}

export function shareAggregate(row: ShareRow, leases: KeyShare['leases']): KeyShare {
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
