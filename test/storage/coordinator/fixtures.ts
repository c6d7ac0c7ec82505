/** Valid events of small streams. */

import type { SignedApproval } from '../../../schema/contracts/approval.ts';
import type { DomainEvent } from '../../../schema/contracts/events.ts';
import type { TransferIntent } from '../../../schema/contracts/intent.ts';
import type { GenerateKeyRequest, KeyDescriptor } from '../../../schema/contracts/key.ts';
import type { SignedPolicy } from '../../../schema/contracts/policy.ts';

export const HASH = 'ab'.repeat(32);
export const NETWORK = 'solana:surfnet-local';

export class TestClock {
  #ms: number;
  constructor(iso = '2026-01-01T00:00:00.000Z') {
    this.#ms = Date.parse(iso);
  }
  now = (): number => this.#ms;
  advance(milliseconds: number): void {
    this.#ms += milliseconds;
  }
}

export const intent = (
  requestId: string,
  change: Partial<Record<keyof TransferIntent, string>> = {},
): TransferIntent =>
  ({
    requestId,
    walletId: 'w1',
    chain: NETWORK,
    destination: '11111111111111111111111111111112',
    asset: 'native',
    amount: '1000',
    feeCap: '50',
    issuedAt: '2026-01-01T00:00:00.000Z',
    expiresAt: '2026-01-02T00:00:00.000Z',
    ...change,
  }) as unknown as TransferIntent;

export const initiated = (requestId: string): DomainEvent =>
  ({
    type: 'keysaga.transfer.initiated.v1',
    data: {
      requestId,
      workflowId: `transfer/${requestId}`,
      intent: intent(requestId),
      intentDigest: HASH,
      policyHash: HASH,
    },
  }) as DomainEvent;

export const phaseChanged = (requestId: string, phase: string): DomainEvent =>
  ({ type: 'keysaga.transfer.phase-changed.v1', data: { requestId, phase } }) as DomainEvent;

export const approvalBy = (
  approver: string,
  decision: 'approve' | 'reject' = 'approve',
): SignedApproval =>
  ({
    approval: {
      intentDigest: HASH,
      approver,
      decision,
      at: '2026-01-01T00:00:00.000Z',
      validUntil: '2026-01-02T00:00:00.000Z',
    },
    publicKey: '11'.repeat(32),
    signature: '22'.repeat(64),
  }) as SignedApproval;

export const decided = (
  requestId: string,
  approver: string,
  decision: 'approve' | 'reject',
): DomainEvent =>
  ({
    type: 'keysaga.transfer.decision-recorded.v1',
    data: { requestId, signed: approvalBy(approver, decision) },
  }) as DomainEvent;

export const policy: SignedPolicy = {
  policy: {
    policyId: 'treasury',
    version: 1,
    issuedAt: '2026-01-01T00:00:00.000Z',
    approvers: ['ann', 'ben'].map((name, i) => ({ name, publicKey: `${i + 1}`.repeat(64) })),
    quorum: 2,
    limits: [],
    strictDailyLimit: false,
    voidFeeCaps: [],
    startDelaySeconds: 0,
  },
  signatures: [{ administrator: 'ada', publicKey: '33'.repeat(32), signature: '44'.repeat(64) }],
} as unknown as SignedPolicy;

export const policyAdopted: DomainEvent = {
  type: 'keysaga.policy.adopted.v1',
  data: { signed: policy, policyHash: HASH },
};

export const keyRequest: GenerateKeyRequest = {
  requestId: 'w1',
  network: NETWORK,
  threshold: 2,
  parties: ['alpha', 'beta', 'gamma'],
  policyId: 'treasury',
} as unknown as GenerateKeyRequest;

export const key: KeyDescriptor = {
  keyId: 'w1',
  walletId: 'w1',
  epoch: 0,
  network: NETWORK,
  protocol: 'frost-ed25519',
  threshold: 2,
  parties: ['alpha', 'beta', 'gamma'],
  publicKey: '55'.repeat(32),
  publicPackage: '66',
  address: 'Address1111111111111111111111111111111111111',
  policyId: 'treasury',
  policyHash: HASH,
  transcriptHash: HASH,
} as unknown as KeyDescriptor;

/** A wallet from request to activation, by stream. */
export const keyEvents: readonly DomainEvent[] = [
  {
    type: 'keysaga.key.requested.v1',
    data: {
      request: keyRequest,
      workflowId: 'keygen/w1',
      protocol: 'frost-ed25519',
      policyHash: HASH,
    },
  },
  { type: 'keysaga.key.certified.v1', data: { key, certificates: [] } },
  { type: 'keysaga.key.party-activated.v1', data: { keyId: 'w1', party: 'alpha' } },
  { type: 'keysaga.key.party-activated.v1', data: { keyId: 'w1', party: 'beta' } },
  { type: 'keysaga.key.generated.v1', data: { key, activated: ['alpha', 'beta'] } },
] as unknown as DomainEvent[];
export const walletActivated = {
  type: 'keysaga.wallet.activated.v1',
  data: { walletId: 'w1', key },
} as DomainEvent;
