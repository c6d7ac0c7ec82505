/** `activate`: a share signs only after n members have certified the very same key. */
import { verifyCertificates } from '../../core/certificates.ts';
import { parseWith } from '../../core/parse.ts';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import { type ActivateAnswer, ActivateRequest } from '../../schema/contracts/party.ts';
import type { PartyDeps } from './deps.ts';

export async function activate(deps: PartyDeps, input: unknown): Promise<ActivateAnswer> {
  const { keyId, attempt, certificates } = parseWith(ActivateRequest, input, 'activate');
  const answer = await deps.store.transaction(async (tx): Promise<ActivateAnswer> => {
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
    if (share.state === 'certified') {
      const now = deps.clock.now();
      await tx.setShareState(keyId, attempt, 'active', now);
      await tx.audit({
        kind: 'key-activated',
        keyId,
        attempt,
        at: now,
        detail: { address: share.descriptor.address },
      });
    }
    await deps.failPoints.at('party.activate:before-commit');
    return { keyId, epoch: share.epoch, state: 'active' };
  });
  await deps.failPoints.at('party.activate:after-commit');
  return answer;
}
