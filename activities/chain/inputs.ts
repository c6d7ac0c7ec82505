/** Inputs of the chains' activities, checked at the edge. */
import * as z from 'zod';
import { parseWith } from '../../core/parse.ts';
import { AccountsQuery } from '../../schema/contracts/account.ts';
import { AnchorRequest } from '../../schema/contracts/intent.ts';
import { KeyDescriptor } from '../../schema/contracts/key.ts';
import { Envelope, SigningPurpose } from '../../schema/contracts/party.ts';
import { AttemptId, Hex32, PartyId, RequestId } from '../../schema/contracts/primitives.ts';
import { UnsignedTransaction } from '../../schema/contracts/transaction.ts';

export const inputs = {
  // The intent has rules beyond its shape: `parseIntent` reads it.
  build: z.strictObject({
    intent: z.unknown(),
    policyHash: Hex32.exactOptional(),
    usePool: AttemptId.exactOptional(),
  }),
  leaseAnchor: z.strictObject({ request: AnchorRequest }),
  releaseAnchor: z.strictObject({ requestId: RequestId, reason: z.string().max(500) }),
  releaseLease: z.strictObject({ requestId: RequestId, fillGap: z.literal(true).exactOptional() }),
  attach: z.strictObject({
    requestId: RequestId,
    purpose: SigningPurpose,
    attempt: AttemptId,
    unsigned: UnsignedTransaction,
    signers: z.array(PartyId).min(2).max(16),
    rounds: z.array(z.array(Envelope).max(512)).min(1).max(32),
    pooled: z.literal(true).exactOptional(),
  }),
  attachMessage: z.strictObject({
    requestId: RequestId,
    attempt: AttemptId,
    signers: z.array(PartyId).min(2).max(16),
    rounds: z.array(z.array(Envelope).max(512)).min(1).max(32),
  }),
  broadcast: z.strictObject({ requestId: RequestId, purpose: SigningPurpose }),
  confirm: z.strictObject({
    requestId: RequestId,
    transactionIds: z.array(z.string().min(1).max(128)).min(1).max(2),
    untilConfirmations: z.int().min(1).max(10_000),
  }),
  provision: z.strictObject({ key: KeyDescriptor }),
  readAccounts: AccountsQuery,
} as const;

export const parse = <N extends keyof typeof inputs>(
  name: N,
  input: unknown,
): z.infer<(typeof inputs)[N]> =>
  // TypeScript does not see that indexing and inference agree for every N.
  parseWith(inputs[name] as unknown as z.ZodType<z.infer<(typeof inputs)[N]>>, input, name);
