/** Opening a share for a session: the one place, so that each opening is audited. */
import type { ShareRow, SessionRow } from '../../core/ports/party-store.ts';
import type { SealContext } from '../../core/ports/sealing.ts';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import type { KeyDescriptor } from '../../schema/contracts/key.ts';
import type { PartyDeps } from './deps.ts';

/** Associated data of a sealed share. */
export const shareContext = (
  party: string,
  of: { keyId: string; attempt: string; epoch: number },
  purpose: 'share' | 'backup' = 'share',
): SealContext => ({ party, keyId: of.keyId, purpose, session: of.attempt, epoch: of.epoch, row: 'shares' });

/** The plain share of the session's key. The caller wipes it. */
export async function openShare(
  deps: PartyDeps,
  session: SessionRow,
): Promise<{ share: Uint8Array; descriptor: KeyDescriptor; index: number }> {
  const row = await deps.store.transaction(async (tx): Promise<ShareRow | undefined> => {
    const live = await tx.liveShare(session.keyId, session.epoch, 'share');
    if (live?.state !== 'active' || live.sealed === null) return undefined;
    await tx.audit({ kind: 'share-opened', keyId: session.keyId, attempt: session.attempt, at: deps.clock.now() });
    return live;
  });
  if (row?.sealed == null) throw new KeysagaError('KeyNotActive', 'The key share is not active.', { field: 'keyId' });
  const share = await deps.sealer.open(row.dataKeyId, row.sealed, shareContext(deps.settings.party, row));
  return { share, descriptor: row.descriptor, index: row.index };
}
