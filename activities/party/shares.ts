/** Opening a share for a session: the one place, so that each opening is audited. */
import type { PartyTransaction, SessionRow, ShareRow } from '../../core/ports/party-store.ts';
import type { SealContext } from '../../core/ports/sealing.ts';
import { KeysagaError } from '../../schema/contracts/errors.ts';
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

/** The sealed share that a signing session is about to open; the audit entry commits with the round's inbox. */
export async function sealedShare(
  tx: PartyTransaction,
  session: SessionRow,
  now: number,
): Promise<ShareRow> {
  const live = await tx.liveShare(session.keyId, session.epoch);
  if (live?.state !== 'active')
    throw new KeysagaError('KeyNotActive', 'The key share is not active.', { field: 'keyId' });
  await tx.audit({
    kind: 'share-opened',
    keyId: session.keyId,
    attempt: session.attempt,
    at: now,
  });
  return live;
}

/** The plain share. The caller wipes it. */
export async function openShare(deps: PartyDeps, row: ShareRow): Promise<Uint8Array> {
  if (row.sealed === null)
    throw new KeysagaError('KeyNotActive', 'The key share is not active.', { field: 'keyId' });
  return deps.sealer.open(row.dataKeyId, row.sealed, shareContext(deps.settings.party, row));
}
