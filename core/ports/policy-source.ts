/** `Policy` port of the coordinator: which signed policy is in force. Parties keep their own copies. */
import type { SignedPolicy } from '../../schema/contracts/policy.ts';
import type { TransferPolicy } from '../../schema/contracts/policy-change.ts';

export interface PolicySource {
  /** The newest version that counts for some wallet. Throws `PolicyUnknown`. */
  current(policyId: string): Promise<{ signed: SignedPolicy; hash: string }>;
  /** The newest version that t of a key's parties hold, with what a newer one lacks. Throws `PolicyUnknown`. */
  inForce(
    policyId: string,
    key: { readonly parties: readonly string[]; readonly threshold: number },
  ): Promise<{ signed: SignedPolicy; hash: string; next?: TransferPolicy['next'] }>;
}

/** What a policy rules, from the read side: it may lag behind the log by a moment. */
export interface PolicySubjects {
  /** Parties and threshold of every key that was certified under the policy. */
  keys(policyId: string): Promise<
    readonly {
      readonly parties: readonly string[];
      readonly threshold: number;
      /** How many wallets are alike in both. */
      readonly wallets: number;
    }[]
  >;
  /** Request ids of the policy's transfers that have neither ended nor been signed, oldest first. */
  waiting(
    policyId: string,
    limit: number,
  ): Promise<readonly { readonly requestId: string; readonly workflowId: string }[]>;
}
