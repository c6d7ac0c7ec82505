/** Keys, intents, approvals and policies that the saga tests share. Nothing here is secret. */
import { randomUUID } from 'node:crypto';
import { signApproval } from '../../../core/approvals.ts';
import { intentDigest } from '../../../core/intent.ts';
import { messageIntentDigest } from '../../../core/messages/intent.ts';
import { payoutDigest } from '../../../core/payout.ts';
import { policyHash } from '../../../core/policy.ts';
import { publicKeyOf } from '../../../core/signed.ts';
import type { Approval, SignedApproval } from '../../../schema/contracts/approval.ts';
import { TransferIntent } from '../../../schema/contracts/intent.ts';
import { GenerateKeyRequest, KeyDescriptor } from '../../../schema/contracts/key.ts';
import { MessageIntent } from '../../../schema/contracts/message.ts';
import type { MessageInput } from '../../../schema/contracts/message-saga.ts';
import { PayoutIntent } from '../../../schema/contracts/payout.ts';
import type { PayoutInput } from '../../../schema/contracts/payout-saga.ts';
import { Policy, type SignedPolicy } from '../../../schema/contracts/policy.ts';
import type { TransferInput } from '../../../schema/contracts/saga.ts';

export const NETWORK = 'bip122:0f9188f13cb7b2c71f2a335e3a4fc328';
export const DESTINATION = 'bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080';
const seed = (n: number): Uint8Array => new Uint8Array(32).fill(n);
export const APPROVERS = { alice: seed(1), bob: seed(2), carol: seed(3) } as const;
export type ApproverName = keyof typeof APPROVERS;

export const uniqueId = (prefix: string): string => `${prefix}-${randomUUID().slice(0, 8)}`;
export const iso = (ms: number): string => new Date(ms).toISOString();

export function policy(change: Partial<Policy> = {}): SignedPolicy {
  const parsed = Policy.parse({
    policyId: 'demo',
    version: 1,
    issuedAt: '2026-01-01T00:00:00.000Z',
    approvers: Object.entries(APPROVERS).map(([name, key]) => ({
      name,
      publicKey: publicKeyOf(key),
    })),
    quorum: 2,
    limits: [{ network: NETWORK, asset: 'native', perTransfer: '1000000', perDay: '10000000' }],
    strictDailyLimit: false,
    voidFeeCaps: [{ network: NETWORK, cap: '100000' }],
    startDelaySeconds: 0,
    ...change,
  });
  return { policy: parsed, signatures: [] };
}

export function intent(
  now: number,
  change: Partial<Record<keyof TransferIntent, unknown>> = {},
): TransferIntent {
  const requestId = uniqueId('t');
  return TransferIntent.parse({
    requestId,
    walletId: `w-${requestId}`,
    chain: NETWORK,
    destination: DESTINATION,
    asset: 'native',
    amount: '50000',
    feeCap: '2000',
    issuedAt: iso(now - 1_000),
    expiresAt: iso(now + 7 * 86_400_000),
    ...change,
  });
}
export const inputOf = (i: TransferIntent, limits?: TransferInput['limits']): TransferInput => ({
  intent: i,
  intentDigest: intentDigest(i),
  ...(limits === undefined ? {} : { limits }),
});

/** Three lines. */
export function payoutIntent(
  now: number,
  change: Partial<Record<keyof PayoutIntent, unknown>> = {},
): PayoutIntent {
  const { destination, amount: _, ...frame } = intent(now, { requestId: uniqueId('p') });
  const lines = ['10000', '20000', '12345'].map((amount) => ({ destination, amount }));
  return PayoutIntent.parse({ ...frame, lines, total: '42345', ...change });
}
export const payoutInputOf = (i: PayoutIntent, limits?: PayoutInput['limits']): PayoutInput => ({
  intent: i,
  intentDigest: payoutDigest(i),
  ...(limits === undefined ? {} : { limits }),
});

export function messageIntent(
  now: number,
  change: Partial<Record<keyof MessageIntent, unknown>> = {},
): MessageIntent {
  const requestId = uniqueId('m');
  return MessageIntent.parse({
    requestId,
    walletId: `w-${requestId}`,
    chain: NETWORK,
    message: { kind: 'bip322', text: 'a proof of reserves' },
    issuedAt: iso(now - 1_000),
    expiresAt: iso(now + 7 * 86_400_000),
    ...change,
  });
}
export const messageInputOf = (
  i: MessageIntent,
  limits?: MessageInput['limits'],
): MessageInput => ({
  intent: i,
  intentDigest: messageIntentDigest(i),
  ...(limits === undefined ? {} : { limits }),
});

export function approval(
  i: TransferIntent | MessageIntent | PayoutIntent,
  approver: ApproverName,
  now: number,
  change: Partial<Record<keyof Approval, unknown>> = {},
  key: Uint8Array = APPROVERS[approver],
): SignedApproval {
  const body = {
    intentDigest:
      'message' in i ? messageIntentDigest(i) : 'lines' in i ? payoutDigest(i) : intentDigest(i),
    approver,
    decision: 'approve',
    at: iso(now),
    validUntil: iso(now + 6 * 86_400_000),
    ...change,
  } as Approval;
  return signApproval(body, key);
}

export function descriptor(
  walletId: string,
  parties: readonly string[],
  threshold: number,
): KeyDescriptor {
  return KeyDescriptor.parse({
    keyId: walletId,
    walletId,
    epoch: 0,
    network: NETWORK,
    protocol: 'frost-bip340',
    threshold,
    parties,
    publicKey: 'aa'.repeat(32),
    publicPackage: 'bb'.repeat(66),
    address: 'bcrt1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqc8gma6',
    policyId: 'demo',
    policyHash: policyHash(policy().policy),
    transcriptHash: 'cc'.repeat(32),
  });
}

export const keyRequest = (parties: readonly string[], threshold = 2): GenerateKeyRequest =>
  GenerateKeyRequest.parse({
    requestId: uniqueId('k'),
    network: NETWORK,
    threshold,
    parties,
    policyId: 'demo',
  });
