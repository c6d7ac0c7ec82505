/** Sagas in lists, read from Temporal's visibility store and the encrypted memo: no coordinator is asked. */
import type { Client, WorkflowExecutionInfo } from '@temporalio/client';
import { intentDigest, parseIntent } from '../core/intent.ts';
import { messageIntentDigest, parseMessageIntent } from '../core/messages/intent.ts';
import { parsePayout, payoutDigest } from '../core/payout.ts';
import { KeysagaError } from '../schema/contracts/errors.ts';
import type { TransferIntent } from '../schema/contracts/intent.ts';
import { GenerateKeyRequest } from '../schema/contracts/key.ts';
import type { MessageIntent } from '../schema/contracts/message.ts';
import type { PayoutIntent } from '../schema/contracts/payout.ts';
import type { RequestId } from '../schema/contracts/primitives.ts';
import { parseWorkflowId, WORKFLOWS } from '../schema/contracts/temporal.ts';
import { APPROVER, PHASE } from './search-attributes.ts';

/** A saga in a list. `intent` is absent when its memo is not one that this client wrote. */
type WaitingSummary<Intent> = {
  readonly requestId: RequestId;
  readonly workflowId: string;
  /** Temporal's own: `RUNNING`, `COMPLETED`, `FAILED`, … */
  readonly execution: string;
  readonly phase: string;
  readonly intent?: Intent;
  /** Approvers whose decision is still missing. */
  readonly waitingFor: readonly string[];
  readonly startedAt: string;
  readonly closedAt?: string;
};
export type TransferSummary = WaitingSummary<TransferIntent>;
export type MessageSummary = WaitingSummary<MessageIntent>;
export type PayoutSummary = WaitingSummary<PayoutIntent>;
export type KeySummary = {
  readonly requestId: RequestId;
  readonly workflowId: string;
  readonly execution: string;
  readonly phase: string;
  readonly request?: GenerateKeyRequest;
  readonly startedAt: string;
};
export type TransferFilter = {
  readonly walletId?: string;
  /** Only those that wait for this approver. */
  readonly approver?: string;
  /** Only those that have not ended. */
  readonly open?: boolean;
  /** Newest first; default 50. */
  readonly limit?: number;
};

/** Ids are slugs, so quoting needs no escapes; anything else is refused before it gets into a query. */
const quoted = (value: string, field: string): string => {
  if (!/^[A-Za-z0-9._:-]{1,128}$/.test(value))
    throw new KeysagaError('InvalidInput', `${field}: not an id`, { field });
  return `'${value}'`;
};
const iso = (date: Date): string => date.toISOString();

/** Key generations, newest first. */
export const listKeys = (client: Client, limit: number): Promise<KeySummary[]> =>
  list(client, `WorkflowType = '${WORKFLOWS.generateKey}'`, limit, (info) => {
    const request = GenerateKeyRequest.safeParse(info.memo?.request);
    return { ...summary(info), ...(request.success ? { request: request.data } : {}) };
  });

/** Transfers, newest first. Throws `InvalidInput` for a filter that is no id. */
export const listTransfers = (client: Client, filter: TransferFilter): Promise<TransferSummary[]> =>
  waitingSagas(client, WORKFLOWS.transfer, filter, (memo, requestId) =>
    readIntent(memo, requestId, parseIntent, intentDigest),
  );

/** Messages, newest first. Throws as `listTransfers`. */
export const listMessages = (client: Client, filter: TransferFilter): Promise<MessageSummary[]> =>
  waitingSagas(client, WORKFLOWS.signMessage, filter, (memo, requestId) =>
    readIntent(memo, requestId, parseMessageIntent, messageIntentDigest),
  );

/** Payouts, newest first. Throws as `listTransfers`. */
export const listPayouts = (client: Client, filter: TransferFilter): Promise<PayoutSummary[]> =>
  waitingSagas(client, WORKFLOWS.payout, filter, (memo, requestId) =>
    readIntent(memo, requestId, parsePayout, payoutDigest),
  );

/** Sagas that wait for approvers. */
async function waitingSagas<I>(
  client: Client,
  type: string,
  filter: TransferFilter,
  read: (memo: WorkflowExecutionInfo['memo'], requestId: string) => I | undefined,
): Promise<WaitingSummary<I>[]> {
  const query = [
    `WorkflowType = '${type}'`,
    ...(filter.walletId === undefined
      ? []
      : [`KeysagaWallet = ${quoted(filter.walletId, 'walletId')}`]),
    ...(filter.approver === undefined
      ? []
      : [`KeysagaApprover = ${quoted(filter.approver, 'approver')}`]),
    ...(filter.open === true || filter.approver !== undefined
      ? [`ExecutionStatus = 'Running'`]
      : []),
  ].join(' AND ');
  return list(client, query, filter.limit ?? 50, (info) => {
    const common = summary(info);
    const intent = read(info.memo, common.requestId);
    return {
      ...common,
      ...(intent === undefined ? {} : { intent }),
      waitingFor: [...(info.typedSearchAttributes.get(APPROVER) ?? [])],
      ...(info.closeTime === undefined ? {} : { closedAt: iso(info.closeTime) }),
    };
  });
}

function summary(info: WorkflowExecutionInfo) {
  const id = parseWorkflowId(info.workflowId);
  if (id.kind === 'policy' || id.kind === 'pool')
    throw new KeysagaError('InvalidInput', 'A policy change or a pool has no request id.', {
      field: 'workflowId',
    });
  return {
    requestId: id.requestId,
    workflowId: info.workflowId,
    execution: info.status.name,
    phase: info.typedSearchAttributes.get(PHASE) ?? '',
    startedAt: iso(info.startTime),
  };
}

async function list<T>(
  client: Client,
  query: string,
  limit: number,
  read: (info: WorkflowExecutionInfo) => T,
): Promise<T[]> {
  const found: T[] = [];
  for await (const info of client.workflow.list({ query, pageSize: Math.min(limit, 100) })) {
    if (found.length >= limit) break;
    if (isOurs(info.workflowId)) found.push(read(info));
  }
  return found;
}

const isOurs = (id: string): boolean => {
  try {
    const { kind } = parseWorkflowId(id);
    return ['transfer', 'payout', 'keygen', 'message'].includes(kind);
  } catch {
    return false;
  }
};

/** The intent in a memo, if it is one and its digest is the memo's. */
function readIntent<I extends { readonly requestId: string }>(
  memo: WorkflowExecutionInfo['memo'],
  requestId: string,
  parse: (x: unknown) => I,
  digest: (intent: I) => string,
): I | undefined {
  try {
    const intent = parse(memo?.intent);
    return intent.requestId === requestId && digest(intent) === memo?.digest ? intent : undefined;
  } catch {
    return undefined;
  }
}
