/** Names that clients, workers and the UI share: queues, workflow ids, search attributes. Nothing is named twice. */
import { KeysagaError } from './errors.ts';
import { KeyId, PartyId, PolicyId, RequestId } from './primitives.ts';

export const NAMESPACE = 'keysaga';
/** `confirm` waits for blocks, so it has a queue of its own: a full one must not keep anything from being sent. */
export const TASK_QUEUES = {
  sagas: 'sagas',
  ledger: 'ledger',
  chain: 'chain',
  confirm: 'confirm',
} as const;
/** Queue of one party's activities. */
export const partyQueue = (party: PartyId): string => `party-${party}`;

/** Workflow types, as registered. */
export const WORKFLOWS = {
  transfer: 'transfer',
  generateKey: 'generateKey',
  deliverUndo: 'deliverUndo',
  deliverOrder: 'deliverOrder',
  changePolicy: 'changePolicy',
  anchor: 'anchor',
  signMessage: 'signMessage',
  payout: 'payout',
  presignaturePool: 'presignaturePool',
} as const;

const builders = {
  transfer: (requestId: RequestId) => `transfer/${requestId}`,
  keygen: (requestId: RequestId) => `keygen/${requestId}`,
  anchor: (requestId: RequestId) => `anchor/${requestId}`,
  message: (requestId: RequestId) => `message/${requestId}`,
  payout: (requestId: RequestId) => `payout/${requestId}`,
  policy: (policyId: PolicyId, version: number) => `policy/${policyId}/${version}`,
  /** One pool a key and signer set. */
  pool: (keyId: KeyId, signers: readonly PartyId[]) => `pool/${keyId}/${signers.join('+')}`,
  order: (orderId: RequestId) => `order/${orderId}`,
  undo: (requestId: RequestId, party: PartyId, attempt: string) =>
    `undo/${requestId}/${party}/${attempt}`,
};
/** Workflow ids come from request ids: the same request is the same workflow. */
export const workflowId = builders;

export type ParsedWorkflowId =
  | {
      readonly kind: 'transfer' | 'keygen' | 'anchor' | 'message' | 'payout' | 'order';
      readonly requestId: RequestId;
    }
  | { readonly kind: 'policy'; readonly policyId: PolicyId; readonly version: number }
  | { readonly kind: 'pool'; readonly keyId: KeyId; readonly signers: readonly PartyId[] }
  | {
      readonly kind: 'undo';
      readonly requestId: RequestId;
      readonly party: PartyId;
      readonly attempt: string;
    };

/** Inverse of the builders. Throws `InvalidInput` (field `workflowId`). */
export function parseWorkflowId(id: string): ParsedWorkflowId {
  const [kind, request, party, attempt, ...rest] = id.split('/');
  const policyId = PolicyId.safeParse(request);
  if (kind === 'policy' && policyId.success && attempt === undefined)
    if (party !== undefined && /^[1-9][0-9]{0,8}$/.test(party))
      return { kind, policyId: policyId.data, version: Number(party) };
  const keyId = KeyId.safeParse(request);
  if (kind === 'pool' && keyId.success && party !== undefined && attempt === undefined) {
    const signers = party.split('+').map((name) => PartyId.safeParse(name));
    if (signers.every(({ success }) => success))
      return { kind, keyId: keyId.data, signers: signers.flatMap(({ data }) => data ?? []) };
  }
  const requestId = RequestId.safeParse(request);
  if (requestId.success && rest.length === 0) {
    const own = ['transfer', 'keygen', 'anchor', 'message', 'payout', 'order'] as const;
    const known = own.find((name) => name === kind);
    if (known !== undefined && party === undefined)
      return { kind: known, requestId: requestId.data };
    const partyId = PartyId.safeParse(party);
    if (kind === 'undo' && partyId.success && attempt !== undefined)
      return { kind, requestId: requestId.data, party: partyId.data, attempt };
  }
  throw new KeysagaError('InvalidInput', `Not a keysaga workflow id: ${id.slice(0, 100)}`, {
    field: 'workflowId',
  });
}

/** Search attributes; values stay plaintext in Temporal, so ids and phases only. `KeysagaApprover` lists whom a transfer waits for. */
export const SEARCH_ATTRIBUTES = {
  KeysagaWallet: 'Keyword',
  KeysagaChain: 'Keyword',
  KeysagaPhase: 'Keyword',
  KeysagaProtocol: 'Keyword',
  KeysagaApprover: 'KeywordList',
} as const;

/** Messages of the transfer saga. `approve` and `reject` exist as signal (operators, CLI) and as update (SDK). */
export const MESSAGES = {
  approve: 'approve',
  reject: 'reject',
  cancel: 'cancelTransfer',
  status: 'status',
  /** Wakes a transfer: the policy in force may be another version. */
  policyChanged: 'policyChanged',
  /** Of a pool: looks at its stock now, with other marks when they are given. */
  fillPool: 'fillPool',
  /** Of a pool: drops what is in stock and ends. */
  dropPool: 'dropPool',
  /** Of the anchor's workflow: waits for the lease and answers with it. */
  anchor: 'anchor',
} as const;

/**
 * What a saga's worker answers to a query that it could only answer by running ahead of the next workflow task
 * (workflows/early-events.ts). Asked again, it is answered once that task has begun.
 */
export const ASKED_BETWEEN_TASKS = 'keysaga: asked between two workflow tasks; ask again';
