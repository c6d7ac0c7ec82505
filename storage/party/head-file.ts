/**
 * `HeadFile` on a file system. Four slots of 4 KiB, each one record of JSON under the party's signature; a write goes to
 * the slot of the oldest record and is fsynced, so that whatever a crash tears, the record before it is whole. The
 * newest whole record counts. The folder must be shared by all instances of the party (by default it is the key
 * store's).
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
import { signedBytes } from '../../schema/contracts/canonical.ts';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import { Ed25519Signature, Hex32, PartyId } from '../../schema/contracts/primitives.ts';
import { writeDurably } from './key-store.ts';

const SLOT = 4_096;
const SLOTS = 4;
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
const Slot = z.strictObject({ body: Body, signature: Ed25519Signature });

type Found = { readonly slots: readonly (Body | undefined)[]; readonly newest: Body | undefined };

export function createHeadFile(
  path: string,
  party: string,
  identity: Identity,
  verify: VerifySignature,
): HeadFile {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const publicKey = Buffer.from(identity.publicKey, 'hex');
  // Slots that were verified already, by their bytes: a reading is asked for several times a session.
  const known = new Map<string, Body | undefined>();

  const judged = (text: string): Body | undefined => {
    if (known.has(text)) return known.get(text);
    const body = verified(text);
    if (known.size >= 64) known.clear();
    known.set(text, body);
    return body;
  };
  const verified = (text: string): Body | undefined => {
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

  const find = (bytes: Uint8Array): Found => {
    const slots = Array.from({ length: SLOTS }, (_, i) =>
      judged(Buffer.from(bytes.subarray(i * SLOT, (i + 1) * SLOT)).toString('latin1')),
    );
    const whole = slots.filter((body) => body !== undefined);
    const newest = whole.reduce<Body | undefined>(
      (best, body) => (best === undefined || body.write > best.write ? body : best),
      undefined,
    );
    return { slots, newest };
  };

  const encode = (body: Body): Buffer => {
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
    const bytes = Buffer.alloc(SLOT * SLOTS, ' ');
    readSync(fd, bytes, 0, bytes.length, 0);
    return find(bytes);
  };
  const reading = (found: Found | undefined): HeadReading =>
    found === undefined
      ? { kind: 'missing' }
      : found.newest === undefined
        ? { kind: 'broken' }
        : { kind: 'whole', record: recordOf(found.newest) };
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
    const blank = Buffer.alloc(SLOT * (SLOTS - 1), ' ');
    await writeDurably(
      dirname(path),
      basename(path),
      Buffer.concat([encode(bodyOf(record, 1)), blank]),
    );
  }

  /** Undefined: there is no file. Otherwise the descriptor of what was written, to be synced and closed. */
  const overwrite = (change: (r: HeadReading) => HeadRecord | undefined) =>
    withFile('r+', (fd): { fd: number; wrote: boolean } => {
      try {
        const found = readAll(fd);
        const record = change(reading(found));
        if (record === undefined) return { fd, wrote: false };
        neverLower(found.newest, record);
        const place = found.slots.reduce(
          (oldest, body, i) =>
            (body?.write ?? 0) < (found.slots[oldest]?.write ?? 0) ? i : oldest,
          0,
        );
        const bytes = encode(bodyOf(record, (found.newest?.write ?? 0) + 1));
        writeSync(fd, bytes, 0, SLOT, place * SLOT);
        return { fd, wrote: true };
      } catch (error) {
        closeSync(fd);
        throw error;
      }
    });

  // One write at a time until it is durable: several unsynced ones could be torn together.
  let queue: Promise<unknown> = Promise.resolve();
  async function write(change: (r: HeadReading) => HeadRecord | undefined): Promise<void> {
    const open = overwrite(change);
    if (open === undefined) return create(change);
    try {
      if (open.wrote) await sync(open.fd);
    } finally {
      closeSync(open.fd);
    }
  }
  return {
    read: async () => reading(withFile('r', readAll)),
    update(change) {
      const mine = queue.then(() => write(change));
      queue = mine.catch(() => {});
      return mine;
    },
  };
}

const recordOf = ({ last, pending, fenced }: Body): HeadRecord => ({
  last,
  pending,
  ...(fenced === undefined ? {} : { fenced }),
});

function neverLower(before: Body | undefined, { last }: HeadRecord): void {
  if (before === undefined) return;
  const { chainEpoch, sequence } = before.last;
  if (last.chainEpoch < chainEpoch || (last.chainEpoch === chainEpoch && last.sequence < sequence))
    throw new KeysagaError('Internal', 'A head would be lowered.', {}, { retryable: false });
}
