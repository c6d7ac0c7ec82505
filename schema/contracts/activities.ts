/**
 * The activities as their callers see them. Workflows import these types only; `create…Activities(deps)` in
 * `activities/` implements them. Every one is idempotent: a repeat with the same input gives the same answer or
 * finds the work done.
 */
import type { AccountsQuery, AccountsView } from './account.ts';
import type { SignedApproval } from './approval.ts';
import type { AnchorRequest, LeasedAnchor, TransferIntent } from './intent.ts';
import type { GenerateKeyRequest, KeyDescriptor, ProtocolId, SignedCertificate } from './key.ts';
import type { MessageIntent } from './message.ts';
import type { SignedMessage } from './message-saga.ts';
import type { SignedOrder, SignedOrderReceipt } from './order.ts';
import type {
  AbortAnswer,
  AbortRequest,
  ActivateAnswer,
  ActivateRequest,
  DestroyAnswer,
  DestroyRequest,
  Envelope,
  PartyHealth,
  PrepareRequest,
  RoundAnswer,
  RoundRequest,
  SignedPolicyReceipt,
  SignedPrepareAnswer,
} from './party.ts';
import type { PayoutIntent } from './payout.ts';
import type { SignedPolicy } from './policy.ts';
import type {
  PolicyProgress,
  PolicyQuery,
  PolicyView,
  PolicyWaiters,
  TransferPolicy,
} from './policy-change.ts';
import type {
  DropPoolInput,
  PooledPresignature,
  PoolQuery,
  PoolRef,
  PoolStock,
  PoolView,
  StockPackInput,
} from './pool.ts';
import type { AttemptId, PartyId, PolicyId, RequestId, WalletId } from './primitives.ts';
import type { FailureInfo, TransferPhase } from './saga.ts';
import type {
  BroadcastOutcome,
  SignedTransaction,
  TransactionStatus,
  UnsignedTransaction,
} from './transaction.ts';

export interface PartyActivities {
  prepare(request: PrepareRequest): Promise<SignedPrepareAnswer>;
  round(request: RoundRequest): Promise<RoundAnswer>;
  abort(request: AbortRequest): Promise<AbortAnswer>;
  activate(request: ActivateRequest): Promise<ActivateAnswer>;
  destroy(request: DestroyRequest): Promise<DestroyAnswer>;
  receivePolicy(delivery: { signed: SignedPolicy }): Promise<SignedPolicyReceipt>;
  /** An administrators' order. Once per order id; a repeat gets the same receipt. */
  order(delivery: { signed: SignedOrder }): Promise<SignedOrderReceipt>;
  health(): Promise<PartyHealth>;
}

/** How a party did in one step; the ledger keeps it for routing and reputation. */
export type PartyReport = {
  readonly party: PartyId;
  readonly ok: boolean;
  readonly step: string;
  readonly code?: string;
  readonly milliseconds?: number;
};

export type Reservation = {
  readonly key: KeyDescriptor;
  readonly policy: SignedPolicy;
  readonly policyHash: string;
  /** Rounds of a signing by this protocol; the last one is the pivot. */
  readonly signRounds: number;
  /** The wallet's parties, best first, by health and reputation. */
  readonly ranking: readonly PartyId[];
  /** Set when an earlier run of this workflow came further (a reset): the saga goes on from there. */
  readonly pivotPassed: boolean;
  /** It holds a nonce of an account before `build` was asked for: its anchor, or a reset made the saga forget. */
  readonly holdsNonce?: true;
  /** Given up before a reset: nothing is left to do but its void, which fills the nonce (`GivenBack`). */
  readonly fillsGap?: true;
  /** With `pivotPassed` or `fillsGap`: what else that run left in the ledger. Absent in answers of an earlier release. */
  readonly earlier?: {
    readonly decisions: readonly SignedApproval[];
    readonly signed?: SignedTransaction;
    /** The signed payment was handed to a node. */
    readonly sent: boolean;
    /** The payment that is final on chain. */
    readonly paid?: { readonly transactionId: string; readonly confirmations: number };
  };
};

export interface LedgerActivities {
  /** Wallet active, spend limit and balance reserved, `TransferInitiated` appended. Undo: `release`. */
  reserve(input: {
    intent: TransferIntent | PayoutIntent;
    intentDigest: string;
    workflowId: string;
  }): Promise<Reservation>;
  /**
   * Refuses with `PivotPassed` when the payment may be out, or is. `fillsGap`: as in `Reservation`. `workflowId`: the saga
   * that asks; that of another request under the same id changes nothing, here, in `fail` and in `recordPhase`.
   */
  release(input: {
    requestId: RequestId;
    reason: string;
    workflowId?: string;
  }): Promise<{ fillsGap?: true }>;
  recordDecision(input: { requestId: RequestId; signed: SignedApproval }): Promise<void>;
  /** Appends `PivotPassed`, excluding a lease release in one transaction. Fails `PivotRefused` when the lease is gone. */
  passPivot(input: {
    requestId: RequestId;
    attempt: string;
    purpose: 'payment' | 'void';
    reports: readonly PartyReport[];
  }): Promise<void>;
  /** Failure metadata of parties, for reputation and routing; also answers with a fresh ranking. */
  reportParties(input: {
    walletId: WalletId;
    reports: readonly PartyReport[];
  }): Promise<{ ranking: readonly PartyId[] }>;
  settle(input: {
    requestId: RequestId;
    transactionId: string;
    confirmations: number;
  }): Promise<void>;
  /** Ends the transfer as failed, after its undos. */
  fail(input: {
    requestId: RequestId;
    failure: FailureInfo;
    voidTransactionId?: string;
    workflowId?: string;
  }): Promise<void>;
  recordPhase(input: {
    requestId: RequestId;
    phase: TransferPhase;
    reason?: string;
  }): Promise<void>;
  recordUndo(input: {
    requestId: RequestId;
    step: string;
    outcome: 'done' | 'owed' | 'delivered';
    party?: PartyId;
    reason?: string;
  }): Promise<void>;

  /**
   * Wallet active, the message judged as a party would, `MessageInitiated` appended. Request ids of messages and transfers are
   * one space: an id that the other has is `RequestConflict`.
   */
  reserveMessage(input: {
    intent: MessageIntent;
    intentDigest: string;
    workflowId: string;
  }): Promise<Reservation>;
  recordMessageDecision(input: { requestId: RequestId; signed: SignedApproval }): Promise<void>;
  /** Appends the pivot; fails `PivotRefused` when the message has ended. */
  passMessagePivot(input: {
    requestId: RequestId;
    attempt: string;
    reports: readonly PartyReport[];
  }): Promise<void>;
  /** Ends it as failed, after its undos. Past the pivot only once the intent has expired (`PivotPassed` before). */
  failMessage(input: { requestId: RequestId; failure: FailureInfo }): Promise<void>;

  /** Key generation: claims the wallet id for this request. Undo: `failKey`. */
  reserveKey(input: { request: GenerateKeyRequest; workflowId: string }): Promise<{
    protocol: ProtocolId;
    policyHash: string;
    keygenRounds: number;
    /** Set when an earlier run of this workflow passed the pivot (a reset): the saga goes on from there. */
    certified?: { key: KeyDescriptor; certificates: readonly SignedCertificate[] };
  }>;
  /** All n certificates are checked against the pinned directory and agree; the wallet is `Certified`. The pivot of key generation. */
  certifyKey(input: {
    requestId: RequestId;
    key: KeyDescriptor;
    certificates: readonly SignedCertificate[];
  }): Promise<void>;
  /** t activations are in: the wallet is `Active`. */
  activateWallet(input: { requestId: RequestId; activated: readonly PartyId[] }): Promise<void>;
  recordActivation(input: { requestId: RequestId; party: PartyId }): Promise<void>;
  failKey(input: { requestId: RequestId; failure: FailureInfo }): Promise<void>;

  /**
   * The version that follows the newest one here, signed by the administrators: appended as `PolicyProposed`. A repeat of
   * the same document answers with what has been received since. Throws `ApprovalInvalid`, `QuorumMissing`,
   * `PolicyViolation` (`version`, `previous`), `RequestConflict` (another document of this version stands).
   */
  proposePolicy(input: {
    signed: SignedPolicy;
    policyHash: string;
    workflowId: string;
  }): Promise<PolicyProgress>;
  /** Verifies the receipt under the party's pinned key and appends it; at t receipts the version counts for new transfers. */
  recordPolicyReceipt(input: { signed: SignedPolicyReceipt }): Promise<PolicyProgress>;
  /** A party holds another document of this version. */
  recordPolicyFork(input: {
    policyId: PolicyId;
    version: number;
    policyHash: string;
    party: PartyId;
    reason: string;
  }): Promise<void>;
  /** Documents of the versions from `from` to `to`, in order: what a party that missed some is brought first. */
  policyVersions(input: {
    policyId: PolicyId;
    from: number;
    to: number;
  }): Promise<{ versions: readonly SignedPolicy[] }>;
  /** Open, unsigned transfers that a version of this policy rules, oldest first. */
  policyWaiters(input: { policyId: PolicyId }): Promise<PolicyWaiters>;
  /** The version in force for this transfer; a newer one is recorded as the transfer's own, unless it is signed, being voided or over. */
  transferPolicy(input: { requestId: RequestId }): Promise<TransferPolicy>;
  /**
   * Counts a pack whose signers have all answered the last round of its session as stock; a repeat changes nothing. Answers
   * with what the pool holds then.
   */
  stockPack(input: StockPackInput): Promise<PoolStock>;
  /** The key, and what the pool holds of it; what has expired is dropped first. Throws `WalletUnknown`, `WalletNotActive`. */
  lookAtPool(input: { walletId: WalletId; signers: readonly PartyId[] }): Promise<{
    key: KeyDescriptor;
    stock: PoolStock;
    /** Absent: the protocol makes no presignatures. */
    presignRounds?: number;
  }>;
  /** Nothing of it is lent any more. Answers with how many were available. */
  dropPool(input: DropPoolInput): Promise<{ dropped: number }>;
  /** For readers. */
  readPools(input: PoolQuery): Promise<PoolView>;
  /** For readers: the versions that matter. Throws `PolicyUnknown`, `WalletUnknown`. */
  readPolicy(input: PolicyQuery): Promise<PolicyView>;
}

export type Built = {
  readonly unsigned: UnsignedTransaction;
  readonly fee: string;
  readonly ranking: readonly PartyId[];
  /**
   * Lent to this attempt with exactly these signers, one for each digest; to no other, ever. Only when `usePool` asked
   * for it and there was stock.
   */
  readonly pooled?: {
    readonly attempt: AttemptId;
    readonly signers: PoolRef['signers'];
    readonly presignatures: readonly PooledPresignature[];
    /** Rounds of a signing with them. */
    readonly rounds: number;
  };
  /** Bytes of an earlier run that were signed already: nothing is signed again, they are sent. */
  readonly signed?: SignedTransaction;
};

/**
 * `unsigned` is absent when nothing was built: the version of the policy that the saga counted under is not the one in
 * force, or so few parties are left with it that nothing can be signed. The saga counts again and comes back.
 */
export type BuildAnswer =
  | Built
  | { readonly policy: TransferPolicy; readonly unsigned?: undefined; readonly signed?: undefined };

/**
 * `gap`: other transactions of the account wait for the nonce, so that it was not given back; the transfer's void must
 * use it up, which parties sign for these approvals.
 */
export type GivenBack = { readonly gap?: { readonly approvals: readonly SignedApproval[] } };

export interface ChainActivities {
  /** Leases nonce / UTXOs and builds the payment; a repeat gives the same lease and, once the pivot has passed, the same bytes. Undo: `releaseLease`. */
  build(input: {
    intent: TransferIntent | PayoutIntent;
    /** The version under which the approvals were counted. */
    policyHash: string;
    /** Asks for presignatures, to be lent to this attempt. */
    usePool?: AttemptId;
  }): Promise<BuildAnswer>;
  /** As above, whatever the version. */
  build(input: { intent: TransferIntent | PayoutIntent }): Promise<Built>;
  /**
   * Before the approvals: leases to the request id what its intent may name as its anchor. Undo: `releaseAnchor`, after
   * which the id gets none any more (`StateConflict`).
   */
  leaseAnchor(input: { request: AnchorRequest }): Promise<LeasedAnchor>;
  /** `taken`: the transfer of this request id has begun, and its end decides about the lease. */
  releaseAnchor(input: {
    requestId: RequestId;
    reason: string;
  }): Promise<{ outcome: 'given-back' | 'taken' }>;
  /**
   * Refuses with `PivotPassed` once the pivot stands in the ledger. `fillGap`: the saga can make the void that a gap needs;
   * without it everything is given back.
   */
  releaseLease(input: { requestId: RequestId; fillGap?: true }): Promise<GivenBack>;
  /**
   * The transaction that conflicts with every released one of the line, or uses the nonce that the transfer may not give
   * back, and pays only the wallet itself.
   */
  buildVoid(input: { intent: TransferIntent | PayoutIntent }): Promise<Built>;
  /** Combines the shares, verifies against the public key, stores bytes and id. Culprits are named in a `ProtocolFault`. */
  attach(input: {
    requestId: RequestId;
    purpose: 'payment' | 'void';
    attempt: string;
    unsigned: UnsignedTransaction;
    signers: readonly PartyId[];
    /** Envelopes of every round, in order. */
    rounds: readonly (readonly Envelope[])[];
    /** Signed with presignatures. */
    pooled?: true;
  }): Promise<SignedTransaction>;
  /** The same for a message: the digest is computed again, the signature verified and stored. */
  attachMessage(input: {
    requestId: RequestId;
    attempt: string;
    signers: readonly PartyId[];
    rounds: readonly (readonly Envelope[])[];
  }): Promise<SignedMessage>;
  /** Sends the stored bytes, never others. `rejected` is an answer, not an error. */
  broadcast(input: {
    requestId: RequestId;
    purpose: 'payment' | 'void';
  }): Promise<BroadcastOutcome>;
  /** Waits (heartbeating) until the payment or its void is final; resends when it vanished. */
  confirm(input: {
    requestId: RequestId;
    transactionIds: readonly string[];
    /** Returns early as soon as this many confirmations are there; the saga calls again for the next. */
    untilConfirmations: number;
  }): Promise<{ id: string; status: TransactionStatus }>;
  /** Chain set-up of a new wallet by the operator's sponsor (Solana nonce accounts; Bitcoin: watch the script). */
  provision(input: { key: KeyDescriptor }): Promise<void>;
  /** For readers: addresses and balances of a wallet's accounts. Throws `WalletUnknown`, `WalletNotActive`, `InvalidInput`. */
  readAccounts(input: AccountsQuery): Promise<AccountsView>;
}
