/** What a party says and hears: `prepare`, `round`, `abort`, `activate`, `destroy`, `health` on queue `party-<id>`. */
import * as z from 'zod';
import { SignedApproval } from './approval.ts';
import { TransferIntent } from './intent.ts';
import { KeyDescriptor, ProtocolId, SignedCertificate, SignedNever } from './key.ts';
import { MessageIntent } from './message.ts';
import { PayoutIntent } from './payout.ts';
import { SignedPolicy } from './policy.ts';
import { PooledPresignatures, PreparePresign } from './pool.ts';
import {
  AttemptId,
  Caip2,
  Ed25519Signature,
  Epoch,
  Hex,
  Hex32,
  IsoTime,
  KeyId,
  Line,
  PartyId,
  PolicyId,
  RequestId,
  Round,
  WalletId,
} from './primitives.ts';
import { UnsignedTransaction } from './transaction.ts';

/** Newest release of a party: the head of its hash chain, under its own signature (`keysaga/head/v1`). */
export const Head = z.strictObject({
  party: PartyId,
  chainEpoch: z.int().nonnegative(),
  sequence: z.int().nonnegative(),
  hash: Hex32,
  /**
   * The attempt whose `prepare` this head was signed for. A party that is shown an attempt of its own that it does not
   * know was restored from before it, also when nothing was released in between.
   */
  opened: AttemptId.exactOptional(),
});
export type Head = z.infer<typeof Head>;
export const SignedHead = z.strictObject({ head: Head, signature: Ed25519Signature });
export type SignedHead = z.infer<typeof SignedHead>;

export const PrepareKeygen = z.strictObject({
  kind: z.literal('keygen'),
  requestId: RequestId,
  attempt: AttemptId,
  keyId: KeyId,
  walletId: WalletId,
  epoch: Epoch,
  network: Caip2,
  protocol: ProtocolId,
  threshold: z.int().min(2).max(16),
  /** All n, ordered; a party's index is its position + 1. */
  signers: z.array(PartyId).min(2).max(16),
  policyId: PolicyId,
  policyHash: Hex32,
});
export type PrepareKeygen = z.infer<typeof PrepareKeygen>;

/** `payment` signs the intent's payment; `void` the one transaction that makes it impossible. */
export const SigningPurpose = z.enum(['payment', 'void']);
export type SigningPurpose = z.infer<typeof SigningPurpose>;

export const PrepareSign = z.strictObject({
  kind: z.literal('sign'),
  requestId: RequestId,
  attempt: AttemptId,
  keyId: KeyId,
  epoch: Epoch,
  purpose: SigningPurpose,
  /** The t chosen, in the order of the key's party list. */
  signers: z.array(PartyId).min(2).max(16),
  /**
   * Where it names a path, the child key signs inline: such a request never names a presignature from a pool (see `tweak`
   * in `SignParams`), and a party refuses one that does.
   */
  intent: TransferIntent,
  line: Line,
  approvals: z.array(SignedApproval).max(64),
  policyHash: Hex32,
  unsigned: UnsignedTransaction,
  /**
   * Presignatures that all signers hold, one for each digest of `unsigned`, in order: signing is then one round. They are
   * bound to this attempt for ever, whatever becomes of it. Absent: all rounds, here and now.
   */
  pooled: PooledPresignatures.exactOptional(),
});
export type PrepareSign = z.infer<typeof PrepareSign>;

/**
 * The payment of a payout, or its void. One transaction pays every line, so the lines have one record at each party,
 * number 0.
 */
export const PreparePayout = PrepareSign.omit({ line: true }).extend({
  kind: z.literal('payout'),
  intent: PayoutIntent,
});
export type PreparePayout = z.infer<typeof PreparePayout>;

/** A message instead of a transaction. There is no digest: every party computes it from the message. */
export const PrepareMessage = z.strictObject({
  kind: z.literal('message'),
  requestId: RequestId,
  attempt: AttemptId,
  keyId: KeyId,
  epoch: Epoch,
  /** As in `PrepareSign`. */
  signers: z.array(PartyId).min(2).max(16),
  intent: MessageIntent,
  approvals: z.array(SignedApproval).max(64),
  policyHash: Hex32,
});
export type PrepareMessage = z.infer<typeof PrepareMessage>;

export const PrepareRequest = z.discriminatedUnion('kind', [
  PrepareKeygen,
  PrepareSign,
  PrepareMessage,
  PreparePayout,
  PreparePresign,
]);
export type PrepareRequest = z.infer<typeof PrepareRequest>;

/** Signed form `keysaga/prepare-answer/v1`. `requestHash` = SHA-256 of `keysaga/prepare-request/v1` form of the request. */
export const PrepareAnswer = z.strictObject({
  party: PartyId,
  attempt: AttemptId,
  requestHash: Hex32,
  /** Fresh 32 bytes; the session id hashes all of them. */
  nonce: Hex32,
  /** One-time HPKE public key (DHKEM X25519) for private envelopes of this ceremony. */
  hpkePublicKey: Hex32,
  policyHash: Hex32,
  machineVersion: z.string(),
  expiresAt: IsoTime,
  head: SignedHead,
  witnessed: z.array(SignedHead).max(16),
});
export type PrepareAnswer = z.infer<typeof PrepareAnswer>;
export const SignedPrepareAnswer = z.strictObject({
  answer: PrepareAnswer,
  signature: Ed25519Signature,
});
export type SignedPrepareAnswer = z.infer<typeof SignedPrepareAnswer>;

/**
 * A message between parties, signed by the sender over `keysaga/envelope/v1` + LF + JCS of all fields but
 * `signature`. `to` is a party or `*`. `body` is the protocol's bytes, or with `enc` present the HPKE ciphertext
 * and its encapsulated key. `echo` hashes every broadcast envelope the sender saw in the round before
 * (`keysaga/echo/v1`), so that a coordinator cannot show two parties two stories.
 */
export const Envelope = z.strictObject({
  sessionId: Hex32,
  keyId: KeyId,
  epoch: Epoch,
  round: Round,
  from: PartyId,
  to: z.union([PartyId, z.literal('*')]),
  enc: Hex.exactOptional(),
  body: Hex,
  echo: Hex32,
  signature: Ed25519Signature,
});
export type Envelope = z.infer<typeof Envelope>;

/** Round 1 carries the signed prepare answers of all signers; later rounds the envelopes of the round before. */
export const RoundRequest = z.strictObject({
  keyId: KeyId,
  attempt: AttemptId,
  round: Round,
  prepared: z.array(SignedPrepareAnswer).max(16).exactOptional(),
  inbox: z.array(Envelope).max(512),
});
export type RoundRequest = z.infer<typeof RoundRequest>;

/** What the last round of a key generation says to the ledger. */
export const KeygenResult = z.strictObject({ key: KeyDescriptor, certificate: SignedCertificate });
export type KeygenResult = z.infer<typeof KeygenResult>;

export const RoundAnswer = z.strictObject({
  attempt: AttemptId,
  round: Round,
  sessionId: Hex32,
  /** True after the last round: nothing more is asked of this party. */
  done: z.boolean(),
  outbox: z.array(Envelope),
  keygen: KeygenResult.exactOptional(),
});
export type RoundAnswer = z.infer<typeof RoundAnswer>;

export const AbortRequest = z.strictObject({
  keyId: KeyId,
  attempt: AttemptId,
  reason: z.string().max(200),
});
export type AbortRequest = z.infer<typeof AbortRequest>;
/** `released`: the shares are out, there is nothing left to abort. */
export const AbortAnswer = z.strictObject({
  attempt: AttemptId,
  outcome: z.enum(['aborted', 'already-closed', 'unknown', 'released']),
});
export type AbortAnswer = z.infer<typeof AbortAnswer>;

export const ActivateRequest = z.strictObject({
  keyId: KeyId,
  attempt: AttemptId,
  certificates: z.array(SignedCertificate).min(2).max(16),
});
export type ActivateRequest = z.infer<typeof ActivateRequest>;
export const ActivateAnswer = z.strictObject({
  keyId: KeyId,
  epoch: Epoch,
  state: z.literal('active'),
});
export type ActivateAnswer = z.infer<typeof ActivateAnswer>;

/** Undo of a failed ceremony. A certified share goes only on a member's signed `never` (or, later, an administrators' order). */
export const DestroyRequest = z.strictObject({
  keyId: KeyId,
  attempt: AttemptId,
  never: SignedNever.exactOptional(),
});
export type DestroyRequest = z.infer<typeof DestroyRequest>;
/** `kept`: certified and no `never` was shown, so the share stays. */
export const DestroyAnswer = z.strictObject({
  attempt: AttemptId,
  outcome: z.enum(['destroyed', 'nothing', 'kept']),
  never: SignedNever.exactOptional(),
});
export type DestroyAnswer = z.infer<typeof DestroyAnswer>;

/** Delivery of a policy document; the answer is a signed receipt (`keysaga/receipt/v1`). */
export const PolicyDelivery = z.strictObject({ signed: SignedPolicy });
export const PolicyReceipt = z.strictObject({
  party: PartyId,
  policyId: PolicyId,
  version: z.int(),
  policyHash: Hex32,
});
export const SignedPolicyReceipt = z.strictObject({
  receipt: PolicyReceipt,
  signature: Ed25519Signature,
});
export type SignedPolicyReceipt = z.infer<typeof SignedPolicyReceipt>;

export const PartyHealth = z.strictObject({
  party: PartyId,
  identityKey: Hex32,
  version: z.string(),
  protocols: z.array(z.string()),
  networks: z.array(Caip2),
  activeKeys: z.int(),
  openSessions: z.int(),
  policies: z.array(z.strictObject({ policyId: PolicyId, version: z.int(), hash: Hex32 })),
  fenced: z.boolean(),
  /** Why, since when (the party's clock), and the chain epoch that an unfence order must name. */
  fence: z
    .strictObject({
      reason: z.enum(['head-mismatch', 'head-file-missing', 'head-file-broken', 'witness']),
      since: IsoTime,
      chainEpoch: z.int().nonnegative(),
    })
    .exactOptional(),
  /** Where the release chain stands. */
  chainEpoch: z.int().nonnegative().exactOptional(),
  headSequence: z.int().nonnegative().exactOptional(),
  /** Keys under an administrators' quarantine. */
  quarantined: z.array(KeyId).exactOptional(),
  clock: IsoTime,
});
export type PartyHealth = z.infer<typeof PartyHealth>;

/** Where a party's session stands; `core/session` holds the transitions. */
export type SessionState =
  | 'prepared'
  | 'running'
  | 'released'
  | 'failed'
  | 'aborted'
  | 'expired'
  | 'superseded';
