/**
 * The release chain's head, in the database and outside it (architecture.md, "Restore"). Pure: what a reading of the
 * file says about the database's head, and which records may follow which.
 */
import { KeysagaError } from '../../schema/contracts/errors.ts';
import type { FenceReason, FileFence, HeadReading, HeadRecord } from '../ports/head-file.ts';
import type { ReleaseHead } from '../ports/party-store.ts';

/** Pending heads that one `last` may have: each but one is of a transaction that did not commit. */
export const MOST_PENDING = 8;

export const GENESIS: ReleaseHead = { chainEpoch: 0, sequence: 0, hash: '00'.repeat(32) };

export const sameHead = (a: ReleaseHead, b: ReleaseHead): boolean =>
  a.chainEpoch === b.chainEpoch && a.sequence === b.sequence && a.hash === b.hash;

/** Above 0 when `a` is the newer: by chain epoch, then by sequence. */
export const compareHeads = (
  a: Pick<ReleaseHead, 'chainEpoch' | 'sequence'>,
  b: Pick<ReleaseHead, 'chainEpoch' | 'sequence'>,
): number => a.chainEpoch - b.chainEpoch || a.sequence - b.sequence;

/** May the database's head be this one? */
export const admits = (record: HeadRecord, head: ReleaseHead): boolean =>
  [record.last, ...record.pending].some((known) => sameHead(known, head));

export type HeadVerdict =
  /** A party that never released anything and has no file: its first start. */
  | { readonly kind: 'first' }
  | { readonly kind: 'in-step' }
  | { readonly kind: 'fenced'; readonly fence: FileFence }
  /** To be fenced now. */
  | { readonly kind: 'restored'; readonly reason: FenceReason };

/** Judged exactly only while the head's row is locked: otherwise a release may lie between the two looks. */
export function judgeHead(reading: HeadReading, head: ReleaseHead): HeadVerdict {
  if (reading.kind === 'missing')
    return sameHead(head, GENESIS)
      ? { kind: 'first' }
      : { kind: 'restored', reason: 'head-file-missing' };
  if (reading.kind === 'broken') return { kind: 'restored', reason: 'head-file-broken' };
  const { record } = reading;
  const fence = standingFence(record, head);
  if (fence !== undefined) return { kind: 'fenced', fence };
  return admits(record, head) ? { kind: 'in-step' } : { kind: 'restored', reason: 'head-mismatch' };
}

/** The file's fence, unless the database's head is of an epoch that an order opened after it. */
export function standingFence(record: HeadRecord, head: ReleaseHead): FileFence | undefined {
  const { fenced } = record;
  if (fenced === undefined) return undefined;
  return admits(record, head) && head.chainEpoch > fenced.chainEpoch ? undefined : fenced;
}

/**
 * Before the commit that moves the head from `base` to `next`. Throws retryable `PartyUnavailable` when the file no
 * longer stands at `base`: whoever writes so late has lost the row's lock, and its commit fails as well.
 */
export function withPending(record: HeadRecord, base: ReleaseHead, next: ReleaseHead): HeadRecord {
  if (!admits(record, base) || compareHeads(next, base) <= 0)
    throw new KeysagaError('PartyUnavailable', 'The release chain has moved on meanwhile.', {
      field: 'head',
    });
  // A `base` that was pending is committed: it becomes the last, and what else was pending can never be.
  const others = sameHead(record.last, base) ? record.pending : [];
  return {
    ...record,
    last: base,
    pending: [...others.filter((p) => !sameHead(p, next)), next].slice(-MOST_PENDING),
  };
}

/** The record of a party that is fenced from now on; what was known of the chain stays. */
export function withFence(
  reading: HeadReading,
  head: ReleaseHead,
  fence: Omit<FileFence, 'chainEpoch'>,
  shown: ReleaseHead | undefined,
): HeadRecord {
  const record: HeadRecord =
    reading.kind === 'whole' ? reading.record : { last: head, pending: [] };
  const chainEpoch = Math.max(
    head.chainEpoch,
    record.last.chainEpoch,
    shown?.chainEpoch ?? 0,
    record.fenced?.chainEpoch ?? 0,
  );
  return { ...record, fenced: { ...(record.fenced ?? fence), chainEpoch } };
}
