/** Which outputs a transaction spends and what comes back. Pure and deterministic but for the leases' answers. */

import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js';
import type { WatchedOutput } from '../../core/ports/bitcoin-outputs.ts';
import { isKeysagaError, KeysagaError } from '../../schema/contracts/errors.ts';
import type { Anchor } from '../../schema/contracts/intent.ts';
import { type FeeRates, paymentFee } from './fees.ts';
import { outpoint, type PsbtInput, type PsbtOutput } from './psbt.ts';
import { dustLimit, virtualSize } from './script.ts';

export type Plan = {
  readonly inputs: readonly PsbtInput[];
  readonly outputs: readonly PsbtOutput[];
  readonly fee: bigint;
};
export type Payment = {
  /** Each once, in the order of the intent's lines. */
  readonly to: readonly PsbtOutput[];
  /** The wallet's own script. */
  readonly own: Uint8Array;
  readonly feeCap: bigint;
  readonly rates: FeeRates;
};

/** An input is a digest to be signed by every party: more make a session heavy, and a transaction too big to relay. */
export const MAX_INPUTS = 100;

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** BIP-69: inputs by id in display order, then index; outputs by amount, then script. The order tells nobody which is change. */
export const sortInputs = (inputs: readonly PsbtInput[]): PsbtInput[] =>
  [...inputs].sort((a, b) => compare(a.txid, b.txid) || a.vout - b.vout);
export const sortOutputs = (outputs: readonly PsbtOutput[]): PsbtOutput[] =>
  [...outputs].sort(
    (a, b) =>
      (a.amount < b.amount ? -1 : a.amount > b.amount ? 1 : 0) ||
      compare(bytesToHex(a.script), bytesToHex(b.script)),
  );

export const asInput = ({ txid, vout, amount, script }: WatchedOutput): PsbtInput => ({
  txid,
  vout,
  amount,
  script: hexToBytes(script),
});

/**
 * A payment and its change in BIP-69's order. A payout's outputs keep the order of its lines, which is what is approved
 * and judged; where its change stands follows from an input's id, so that it tells nothing either.
 */
function arranged(
  payments: readonly PsbtOutput[],
  change: readonly PsbtOutput[],
  inputs: readonly PsbtInput[],
): readonly PsbtOutput[] {
  if (payments.length === 1) return sortOutputs([...payments, ...change]);
  const at = Number.parseInt(inputs[0]?.txid.slice(0, 8) ?? '0', 16) % (payments.length + 1);
  return [...payments.slice(0, at), ...change, ...payments.slice(at)];
}

const amountOf = (outputs: readonly { readonly amount: bigint }[]): bigint =>
  outputs.reduce((sum, { amount }) => sum + amount, 0n);

/**
 * Payment from exactly these inputs: with change when it is worth an output, else the rest goes to the fee. Undefined
 * when they do not suffice, or when a rest too small for change would lift the fee above the cap.
 * @throws KeysagaError `FeeAboveCap` when no choice of inputs could help.
 */
export function planPayment(chosen: readonly WatchedOutput[], payment: Payment): Plan | undefined {
  const { to, own, feeCap, rates } = payment;
  const amount = amountOf(to);
  const total = amountOf(chosen);
  if (total <= amount) return undefined;
  const inputs = sortInputs(chosen.map(asInput));
  const scripts = to.map(({ script }) => script);
  const plan = (change: readonly PsbtOutput[], fee: bigint): Plan => ({
    inputs,
    outputs: arranged(to, change, inputs),
    fee,
  });
  const withChange = virtualSize(chosen.length, [...scripts, own], own);
  const changeFee = feeWithin(rates, withChange, feeCap);
  if (changeFee !== undefined) {
    const change = total - amount - changeFee;
    if (change >= dustLimit(own)) {
      return plan([{ script: own, amount: change }], changeFee);
    }
  }
  const fee = paymentFee(rates, virtualSize(chosen.length, scripts, own), feeCap);
  const rest = total - amount;
  return rest >= fee && rest <= feeCap ? plan([], rest) : undefined;
}

function feeWithin(rates: FeeRates, size: bigint, cap: bigint): bigint | undefined {
  try {
    return paymentFee(rates, size, cap);
  } catch (error) {
    if (isKeysagaError(error, 'FeeAboveCap')) return undefined;
    throw error;
  }
}

/**
 * Chooses outputs for a payment and leases them. The smallest single output that suffices comes first, so that large
 * ones stay free for transfers at the same time; else the largest together, so that there are few.
 * `candidates` must be sorted largest first; `required` (an anchor) is leased already and always in.
 * @throws KeysagaError `InsufficientFunds`; `LeaseUnavailable` when only outputs that others hold are missing;
 * `FeeAboveCap`.
 */
export async function selectCoins(
  candidates: readonly WatchedOutput[],
  required: readonly WatchedOutput[],
  payment: Payment,
  tryTake: (output: WatchedOutput) => Promise<boolean>,
): Promise<Plan> {
  const alone = planPayment(required, payment);
  if (alone !== undefined) return alone;
  const free = candidates.filter(
    (output) => !required.some((other) => outpoint(other) === outpoint(output)),
  );
  // Judged before anything is leased: what the outputs cannot cover, no waiting for leases will.
  if (!sufficient(required, free, payment)) throw insufficient([...required, ...free], payment);
  const refused = new Set<string>();
  const take = async (output: WatchedOutput): Promise<boolean> => {
    if (refused.has(outpoint(output))) return false;
    const taken = await tryTake(output);
    if (!taken) refused.add(outpoint(output));
    return taken;
  };
  for (const output of [...free].reverse()) {
    const plan = planPayment([...required, output], payment);
    if (plan !== undefined && (await take(output))) return plan;
  }
  const chosen: WatchedOutput[] = [...required];
  for (const output of free) {
    if (chosen.length >= MAX_INPUTS) break;
    if (!(await take(output))) continue;
    chosen.push(output);
    const plan = planPayment(chosen, payment);
    if (plan !== undefined) return plan;
  }
  // What was taken on the way goes back with the building transaction, which this failure rolls back.
  throw new KeysagaError(
    'LeaseUnavailable',
    'outputs that are needed are held by other transfers',
    {
      held: refused.size,
    },
  );
}

/**
 * Why no plan was found: `InsufficientFunds`, or `FeeAboveCap` when the money is there but a transaction with change
 * does not fit under the cap.
 */
export function insufficient(outputs: readonly WatchedOutput[], payment: Payment): KeysagaError {
  const { to, own, feeCap, rates } = payment;
  const amount = amountOf(to);
  const total = amountOf(outputs);
  if (total >= amount + feeCap) {
    try {
      paymentFee(rates, virtualSize(1, [...to.map(({ script }) => script), own], own), feeCap);
    } catch (error) {
      if (isKeysagaError(error, 'FeeAboveCap')) return error;
      throw error;
    }
  }
  return new KeysagaError(
    'InsufficientFunds',
    `the wallet's spendable outputs (${total} sats) do not cover amount and fee`,
    {
      field: 'amount',
      available: total.toString(),
      amount: amount.toString(),
      outputs: outputs.length,
      maxInputs: MAX_INPUTS,
    },
  );
}

function sufficient(
  required: readonly WatchedOutput[],
  free: readonly WatchedOutput[],
  payment: Payment,
): boolean {
  if (free.some((output) => planPayment([...required, output], payment) !== undefined)) return true;
  const chosen: WatchedOutput[] = [...required];
  for (const output of free) {
    if (chosen.length >= MAX_INPUTS) return false;
    chosen.push(output);
    if (planPayment(chosen, payment) !== undefined) return true;
  }
  return false;
}

/** The output that is named. Throws `InvalidInput` (`anchor`) when it is none of these. */
export function anchorOf<Output extends { readonly txid: string; readonly vout: number }>(
  anchor: Anchor | undefined,
  usable: readonly Output[],
): Output | undefined {
  if (anchor === undefined) return undefined;
  const refuse = (message: string) =>
    new KeysagaError('InvalidInput', message, { field: 'anchor' });
  if (anchor.kind !== 'bitcoin-outpoint') throw refuse('the anchor is not a Bitcoin outpoint');
  const found = usable.find(
    ({ txid, vout }) => txid === anchor.txid && String(vout) === anchor.vout,
  );
  if (found === undefined) throw refuse('the anchor is no spendable output of the wallet');
  return found;
}

/**
 * Outputs worth naming as an anchor, best first: the smallest that pays `wanted` alone, so that the large ones stay free while
 * people decide; else the largest. They come largest first. Throws `InsufficientFunds` (`anchor`) when none holds `least`.
 */
export function anchorable<Output extends { readonly amount: bigint }>(
  outputs: readonly Output[],
  least: bigint,
  wanted: bigint,
): Output[] {
  const able = outputs.filter(({ amount }) => amount >= least);
  if (able.length === 0)
    throw new KeysagaError('InsufficientFunds', 'no output is worth naming as an anchor', {
      field: 'anchor',
      least: least.toString(),
    });
  const alone = able.filter(({ amount }) => amount >= wanted).reverse();
  return [...alone, ...able.filter(({ amount }) => amount < wanted)];
}
