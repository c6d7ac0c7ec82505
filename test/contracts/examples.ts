/** One full example of every payload that crosses a process border, by name: the wire format, written out. */

import type * as z from 'zod';
import * as accounts from '../../schema/contracts/account.ts';
import * as activities from '../../schema/contracts/approval.ts';
import * as intents from '../../schema/contracts/intent.ts';
import * as keys from '../../schema/contracts/key.ts';
import * as messages from '../../schema/contracts/message.ts';
import * as messageSagas from '../../schema/contracts/message-saga.ts';
import * as orders from '../../schema/contracts/order.ts';
import * as party from '../../schema/contracts/party.ts';
import * as payouts from '../../schema/contracts/payout.ts';
import * as payoutSagas from '../../schema/contracts/payout-saga.ts';
import * as policies from '../../schema/contracts/policy.ts';
import * as changes from '../../schema/contracts/policy-change.ts';
import * as saga from '../../schema/contracts/saga.ts';
import * as transactions from '../../schema/contracts/transaction.ts';

const h = (n: number): string => n.toString(16).padStart(2, '0').repeat(32);
const sig = (n: number): string => h(n).repeat(2);
const T0 = '2025-06-01T12:00:00.000Z';
const T1 = '2025-06-02T12:00:00.000Z';
const network = 'bip122:0f9188f13cb7b2c71f2a335e3a4fc328';
const attempt = '6f1c1f1a-3c50-4c55-9b51-0d4a2b7f3a10';

const intent = {
  requestId: 'pay-1',
  walletId: 'wallet-1',
  chain: network,
  destination: 'bcrt1pdestinationofthepayee',
  asset: 'native',
  amount: '30000',
  feeCap: '5000',
  issuedAt: T0,
  expiresAt: T1,
  memo: 'rent',
  anchor: { kind: 'bitcoin-outpoint', txid: h(1), vout: '0' },
};
const messageIntent = {
  requestId: 'login-1',
  walletId: 'wallet-1',
  chain: network,
  message: { kind: 'bip322', text: 'a proof of reserves' },
  issuedAt: T0,
  expiresAt: T1,
  memo: 'for the auditor',
};
const { destination: _d, amount: _a, ...listed } = intent;
const payoutIntent = {
  ...listed,
  lines: [
    { destination: 'bcrt1pdestinationofthepayee', amount: '30000', reference: 'invoice 7' },
    { destination: 'bcrt1pdestinationofanother', amount: '1' },
  ],
  total: '30001',
  path: 'm/0/7',
};
const anchorRequest = {
  requestId: 'pay-1',
  walletId: 'wallet-1',
  amount: '30000',
  feeCap: '5000',
  expiresAt: T1,
};
const leased = { anchor: intent.anchor, until: T1 };
const approval = {
  intentDigest: h(2),
  approver: 'alice',
  decision: 'approve',
  at: T0,
  validUntil: T1,
};
const signedApproval = { approval, publicKey: h(3), signature: sig(4) };
const policy = {
  policyId: 'demo',
  version: 2,
  previous: h(5),
  issuedAt: T0,
  approvers: [{ name: 'alice', publicKey: h(3) }],
  quorum: 1,
  limits: [
    { network, asset: 'native', perTransfer: '50000', perDay: '200000', anchorFrom: '40000' },
  ],
  strictDailyLimit: true,
  allowList: [{ network, destination: 'bcrt1pdestinationofthepayee' }],
  voidFeeCaps: [{ network, cap: '10000' }],
  startDelaySeconds: 60,
};
const signedPolicy = {
  policy,
  signatures: [{ administrator: 'ada', publicKey: h(6), signature: sig(7) }],
};
const certificate = {
  party: 'alpha',
  attempt,
  keyId: 'wallet-1',
  walletId: 'wallet-1',
  publicKey: h(8),
  epoch: 0,
  network,
  address: 'bcrt1pwallet',
  protocol: 'frost-bip340',
  threshold: 2,
  parties: ['alpha', 'beta', 'gamma'],
  publicPackageHash: h(9),
  policyHash: h(10),
  transcriptHash: h(11),
};
const signedCertificate = { certificate, signature: sig(12) };
const key = {
  keyId: 'wallet-1',
  walletId: 'wallet-1',
  epoch: 0,
  network,
  protocol: 'frost-bip340',
  threshold: 2,
  parties: ['alpha', 'beta', 'gamma'],
  publicKey: h(8),
  publicPackage: 'a1b2',
  address: 'bcrt1pwallet',
  policyId: 'demo',
  policyHash: h(10),
  transcriptHash: h(11),
};
const request = {
  requestId: 'wallet-1',
  network,
  protocol: 'frost-bip340',
  threshold: 2,
  parties: ['alpha', 'beta', 'gamma'],
  policyId: 'demo',
};
const unsigned = { network, format: 'bitcoin-psbt', bytes: '70736274ff' };
const head = {
  head: { party: 'alpha', chainEpoch: 0, sequence: 3, hash: h(13), opened: attempt },
  signature: sig(14),
};
const prepareAnswer = {
  answer: {
    party: 'alpha',
    attempt,
    requestHash: h(15),
    nonce: h(16),
    hpkePublicKey: h(17),
    policyHash: h(10),
    machineVersion: 'frost-bip340/sign/1',
    expiresAt: T0,
    head,
    witnessed: [head],
  },
  signature: sig(18),
};
const envelope = {
  sessionId: h(19),
  keyId: 'wallet-1',
  epoch: 0,
  round: 1,
  from: 'alpha',
  to: 'beta',
  enc: h(20),
  body: 'c0ffee',
  echo: h(21),
  signature: sig(22),
};
const never = { never: { party: 'alpha', attempt, keyId: 'wallet-1', at: T0 }, signature: sig(23) };
const failure = {
  code: 'TimeLimit',
  message: 'Too late.',
  party: 'beta',
  field: 'expiresAt',
  at: T0,
};
const order = {
  orderId: 'unfence-alpha-1',
  party: 'alpha',
  issuedAt: T0,
  validUntil: T1,
  reason: 'restored from the backup of Sunday',
};
const unfence = { ...order, kind: 'unfence', chainEpoch: 1 };
const signedOrder = {
  signatures: [{ administrator: 'ada', publicKey: h(6), signature: sig(7) }],
};
const undo = { step: 'reserve', state: 'owed', tries: 2, lastError: 'x' };
const progress = [{ party: 'alpha', steps: [{ name: 'prepare', state: 'done', lagMs: 12 }] }];

/** name → [schema, example with every optional field present]. */
const policyReceipt = {
  receipt: { party: 'alpha', policyId: 'demo', version: 2, policyHash: h(10) },
  signature: sig(28),
};
const policyProgress = {
  policyId: 'demo',
  version: 2,
  policyHash: h(10),
  parties: ['alpha', 'beta', 'gamma'],
  received: ['alpha', 'beta'],
  groups: [
    {
      parties: ['alpha', 'beta', 'gamma'],
      threshold: 2,
      wallets: 1,
      held: 2,
      deadAt: 2,
      usableAt: 2,
    },
  ],
  previousDead: true,
  usable: true,
  complete: false,
};

export const EXAMPLES: Readonly<Record<string, readonly [z.ZodType, unknown]>> = {
  TransferIntent: [intents.TransferIntent, intent],
  AnchorRequest: [intents.AnchorRequest, anchorRequest],
  AccountsQuery: [
    accounts.AccountsQuery,
    { walletId: 'wallet-1', paths: ['m', 'm/0/7'], asset: 'native', history: 'none' },
  ],
  TransferFromPath: [intents.TransferIntent, { ...intent, path: 'm/0/7' }],
  LeasedAnchor: [intents.LeasedAnchor, leased],
  PayoutIntent: [payouts.PayoutIntent, payoutIntent],
  MessageIntent: [messages.MessageIntent, messageIntent],
  TypedDataIntent: [
    messages.MessageIntent,
    { ...messageIntent, chain: 'eip155:1', message: { kind: 'eip712', json: '{}' } },
  ],
  AnchorInput: [saga.AnchorInput, { request: anchorRequest }],
  AnchorOutcome: [saga.AnchorOutcome, { outcome: 'given-back', leased }],
  SignedApproval: [activities.SignedApproval, signedApproval],
  SignedPolicy: [policies.SignedPolicy, signedPolicy],
  KeyDescriptor: [keys.KeyDescriptor, key],
  SignedCertificate: [keys.SignedCertificate, signedCertificate],
  SignedNever: [keys.SignedNever, never],
  GenerateKeyRequest: [keys.GenerateKeyRequest, request],
  UnsignedTransaction: [
    transactions.UnsignedTransaction,
    { ...unsigned, nonceProof: { account: 'a', value: h(24), preimage: h(25) } },
  ],
  SignedTransaction: [
    transactions.SignedTransaction,
    { network, id: h(26), bytes: '0200', spentOutputs: [{ amount: '5', script: '5120' }] },
  ],
  BroadcastOutcome: [transactions.BroadcastOutcome, { status: 'rejected', reason: 'x' }],
  TransactionStatus: [
    transactions.TransactionStatus,
    { status: 'included', confirmations: 3, block: h(27), final: true },
  ],
  PrepareKeygen: [
    party.PrepareRequest,
    {
      kind: 'keygen',
      requestId: 'wallet-1',
      attempt,
      keyId: 'wallet-1',
      walletId: 'wallet-1',
      epoch: 0,
      network,
      protocol: 'frost-bip340',
      threshold: 2,
      signers: ['alpha', 'beta', 'gamma'],
      policyId: 'demo',
      policyHash: h(10),
    },
  ],
  PrepareSign: [
    party.PrepareRequest,
    {
      kind: 'sign',
      requestId: 'pay-1',
      attempt,
      keyId: 'wallet-1',
      epoch: 0,
      purpose: 'payment',
      signers: ['alpha', 'gamma'],
      intent,
      line: 0,
      approvals: [signedApproval],
      policyHash: h(10),
      unsigned,
    },
  ],
  PrepareMessage: [
    party.PrepareRequest,
    {
      kind: 'message',
      requestId: 'login-1',
      attempt,
      keyId: 'wallet-1',
      epoch: 0,
      signers: ['alpha', 'gamma'],
      intent: messageIntent,
      approvals: [signedApproval],
      policyHash: h(10),
    },
  ],
  PreparePayout: [
    party.PrepareRequest,
    {
      kind: 'payout',
      requestId: 'pay-1',
      attempt,
      keyId: 'wallet-1',
      epoch: 0,
      purpose: 'payment',
      signers: ['alpha', 'gamma'],
      intent: payoutIntent,
      approvals: [signedApproval],
      policyHash: h(10),
      unsigned,
    },
  ],
  SignedPrepareAnswer: [party.SignedPrepareAnswer, prepareAnswer],
  Envelope: [party.Envelope, envelope],
  RoundRequest: [
    party.RoundRequest,
    { keyId: 'wallet-1', attempt, round: 1, prepared: [prepareAnswer], inbox: [envelope] },
  ],
  RoundAnswer: [
    party.RoundAnswer,
    {
      attempt,
      round: 3,
      sessionId: h(19),
      done: true,
      outbox: [envelope],
      keygen: { key, certificate: signedCertificate },
    },
  ],
  AbortRequest: [party.AbortRequest, { keyId: 'wallet-1', attempt, reason: 'late' }],
  AbortAnswer: [party.AbortAnswer, { attempt, outcome: 'aborted' }],
  ActivateRequest: [
    party.ActivateRequest,
    { keyId: 'wallet-1', attempt, certificates: [signedCertificate, signedCertificate] },
  ],
  ActivateAnswer: [party.ActivateAnswer, { keyId: 'wallet-1', epoch: 0, state: 'active' }],
  DestroyRequest: [party.DestroyRequest, { keyId: 'wallet-1', attempt, never }],
  DestroyAnswer: [party.DestroyAnswer, { attempt, outcome: 'kept', never }],
  PolicyDelivery: [party.PolicyDelivery, { signed: signedPolicy }],
  SignedPolicyReceipt: [party.SignedPolicyReceipt, policyReceipt],
  PartyHealth: [
    party.PartyHealth,
    {
      party: 'alpha',
      identityKey: h(29),
      version: '0.1.0',
      protocols: ['frost-bip340'],
      networks: [network],
      activeKeys: 1,
      openSessions: 0,
      policies: [{ policyId: 'demo', version: 2, hash: h(10) }],
      fenced: true,
      fence: { reason: 'witness', since: T0, chainEpoch: 1 },
      chainEpoch: 0,
      headSequence: 3,
      quarantined: ['wallet-1'],
      clock: T0,
    },
  ],
  UnfenceOrder: [orders.DeliverOrderInput, { signed: { ...signedOrder, order: unfence } }],
  QuarantineOrder: [
    orders.SignedOrder,
    { ...signedOrder, order: { ...order, kind: 'quarantine', keyId: 'wallet-1' } },
  ],
  ReleaseOrder: [
    orders.SignedOrder,
    { ...signedOrder, order: { ...order, kind: 'release', keyId: 'wallet-1' } },
  ],
  DestroyOrder: [
    orders.SignedOrder,
    { ...signedOrder, order: { ...order, kind: 'destroy', keyId: 'wallet-1', epoch: 0 } },
  ],
  SignedOrderReceipt: [
    orders.SignedOrderReceipt,
    {
      receipt: {
        party: 'alpha',
        orderId: 'unfence-alpha-1',
        orderHash: h(31),
        kind: 'unfence',
        at: T0,
        chainEpoch: 2,
        intentsAfter: T0,
      },
      signature: sig(32),
    },
  ],
  ChangePolicyInput: [
    changes.ChangePolicyInput,
    { signed: signedPolicy, policyHash: h(10), redeliver: true },
  ],
  PolicyProgress: [changes.PolicyProgress, policyProgress],
  PolicyChangeStatus: [
    changes.PolicyChangeStatus,
    {
      phase: 'InForce',
      policyId: 'demo',
      version: 2,
      policyHash: h(10),
      parties: [
        { party: 'alpha', state: 'received', since: T0, tries: 1 },
        { party: 'beta', state: 'refused', since: T0, tries: 2, lastError: 'QuorumMissing: x' },
      ],
      groups: policyProgress.groups,
      previousDead: true,
      usable: true,
      complete: false,
      announced: 1,
      waitingFor: 'receipts of beta',
      failure,
      phasesMs: { Delivering: 12 },
    },
  ],
  PolicyChangeResult: [
    changes.PolicyChangeResult,
    { policyId: 'demo', version: 2, policyHash: h(10), received: ['alpha', 'beta'] },
  ],
  PolicyView: [
    changes.PolicyView,
    {
      policyId: 'demo',
      inForce: 2,
      versions: [
        {
          version: 2,
          policyHash: h(10),
          signed: signedPolicy,
          workflowId: 'policy/demo/2',
          receipts: [policyReceipt],
          forked: ['gamma'],
          progress: policyProgress,
        },
      ],
    },
  ],
  PolicyOfWallet: [changes.PolicyQuery, { walletId: 'wallet-1' }],
  PolicyById: [changes.PolicyQuery, { policyId: 'demo' }],
  TransferPolicy: [
    changes.TransferPolicy,
    {
      signed: signedPolicy,
      policyHash: h(10),
      next: { version: 3, held: 1, usableAt: 2, currentDead: false },
    },
  ],
  PolicyWaiters: [changes.PolicyWaiters, { requestIds: ['pay-1'] }],
  TransferInput: [
    saga.TransferInput,
    { intent, intentDigest: h(2), limits: { waitForParties: 60, prepare: 10, round: 30 } },
  ],
  GenerateKeyInput: [saga.GenerateKeyInput, { request, limits: {} }],
  TransferStatus: [
    saga.TransferStatus,
    {
      phase: 'Signing',
      intent,
      intentDigest: h(2),
      quorum: 2,
      approvals: [signedApproval],
      missing: ['bob'],
      policy: { policyId: 'demo', version: 2, policyHash: h(10), recounted: true },
      refusedMessages: [{ at: T0, code: 'InvalidInput', message: 'x' }],
      attempt,
      attempts: 1,
      parties: progress,
      waitingFor: 'round 1',
      pivotPassed: false,
      transactionId: h(26),
      voidTransactionId: h(30),
      confirmations: 0,
      cancelRequested: false,
      undos: [undo],
      failure,
      phasesMs: { Initiated: 12 },
    },
  ],
  PayoutInput: [
    payoutSagas.PayoutInput,
    { intent: payoutIntent, intentDigest: h(2), limits: { waitForParties: 60 } },
  ],
  PayoutStatus: [
    payoutSagas.PayoutStatus,
    {
      phase: 'Confirming',
      intent: payoutIntent,
      intentDigest: h(2),
      quorum: 2,
      approvals: [signedApproval],
      missing: ['carol'],
      refusedMessages: [],
      attempts: 1,
      parties: progress,
      waitingFor: '',
      pivotPassed: true,
      transactionId: h(26),
      confirmations: 1,
      cancelRequested: false,
      undos: [undo],
      lines: [{ from: 0, to: 1, fate: 'sent', transactionId: h(26) }],
      phasesMs: { Initiated: 12 },
    },
  ],
  PayoutResult: [
    payoutSagas.PayoutResult,
    {
      transactionId: h(26),
      confirmations: 6,
      lines: [{ from: 0, to: 1, fate: 'paid', transactionId: h(26) }],
      phasesMs: { Initiated: 12 },
    },
  ],
  MessageInput: [
    messageSagas.MessageInput,
    { intent: messageIntent, intentDigest: h(2), limits: { waitForParties: 60 } },
  ],
  MessageStatus: [
    messageSagas.MessageStatus,
    {
      phase: 'Completed',
      intent: messageIntent,
      intentDigest: h(2),
      quorum: 2,
      approvals: [signedApproval],
      missing: ['carol'],
      refusedMessages: [{ at: T0, code: 'ApprovalInvalid', message: 'no' }],
      attempt,
      attempts: 1,
      parties: [{ party: 'alpha', steps: [{ name: 'prepare', state: 'done', lagMs: 5 }] }],
      waitingFor: '',
      pivotPassed: true,
      signed: { digest: h(3), signature: 'AUA=' },
      cancelRequested: false,
      undos: [{ step: 'abort alpha', state: 'owed', tries: 1, lastError: 'PartyUnavailable: x' }],
      failure: { code: 'Cancelled', message: 'x', party: 'alpha', field: 'f', at: T0 },
      phasesMs: { Signing: 900 },
    },
  ],
  MessageResult: [
    messageSagas.MessageResult,
    { digest: h(3), signature: 'AUA=', phasesMs: { Signing: 900 } },
  ],
  TransferResult: [
    saga.TransferResult,
    { transactionId: h(26), confirmations: 6, phasesMs: { Initiated: 12 } },
  ],
  KeygenStatus: [
    saga.KeygenStatus,
    {
      phase: 'Rounds',
      request,
      attempt,
      parties: progress,
      certificates: 0,
      activated: ['alpha'],
      waitingFor: 'round 1',
      address: 'bcrt1pwallet',
      undos: [undo],
      failure,
      phasesMs: { Reserving: 3 },
    },
  ],
  ApprovalReceipt: [
    saga.ApprovalReceipt,
    { approved: 1, quorum: 2, missing: ['bob'], phase: 'AwaitingApprovals' },
  ],
  CancelReceipt: [saga.CancelReceipt, { accepted: true, path: 'void', message: 'x' }],
};
