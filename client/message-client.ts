/** The SDK's part about messages: having one signed, deciding about it, following it. */
import type { Client, WorkflowHandle } from '@temporalio/client';
import { messageIntentDigest, parseMessageIntent } from '../core/messages/intent.ts';
import { parseWith } from '../core/parse.ts';
import type { SignedApproval } from '../schema/contracts/approval.ts';
import { KeysagaError } from '../schema/contracts/errors.ts';
import type { MessageIntent } from '../schema/contracts/message.ts';
import {
  type MessageInput,
  MessageResult,
  MessageStatus,
} from '../schema/contracts/message-saga.ts';
import type { ApprovalReceipt, CancelReceipt, SagaLimits } from '../schema/contracts/saga.ts';
import { detailsOfMessage, summaryOfMessage } from '../schema/contracts/summaries.ts';
import { WORKFLOWS, workflowId } from '../schema/contracts/temporal.ts';
import { askStatus } from './ask.ts';
import { cancelSaga, decide, signalDecision } from './deciding.ts';
import { clientError } from './errors.ts';
import { listMessages, type MessageSummary, type TransferFilter } from './lists.ts';
import { OrderClient } from './order-client.ts';
import type { Pins } from './policies.ts';
import { asRequestId } from './request-id.ts';
import { CHAIN, PHASE, WALLET } from './search-attributes.ts';
import { type Started, startOnce } from './start.ts';

// A newer coordinator may say more than this client knows.
const LenientMessageStatus = MessageStatus.strip();

export class MessageClient extends OrderClient {
  readonly #client: Client;
  readonly #timeoutMs: number;

  constructor(client: Client, pins: Pins, timeoutMs: number) {
    super(client, pins, timeoutMs);
    this.#client = client;
    this.#timeoutMs = timeoutMs;
  }
  #message<T>(requestId: string, work: (handle: WorkflowHandle) => Promise<T>): Promise<T> {
    const id = asRequestId(requestId);
    const handle = this.#client.workflow.getHandle(workflowId.message(id));
    return this.#client
      .withDeadline(Date.now() + this.#timeoutMs, () => work(handle))
      .catch((error) => {
        throw clientError(error, `message ${id}`);
      });
  }

  /**
   * Asks for a message to be signed, or finds what this very intent asked for. Request ids of messages and transfers are one
   * space. The digest is computed here. Throws `InvalidInput`, `TransactionMismatch` (`message.kind`), `RequestConflict`,
   * `PartFailed`.
   */
  async signMessage(
    intent: MessageIntent,
    options: { readonly limits?: SagaLimits } = {},
  ): Promise<Started> {
    const body = parseMessageIntent(intent);
    const digest = messageIntentDigest(body);
    const input: MessageInput = { intent: body, intentDigest: digest, ...options };
    return this.#message(body.requestId, () =>
      startOnce(this.#client, {
        workflowType: WORKFLOWS.signMessage,
        workflowId: workflowId.message(body.requestId),
        input,
        digest,
        memo: { intent: body },
        staticSummary: summaryOfMessage(body),
        staticDetails: detailsOfMessage(body, digest),
        searchAttributes: [
          { key: WALLET, value: body.walletId },
          { key: CHAIN, value: body.chain },
          { key: PHASE, value: 'Initiated' },
        ],
      }),
    );
  }

  /**
   * Hands in an approval or a rejection of a message and waits for the count; the decision says which. Throws why it does
   * not count, as `approve`.
   */
  async decideMessage(requestId: string, signed: SignedApproval): Promise<ApprovalReceipt> {
    return this.#message(requestId, (handle) => decide(handle, signed));
  }
  /** The same as a Temporal signal: taken even while every coordinator is down. */
  async signalMessageDecision(requestId: string, signed: SignedApproval): Promise<void> {
    return this.#message(requestId, (handle) => signalDecision(handle, signed));
  }

  /** Undone before the pivot; `too-late` after it, since nothing makes a signature worthless. */
  async cancelMessage(requestId: string): Promise<CancelReceipt> {
    return this.#message(requestId, (handle) => cancelSaga(handle, 'The message'));
  }

  /**
   * Where a message stands. The digest is computed here from the intent in the answer, as with a transfer. Throws `NotFound`,
   * `ApprovalInvalid` (`intentDigest`), `PartFailed`.
   */
  async messageStatus(requestId: string): Promise<MessageStatus> {
    const answer = await this.#message(requestId, (handle) => askStatus(handle));
    const status = parseWith(LenientMessageStatus, answer, 'status');
    const { intent, intentDigest } = status;
    if (intent.requestId !== requestId || messageIntentDigest(intent) !== intentDigest)
      throw new KeysagaError('ApprovalInvalid', 'The shown intent is not the one to be signed.', {
        field: 'intentDigest',
      });
    return status;
  }
  /** Messages, newest first. Works while every coordinator is down. */
  messages(filter: TransferFilter = {}): Promise<MessageSummary[]> {
    return this.#client
      .withDeadline(Date.now() + this.#timeoutMs, () => listMessages(this.#client, filter))
      .catch((error) => {
        throw clientError(error, 'the list');
      });
  }
  /** Waits for the signature. Throws what the message failed with. */
  async messageResult(requestId: string): Promise<MessageResult> {
    const id = asRequestId(requestId);
    const answer: unknown = await this.#client.workflow
      .getHandle(workflowId.message(id))
      .result()
      .catch((error: unknown) => {
        throw clientError(error, `message ${id}`);
      });
    return parseWith(MessageResult, answer, 'result');
  }
}
