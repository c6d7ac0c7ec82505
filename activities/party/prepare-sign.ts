/**
 * Judging a request to sign: approvals against this party's own policy copy, the transaction's bytes against the
 * intent, the line's history, the limits. Nothing the coordinator says is taken for granted; what cannot be
 * derived from the share, the policy copy or the bytes themselves is verified by signature.
 */
import { accountOf } from '../../core/account.ts';
import { requireOnceValidQuorum, requireQuorum, requireStartDelay } from '../../core/approvals.ts';
import { intentDigest, parseIntent } from '../../core/intent.ts';
import { parsePayout, payoutDigest } from '../../core/payout.ts';
import { effectiveDailyLimit, limitFor, voidFeeCap } from '../../core/policy.ts';
import type { DecodedTransaction } from '../../core/ports/blockchain.ts';
import type {
  LineTransaction,
  PartyTransaction,
  SessionRow,
  ShareRow,
  Standing,
} from '../../core/ports/party-store.ts';
import { type PaymentIntent, totalOf } from '../../core/ports/payment.ts';
import {
  DAY_MS,
  dailySpent,
  requireWithinLimit,
  requireWithinVoidBudget,
} from '../../core/rules/limits.ts';
import { checkLine, requireOnlyLine } from '../../core/rules/line.ts';
import { checkPayment } from '../../core/rules/payment.ts';
import { checkIntentTime } from '../../core/rules/time.ts';
import { checkVoid } from '../../core/rules/void.ts';
import { checkSigners } from '../../core/session/session.ts';
import { digestHex, hexToBytes } from '../../core/signed.ts';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import type { PreparePayout, PrepareSign } from '../../schema/contracts/party.ts';
import type { Policy } from '../../schema/contracts/policy.ts';
import { requireStanding } from './chain.ts';
import type { PartyDeps } from './deps.ts';
import { bindPresignatures } from './pool.ts';
import type { Admission } from './prepare.ts';
import { closeSession } from './sessions.ts';
import { requireOpenable } from './shares.ts';

/**
 * The record's number: a transfer's only line; of a payout the one transaction that pays all of its lines, which
 * therefore have one record. Throws `InvalidInput` (`line`).
 */
export function lineOf(request: PrepareSign | PreparePayout): number {
  if (request.kind === 'payout') return 0;
  requireOnlyLine(request.line);
  return request.line;
}

/** The intent and what approvals of it name. The kind decides which signed form it has, so none counts for both. */
export function paymentOf(request: PrepareSign | PreparePayout): {
  readonly intent: PaymentIntent;
  readonly digest: string;
} {
  if (request.kind === 'payout') {
    const intent = parsePayout(request.intent);
    return { intent, digest: payoutDigest(intent) };
  }
  const intent = parseIntent(request.intent);
  return { intent, digest: intentDigest(intent) };
}

export async function admitSigning(
  deps: PartyDeps,
  tx: PartyTransaction,
  request: PrepareSign | PreparePayout,
  now: number,
): Promise<Admission> {
  const { settings, ceremonies, codecs } = deps;
  // One statement each and sent together: no round trip more than for the share alone.
  const [share] = await Promise.all([
    activeShare(tx, request.keyId, request.epoch),
    requireOpenable(tx, request.keyId, request.epoch, now),
  ]);
  // After the share's lock: an order about the key that held it has committed by now, and is seen.
  const standing = await requireStanding(deps, tx, request);
  const key = share.descriptor;
  checkSigners({
    signers: request.signers,
    parties: key.parties,
    threshold: key.threshold,
    self: settings.party,
  });
  if (request.signers.length !== key.threshold)
    throw new KeysagaError('InvalidInput', `Exactly ${key.threshold} signers are needed.`, {
      field: 'signers',
    });
  const number = lineOf(request);
  const { keyId } = request;
  const codec = codecs.get(key.network);
  const { intent, digest } = paymentOf(request);
  // Found here, from the share's own key and the path that approvers signed. Limits and lines stay the wallet's.
  const payer = accountOf(key, intent.path, codec).key;
  const decoded = codec.decode(request.unsigned, hexToBytes(payer.publicKey));
  const transaction = {
    intent,
    decoded,
    address: payer.address,
    network: key.network,
    walletId: key.walletId,
  };

  if (request.purpose === 'payment') {
    await tx.lockPolicy(key.policyId, 'share');
    const { policy, hash } = await currentPolicy(tx, key.policyId);
    if (hash !== request.policyHash)
      throw new KeysagaError('PolicyUnknown', 'Another policy version is in force here.', {
        field: 'policyHash',
      });
    checkIntentTime({
      intent,
      now,
      sessionLifeMs: settings.signingSessionMs,
      ...(standing.intentsAfter === null ? {} : { fencedBefore: standing.intentsAfter }),
    });
    const line = await lockedLine(tx, { keyId, line: number }, digest, now);
    const approvals = {
      // Read under the line's lock: a rejection that this party keeps at the same time closes what comes before it.
      approvals: [...request.approvals, ...(await tx.rejectionsOf(digest))],
      intentDigest: digest,
      policy,
      now,
      horizonMs: settings.signingSessionMs,
      verify: deps.verify,
    };
    requireQuorum(approvals);
    requireStartDelay(approvals);
    checkPayment({ ...transaction, policy });
    const superseded = await joinLine(tx, joining(request, decoded), digest, line, now);
    const spend = { keyId, line: number, asset: intent.asset, amount: totalOf(intent) };
    await reserveLimit(tx, { spend, digest, policy, share, now, standing });
    return admission(superseded, await bind());
  }

  const policies = (await tx.policyVersions(key.policyId)).map((p) => p.document.policy);
  // A version may have given up a network; what was approved under an earlier one can still be made undone.
  const policy =
    policies.find((p) => p.voidFeeCaps.some((c) => c.network === key.network)) ?? policies[0];
  if (policy === undefined)
    throw new KeysagaError('PolicyUnknown', 'This party holds no policy for the wallet.', {
      field: 'policyHash',
    });
  const version = requireOnceApproved(deps, request, digest, policies, now);
  const line = await lockedLine(tx, { keyId, line: number }, digest, now);
  checkVoid({ ...transaction, policy, released: line.history.map((t) => t.conflictKeys) });
  if (version !== policies[0] && line.history.length === 0) {
    await tx.lockLimit(request.keyId, 'voids');
    requireWithinVoidBudget({
      cap: voidFeeCap(policy, key.network),
      used: await tx.voidFeesSince(request.keyId, now - DAY_MS),
      asked: decoded.fee,
    });
  }
  const superseded = await joinLine(tx, joining(request, decoded), digest, line, now);
  return admission(superseded, await bind());

  /** Last of all: whatever is refused before it has cost no presignature. */
  async function bind(): Promise<readonly string[]> {
    if (request.pooled === undefined) return [];
    if (intent.path !== undefined)
      throw new KeysagaError('InvalidInput', 'A child key signs without a presignature.', {
        field: 'pooled',
      });
    const messages = codec.messages(request.unsigned, hexToBytes(key.publicKey));
    return bindPresignatures(deps, tx, request, request.pooled, messages, now);
  }

  function admission(superseded: readonly SessionRow[], pooledKeys: readonly string[]): Admission {
    return {
      policyId: key.policyId,
      members: key.parties,
      machine: ceremonies.describe(key.protocol, request.pooled === undefined ? 'sign' : 'online'),
      lifeMs: settings.signingSessionMs,
      intentDigest: digest,
      line: number,
      superseded,
      head: standing.head,
      pooledKeys,
    };
  }
}

/** The share, locked against refresh and destruction for as long as sessions hold it. */
export async function activeShare(
  tx: PartyTransaction,
  keyId: string,
  epoch: number,
): Promise<ShareRow> {
  const share = await tx.liveShare(keyId, epoch, 'share');
  if (share === undefined)
    throw new KeysagaError('KeyUnknown', 'This party holds no share of that key and epoch.', {
      field: 'keyId',
    });
  if (share.state !== 'active')
    throw new KeysagaError('KeyNotActive', 'The key share is not active yet.', { field: 'keyId' });
  return share;
}

export async function currentPolicy(tx: PartyTransaction, policyId: string) {
  const row = await tx.policy(policyId);
  if (row === undefined)
    throw new KeysagaError('PolicyUnknown', 'This party holds no policy for the wallet.', {
      field: 'policyHash',
    });
  return { policy: row.document.policy, hash: row.hash };
}

/** A void needs approvals that once were valid, under whichever version they were counted: the newest such is answered. */
function requireOnceApproved(
  deps: PartyDeps,
  request: PrepareSign | PreparePayout,
  digest: string,
  policies: readonly Policy[],
  now: number,
): Policy {
  let refusal: unknown;
  for (const policy of policies) {
    try {
      requireOnceValidQuorum({
        approvals: request.approvals,
        intentDigest: digest,
        policy,
        now,
        verify: deps.verify,
      });
      return policy;
    } catch (error) {
      refusal ??= error;
    }
  }
  throw refusal;
}

type LockedLine = {
  readonly open: readonly SessionRow[];
  /** Sessions closed here because their time was over. */
  readonly expired: readonly SessionRow[];
  /** What is released or open. */
  readonly history: readonly LineTransaction[];
};

/** The line under its lock. A session whose time is over counts no more, whether or not a sweep has closed it. */
export async function lockedLine(
  tx: PartyTransaction,
  request: { readonly keyId: string; readonly line: number },
  digest: string,
  now: number,
): Promise<LockedLine> {
  const row = await tx.lockLine(digest, request.line, request.keyId, now);
  if (row.keyId !== request.keyId)
    throw new KeysagaError('LineClosed', 'This line belongs to another key.', { field: 'keyId' });
  const sessions = await tx.openSessionsOfLine(digest, request.line);
  const expired = sessions.filter((s) => s.expiresAt <= now);
  for (const session of expired) await closeSession(tx, session, 'expired', now);
  return {
    open: sessions.filter((s) => s.expiresAt > now),
    expired,
    history: await tx.lineTransactions(digest, request.line),
  };
}

/** What wants to be the line's next. */
type Joining = Pick<LineTransaction, 'attempt' | 'purpose' | 'conflictKeys'> & {
  readonly line: number;
  readonly unsignedHash: string;
  readonly fee: string;
};
const joining = (
  request: PrepareSign | PreparePayout,
  { conflictKeys, fee }: DecodedTransaction,
): Joining => ({
  attempt: request.attempt,
  purpose: request.purpose,
  line: lineOf(request),
  conflictKeys,
  unsignedHash: digestHex('unsigned', request.unsigned),
  fee: `${fee}`,
});

/** Conflict with everything that may be out, one open session, the older one tombstoned. */
export async function joinLine(
  tx: PartyTransaction,
  { attempt, purpose, line, conflictKeys, unsignedHash, fee }: Joining,
  digest: string,
  { open, expired, history }: LockedLine,
  now: number,
): Promise<SessionRow[]> {
  checkLine({ attempt, purpose, conflictKeys }, history);
  for (const session of open) await closeSession(tx, session, 'superseded', now);
  await tx.insertLineTransaction({
    attempt,
    intentDigest: digest,
    line,
    purpose,
    state: 'open',
    unsignedHash,
    conflictKeys,
    fee,
    at: now,
  });
  return [...expired, ...open];
}

/** Rolling 24 h under the asset's lock; what this line already spent is not counted a second time. */
export async function reserveLimit(
  tx: PartyTransaction,
  {
    spend,
    digest,
    policy,
    share,
    now,
    standing,
  }: {
    spend: {
      readonly keyId: string;
      readonly line: number;
      readonly asset: string;
      readonly amount: string;
    };
    digest: string;
    policy: Policy;
    share: ShareRow;
    now: number;
    standing: Standing;
  },
): Promise<void> {
  const { line, keyId, asset, amount } = spend;
  const { descriptor } = share;
  // What was spent before a restore is not known, so a whole day counts as spent.
  const { daySpentAt } = standing;
  if (daySpentAt !== null && daySpentAt > now - DAY_MS)
    throw new KeysagaError('LimitExceeded', 'The limit of the day counts as spent here.', {
      field: 'amount',
      rule: 'unfenced',
      until: new Date(daySpentAt + DAY_MS).toISOString(),
    });
  await tx.lockLimit(keyId, asset);
  const entries = await tx.spentSince(keyId, asset, now - DAY_MS, {
    intentDigest: digest,
    line,
  });
  const own = entries.find((e) => e.intentDigest === digest && e.line === line);
  if (own !== undefined) return;
  requireWithinLimit({
    limit: effectiveDailyLimit(
      policy,
      limitFor(policy, descriptor.network, asset),
      descriptor.threshold,
      descriptor.parties.length,
    ),
    used: dailySpent(entries, now),
    asked: BigInt(amount),
  });
  await tx.reserveSpend({
    intentDigest: digest,
    line,
    keyId,
    asset,
    amount,
    at: now,
  });
}
