/** The SDK's part about administrators' orders: handing one in, and believing the party's own receipt only. */
import type { Client } from '@temporalio/client';
import { orderHash, verifySignedOrder } from '../core/orders.ts';
import { parseWith } from '../core/parse.ts';
import { verifySigned } from '../core/signed.ts';
import { KeysagaError } from '../schema/contracts/errors.ts';
import { type OrderReceipt, SignedOrder, SignedOrderReceipt } from '../schema/contracts/order.ts';
import type { RequestId } from '../schema/contracts/primitives.ts';
import { detailsOfOrder, summaryOfOrder } from '../schema/contracts/summaries.ts';
import { WORKFLOWS, workflowId } from '../schema/contracts/temporal.ts';
import { clientError } from './errors.ts';
import type { Pins } from './policies.ts';
import { PoolClient } from './pool-client.ts';
import { type Started, startOnce } from './start.ts';

export class OrderClient extends PoolClient {
  readonly #client: Client;
  readonly #pins: Pins;
  readonly #limitMs: number;

  constructor(client: Client, pins: Pins, limitMs: number) {
    super(client, pins, limitMs);
    this.#client = client;
    this.#pins = pins;
    this.#limitMs = limitMs;
  }
  #limited<T>(subject: string, limitMs: number, work: () => Promise<T>): Promise<T> {
    return this.#client.withDeadline(Date.now() + limitMs, work).catch((error) => {
      throw clientError(error, subject);
    });
  }

  /**
   * Starts the delivery of an order, or finds the one that this very order started; one that failed may be started again.
   * Checked against the pinned administrators first, where there are any. Throws `InvalidInput`, `OrderRefused`,
   * `ApprovalInvalid`, `QuorumMissing`, `RequestConflict` (the order id was used for another order).
   */
  async deliverOrder(input: SignedOrder): Promise<Started> {
    const signed = parseWith(SignedOrder, input, 'signed order');
    const { order } = signed;
    if (!this.#pins.identityKeys.has(order.party))
      throw new KeysagaError('InvalidInput', `No key is pinned for party ${order.party}.`, {
        field: 'party',
      });
    const { administrators } = this.#pins;
    if (administrators !== undefined)
      verifySignedOrder(signed, {
        party: order.party,
        administrators: administrators.administrators,
        quorum: administrators.quorum,
      });
    return this.#limited(`order ${order.orderId}`, this.#limitMs, () =>
      startOnce(this.#client, {
        workflowType: WORKFLOWS.deliverOrder,
        workflowId: workflowId.order(order.orderId),
        input: { signed },
        digest: orderHash(order),
        memo: { order },
        staticSummary: summaryOfOrder(order),
        staticDetails: detailsOfOrder(order),
        searchAttributes: [],
        again: 'after-failure',
      }),
    );
  }

  /**
   * The party's receipt, verified under its pinned key. Waits at most `waitMs` (default 15,000). Throws what the party
   * refused the order with, `PartyUnavailable` when it has not answered in time (the delivery goes on until the order
   * ends), `SignatureInvalid` for a receipt that is not the party's or is for another order.
   */
  async orderReceipt(input: SignedOrder, waitMs = 15_000): Promise<OrderReceipt> {
    const { order } = parseWith(SignedOrder, input, 'signed order');
    const handle = this.#client.workflow.getHandle(workflowId.order(order.orderId as RequestId));
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(
        () =>
          reject(
            new KeysagaError('PartyUnavailable', `${order.party} has not taken the order yet.`, {
              party: order.party,
              remedy:
                'The delivery waits for the party until the order ends; submit it again to look.',
            }),
          ),
        waitMs,
      );
    });
    const answer: unknown = await Promise.race([handle.result(), late])
      .catch((error: unknown) => {
        throw clientError(error, `order ${order.orderId}`);
      })
      .finally(() => clearTimeout(timer));
    const { receipt, signature } = parseWith(SignedOrderReceipt, answer, 'receipt');
    const key = this.#pins.identityKeys.get(order.party);
    if (
      key === undefined ||
      receipt.party !== order.party ||
      receipt.orderHash !== orderHash(order) ||
      !verifySigned('order-receipt', receipt, key, signature)
    )
      throw new KeysagaError('SignatureInvalid', `The receipt is not ${order.party}’s.`, {
        field: 'receipt',
      });
    return receipt;
  }
}
