/** The SDK's part about payouts: starting one, deciding about it, following it. */
import type { Client, WorkflowHandle } from '@temporalio/client';
import { parseWith } from '../core/parse.ts';
import { parsePayout, payoutDigest } from '../core/payout.ts';
import type { SignedApproval } from '../schema/contracts/approval.ts';
import { KeysagaError } from '../schema/contracts/errors.ts';
import type { PayoutIntent } from '../schema/contracts/payout.ts';
import { type PayoutInput, PayoutResult, PayoutStatus } from '../schema/contracts/payout-saga.ts';
import type { ApprovalReceipt, CancelReceipt, SagaLimits } from '../schema/contracts/saga.ts';
import { detailsOfPayout, summaryOfPayout } from '../schema/contracts/summaries.ts';
import { WORKFLOWS, workflowId } from '../schema/contracts/temporal.ts';
import { askStatus } from './ask.ts';
import { cancelSaga, decide, signalDecision } from './deciding.ts';
import { clientError } from './errors.ts';
import { listPayouts, type PayoutSummary, type TransferFilter } from './lists.ts';
import { MessageClient } from './message-client.ts';
import type { Pins } from './policies.ts';
import { asRequestId } from './request-id.ts';
import { CHAIN, PHASE, WALLET } from './search-attributes.ts';
import { type Started, startOnce } from './start.ts';

// A newer coordinator may say more than this client knows.
const LenientPayoutStatus = PayoutStatus.strip();

export class PayoutClient extends MessageClient {
  readonly #client: Client;
  readonly #timeoutMs: number;

  constructor(client: Client, pins: Pins, timeoutMs: number) {
    super(client, pins, timeoutMs);
    this.#client = client;
    this.#timeoutMs = timeoutMs;
  }
  #payout<T>(requestId: string, work: (handle: WorkflowHandle) => Promise<T>): Promise<T> {
    const id = asRequestId(requestId);
    const handle = this.#client.workflow.getHandle(workflowId.payout(id));
    return this.#client
      .withDeadline(Date.now() + this.#timeoutMs, () => work(handle))
      .catch((error) => {
        throw clientError(error, `payout ${id}`);
      });
  }

  /**
   * Starts a payout, or finds the one that this very list started. Request ids of payouts and transfers are one space. The
   * digest is computed here. Throws `InvalidInput` (`lines[17].destination`, `total`, …), `ChainUnsupported`,
   * `RequestConflict`, `PartFailed`.
   */
  async payout(
    intent: PayoutIntent,
    options: { readonly limits?: SagaLimits } = {},
  ): Promise<Started> {
    const body = parsePayout(intent);
    const digest = payoutDigest(body);
    const input: PayoutInput = { intent: body, intentDigest: digest, ...options };
    return this.#payout(body.requestId, () =>
      startOnce(this.#client, {
        workflowType: WORKFLOWS.payout,
        workflowId: workflowId.payout(body.requestId),
        input,
        digest,
        memo: { intent: body },
        staticSummary: summaryOfPayout(body),
        staticDetails: detailsOfPayout(body, digest),
        searchAttributes: [
          { key: WALLET, value: body.walletId },
          { key: CHAIN, value: body.chain },
          { key: PHASE, value: 'Initiated' },
        ],
      }),
    );
  }

  /** Hands in an approval or a rejection and waits for the count. Throws why it does not count, as `approve`. */
  async decidePayout(requestId: string, signed: SignedApproval): Promise<ApprovalReceipt> {
    return this.#payout(requestId, (handle) => decide(handle, signed));
  }
  /** The same as a Temporal signal: taken even while every coordinator is down. */
  async signalPayoutDecision(requestId: string, signed: SignedApproval): Promise<void> {
    return this.#payout(requestId, (handle) => signalDecision(handle, signed));
  }

  /** As `cancel` of a transfer: undone before the pivot, voided after it unless the payment wins. */
  async cancelPayout(requestId: string): Promise<CancelReceipt> {
    return this.#payout(requestId, (handle) => cancelSaga(handle, 'The payout'));
  }

  /**
   * Where a payout and each of its lines stand. The digest is computed here from the list in the answer, as with a transfer.
   * Throws `NotFound`, `ApprovalInvalid` (`intentDigest`), `PartFailed`.
   */
  async payoutStatus(requestId: string): Promise<PayoutStatus> {
    const answer = await this.#payout(requestId, (handle) => askStatus(handle));
    const status = parseWith(LenientPayoutStatus, answer, 'status');
    const { intent, intentDigest } = status;
    if (intent.requestId !== requestId || payoutDigest(intent) !== intentDigest)
      throw new KeysagaError('ApprovalInvalid', 'The shown list is not the one to be signed.', {
        field: 'intentDigest',
      });
    return status;
  }
  /** Payouts, newest first. Works while every coordinator is down. */
  payouts(filter: TransferFilter = {}): Promise<PayoutSummary[]> {
    return this.#client
      .withDeadline(Date.now() + this.#timeoutMs, () => listPayouts(this.#client, filter))
      .catch((error) => {
        throw clientError(error, 'the list');
      });
  }
  /** Waits for the end. Throws what the payout failed with. */
  async payoutResult(requestId: string): Promise<PayoutResult> {
    const id = asRequestId(requestId);
    const answer: unknown = await this.#client.workflow
      .getHandle(workflowId.payout(id))
      .result()
      .catch((error: unknown) => {
        throw clientError(error, `payout ${id}`);
      });
    return parseWith(PayoutResult, answer, 'result');
  }
}
