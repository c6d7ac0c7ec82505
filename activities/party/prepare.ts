/**
 * `prepare`: a party decides alone whether it takes part. What it answers is signed and stored; a repeat gets the
 * stored answer, the attempt under another body is refused, a closed attempt never reopens.
 */

import { countApprovals } from '../../core/approvals.ts';
import { messageIntentDigest, parseMessageIntent } from '../../core/messages/intent.ts';
import { parseWith } from '../../core/parse.ts';
import type { PartyTransaction, ReleaseHead, SessionRow } from '../../core/ports/party-store.ts';
import type { SealContext } from '../../core/ports/sealing.ts';
import { decidePrepare } from '../../core/session/session.ts';
import { bytesToHex, digestHex } from '../../core/signed.ts';
import { signedBytes } from '../../schema/contracts/canonical.ts';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import {
  type PrepareAnswer,
  type PrepareMessage,
  type PreparePayout,
  PrepareRequest,
  type PrepareSign,
  type SignedHead,
  type SignedPrepareAnswer,
} from '../../schema/contracts/party.ts';
import { requireNotFenced } from './chain.ts';
import type { PartyDeps } from './deps.ts';
import { guarded } from './fence.ts';
import type { LiveRuns } from './live-runs.ts';
import { admitKeygen } from './prepare-keygen.ts';
import { admitMessage, MESSAGE_LINE } from './prepare-message.ts';
import { admitPresign } from './prepare-presign.ts';
import { activeShare, admitSigning, lineOf, paymentOf } from './prepare-sign.ts';
import { closeSession, eraseClosed, isVoid, newDataKeyId } from './sessions.ts';

/** What the judgement of a request adds to its session. */
export type Admission = {
  readonly policyId: string;
  /** The key's full ordered party list. */
  readonly members: readonly string[];
  readonly machine: { readonly version: string; readonly rounds: number };
  readonly lifeMs: number;
  readonly intentDigest: string | null;
  readonly line: number | null;
  /** Sessions that this one closed; erased after the commit. */
  readonly superseded: readonly SessionRow[];
  /** Where the release chain stands. */
  readonly head: ReleaseHead;
  /** Data keys of the presignatures that this session has taken. */
  readonly pooledKeys: readonly string[];
};

/** Associated data of a session's sealed seed. */
export const seedContext = (
  party: string,
  row: Pick<SessionRow, 'keyId' | 'attempt' | 'epoch'>,
): SealContext => ({
  party,
  keyId: row.keyId,
  purpose: 'seed',
  session: row.attempt,
  epoch: row.epoch,
  row: 'sessions',
});

export async function prepare(
  deps: PartyDeps,
  live: LiveRuns,
  input: unknown,
): Promise<SignedPrepareAnswer> {
  const request = parseWith(PrepareRequest, input, 'prepare');
  const requestHash = digestHex('prepare-request', request);
  if (!request.signers.includes(deps.settings.party))
    throw new KeysagaError('InvalidInput', 'This party is not among the signers.', {
      field: 'signers',
    });
  await keepRejections(deps, request);

  const { answer, superseded } = await guarded(deps, live, async () => {
    await requireNotFenced(deps);
    return deps.store.transaction(async (tx) => {
      await tx.lockAttempt(request.attempt);
      const existing = await tx.session(request.attempt, { lock: true });
      if (existing !== undefined)
        return { answer: storedAnswer(existing, requestHash, deps.clock.now()), superseded: [] };
      return admit(deps, tx, request, requestHash);
    });
  });
  if ('pooled' in request && request.pooled !== undefined)
    await deps.failPoints.at('party.bind:after-commit');
  await deps.failPoints.at('party.prepare:after-commit');
  await eraseClosed(deps, superseded);
  return answer;
}

/**
 * A rejection binds the party that has seen it, so it is kept in a commit of its own: the request that carried it
 * is refused and rolled back, and might come again without it. Under the line's lock, as approvals are counted, and
 * what an earlier count let begin ends with it, as long as nothing has been released.
 */
async function keepRejections(deps: PartyDeps, request: PrepareRequest): Promise<void> {
  if (request.kind === 'keygen' || request.kind === 'presign' || isVoid(request)) return;
  const rejections = request.approvals.filter((a) => a.approval.decision === 'reject');
  if (rejections.length === 0) return;
  const { intent, digest, line } = decidedUpon(request);
  const closed = await deps.store.transaction(async (tx) => {
    const now = deps.clock.now();
    const { descriptor } = await activeShare(tx, request.keyId, request.epoch);
    const current = await tx.policy(descriptor.policyId);
    // Only the wallet's own approvers speak about its intents.
    if (current === undefined || intent.walletId !== descriptor.walletId) return [];
    const { policy } = current.document;
    // One by one: a forged one under the same name must not ride on a valid one.
    const valid = rejections.filter((signed) => {
      const { verify } = deps;
      const count = {
        approvals: [signed],
        intentDigest: digest,
        policy,
        now,
        horizonMs: 0,
        verify,
      };
      return countApprovals(count).rejected.length > 0;
    });
    if (valid.length === 0) return [];
    await tx.lockLine(digest, line, request.keyId, now);
    for (const signed of valid) await tx.insertRejection(signed, now);
    const open = (await tx.openSessionsOfLine(digest, line)).filter((s) => !isVoid(s.request));
    for (const session of open) await closeSession(tx, session, 'superseded', now);
    return open;
  });
  await eraseClosed(deps, closed);
}

/** What the approvals of a request are about. */
function decidedUpon(request: PrepareSign | PrepareMessage | PreparePayout) {
  if (request.kind === 'message') {
    const intent = parseMessageIntent(request.intent);
    return { intent, digest: messageIntentDigest(intent), line: MESSAGE_LINE };
  }
  return { ...paymentOf(request), line: lineOf(request) };
}

/** A repeat gets the stored answer, also after the release; a closed attempt and another body are refused. */
function storedAnswer(row: SessionRow, requestHash: string, now: number): SignedPrepareAnswer {
  decidePrepare(row, { requestHash, now });
  return row.answer;
}

async function admit(
  deps: PartyDeps,
  tx: PartyTransaction,
  request: PrepareRequest,
  requestHash: string,
) {
  const { settings } = deps;
  const now = deps.clock.now();
  const admission =
    request.kind === 'keygen'
      ? await admitKeygen(deps, tx, request)
      : request.kind === 'message'
        ? await admitMessage(deps, tx, request, now)
        : request.kind === 'presign'
          ? await admitPresign(deps, tx, request, now)
          : await admitSigning(deps, tx, request, now);

  const seed = deps.random.bytes(32);
  try {
    // The data key is durable before the row that needs it; a crash in between leaves an orphan for the sweep.
    const dataKeyId = newDataKeyId(deps, 'session', request.attempt);
    const context = seedContext(settings.party, request);
    const [pair, witnessed, sealedSeed] = await Promise.all([
      deps.envelopes.deriveKeyPair(deps.ceremonies.derive(seed, 'hpke')),
      tx.witnessed(),
      deps.sealer.seal(dataKeyId, seed, context, { create: true }),
    ]);
    const body: PrepareAnswer = {
      party: settings.party,
      attempt: request.attempt,
      requestHash,
      nonce: bytesToHex(deps.random.bytes(32)),
      hpkePublicKey: bytesToHex(pair.publicKey),
      policyHash: request.policyHash,
      machineVersion: admission.machine.version,
      expiresAt: new Date(now + admission.lifeMs).toISOString(),
      head: signedHead(deps, admission.head, request.attempt),
      witnessed: [...witnessed],
    };
    const answer = {
      answer: body,
      signature: deps.identity.sign(signedBytes('prepare-answer', body)),
    };
    await tx.insertSession({
      attempt: request.attempt,
      kind: request.kind === 'message' || request.kind === 'payout' ? 'sign' : request.kind,
      keyId: request.keyId,
      epoch: request.epoch,
      requestId: request.requestId,
      requestHash,
      request,
      answer,
      policyId: admission.policyId,
      policyHash: request.policyHash,
      state: 'prepared',
      sessionId: null,
      prepared: null,
      members: admission.members,
      machineVersion: admission.machine.version,
      rounds: admission.machine.rounds,
      intentDigest: admission.intentDigest,
      line: admission.line,
      sealedSeed,
      dataKeyId,
      pooledKeys: admission.pooledKeys,
      dataKeyDestroyed: false,
      failureCode: null,
      failureMessage: null,
      failureCulprit: null,
      createdAt: now,
      expiresAt: now + admission.lifeMs,
      closedAt: null,
    });
    await deps.failPoints.at('party.prepare:before-commit');
    return { answer, superseded: admission.superseded };
  } finally {
    seed.fill(0);
  }
}

/** Where this party's release chain stands as it opens the attempt, under its own signature. */
function signedHead(
  { settings, identity }: PartyDeps,
  { chainEpoch, sequence, hash }: ReleaseHead,
  opened: PrepareRequest['attempt'],
): SignedHead {
  const head = { party: settings.party, chainEpoch, sequence, hash, opened };
  return { head, signature: identity.sign(signedBytes('head', head)) };
}
