/** The saga that carries a policy change to every party: its input, its status, and what the ledger knows of versions. */
import * as z from 'zod';
import { SignedPolicyReceipt } from './party.ts';
import { SignedPolicy } from './policy.ts';
import { Hex32, IsoTime, PartyId, PolicyId, RequestId, WalletId } from './primitives.ts';
import { FailureInfo } from './saga.ts';

export const PolicyVersion = z.int().min(1).max(1_000_000_000);

export const ChangePolicyInput = z.strictObject({
  signed: SignedPolicy,
  /** `keysaga/policy/v1` digest of the document; another one is refused. */
  policyHash: Hex32,
  /** To every party, whatever receipts stand: one that was restored from a copy has lost what it had taken since. */
  redeliver: z.boolean().exactOptional(),
});
export type ChangePolicyInput = z.infer<typeof ChangePolicyInput>;

/**
 * Wallets that are ruled by the policy and share parties and threshold: for them the version before is dead when
 * n − t + 1 parties hold the new one (no t hold the old one), and the new one is usable when t do. Since 2t > n, dead
 * comes first or at once; in between no transfer of these wallets is signed.
 */
export const PolicyGroup = z.strictObject({
  parties: z.array(PartyId).min(1).max(64),
  threshold: z.int().min(1).max(64),
  /** How many wallets; 0: the parties as a whole, while no wallet has the policy yet. */
  wallets: z.int().nonnegative(),
  /** Receipts of these parties. */
  held: z.int().nonnegative(),
  deadAt: z.int().min(1),
  usableAt: z.int().min(1),
});
export type PolicyGroup = z.infer<typeof PolicyGroup>;

/** How far one version has come, by the receipts that the ledger verified. */
export const PolicyProgress = z.strictObject({
  policyId: PolicyId,
  version: PolicyVersion,
  policyHash: Hex32,
  /** Everyone whom it is delivered to. */
  parties: z.array(PartyId).max(64),
  /** Those whose signed receipt stands in the ledger. */
  received: z.array(PartyId).max(64),
  groups: z.array(PolicyGroup).max(256),
  /** In every group no t parties hold the version before any more. */
  previousDead: z.boolean(),
  /** In every group t parties hold it. */
  usable: z.boolean(),
  /** Every party holds it. */
  complete: z.boolean(),
});
export type PolicyProgress = z.infer<typeof PolicyProgress>;

export const PolicyChangePhase = z.enum([
  'Proposing',
  'Delivering',
  /** Usable, and some party has yet to take it. */
  'InForce',
  'Complete',
  'Failed',
]);
export type PolicyChangePhase = z.infer<typeof PolicyChangePhase>;

export const PolicyDeliveryStatus = z.strictObject({
  party: PartyId,
  /**
   * `waiting`: no answer yet. `received`: its receipt was verified. `refused`: it answered no and is asked again.
   * `forked`: it holds another document of this version, which no repetition can change.
   */
  state: z.enum(['waiting', 'received', 'refused', 'forked']),
  since: IsoTime,
  tries: z.int(),
  lastError: z.string().exactOptional(),
});
export type PolicyDeliveryStatus = z.infer<typeof PolicyDeliveryStatus>;

/** Answer of the `status` query of a policy change. */
export const PolicyChangeStatus = z.strictObject({
  phase: PolicyChangePhase,
  policyId: PolicyId,
  version: PolicyVersion,
  policyHash: Hex32,
  parties: z.array(PolicyDeliveryStatus),
  groups: z.array(PolicyGroup),
  previousDead: z.boolean(),
  usable: z.boolean(),
  complete: z.boolean(),
  /** Waiting transfers that were told to look at the new version. */
  announced: z.int(),
  waitingFor: z.string(),
  failure: FailureInfo.exactOptional(),
  phasesMs: z.record(z.string(), z.int()),
});
export type PolicyChangeStatus = z.infer<typeof PolicyChangeStatus>;

/** Result of a policy change that every party took. */
export const PolicyChangeResult = z.strictObject({
  policyId: PolicyId,
  version: PolicyVersion,
  policyHash: Hex32,
  received: z.array(PartyId),
});
export type PolicyChangeResult = z.infer<typeof PolicyChangeResult>;

/** One version as the ledger knows it. */
export const KnownPolicyVersion = z.strictObject({
  version: PolicyVersion,
  policyHash: Hex32,
  signed: SignedPolicy,
  /** Absent: it came with the installation (`initialPolicies`), not by a saga. */
  workflowId: z.string().exactOptional(),
  receipts: z.array(SignedPolicyReceipt).max(64),
  /** Parties that hold another document of this version. */
  forked: z.array(PartyId).max(64),
  progress: PolicyProgress,
});
export type KnownPolicyVersion = z.infer<typeof KnownPolicyVersion>;

/** The version in force and those proposed after it, newest last. */
export const PolicyView = z.strictObject({
  policyId: PolicyId,
  /** The version whose approvers and limits count for new transfers: of the wallet asked for, else of all wallets. */
  inForce: PolicyVersion.exactOptional(),
  versions: z.array(KnownPolicyVersion).min(1).max(64),
});
export type PolicyView = z.infer<typeof PolicyView>;

export const PolicyQuery = z.union([
  z.strictObject({ policyId: PolicyId }),
  z.strictObject({ walletId: WalletId }),
]);
export type PolicyQuery = z.infer<typeof PolicyQuery>;

/** The version that counts for one transfer now. */
export const TransferPolicy = z.strictObject({
  signed: SignedPolicy,
  policyHash: Hex32,
  /** A newer version is on its way: what it still lacks until it can be used for this wallet. */
  next: z
    .strictObject({
      version: PolicyVersion,
      held: z.int().nonnegative(),
      usableAt: z.int().min(1),
      /** Fewer than t parties are left with the version in force: nothing is signed until the next one is usable. */
      currentDead: z.boolean(),
    })
    .exactOptional(),
});
export type TransferPolicy = z.infer<typeof TransferPolicy>;

/** Wakes a transfer that waits: the version in force may be another one. Carries nothing that is believed. */
export const PolicyWaiters = z.strictObject({
  /** Of transfers. */
  requestIds: z.array(RequestId).max(500),
  /** Absent in answers of an earlier release. */
  payouts: z.array(RequestId).max(500).exactOptional(),
});
export type PolicyWaiters = z.infer<typeof PolicyWaiters>;
