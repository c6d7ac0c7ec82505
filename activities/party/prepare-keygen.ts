/** Judging a request for key generation. */

import { checkThreshold } from '../../core/keyshare/keyshare.ts';
import type { PartyTransaction } from '../../core/ports/party-store.ts';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import type { PrepareKeygen } from '../../schema/contracts/party.ts';
import { requireStanding } from './chain.ts';
import type { PartyDeps } from './deps.ts';
import type { Admission } from './prepare.ts';

export async function admitKeygen(
  deps: PartyDeps,
  tx: PartyTransaction,
  request: PrepareKeygen,
): Promise<Admission> {
  const { settings, ceremonies, codecs } = deps;
  // 2t > n, t ≤ n, no party twice: two signer sets then always share a party, on which the conflict rule rests.
  checkThreshold(request.threshold, request.signers);
  for (const party of request.signers)
    if (!settings.directory.has(party))
      throw new KeysagaError('PartyRefused', `No identity key is pinned for ${party}.`, {
        field: 'signers',
        party,
      });
  if (request.keyId !== (request.walletId as string))
    throw new KeysagaError('InvalidInput', 'A key carries the id of its wallet.', {
      field: 'keyId',
    });
  if (request.epoch !== 0)
    throw new KeysagaError('InvalidInput', 'A new key begins at epoch 0.', { field: 'epoch' });
  const codec = codecs.get(request.network);
  const protocol = ceremonies.metadata(request.protocol);
  const schemes = codec.schemes ?? [codec.scheme];
  if (protocol.curve !== codec.curve || !schemes.includes(protocol.scheme))
    throw new KeysagaError('PartyRefused', 'This protocol cannot sign for that network.', {
      field: 'protocol',
    });
  await tx.lockKey(request.keyId, 'share');
  const { head } = await requireStanding(deps, tx, request);
  await tx.lockPolicy(request.policyId, 'share');
  const policy = await tx.policy(request.policyId);
  if (policy === undefined || policy.hash !== request.policyHash)
    throw new KeysagaError('PolicyUnknown', 'This party does not hold that policy version.', {
      field: 'policyHash',
    });
  const live = await tx.liveShare(request.keyId, request.epoch, 'update');
  if (live !== undefined)
    throw new KeysagaError(
      'StateConflict',
      'This party already holds a certified share of the key.',
      { field: 'keyId' },
    );
  if ((await tx.word(request.keyId, request.attempt)) !== undefined)
    throw new KeysagaError('SessionSuperseded', 'This party has given its word on that ceremony.', {
      field: 'attempt',
    });
  return {
    policyId: request.policyId,
    members: request.signers,
    machine: ceremonies.describe(request.protocol, 'keygen'),
    lifeMs: settings.keygenSessionMs,
    intentDigest: null,
    line: null,
    superseded: [],
    head,
    pooledKeys: [],
  };
}
