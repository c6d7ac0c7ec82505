/** `activate`: a share signs only after n members have certified the very same key. */
import { verifyCertificates } from '../../core/certificates.ts';
import { parseWith } from '../../core/parse.ts';
import type { PartyTransaction, ReleaseHead, ShareRow } from '../../core/ports/party-store.ts';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import { type ActivateAnswer, ActivateRequest } from '../../schema/contracts/party.ts';
import { advance, noteCommitted, noteLast } from './chain.ts';
import type { PartyDeps } from './deps.ts';
import { checkChain, guarded } from './fence.ts';
import type { LiveRuns } from './live-runs.ts';

export async function activate(
  deps: PartyDeps,
  live: LiveRuns,
  input: unknown,
): Promise<ActivateAnswer> {
  const { keyId, attempt, certificates } = parseWith(ActivateRequest, input, 'activate');
  const { answer, head } = await guarded(deps, live, async () => {
    const fenced = (await checkChain(deps, live)) === 'fenced';
    return deps.store.transaction((tx) => take(tx, fenced));
  });
  await deps.failPoints.at('party.activate:after-commit');
  await (head === undefined ? noteCommitted(deps) : noteLast(deps, head));
  return answer;

  async function take(
    tx: PartyTransaction,
    fenced: boolean,
  ): Promise<{ answer: ActivateAnswer; head?: ReleaseHead }> {
    const share = await tx.shareOfAttempt(keyId, attempt);
    if (share === undefined || share.state === 'destroyed')
      throw new KeysagaError('KeyUnknown', 'This party holds no share of that ceremony.', {
        field: 'attempt',
      });
    verifyCertificates({
      certificates,
      key: share.descriptor,
      identityKeys: deps.settings.directory,
      attempt,
      verify: deps.verify,
    });
    if (share.state === 'revoked')
      throw new KeysagaError('StateConflict', 'The share was revoked.', { field: 'keyId' });
    const head = share.state === 'certified' ? await makeActive(tx, share, fenced) : undefined;
    await deps.failPoints.at('party.activate:before-commit');
    const answer = { keyId, epoch: share.epoch, state: 'active' as const };
    return head === undefined ? { answer } : { answer, head };
  }

  /** From here on no `never` reaches the share, which must not be forgotten: a link of the release chain. */
  async function makeActive(
    tx: PartyTransaction,
    { descriptor: { address, transcriptHash } }: ShareRow,
    fenced: boolean,
  ): Promise<ReleaseHead | undefined> {
    const now = deps.clock.now();
    await tx.setShareState(keyId, attempt, 'active', now);
    await tx.audit({ kind: 'key-activated', keyId, attempt, at: now, detail: { address } });
    // A fenced party's chain does not move; what follows the unfence order begins a new one.
    if (fenced) return undefined;
    const link = { kind: 'activation' as const, attempt, sessionId: '' };
    return advance(deps, tx, { ...link, outboxHash: transcriptHash }, now);
  }
}
