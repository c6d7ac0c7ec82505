/** An approver's signed word about one intent. */
import * as z from 'zod';
import { ApproverId, Ed25519PublicKey, Ed25519Signature, Hex32, IsoTime } from './primitives.ts';

export const Decision = z.enum(['approve', 'reject']);
export type Decision = z.infer<typeof Decision>;

/** The signed object; `intentDigest` is hex of the intent's SHA-256. */
export const Approval = z.strictObject({
  intentDigest: Hex32,
  approver: ApproverId,
  decision: Decision,
  at: IsoTime,
  validUntil: IsoTime,
});
export type Approval = z.infer<typeof Approval>;

/** Ed25519 over `keysaga/approval/v1` + LF + JCS(approval), by the key the policy names for this approver. */
export const SignedApproval = z.strictObject({
  approval: Approval,
  publicKey: Ed25519PublicKey,
  signature: Ed25519Signature,
});
export type SignedApproval = z.infer<typeof SignedApproval>;
