/**
 * Domain events, append-only. Types are versioned by suffix; a stored event never changes its shape.
 * Streams: `transfer-<requestId>`, `wallet-<walletId>`, `key-<keyId>`, `policy-<policyId>`, `anchor-<requestId>`,
 * `message-<requestId>`. A payout's is `transfer-<requestId>` too: request ids of the two are one space.
 */
import * as z from 'zod';
import { SignedApproval } from './approval.ts';
import { Anchor, TransferIntent } from './intent.ts';
import { GenerateKeyRequest, KeyDescriptor, SignedCertificate } from './key.ts';
import { MessageIntent } from './message.ts';
import { SignedMessage } from './message-saga.ts';
import { SignedPolicyReceipt } from './party.ts';
import { PayoutIntent } from './payout.ts';
import { SignedPolicy } from './policy.ts';
import {
  AccountPath,
  AttemptId,
  Caip2,
  Decimal,
  Hex32,
  IsoTime,
  PartyId,
  PolicyId,
  RequestId,
  WalletId,
} from './primitives.ts';
import { FailureInfo } from './saga.ts';
import { BroadcastOutcome, SignedTransaction, UnsignedTransaction } from './transaction.ts';

const purpose = z.enum(['payment', 'void']);
const transfer = { requestId: RequestId };

/** type → data. The `v1` suffix is part of the type name on the wire (`keysaga.transfer.initiated.v1`). */
export const EVENTS = {
  'keysaga.transfer.initiated.v1': z.strictObject({
    ...transfer,
    workflowId: z.string(),
    intent: TransferIntent,
    intentDigest: Hex32,
    policyHash: Hex32,
  }),
  /** A payout begins; from here on its events are a transfer's. */
  'keysaga.payout.initiated.v1': z.strictObject({
    ...transfer,
    workflowId: z.string(),
    intent: PayoutIntent,
    intentDigest: Hex32,
    policyHash: Hex32,
  }),
  'keysaga.transfer.decision-recorded.v1': z.strictObject({ ...transfer, signed: SignedApproval }),
  'keysaga.transfer.transaction-built.v1': z.strictObject({
    ...transfer,
    purpose,
    unsigned: UnsignedTransaction,
    fee: Decimal,
    leases: z.array(z.string()),
  }),
  'keysaga.transfer.pivot-passed.v1': z.strictObject({ ...transfer, purpose, attempt: AttemptId }),
  'keysaga.transfer.transaction-signed.v1': z.strictObject({
    ...transfer,
    purpose,
    attempt: AttemptId,
    signers: z.array(PartyId),
    signed: SignedTransaction,
  }),
  'keysaga.transfer.broadcast.v1': z.strictObject({
    ...transfer,
    purpose,
    id: z.string(),
    outcome: BroadcastOutcome,
  }),
  'keysaga.transfer.confirmed.v1': z.strictObject({
    ...transfer,
    purpose,
    id: z.string(),
    confirmations: z.int(),
  }),
  /** Final on chain: `included` with effect, `failed` without, `conflicted` when another transaction took its input or nonce. */
  'keysaga.transfer.finalized.v1': z.strictObject({
    ...transfer,
    purpose,
    id: z.string(),
    outcome: z.enum(['included', 'failed', 'conflicted']),
    confirmations: z.int().nonnegative(),
    by: z.string().exactOptional(),
  }),
  'keysaga.transfer.phase-changed.v1': z.strictObject({
    ...transfer,
    phase: z.string(),
    reason: z.string().exactOptional(),
  }),
  'keysaga.transfer.lease-released.v1': z.strictObject({
    ...transfer,
    leases: z.array(z.string()),
  }),
  /** Later transactions of the account wait for the nonce that it would give back: kept, until its void has used it. */
  'keysaga.transfer.gap-claimed.v1': z.strictObject({ ...transfer, resource: z.string() }),
  'keysaga.transfer.undo-recorded.v1': z.strictObject({
    ...transfer,
    step: z.string(),
    outcome: z.enum(['done', 'owed', 'delivered']),
    party: PartyId.exactOptional(),
    reason: z.string().exactOptional(),
  }),
  /** From here on its approvals are counted, and its sessions bound, under this version. */
  'keysaga.transfer.policy-changed.v1': z.strictObject({ ...transfer, policyHash: Hex32 }),
  'keysaga.transfer.completed.v1': z.strictObject({
    ...transfer,
    transactionId: z.string(),
    confirmations: z.int(),
  }),
  'keysaga.transfer.failed.v1': z.strictObject({
    ...transfer,
    failure: FailureInfo,
    voidTransactionId: z.string().exactOptional(),
  }),
  'keysaga.message.initiated.v1': z.strictObject({
    ...transfer,
    workflowId: z.string(),
    intent: MessageIntent,
    intentDigest: Hex32,
    policyHash: Hex32,
  }),
  'keysaga.message.decision-recorded.v1': z.strictObject({ ...transfer, signed: SignedApproval }),
  /** The signature may be out from here on, and nothing on a chain could make it worthless. */
  'keysaga.message.pivot-passed.v1': z.strictObject({ ...transfer, attempt: AttemptId }),
  'keysaga.message.signed.v1': z.strictObject({
    ...transfer,
    attempt: AttemptId,
    signers: z.array(PartyId),
    signed: SignedMessage,
  }),
  'keysaga.message.undo-recorded.v1': z.strictObject({
    ...transfer,
    step: z.string(),
    outcome: z.enum(['done', 'owed', 'delivered']),
    party: PartyId.exactOptional(),
    reason: z.string().exactOptional(),
  }),
  'keysaga.message.failed.v1': z.strictObject({ ...transfer, failure: FailureInfo }),
  /** Before the transfer begins: what its intent may name as its anchor. */
  'keysaga.anchor.leased.v1': z.strictObject({
    ...transfer,
    walletId: WalletId,
    network: Caip2,
    anchor: Anchor,
    resource: z.string(),
    until: IsoTime,
  }),
  /** No transfer took it; nothing is leased to this request id any more. */
  'keysaga.anchor.given-back.v1': z.strictObject({ ...transfer, reason: z.string() }),
  'keysaga.wallet.activated.v1': z.strictObject({ walletId: WalletId, key: KeyDescriptor }),
  'keysaga.wallet.funds-reserved.v1': z.strictObject({
    walletId: WalletId,
    requestId: RequestId,
    asset: z.string(),
    amount: Decimal,
    feeCap: Decimal,
    at: z.string(),
    /** The account that pays, where it is a child's. */
    path: AccountPath.exactOptional(),
  }),
  'keysaga.wallet.funds-released.v1': z.strictObject({
    walletId: WalletId,
    requestId: RequestId,
    reason: z.string(),
  }),
  'keysaga.wallet.funds-spent.v1': z.strictObject({
    walletId: WalletId,
    requestId: RequestId,
    transactionId: z.string(),
    at: z.string(),
  }),
  'keysaga.key.requested.v1': z.strictObject({
    request: GenerateKeyRequest,
    workflowId: z.string(),
    protocol: z.string(),
    policyHash: Hex32,
  }),
  'keysaga.key.certified.v1': z.strictObject({
    key: KeyDescriptor,
    certificates: z.array(SignedCertificate),
  }),
  'keysaga.key.generated.v1': z.strictObject({ key: KeyDescriptor, activated: z.array(PartyId) }),
  'keysaga.key.party-activated.v1': z.strictObject({ keyId: WalletId, party: PartyId }),
  'keysaga.key.failed.v1': z.strictObject({ requestId: RequestId, failure: FailureInfo }),
  /** It counts for new transfers: from its installation, or since t parties of some wallet's hold it. */
  'keysaga.policy.adopted.v1': z.strictObject({ signed: SignedPolicy, policyHash: Hex32 }),
  /** Signed by the administrators and chained to the version before; on its way to the parties. */
  'keysaga.policy.proposed.v1': z.strictObject({
    signed: SignedPolicy,
    policyHash: Hex32,
    workflowId: z.string(),
  }),
  /** A party holds it, under its own signature. */
  'keysaga.policy.receipt-recorded.v1': z.strictObject({ signed: SignedPolicyReceipt }),
  /** A party holds another document of this version: the administrators signed two. */
  'keysaga.policy.forked.v1': z.strictObject({
    policyId: PolicyId,
    version: z.int(),
    policyHash: Hex32,
    party: PartyId,
    reason: z.string(),
  }),
} as const;

export type EventType = keyof typeof EVENTS;
export type EventData<T extends EventType> = z.infer<(typeof EVENTS)[T]>;
/** An event as a command decides it; the store adds stream, version, position and time. */
export type DomainEvent = {
  [T in EventType]: { readonly type: T; readonly data: EventData<T> };
}[EventType];

export const streams = {
  transfer: (id: RequestId) => `transfer-${id}`,
  wallet: (id: WalletId) => `wallet-${id}`,
  key: (id: string) => `key-${id}`,
  policy: (id: string) => `policy-${id}`,
  anchor: (id: RequestId) => `anchor-${id}`,
  message: (id: RequestId) => `message-${id}`,
} as const;
