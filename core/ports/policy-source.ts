/** `Policy` port of the coordinator: which signed policy is in force. Parties keep their own copies. */
import type { SignedPolicy } from '../../schema/contracts/policy.ts';

export interface PolicySource {
  /** Throws `PolicyUnknown`. */
  current(policyId: string): Promise<{ signed: SignedPolicy; hash: string }>;
}
