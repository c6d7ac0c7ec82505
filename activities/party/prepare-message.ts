/**
 * Judging a request to sign a message: as a payment, with its own approvals, times and limits, but without bytes. The digest is
 * computed by this party from the message; what a permit lets others take is judged and counted as a transfer. A message
 * has line 0, and whatever is signed again for its intent is the very same digest.
 */
import { requireQuorum, requireStartDelay } from '../../core/approvals.ts';
import {
  messageDigest,
  messageIntentDigest,
  parseMessageIntent,
} from '../../core/messages/intent.ts';
import type { PartyTransaction } from '../../core/ports/party-store.ts';
import { checkMessage } from '../../core/rules/message.ts';
import { checkIntentTime } from '../../core/rules/time.ts';
import { checkSigners } from '../../core/session/session.ts';
import { bytesToHex, hexToBytes } from '../../core/signed.ts';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import type { PrepareMessage } from '../../schema/contracts/party.ts';
import { requireStanding } from './chain.ts';
import type { PartyDeps } from './deps.ts';
import type { Admission } from './prepare.ts';
import { activeShare, currentPolicy, joinLine, lockedLine, reserveLimit } from './prepare-sign.ts';
import { requireOpenable } from './shares.ts';

/** A message is one thing to sign. */
export const MESSAGE_LINE = 0;

export async function admitMessage(
  deps: PartyDeps,
  tx: PartyTransaction,
  request: PrepareMessage,
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
  const key = share.descriptor;
  const { parties, threshold } = key;
  checkSigners({ signers, parties, threshold, self: settings.party });
  if (signers.length !== threshold)
    throw new KeysagaError('InvalidInput', `Exactly ${threshold} signers are needed.`, {
      field: 'signers',
    });
  const intent = parseMessageIntent(request.intent);
  const intentDigest = messageIntentDigest(intent);

  await tx.lockPolicy(key.policyId, 'share');
  const { policy, hash } = await currentPolicy(tx, key.policyId);
  if (hash !== request.policyHash)
    throw new KeysagaError('PolicyUnknown', 'Another policy version is in force here.', {
      field: 'policyHash',
    });
  const { address, network, walletId } = key;
  const spend = checkMessage({ intent, policy, address, network, walletId });
  checkIntentTime({
    intent,
    now,
    sessionLifeMs: settings.signingSessionMs,
    ...(standing.intentsAfter === null ? {} : { fencedBefore: standing.intentsAfter }),
  });
  const signed = messageDigest(intent.message, deps.codecs.get(network), hexToBytes(key.publicKey));
  const line = await lockedLine(tx, { keyId, line: MESSAGE_LINE }, intentDigest, now);
  const approvals = {
    // Read under the line's lock, as for a transaction.
    approvals: [...request.approvals, ...(await tx.rejectionsOf(intentDigest))],
    intentDigest,
    policy,
    now,
    horizonMs: settings.signingSessionMs,
    verify: deps.verify,
  };
  requireQuorum(approvals);
  requireStartDelay(approvals);
  const joining = {
    attempt: request.attempt,
    purpose: 'payment' as const,
    line: MESSAGE_LINE,
    conflictKeys: [`message:${bytesToHex(signed)}`],
    unsignedHash: intentDigest,
    fee: '0',
  };
  const superseded = await joinLine(tx, joining, intentDigest, line, now);
  if (spend !== undefined) {
    const { asset, amount } = spend;
    const counted = { keyId, line: MESSAGE_LINE, asset, amount: `${amount}` };
    await reserveLimit(tx, { spend: counted, digest: intentDigest, policy, share, now, standing });
  }
  return {
    policyId: key.policyId,
    members: parties,
    machine: ceremonies.describe(key.protocol, 'sign'),
    lifeMs: settings.signingSessionMs,
    intentDigest,
    line: MESSAGE_LINE,
    superseded,
    head: standing.head,
    pooledKeys: [],
  };
}
