/** Anchors: leased under a request id before its intent is made, so that people approve which resource it must spend. */
import type { Client } from '@temporalio/client';
import { anchorDemanded } from '../core/anchor.ts';
import { parseWith } from '../core/parse.ts';
import { parsePayment } from '../core/payout.ts';
import type { PaymentIntent } from '../core/ports/payment.ts';
import { digestHex } from '../core/signed.ts';
import { isKeysagaError, KeysagaError } from '../schema/contracts/errors.ts';
import { AnchorRequest, LeasedAnchor, type TransferIntent } from '../schema/contracts/intent.ts';
import type { RequestId } from '../schema/contracts/primitives.ts';
import { AnchorOutcome, CancelReceipt } from '../schema/contracts/saga.ts';
import { detailsOfAnchor, summaryOfAnchor } from '../schema/contracts/summaries.ts';
import { MESSAGES, WORKFLOWS, workflowId } from '../schema/contracts/temporal.ts';
import { clientError } from './errors.ts';
import type { PolicyInfo } from './policies.ts';
import { PHASE, WALLET } from './search-attributes.ts';
import { startOnce } from './start.ts';

/** The coordinator tries for a minute: another transfer may give back what suits. */
const LEASE_MS = 75_000;

/** What an anchor is asked for with; a transfer intent without its anchor has all of it, a payout has `total` as `amount`. */
export const anchorRequestFor = ({
  requestId,
  walletId,
  amount,
  feeCap,
  expiresAt,
  path,
}: AnchorRequest): AnchorRequest => ({
  requestId,
  walletId,
  amount,
  feeCap,
  expiresAt,
  ...(path === undefined ? {} : { path }),
});

/** The intent that names its anchor; the digest, and so every approval, covers it. Throws `InvalidInput`. */
export const anchoredOn = <Intent extends PaymentIntent>(
  intent: Intent,
  { anchor }: LeasedAnchor,
): Intent => parsePayment({ ...intent, anchor }) as Intent;

/** Does the policy's version in force demand an anchor for this payment? Parties and ledger say so again. */
export function anchorDemandedBy(
  { inForce, versions }: PolicyInfo,
  { chain, asset, amount }: Pick<TransferIntent, 'chain' | 'asset' | 'amount'>,
): boolean {
  const rules = versions.find(({ version }) => version === inForce)?.signed.policy;
  const limit = rules?.limits.find((one) => one.network === chain && one.asset === asset);
  return anchorDemanded(limit?.anchorFrom, amount);
}

/** See `KeysagaClient.anchor`. */
export async function leaseAnchor(
  client: Client,
  request: AnchorRequest,
  timeoutMs: number,
): Promise<LeasedAnchor> {
  const body = parseWith(AnchorRequest, request, 'request');
  const { expiresAt: _, ...what } = body;
  const subject = `anchor of ${body.requestId}`;
  const call = async (): Promise<LeasedAnchor> => {
    const { workflowId: id } = await startOnce(client, {
      workflowType: WORKFLOWS.anchor,
      workflowId: workflowId.anchor(body.requestId),
      input: { request: body },
      // The time is left out: asked again a moment later it is still the same wish.
      digest: digestHex('request', what),
      memo: { request: body },
      staticSummary: summaryOfAnchor(body),
      staticDetails: detailsOfAnchor(body),
      searchAttributes: [
        { key: WALLET, value: body.walletId },
        { key: PHASE, value: 'Leasing' },
      ],
    });
    const handle = client.workflow.getHandle(id);
    try {
      const answer: unknown = await handle.executeUpdate(MESSAGES.anchor);
      return parseWith(LeasedAnchor, answer, 'anchor');
    } catch (error) {
      const failure = clientError(error, subject);
      if (!isKeysagaError(failure, 'NotFound')) throw failure;
    }
    // It has ended: the transfer took the anchor, or it went back.
    const { outcome, leased } = parseWith(AnchorOutcome, await handle.result(), 'anchor');
    if (outcome === 'taken') return leased;
    throw new KeysagaError(
      'StateConflict',
      `The ${subject} was given back; ask for one under a new request id.`,
      { field: 'anchor', requestId: body.requestId },
    );
  };
  return client
    .withDeadline(Date.now() + Math.max(timeoutMs, LEASE_MS), call)
    .catch((error: unknown) => {
      throw clientError(error, subject);
    });
}

/** See `KeysagaClient.giveAnchorBack`. */
export async function giveAnchorBack(client: Client, requestId: RequestId): Promise<CancelReceipt> {
  const handle = client.workflow.getHandle(workflowId.anchor(requestId));
  const { status } = await handle.describe();
  if (status.name !== 'RUNNING')
    return { accepted: false, path: 'too-late', message: 'The lease has ended.' };
  return parseWith(CancelReceipt, await handle.executeUpdate(MESSAGES.cancel), 'receipt');
}
