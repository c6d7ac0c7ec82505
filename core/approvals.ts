/** Approvers' words about an intent: who counts, when, and when there are enough. */
import {
  type Approval,
  Approval as ApprovalSchema,
  SignedApproval,
} from '../schema/contracts/approval.ts';
import { type ErrorCode, isKeysagaError, KeysagaError } from '../schema/contracts/errors.ts';
import type { Policy } from '../schema/contracts/policy.ts';
import type { ApproverId } from '../schema/contracts/primitives.ts';
import { parseWith } from './parse.ts';
import { publicKeyOf, signObject, type VerifySignature, verifySigned } from './signed.ts';

/** An approver's clock may be ahead of the judge's by this much: an approval dated later does not count yet. */
export const CLOCK_SKEW_MS = 300_000;

export type ApprovalCheck = {
  readonly signed: SignedApproval;
  /** Hex; computed by the judge from the intent, never received. */
  readonly intentDigest: string;
  readonly policy: Policy;
  /** Milliseconds since the epoch, the judge's own clock. */
  readonly now: number;
  readonly verify?: VerifySignature | undefined;
};

/** Reads a signed approval from outside (a raw signal). Throws `InvalidInput` naming the field. */
export const parseSignedApproval = (x: unknown): SignedApproval =>
  parseWith(SignedApproval, x, 'approval');

/**
 * Is this the word of an approver of the policy about this very intent, and does it stand now? Throws
 * `ApproverUnknown`, `ApprovalInvalid` (`field`), `ApprovalExpired`. A rejection has no end and no beginning: once
 * signed it stands whatever its dates say, since waiting one out must not be a way around it.
 */
export function checkApproval(check: ApprovalCheck): void {
  checkAuthorship(check);
  const { approval } = check.signed;
  if (approval.decision === 'reject') return;
  checkDates(approval, check.now);
  if (Date.parse(approval.validUntil) <= check.now)
    throw new KeysagaError(
      'ApprovalExpired',
      `The approval of ${approval.approver} was valid until ${approval.validUntil}.`,
      {
        field: 'validUntil',
        approver: approval.approver,
      },
    );
}

function checkAuthorship({ signed, intentDigest, policy, verify }: ApprovalCheck): void {
  function invalid(field: string, message: string): never {
    throw new KeysagaError('ApprovalInvalid', message, {
      field,
      approver: String(signed?.approval?.approver).slice(0, 64),
    });
  }
  // Signals reach a workflow unread: one that is no approval at all must not look like a defect.
  const shape = SignedApproval.safeParse(signed);
  if (!shape.success) {
    const path = shape.error.issues[0]?.path.map(String).join('.');
    invalid(path === undefined || path === '' ? 'approval' : path, 'The approval is malformed.');
  }
  const { approval, publicKey, signature } = signed;
  const named = policy.approvers.filter((a) => a.name === approval.approver);
  if (named.length === 0)
    throw new KeysagaError(
      'ApproverUnknown',
      `The policy names no approver ${approval.approver}.`,
      {
        field: 'approver',
        approver: approval.approver,
        policy: policy.policyId,
        version: policy.version,
      },
    );
  if (!named.some((a) => a.publicKey === publicKey))
    invalid('publicKey', `The policy has another key for ${approval.approver}.`);
  if (approval.intentDigest !== intentDigest)
    invalid('intentDigest', 'The approval is about another intent.');
  if (!verifySigned('approval', approval, publicKey, signature, verify))
    invalid('signature', `The signature of ${approval.approver} does not verify.`);
}

function checkDates(approval: Approval, now: number): void {
  const at = Date.parse(approval.at);
  const invalid = (field: string, message: string): never => {
    throw new KeysagaError('ApprovalInvalid', message, { field, approver: approval.approver });
  };
  if (Date.parse(approval.validUntil) <= at)
    invalid('validUntil', 'The approval ends before it begins.');
  if (at > now + CLOCK_SKEW_MS)
    invalid('at', 'The approval is dated more than 5 minutes in the future.');
}

export type CountInput = Omit<ApprovalCheck, 'signed'> & {
  readonly approvals: readonly SignedApproval[];
  /** Approvals must stay valid for longer than this from now: the life of the session that relies on them. */
  readonly horizonMs: number;
};

export type Count = {
  readonly approved: ApproverId[];
  /** Policy approvers who signed a rejection; an approval of the same person no longer counts. */
  readonly rejected: ApproverId[];
  /** Policy approvers who neither approved nor rejected. */
  readonly missing: ApproverId[];
  /** Approvals that do not count, by their index, with the reason. */
  readonly invalid: {
    readonly index: number;
    readonly code: ErrorCode;
    readonly message: string;
  }[];
};

/** Sorts the list: what counts as an approval now, who rejected, what does not count and why. */
function judge(input: CountInput): {
  readonly granted: SignedApproval[];
  readonly rejected: Set<ApproverId>;
  readonly invalid: Count['invalid'];
} {
  const invalid: Count['invalid'] = [];
  const rejected = new Set<ApproverId>();
  const granted: SignedApproval[] = [];
  input.approvals.forEach((signed, index) => {
    try {
      checkApproval({ ...input, signed });
      const { approver, decision, validUntil } = signed.approval;
      if (decision === 'reject') {
        rejected.add(approver);
        return;
      }
      if (Date.parse(validUntil) <= input.now + input.horizonMs)
        throw new KeysagaError(
          'ApprovalExpired',
          `The approval of ${approver} ends within the session's life.`,
          { field: 'validUntil', approver },
        );
      granted.push(signed);
    } catch (error) {
      if (!isKeysagaError(error)) throw error;
      invalid.push({ index, code: error.code, message: error.message });
    }
  });
  return { granted, rejected, invalid };
}

/**
 * Counts approvers, not approvals: a name counts once and so does a key, whatever the policy or the list repeat.
 * Never throws for a bad approval: it stands in `invalid`, and says nothing about the others.
 */
export function countApprovals(input: CountInput): Count {
  const { granted, rejected, invalid } = judge(input);
  const approved = distinct(granted).filter((name) => !rejected.has(name));
  const missing = [...new Set(input.policy.approvers.map((a) => a.name))].filter(
    (name) => !approved.includes(name) && !rejected.has(name),
  );
  return { approved, rejected: [...rejected], missing, invalid };
}

/** Names in order of first sight, none twice and none by a key that has counted already. */
function distinct(approvals: readonly SignedApproval[]): ApproverId[] {
  const names = new Set<ApproverId>();
  const keys = new Set<string>();
  for (const { approval, publicKey } of approvals) {
    if (names.has(approval.approver) || keys.has(publicKey)) continue;
    names.add(approval.approver);
    keys.add(publicKey);
  }
  return [...names];
}

/**
 * The policy's quorum stands, and nobody of the policy rejected. Throws `IntentRejected` (`by`) or
 * `QuorumMissing` (`have`, `need`, `missing`).
 */
export function requireQuorum(input: CountInput): Count {
  const count = countApprovals(input);
  if (count.rejected.length > 0)
    throw new KeysagaError('IntentRejected', `Rejected by ${count.rejected.join(', ')}.`, {
      by: count.rejected,
    });
  requireEnough(count.approved.length, input.policy.quorum, count.missing);
  return count;
}

function requireEnough(have: number, need: number, missing: readonly string[]): void {
  // A quorum below one would let an empty list approve; no valid policy has it.
  if (have >= need && need >= 1) return;
  throw new KeysagaError('QuorumMissing', `${have} of ${need} approvals.`, {
    field: 'approvals',
    have,
    need,
    missing,
  });
}

/**
 * For a void only: the intent was approved once. Later expiry and rejections do not matter, but there must have
 * been a moment at which a quorum's approvals were in force together, so that never-approved intents buy no void.
 * Give the policy under which they were counted then. Throws `QuorumMissing`.
 */
export function requireOnceValidQuorum(input: Omit<CountInput, 'horizonMs'>): ApproverId[] {
  const valid = input.approvals.filter((signed) => {
    if (signed.approval.decision !== 'approve') return false;
    try {
      checkAuthorship({ ...input, signed });
      checkDates(signed.approval, input.now);
      return true;
    } catch (error) {
      if (!isKeysagaError(error)) throw error;
      return false;
    }
  });
  const begin = (s: SignedApproval): number => Date.parse(s.approval.at) - CLOCK_SKEW_MS;
  // The number in force can only grow where one begins, so these moments are all that matter.
  let best: ApproverId[] = [];
  for (const moment of valid.map(begin)) {
    const names = distinct(
      valid.filter((s) => begin(s) <= moment && moment < Date.parse(s.approval.validUntil)),
    );
    if (names.length > best.length) best = names;
  }
  requireEnough(best.length, input.policy.quorum, []);
  return best;
}

/**
 * When the policy's start delay is over: milliseconds since the epoch. The delay runs from the approval that
 * completed the quorum, by the approvers' own signed times. Throws as `requireQuorum` does.
 */
export function earliestStart(input: CountInput): number {
  const { approved } = requireQuorum(input);
  const { granted } = judge(input);
  // An approver's clock may be ahead (see CLOCK_SKEW_MS): nothing is approved later than now.
  const since = (name: ApproverId): number =>
    Math.min(
      input.now,
      ...granted.filter((s) => s.approval.approver === name).map((s) => Date.parse(s.approval.at)),
    );
  const times = approved.map(since).sort((a, b) => a - b);
  const complete = times[input.policy.quorum - 1] ?? Number.POSITIVE_INFINITY;
  return complete + input.policy.startDelaySeconds * 1000;
}

/** Throws `PolicyViolation` (`startDelaySeconds`, with `startsAt`) while the policy's start delay runs. */
export function requireStartDelay(input: CountInput): void {
  const startsAt = earliestStart(input);
  if (input.now < startsAt)
    throw new KeysagaError('PolicyViolation', 'The start delay of the policy has not passed.', {
      field: 'startDelaySeconds',
      startsAt,
    });
}

/** Signs with a 32-byte Ed25519 seed. Throws `InvalidInput` for a malformed approval or one that ends before it begins. */
export function signApproval(approval: Approval, secretKey: Uint8Array): SignedApproval {
  const parsed = parseWith(ApprovalSchema, approval, 'approval');
  if (Date.parse(parsed.validUntil) <= Date.parse(parsed.at))
    throw new KeysagaError('InvalidInput', 'approval: validUntil: must be later than at', {
      field: 'validUntil',
    });
  return {
    approval: parsed,
    publicKey: publicKeyOf(secretKey),
    signature: signObject('approval', parsed, secretKey),
  };
}
