/** The rules k of m pinned administrators signed; every party keeps its own copy and enforces it by itself. */
import * as z from 'zod';
import { TypedDataRule } from './message.ts';
import {
  AdministratorId,
  ApproverId,
  Caip2,
  Decimal,
  Ed25519PublicKey,
  Ed25519Signature,
  Hex32,
  IsoTime,
  PolicyId,
} from './primitives.ts';

/** Per asset of a network; amounts in the smallest unit. `perDay` is a rolling 24 h. */
export const AssetLimit = z.strictObject({
  network: Caip2,
  asset: z.string(),
  perTransfer: Decimal,
  perDay: Decimal,
  /** Intents of at least this amount must name an anchor. */
  anchorFrom: Decimal.exactOptional(),
});
export type AssetLimit = z.infer<typeof AssetLimit>;

export const Policy = z.strictObject({
  policyId: PolicyId,
  /** 1, 2, 3 … without gaps. */
  version: z.int().min(1),
  /** Digest of the version before; absent on version 1. */
  previous: Hex32.exactOptional(),
  issuedAt: IsoTime,
  approvers: z
    .array(z.strictObject({ name: ApproverId, publicKey: Ed25519PublicKey }))
    .min(1)
    .max(64),
  /** Approvals that a transfer needs. */
  quorum: z.int().min(1).max(64),
  limits: z.array(AssetLimit).max(256),
  /** With it each party enforces L·t/n instead of L, so that rotating signer sets cannot exceed L. */
  strictDailyLimit: z.boolean(),
  /** Absent: any destination. Present: only these. */
  allowList: z
    .array(z.strictObject({ network: Caip2, destination: z.string() }))
    .max(1000)
    .exactOptional(),
  /** Highest fee of a void transaction per network; a payment's fee stays within 80 % of it. */
  voidFeeCaps: z.array(z.strictObject({ network: Caip2, cap: Decimal })).max(64),
  /** EIP-712 messages that may be signed; absent: none. What they let others take counts as transfers. */
  typedData: z.array(TypedDataRule).max(256).exactOptional(),
  /** Seconds between full approval and the first signing session. */
  startDelaySeconds: z.int().min(0).max(604_800),
});
export type Policy = z.infer<typeof Policy>;

export const PolicySignature = z.strictObject({
  administrator: AdministratorId,
  publicKey: Ed25519PublicKey,
  signature: Ed25519Signature,
});

/** Signatures are Ed25519 over `keysaga/policy/v1` + LF + JCS(policy). */
export const SignedPolicy = z.strictObject({
  policy: Policy,
  signatures: z.array(PolicySignature).min(1).max(64),
});
export type SignedPolicy = z.infer<typeof SignedPolicy>;
