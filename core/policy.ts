/** The administrators' rules: are they sound, who signed them, and what do they say about an asset. */
import { KeysagaError } from '../schema/contracts/errors.ts';
import { type AssetLimit, Policy, SignedPolicy } from '../schema/contracts/policy.ts';
import { parseWith } from './parse.ts';
import { digestHex, type VerifySignature, verifySigned } from './signed.ts';

/** SHA-256 of `keysaga/policy/v1`, hex: how sessions, certificates and receipts name a version. */
export const policyHash = (policy: Policy): string => digestHex('policy', policy);

const refuse = (field: string, message: string): never => {
  throw new KeysagaError('InvalidInput', `policy: ${field}: ${message}`, { field });
};

/** Refuses the first entry whose key has been seen; `field` is its path. */
function requireUnique<T>(
  items: readonly T[],
  key: (item: T) => string,
  field: (index: number) => string,
): void {
  const seen = new Set<string>();
  items.forEach((item, index) => {
    if (seen.has(key(item))) refuse(field(index), 'appears twice');
    seen.add(key(item));
  });
}

/**
 * A policy that can be lived by: quorum within the approvers, nobody and no key twice, one limit per asset, a
 * void cap for each network with a limit. Throws `InvalidInput` with `field`.
 */
export function checkPolicy(policy: Policy): void {
  parseWith(Policy, policy, 'policy');
  const { approvers, limits, voidFeeCaps, allowList } = policy;
  if (policy.quorum > approvers.length) refuse('quorum', 'is above the number of approvers');
  requireUnique(
    approvers,
    (a) => a.name,
    (i) => `approvers.${i}.name`,
  );
  requireUnique(
    approvers,
    (a) => a.publicKey,
    (i) => `approvers.${i}.publicKey`,
  );
  requireUnique(
    limits,
    (l) => `${l.network} ${l.asset}`,
    (i) => `limits.${i}.asset`,
  );
  requireUnique(
    voidFeeCaps,
    (c) => c.network,
    (i) => `voidFeeCaps.${i}.network`,
  );
  requireUnique(
    allowList ?? [],
    (a) => `${a.network} ${a.destination}`,
    (i) => `allowList.${i}.destination`,
  );
  limits.forEach((limit, i) => {
    if (BigInt(limit.perTransfer) > BigInt(limit.perDay))
      refuse(`limits.${i}.perTransfer`, 'is above perDay');
    // Without a cap no void could be signed, so no payment may be either: better said here than at prepare.
    if (!voidFeeCaps.some((c) => c.network === limit.network))
      refuse('voidFeeCaps', `has none for ${limit.network}`);
  });
  voidFeeCaps.forEach((c, i) => {
    if (BigInt(c.cap) === 0n) refuse(`voidFeeCaps.${i}.cap`, 'must be positive');
  });
  if (policy.version === 1 && policy.previous !== undefined)
    refuse('previous', 'version 1 has no predecessor');
  if (policy.version > 1 && policy.previous === undefined)
    refuse('previous', 'names the version before');
}

/** As the verifier's own configuration pins them. */
export type Administrator = { readonly name: string; readonly publicKey: string };

/**
 * The policy is sound and k distinct pinned administrators signed it; answers with its hash. Signatures in names
 * that are not pinned here do not count; one in a pinned name that does not verify refuses the whole document.
 * Throws `InvalidInput` (malformed or unsound; k or the pinned list unusable: field `administrators`),
 * `ApprovalInvalid` (`signatures.<i>`), `QuorumMissing` (`have`, `need`) and `PolicyViolation` (`approvers`: an
 * administrator may not approve transfers as well).
 */
export function verifySignedPolicy(
  signed: SignedPolicy,
  administrators: readonly Administrator[],
  k: number,
  verify?: VerifySignature,
): string {
  const { policy, signatures } = parseWith(SignedPolicy, signed, 'signed policy');
  checkPolicy(policy);
  const names = new Set(administrators.map((a) => a.name));
  const keys = new Set(administrators.map((a) => a.publicKey));
  if (!Number.isInteger(k) || k < 1 || k > administrators.length)
    refuse('administrators', 'the quorum is not within the pinned list');
  if (names.size !== administrators.length || keys.size !== administrators.length)
    refuse('administrators', 'a name or key is pinned twice');
  const shared = policy.approvers.findIndex((a) => keys.has(a.publicKey));
  if (shared >= 0)
    throw new KeysagaError('PolicyViolation', 'An administrator may not be an approver.', {
      field: `approvers.${shared}.publicKey`,
    });
  const counted = new Set<string>();
  signatures.forEach((entry, index) => {
    const pinned = administrators.find((a) => a.name === entry.administrator);
    if (pinned === undefined) return;
    if (
      pinned.publicKey !== entry.publicKey ||
      !verifySigned('policy', policy, pinned.publicKey, entry.signature, verify)
    )
      throw new KeysagaError(
        'ApprovalInvalid',
        `The signature of ${entry.administrator} does not verify.`,
        {
          field: `signatures.${index}`,
          administrator: entry.administrator,
        },
      );
    counted.add(pinned.name);
  });
  if (counted.size < k)
    throw new KeysagaError('QuorumMissing', `${counted.size} of ${k} administrators signed.`, {
      field: 'signatures',
      have: counted.size,
      need: k,
    });
  return policyHash(policy);
}

/**
 * The policy that may follow `current` at a holder of it: same id, next version, naming the hash of the one
 * before. Throws `PolicyViolation` (`policyId`, `version`, `previous`; `holds`: the current version).
 */
export function checkSuccession(current: Policy, next: Policy): void {
  const violated = (field: string): never => {
    throw new KeysagaError(
      'PolicyViolation',
      `The policy does not follow version ${current.version}: ${field}.`,
      { field, holds: current.version },
    );
  };
  if (next.policyId !== current.policyId) violated('policyId');
  if (next.version !== current.version + 1) violated('version');
  if (next.previous !== policyHash(current)) violated('previous');
}

/** The limit of an asset; `PolicyViolation` (`asset`) when the policy has none, since what is not limited is not allowed. */
export function limitFor(policy: Policy, network: string, asset: string): AssetLimit {
  const limit = policy.limits.find((l) => l.network === network && l.asset === asset);
  if (limit !== undefined) return limit;
  throw new KeysagaError('PolicyViolation', `The policy has no limit for ${asset} on ${network}.`, {
    field: 'asset',
    network,
    asset,
  });
}

/**
 * What one party enforces per rolling day, in the smallest unit: L, or ⌊L·t/n⌋ under `strictDailyLimit`. Each
 * transfer is counted by at least t of n parties, so n parties with L·t/n each let no more than L through,
 * however the signer sets rotate; with L each it would be L·n/t.
 */
export function effectiveDailyLimit(
  policy: Policy,
  limit: AssetLimit,
  threshold: number,
  parties: number,
): bigint {
  const whole = BigInt(limit.perDay);
  return policy.strictDailyLimit ? (whole * BigInt(threshold)) / BigInt(parties) : whole;
}

/** Highest fee of a void on the network; `PolicyViolation` (`voidFeeCaps`) when the policy has none. */
export function voidFeeCap(policy: Policy, network: string): bigint {
  const entry = policy.voidFeeCaps.find((c) => c.network === network);
  if (entry !== undefined) return BigInt(entry.cap);
  throw new KeysagaError('PolicyViolation', `The policy has no void fee cap for ${network}.`, {
    field: 'voidFeeCaps',
    network,
  });
}
