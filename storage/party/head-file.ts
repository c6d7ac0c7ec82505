/**
 * `HeadFile` on a file system. Twelve slots of 4 KiB, each with JSON under the party's signature. Four hold records: a
 * write goes to the slot of the oldest and is fsynced, so that whatever a crash tears, the record before it is whole, and
 * the newest whole one counts. Whoever writes one holds the lock of the head's row, so they come one after another from
 * all processes. Eight hold notes, "this head is committed", which are written without a lock, since a release waits for
 * it: each head has its slot by its sequence, so that notes of different heads do not meet, and two of the same head are
 * the same bytes. A reading is the newest record with the newest note taken in. The folder must be shared by all instances
 * of the party (by default it is the key store's).
 *
 * The signature keeps out whoever can write the file and nothing else. It does not keep out an older file that was once
 * genuine: with the database of the same time put back as well, only a peer's witness tells (see SECURITY.md).
 */
import { closeSync, fdatasync, mkdirSync, openSync, readSync, writeSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { promisify } from 'node:util';
import * as z from 'zod';
import type { Identity, VerifySignature } from '../../core/ports/envelope-crypto.ts';
import type { HeadFile, HeadReading, HeadRecord } from '../../core/ports/head-file.ts';
import type { ReleaseHead } from '../../core/ports/party-store.ts';
import { signedBytes } from '../../schema/contracts/canonical.ts';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import { Ed25519Signature, Hex32, PartyId } from '../../schema/contracts/primitives.ts';
import { writeDurably } from './key-store.ts';

const SLOT = 4_096;
const RECORDS = 4;
const NOTES = 8;
const sync = promisify(fdatasync);

const Position = z.strictObject({
  chainEpoch: z.int().nonnegative(),
  sequence: z.int().nonnegative(),
  hash: Hex32,
});
const Body = z.strictObject({
  party: PartyId,
  /** Counts writes. */
  write: z.int().positive(),
  last: Position,
  pending: z.array(Position).max(16),
  fenced: z
    .strictObject({
      chainEpoch: z.int().nonnegative(),
      reason: z.enum(['head-mismatch', 'head-file-missing', 'head-file-broken', 'witness']),
      at: z.int(),
    })
    .exactOptional(),
});
type Body = z.infer<typeof Body>;
const Note = z.strictObject({ party: PartyId, committed: Position });
type Note = z.infer<typeof Note>;
const Slot = z.strictObject({ body: z.union([Body, Note]), signature: Ed25519Signature });

type Found = {
  readonly records: readonly (Body | undefined)[];
  readonly newest: Body | undefined;
  readonly noted: readonly ReleaseHead[];
};

export function createHeadFile(
  path: string,
  party: string,
  identity: Identity,
  verify: VerifySignature,
): HeadFile {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const publicKey = Buffer.from(identity.publicKey, 'hex');
  // Slots that were verified already, by their bytes: a reading is asked for several times a session.
  const known = new Map<string, Body | Note | undefined>();

  const judged = (text: string): Body | Note | undefined => {
    if (known.has(text)) return known.get(text);
    const body = verified(text);
    if (known.size >= 64) known.clear();
    known.set(text, body);
    return body;
  };
  const verified = (text: string): Body | Note | undefined => {
    let json: unknown;
    try {
      json = JSON.parse(text);
    } catch {
      return undefined;
    }
    const slot = Slot.safeParse(json);
    if (!slot.success || slot.data.body.party !== party) return undefined;
    const { body, signature } = slot.data;
    const genuine = verify(
      publicKey,
      signedBytes('head-file', body),
      Buffer.from(signature, 'hex'),
    );
    return genuine ? body : undefined;
  };

  const find = (bytes: Buffer): Found => {
    const slots = Array.from({ length: RECORDS + NOTES }, (_, i) => {
      const slot = bytes.subarray(i * SLOT, (i + 1) * SLOT);
      const end = slot.indexOf('\n');
      return end < 0 ? undefined : judged(slot.toString('latin1', 0, end));
    });
    const records = slots
      .slice(0, RECORDS)
      .map((body) => (body !== undefined && 'write' in body ? body : undefined));
    const newest = records.reduce<Body | undefined>(
      (best, body) =>
        body !== undefined && (best === undefined || body.write > best.write) ? body : best,
      undefined,
    );
    const noted = slots.flatMap((body) =>
      body !== undefined && 'committed' in body ? [body.committed] : [],
    );
    return { records, newest, noted };
  };

  const encode = (body: Body | Note): Buffer => {
    const signature = identity.sign(signedBytes('head-file', body));
    const text = `${JSON.stringify({ body, signature })}\n`;
    if (text.length > SLOT) throw new KeysagaError('Internal', 'A head record is too long.');
    return Buffer.from(text.padEnd(SLOT, ' '), 'latin1');
  };

  /** Synchronous, so that nothing of this process comes between a reading and the write that follows from it. */
  const withFile = <T>(flags: 'r' | 'r+', work: (fd: number) => T): T | undefined => {
    let fd: number;
    try {
      fd = openSync(path, flags);
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw cause;
    }
    try {
      return work(fd);
    } finally {
      if (flags === 'r') closeSync(fd);
    }
  };
  const readAll = (fd: number): Found => {
    const bytes = Buffer.alloc(SLOT * (RECORDS + NOTES), ' ');
    readSync(fd, bytes, 0, bytes.length, 0);
    return find(bytes);
  };
  const reading = (found: Found | undefined): HeadReading =>
    found === undefined
      ? { kind: 'missing' }
      : found.newest === undefined
        ? { kind: 'broken' }
        : { kind: 'whole', record: settled(found.newest, found.noted) };
  const bodyOf = (record: HeadRecord, write: number): Body => ({
    party: party as PartyId,
    write,
    last: record.last,
    pending: [...record.pending],
    ...(record.fenced === undefined ? {} : { fenced: record.fenced }),
  });

  async function create(change: (r: HeadReading) => HeadRecord | undefined): Promise<void> {
    const record = change({ kind: 'missing' });
    if (record === undefined) return;
    const blank = Buffer.alloc(SLOT * (RECORDS + NOTES - 1), ' ');
    await writeDurably(
      dirname(path),
      basename(path),
      Buffer.concat([encode(bodyOf(record, 1)), blank]),
    );
  }

  /** Undefined: there is no file. Otherwise the descriptor of what was written, to be synced and closed. */
  const overwrite = (
    what: (found: Found) => { readonly place: number; readonly body: Body | Note } | undefined,
  ) =>
    withFile('r+', (fd): number => {
      try {
        const write = what(readAll(fd));
        if (write !== undefined) writeSync(fd, encode(write.body), 0, SLOT, write.place * SLOT);
        return fd;
      } catch (error) {
        closeSync(fd);
        throw error;
      }
    });
  const changed =
    (change: (r: HeadReading) => HeadRecord | undefined) =>
    (found: Found): { place: number; body: Body } | undefined => {
      const { records, newest } = found;
      const before = reading(found);
      const record = change(before);
      if (record === undefined) return undefined;
      if (before.kind === 'whole') neverLower(before.record, record);
      const place = records.reduce(
        (oldest, body, i) => ((body?.write ?? 0) < (records[oldest]?.write ?? 0) ? i : oldest),
        0,
      );
      return { place, body: bodyOf(record, (newest?.write ?? 0) + 1) };
    };
  /** Also when another instance wrote it: it may not have come to its own fsync. */
  const durable = async (fd: number): Promise<void> => {
    try {
      await sync(fd);
    } finally {
      closeSync(fd);
    }
  };

  // One record at a time until it is durable: several unsynced ones could be torn together.
  let queue: Promise<unknown> = Promise.resolve();
  return {
    read: async () => reading(withFile('r', readAll)),
    update(change) {
      const mine = queue.then(() => {
        const fd = overwrite(changed(change));
        return fd === undefined ? create(change) : durable(fd);
      });
      queue = mine.catch(() => {});
      return mine;
    },
    async note(head) {
      const fd = overwrite((found) => {
        const now = reading(found);
        if (now.kind !== 'whole' || !now.record.pending.some((p) => same(p, head)))
          return undefined;
        const place = RECORDS + (head.sequence % NOTES);
        return { place, body: { party: party as PartyId, committed: head } };
      });
      if (fd !== undefined) await durable(fd);
    },
  };
}

const same = (a: ReleaseHead, b: ReleaseHead): boolean =>
  a.chainEpoch === b.chainEpoch && a.sequence === b.sequence && a.hash === b.hash;
const newer = (a: ReleaseHead, b: ReleaseHead): boolean =>
  a.chainEpoch > b.chainEpoch || (a.chainEpoch === b.chainEpoch && a.sequence > b.sequence);

/** The record with the newest note taken in: of a pending head, or of one whose record is no longer whole. */
function settled({ last, pending, fenced }: Body, noted: readonly ReleaseHead[]): HeadRecord {
  const committed = noted.reduce<ReleaseHead>((best, n) => (newer(n, best) ? n : best), last);
  const stands =
    fenced !== undefined && (committed === last || fenced.chainEpoch >= committed.chainEpoch);
  return {
    last: committed,
    pending: committed === last ? pending : pending.filter((p) => newer(p, committed)),
    ...(stands ? { fenced } : {}),
  };
}

function neverLower(before: HeadRecord, { last }: HeadRecord): void {
  if (newer(before.last, last))
    throw new KeysagaError('Internal', 'A head would be lowered.', {}, { retryable: false });
}
