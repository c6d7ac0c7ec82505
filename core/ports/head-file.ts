/**
 * The head of a party's release chain outside its database: what tells a party that its database was put back to an
 * older state. Instances of a party share it.
 */
import type { ReleaseHead } from './party-store.ts';

/**
 * `head-mismatch`: the database's head is neither the last nor a pending one. `head-file-missing`: releases, and no file.
 * `head-file-broken`: no record in it is whole and of this party. `witness`: a peer showed a head or an attempt of this
 * party, under its own signature, that its database does not know.
 */
export type FenceReason = 'head-mismatch' | 'head-file-missing' | 'head-file-broken' | 'witness';

export type FileFence = {
  /** Newest chain epoch that is known to have begun; an unfence order ends it. */
  readonly chainEpoch: number;
  readonly reason: FenceReason;
  /** Milliseconds, the party's clock. */
  readonly at: number;
};

export type HeadRecord = {
  /** Committed for certain. */
  readonly last: ReleaseHead;
  /** About to be committed, or committed and not yet noted: any of them may be the database's. */
  readonly pending: readonly ReleaseHead[];
  readonly fenced?: FileFence;
};

export type HeadReading =
  | { readonly kind: 'missing' }
  /** Something is there, and no record in it is whole and signed by this party. */
  | { readonly kind: 'broken' }
  | { readonly kind: 'whole'; readonly record: HeadRecord };

export interface HeadFile {
  read(): Promise<HeadReading>;
  /**
   * Reads, changes, writes. Called under the lock of the head's row, which makes it one step for all instances, in whatever
   * processes they run. Durable (fsync of file, and of folder when new) when it resolves. `undefined` leaves the file as it
   * is. Whatever a crash tears, an earlier whole record remains.
   */
  update(change: (reading: HeadReading) => HeadRecord | undefined): Promise<void>;
  /**
   * `head`, whose commit is certain, is the last from now on, and nothing else is pending; a fence of an earlier chain epoch
   * ends with it. Needs no lock: whatever `update` another instance is about to write, neither is lost. Changes nothing when
   * it is not pending, since it or a later one is noted then. Durable when it resolves, whoever wrote it.
   */
  note(head: ReleaseHead): Promise<void>;
}
