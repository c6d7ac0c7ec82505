/** Inputs of the ledger's activities, checked at the edge: a worker may be newer or older than its caller. */
import * as z from 'zod';
import { parseWith } from '../../core/parse.ts';
import { SignedApproval } from '../../schema/contracts/approval.ts';
import {
  GenerateKeyRequest,
  KeyDescriptor,
  SignedCertificate,
} from '../../schema/contracts/key.ts';
import { SignedPolicyReceipt, SigningPurpose } from '../../schema/contracts/party.ts';
import {
  ChangePolicyInput,
  PolicyQuery,
  PolicyVersion,
} from '../../schema/contracts/policy-change.ts';
import {
  DropPoolInput,
  PoolInput,
  PoolQuery,
  StockPackInput,
} from '../../schema/contracts/pool.ts';
import {
  AttemptId,
  Hex32,
  PartyId,
  PolicyId,
  RequestId,
  WalletId,
} from '../../schema/contracts/primitives.ts';
import { FailureInfo, TransferPhase } from '../../schema/contracts/saga.ts';

const TransactionId = z.string().min(1).max(128);
const WorkflowId = z.string().min(1).max(300);
const Reason = z.string().max(500);
const PartyReport = z.strictObject({
  party: PartyId,
  ok: z.boolean(),
  step: z.string().max(64),
  code: z.string().max(64).exactOptional(),
  milliseconds: z.number().nonnegative().exactOptional(),
});

export const inputs = {
  // The intent has rules beyond its shape: `parseIntent` reads it.
  reserve: z.strictObject({ intent: z.unknown(), intentDigest: Hex32, workflowId: WorkflowId }),
  release: z.strictObject({
    requestId: RequestId,
    reason: Reason,
    workflowId: WorkflowId.exactOptional(),
  }),
  recordDecision: z.strictObject({ requestId: RequestId, signed: SignedApproval }),
  passPivot: z.strictObject({
    requestId: RequestId,
    attempt: AttemptId,
    purpose: SigningPurpose,
    reports: z.array(PartyReport).max(256),
  }),
  reportParties: z.strictObject({ walletId: WalletId, reports: z.array(PartyReport).max(256) }),
  settle: z.strictObject({
    requestId: RequestId,
    transactionId: TransactionId,
    confirmations: z.int().nonnegative(),
  }),
  fail: z.strictObject({
    requestId: RequestId,
    failure: FailureInfo,
    voidTransactionId: TransactionId.exactOptional(),
    workflowId: WorkflowId.exactOptional(),
  }),
  recordPhase: z.strictObject({
    requestId: RequestId,
    phase: TransferPhase,
    reason: Reason.exactOptional(),
    workflowId: WorkflowId.exactOptional(),
  }),
  recordUndo: z.strictObject({
    requestId: RequestId,
    step: z.string().max(64),
    outcome: z.enum(['done', 'owed', 'delivered']),
    party: PartyId.exactOptional(),
    reason: Reason.exactOptional(),
  }),
  reserveMessage: z.strictObject({
    intent: z.unknown(),
    intentDigest: Hex32,
    workflowId: WorkflowId,
  }),
  recordMessageDecision: z.strictObject({ requestId: RequestId, signed: SignedApproval }),
  passMessagePivot: z.strictObject({
    requestId: RequestId,
    attempt: AttemptId,
    reports: z.array(PartyReport).max(256),
  }),
  failMessage: z.strictObject({ requestId: RequestId, failure: FailureInfo }),
  reserveKey: z.strictObject({ request: GenerateKeyRequest, workflowId: WorkflowId }),
  certifyKey: z.strictObject({
    requestId: RequestId,
    key: KeyDescriptor,
    certificates: z.array(SignedCertificate).min(2).max(16),
  }),
  activateWallet: z.strictObject({ requestId: RequestId, activated: z.array(PartyId).max(16) }),
  recordActivation: z.strictObject({ requestId: RequestId, party: PartyId }),
  proposePolicy: ChangePolicyInput.omit({ redeliver: true }).extend({ workflowId: WorkflowId }),
  recordPolicyReceipt: z.strictObject({ signed: SignedPolicyReceipt }),
  recordPolicyFork: z.strictObject({
    policyId: PolicyId,
    version: PolicyVersion,
    policyHash: Hex32,
    party: PartyId,
    reason: Reason,
  }),
  policyVersions: z.strictObject({ policyId: PolicyId, from: PolicyVersion, to: PolicyVersion }),
  policyWaiters: z.strictObject({ policyId: PolicyId }),
  transferPolicy: z.strictObject({ requestId: RequestId }),
  readPolicy: PolicyQuery,
  stockPack: StockPackInput,
  lookAtPool: PoolInput.pick({ walletId: true, signers: true }),
  dropPool: DropPoolInput,
  readPools: PoolQuery,
  failKey: z.strictObject({ requestId: RequestId, failure: FailureInfo }),
} as const;

export const parse = <N extends keyof typeof inputs>(
  name: N,
  input: unknown,
): z.infer<(typeof inputs)[N]> =>
  // TypeScript does not see that indexing and inference agree for every N.
  parseWith(inputs[name] as unknown as z.ZodType<z.infer<(typeof inputs)[N]>>, input, name);
