/** Judging a request to make a pack of presignatures. No message is shown and nobody has to approve: nothing is signed. */
import type { PartyTransaction } from '../../core/ports/party-store.ts';
import { checkSigners } from '../../core/session/session.ts';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import { PACK_LIFE_MS, type PreparePresign } from '../../schema/contracts/pool.ts';
import { requireStanding } from './chain.ts';
import type { PartyDeps } from './deps.ts';
import type { Admission } from './prepare.ts';
import { activeShare } from './prepare-sign.ts';
import { requireOpenable } from './shares.ts';

/** Of one key at one party: whoever asks for more fills disks, not pools. */
const MOST_STOCKED = 20_000;

export async function admitPresign(
  deps: PartyDeps,
  tx: PartyTransaction,
  request: PreparePresign,
  now: number,
): Promise<Admission> {
  const { settings, ceremonies } = deps;
  const { keyId, epoch, signers } = request;
  const [share] = await Promise.all([
    activeShare(tx, keyId, epoch),
    requireOpenable(tx, keyId, epoch, now),
  ]);
  // After the share's lock, as for a transaction.
  const standing = await requireStanding(deps, tx, request);
  const { parties, threshold, policyId, policyHash, protocol } = share.descriptor;
  checkSigners({ signers, parties, threshold, self: settings.party });
  if (signers.length !== threshold)
    throw new KeysagaError('InvalidInput', `Exactly ${threshold} signers are needed.`, {
      field: 'signers',
    });
  if (request.policyHash !== policyHash)
    throw new KeysagaError('InvalidInput', 'The key was certified under another policy.', {
      field: 'policyHash',
    });
  const expires = Date.parse(request.packExpiresAt);
  if (expires <= now + settings.signingSessionMs || expires > now + PACK_LIFE_MS)
    throw new KeysagaError('InvalidInput', 'A pack outlives its session, and no week.', {
      field: 'packExpiresAt',
    });
  if ((await tx.stockedPresignatures(keyId, epoch)) + request.count > MOST_STOCKED)
    throw new KeysagaError('PartyRefused', 'This party holds enough presignatures of the key.', {
      field: 'count',
    });
  return {
    policyId,
    members: parties,
    machine: ceremonies.describe(protocol, 'presign'),
    lifeMs: settings.signingSessionMs,
    intentDigest: null,
    line: null,
    superseded: [],
    head: standing.head,
    pooledKeys: [],
  };
}
