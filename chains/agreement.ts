/**
 * What several providers together say. Pure. `support` is how many of them must say a thing before it counts; one that lies,
 * or is behind, then neither ends a transfer nor makes it look deeper than it is. The rules are in docs/providers.md.
 */
import type { BroadcastOutcome, TransactionStatus } from '../schema/contracts/transaction.ts';

const descending = (a: bigint, b: bigint): number => (a < b ? 1 : a > b ? -1 : 0);

/** The highest amount that at least `support` of them reach; with fewer values than that, the least. */
export function supported(values: readonly bigint[], support: number): bigint {
  const sorted = [...values].sort(descending);
  return sorted[Math.min(support, sorted.length) - 1] ?? 0n;
}

function grouped<T>(items: readonly T[], keyOf: (item: T) => string): readonly (readonly T[])[] {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const key = keyOf(item);
    groups.set(key, [...(groups.get(key) ?? []), item]);
  }
  return [...groups.values()];
}

/** The value that at least `support` of them give; undefined when no value has that many. */
export const agreed = <T>(
  values: readonly T[],
  support: number,
  keyOf: (value: T) => string,
): T | undefined => grouped(values, keyOf).find(({ length }) => length >= support)?.[0];

type Of<S extends TransactionStatus['status']> = Extract<TransactionStatus, { status: S }>;
const only = <S extends TransactionStatus['status']>(views: readonly TransactionStatus[], s: S) =>
  views.filter((view): view is Of<S> => view.status === s);
const finals = (views: readonly { readonly final: boolean }[]): number =>
  views.filter(({ final }) => final).length;

/**
 * One status out of each provider's own. In a block, failed or displaced is it only where `support` providers say so, each
 * final only where that many call it final; confirmations are those that `support` of them count. It is `pending` where as many
 * of those who answer have it, and else `unknown`, which means that the same bytes are sent again, to all: one provider that
 * took it and keeps it to itself holds up nothing.
 */
export function agreedStatus(
  views: readonly TransactionStatus[],
  support: number,
): TransactionStatus {
  const blocks = grouped(only(views, 'included'), ({ block }) => block);
  const [block] = blocks.filter(({ length }) => length >= support);
  if (block?.[0] !== undefined) {
    const counts = block.map(({ confirmations }) => BigInt(confirmations));
    const confirmations = Number(supported(counts, support));
    return { ...block[0], confirmations, final: finals(block) >= support };
  }
  const failed = only(views, 'failed');
  if (failed[0] !== undefined && failed.length >= support)
    return { ...failed[0], final: finals(failed) >= support };
  const conflicted = only(views, 'conflicted');
  if (conflicted.length >= support) {
    const takers = grouped(conflicted, ({ by }) => by ?? '');
    const [taker] = takers.find((group) => finals(group) >= support) ?? [];
    if (taker !== undefined) return { ...taker, final: true };
    const by = conflicted.find((view) => view.by !== undefined)?.by;
    return { status: 'conflicted', ...(by === undefined ? {} : { by }), final: false };
  }
  const has = views.filter(({ status }) => status !== 'unknown' && status !== 'conflicted').length;
  return { status: has > 0 && has >= Math.min(support, views.length) ? 'pending' : 'unknown' };
}

/**
 * One outcome out of each provider's own. Whoever took the transaction has it, so a refusal counts only when all that it
 * was sent to refuse; one answer that was lost on the way makes it `unclear`.
 */
export function jointOutcome(outcomes: readonly BroadcastOutcome[]): BroadcastOutcome {
  for (const status of ['accepted', 'already-known', 'unclear', 'rejected'] as const) {
    const found = outcomes.find((outcome) => outcome.status === status);
    if (found !== undefined) return found;
  }
  return { status: 'unclear', reason: 'no provider was asked' };
}
