/**
 * Carries an administrators' order to its party and waits for the party's signed receipt, for as long as the order is
 * valid. It decides nothing: the party verifies the order by itself, and once is all it takes it.
 */
import { setCurrentDetails, sleep } from '@temporalio/workflow';
import { parseWith } from '../core/parse.ts';
import { KeysagaError } from '../schema/contracts/errors.ts';
import { fromFailure, toApplicationFailure } from '../schema/contracts/failures.ts';
import {
  DeliverOrderInput,
  type SignedOrder,
  SignedOrderReceipt,
} from '../schema/contracts/order.ts';
import { plain } from '../schema/contracts/summaries.ts';
import { rethrowDefect } from './defects.ts';
import { party } from './steps.ts';

const LEAST_MS = 1_000;
/** While sessions hold the share that is to be destroyed. */
const LOCKED_PAUSE_MS = 15_000;

export async function deliverOrder(raw: DeliverOrderInput): Promise<SignedOrderReceipt> {
  try {
    const { signed } = parseWith(DeliverOrderInput, raw, 'input');
    return await deliver(signed);
  } catch (error) {
    rethrowDefect(error);
    throw toApplicationFailure(fromFailure(error), { forWorkflow: true });
  }
}

async function deliver(signed: SignedOrder): Promise<SignedOrderReceipt> {
  const { order } = signed;
  const until = Date.parse(order.validUntil);
  for (;;) {
    show(signed, `waits for ${order.party}`);
    const left = Math.max(LEAST_MS, until - Date.now());
    try {
      const answer = await party('owed', order.party, `${order.kind} at ${order.party}`, {
        scheduleToCloseMs: left,
      }).order({ signed });
      const receipt = parseWith(SignedOrderReceipt, answer, 'receipt');
      show(signed, 'carried out');
      return receipt;
    } catch (error) {
      rethrowDefect(error);
      const failure = fromFailure(error);
      if (failure.code !== 'KeyLocked' || Date.now() + LOCKED_PAUSE_MS >= until)
        throw late(failure);
      show(signed, `sessions hold the share at ${order.party}`);
      await sleep(LOCKED_PAUSE_MS, {
        summary: 'until the sessions that hold the share have ended',
      });
    }
  }
}

const late = (failure: KeysagaError): KeysagaError =>
  failure.code === 'PartyUnavailable'
    ? new KeysagaError('PartyUnavailable', 'The order ended before its party took it.', {
        ...failure.details,
        field: 'validUntil',
      })
    : failure;

function show({ order, signatures }: SignedOrder, now: string): void {
  setCurrentDetails(
    [
      `**Order ${order.kind}** to ${order.party}`,
      '',
      plain(now),
      `- id: ${plain(order.orderId)}`,
      ...('keyId' in order ? [`- key: ${plain(order.keyId)}`] : []),
      `- reason: ${plain(order.reason)}`,
      `- signed by: ${signatures.map((s) => plain(s.administrator)).join(', ')}`,
    ].join('\n'),
  );
}
