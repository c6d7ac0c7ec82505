/** The void: a transaction that excludes every released one and pays only the wallet (architecture.md, "Void"). */
import type { WatchedOutput } from '../../core/ports/bitcoin-outputs.ts';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import type { Anchor } from '../../schema/contracts/intent.ts';
import { type FeeRates, feeFor, type Replaced, voidFee } from './fees.ts';
import { outpoint, type Psbt } from './psbt.ts';
import { dustLimit, virtualSize } from './script.ts';
import { asInput, type Plan, sortInputs } from './selection.ts';

/** A released transaction with what the follower knows of its inputs. */
export type Released = {
  readonly psbt: Psbt;
  /** In input order; undefined for an output that is not on the chain (any more). */
  readonly spent: readonly (WatchedOutput | undefined)[];
};

const replaced = ({ psbt }: Released): Replaced => ({
  fee:
    psbt.inputs.reduce((sum, { amount }) => sum + amount, 0n) -
    psbt.outputs.reduce((sum, { amount }) => sum + amount, 0n),
  virtualSize: virtualSize(
    psbt.inputs.length,
    psbt.outputs.map(({ script }) => script),
    psbt.inputs[0]?.script,
  ),
});

/**
 * The released transactions that are in a block or could still get into one: not those that lost an input to another
 * transaction which is final. @throws KeysagaError `StateConflict` (`reason`: `excluded`).
 */
export function threatening(
  released: readonly Released[],
  final: (spentHeight: number) => boolean,
): Released[] {
  const alive = released.filter(({ psbt, spent }) => {
    const lost = spent.filter(
      (output) => output !== undefined && output.spentBy !== null && output.spentBy !== psbt.txid,
    );
    return !lost.some((output) => final(output?.spentHeight ?? Number.POSITIVE_INFINITY));
  });
  if (alive.length === 0) {
    throw new KeysagaError(
      'StateConflict',
      'another transaction has already excluded every released one',
      { reason: 'excluded' },
    );
  }
  return alive;
}

const unspendable = (): KeysagaError =>
  new KeysagaError('LeaseUnavailable', 'an input of a released transaction is not spendable now', {
    field: 'released',
  });

/**
 * Spends at least one input of each. Greedy hitting set: the unspent output that most of the uncovered ones share, the
 * largest of those; more of their outputs are added while the value does not carry fee and output. An anchor comes first
 * of all, since parties sign no void without it. An output that a released one has spent in a block counts as unspent: a
 * reorganisation may bring it back, and until then the refused void is what shows, also to a coordinator that never saw
 * the payment signed, which transaction took its input.
 * @throws KeysagaError `LeaseUnavailable` when an input of one is not spendable now; `FeeAboveCap`;
 * `InsufficientFunds` when all inputs together carry no fee that replaces.
 */
export function planVoid(
  alive: readonly Released[],
  own: Uint8Array,
  rates: FeeRates,
  feeCap: bigint,
  anchor?: Anchor,
): Plan {
  const usable = new Map<string, WatchedOutput>();
  const takers = new Set<string | null>(alive.map(({ psbt }) => psbt.txid)).add(null);
  for (const { spent } of alive) {
    for (const output of spent) {
      if (output !== undefined && takers.has(output.spentBy)) usable.set(outpoint(output), output);
    }
  }
  const covers = (output: WatchedOutput): number[] =>
    alive.flatMap(({ psbt }, i) =>
      psbt.inputs.some((input) => outpoint(input) === outpoint(output)) ? [i] : [],
    );
  // The map's order depends on the order of `released`; the result must not.
  const ordered = [...usable.values()].sort(
    (a, b) =>
      (a.amount > b.amount ? -1 : a.amount < b.amount ? 1 : 0) ||
      (outpoint(a) < outpoint(b) ? -1 : 1),
  );
  const chosen: WatchedOutput[] = [];
  const open = new Set(alive.keys());
  if (anchor !== undefined) {
    const named = ordered.find(
      ({ txid, vout }) =>
        anchor.kind === 'bitcoin-outpoint' && txid === anchor.txid && `${vout}` === anchor.vout,
    );
    if (named === undefined) throw unspendable();
    chosen.push(named);
    for (const i of covers(named)) open.delete(i);
  }
  while (open.size > 0) {
    let best: { output: WatchedOutput; hits: number[] } | undefined;
    for (const output of ordered) {
      const hits = covers(output).filter((i) => open.has(i));
      if (hits.length > (best?.hits.length ?? 0)) best = { output, hits };
    }
    if (best === undefined) throw unspendable();
    chosen.push(best.output);
    for (const i of best.hits) open.delete(i);
  }
  const rest = ordered.filter((output) => !chosen.includes(output));
  for (;;) {
    const size = virtualSize(chosen.length, [own], own);
    const fee = voidFee(rates, size, alive.map(replaced), feeCap);
    const amount = chosen.reduce((sum, output) => sum + output.amount, 0n) - fee;
    if (amount >= dustLimit(own)) {
      return {
        inputs: sortInputs(chosen.map(asInput)),
        outputs: [{ script: own, amount }],
        fee,
      };
    }
    const next = rest.shift();
    if (next === undefined) {
      throw new KeysagaError('InsufficientFunds', 'the inputs do not carry the fee of a void', {
        field: 'released',
        fee: fee.toString(),
        least: feeFor(rates.floor, size).toString(),
      });
    }
    chosen.push(next);
  }
}
