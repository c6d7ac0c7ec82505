/** The head of the release chain outside the database: torn writes, forgeries, lost files, several writers and processes. */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import type { HeadRecord } from '../../core/ports/head-file.ts';
import type { ReleaseHead } from '../../core/ports/party-store.ts';
import {
  compareHeads,
  GENESIS,
  judgeHead,
  MOST_PENDING,
  withFence,
  withPending,
} from '../../core/rules/head.ts';
import { createHeadFile } from '../../storage/party/head-file.ts';
import { identityFromSeed, verifyNative } from '../../storage/party/identity.ts';
import { repoRoot } from '../support/repo.ts';

const folder = mkdtempSync(join(tmpdir(), 'keysaga-head-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const SLOT = 4096;
const seed = randomBytes(32);
const identity = identityFromSeed(seed);
let path: string;
let serial = 0;
beforeEach(() => {
  path = join(folder, `head-${++serial}`);
});
const open = (who = identity, party = 'alpha') => createHeadFile(path, party, who, verifyNative);
const head = (sequence: number, chainEpoch = 0, salt = 0): ReleaseHead => ({
  chainEpoch,
  sequence,
  hash: Buffer.from([chainEpoch, sequence, salt]).toString('hex').padEnd(64, '0'),
});
const at = (last: ReleaseHead, ...pending: ReleaseHead[]): HeadRecord => ({ last, pending });
const put = (record: HeadRecord, file = open()) => file.update(() => record);
const newestSlot = () => {
  const bytes = readFileSync(path);
  const writes = [0, 1, 2, 3].map((i) => {
    try {
      return JSON.parse(bytes.toString('latin1', i * SLOT, (i + 1) * SLOT)).body.write as number;
    } catch {
      return 0;
    }
  });
  return { bytes, place: writes.indexOf(Math.max(...writes)) };
};

describe('the head file', () => {
  it('gives back what was written last, also to another instance', async () => {
    const file = open();
    expect(await file.read()).toEqual({ kind: 'missing' });
    for (let i = 0; i < 7; i++) {
      await put(at(head(i), head(i + 1)), file);
      expect(await open().read()).toEqual({ kind: 'whole', record: at(head(i), head(i + 1)) });
    }
    expect(readFileSync(path)).toHaveLength(12 * SLOT);
  });

  it.each([1, 100, 300])(
    'falls back to the record before when a write tore after %i bytes',
    async (kept) => {
      for (let i = 0; i < 6; i++) await put(at(head(i), head(i + 1)));
      const before = readFileSync(path);
      await put(at(head(6), head(7)));
      const { bytes, place } = newestSlot();
      // The slot as a torn write leaves it: new bytes, then old ones.
      const torn = Buffer.from(bytes);
      before.copy(torn, place * SLOT + kept, place * SLOT + kept, (place + 1) * SLOT);
      writeFileSync(path, torn);
      expect(await open().read()).toEqual({ kind: 'whole', record: at(head(5), head(6)) });
      await put(at(head(6)));
      expect(await open().read()).toEqual({ kind: 'whole', record: at(head(6)) });
    },
  );

  it('is broken when nothing in it is whole, and says so instead of beginning anew', async () => {
    await put(at(head(3)));
    truncateSync(path, 40);
    expect(await open().read()).toEqual({ kind: 'broken' });
    writeFileSync(path, '');
    expect(await open().read()).toEqual({ kind: 'broken' });
  });

  it('believes only this party’s own signature: not a changed record, another key, another party', async () => {
    await put(at(head(3)));
    const text = readFileSync(path, 'latin1');
    writeFileSync(path, text.replace('"sequence":3', '"sequence":9'), 'latin1');
    expect(await open().read()).toEqual({ kind: 'broken' });
    rmSync(path);
    await put(at(head(3)), open(identityFromSeed(randomBytes(32))));
    expect(await open().read()).toEqual({ kind: 'broken' });
    rmSync(path);
    await put(at(head(3)), open(identity, 'beta'));
    expect(await open().read()).toEqual({ kind: 'broken' });
  });

  it('never lowers a sequence or a chain epoch', async () => {
    await put(at(head(3, 1)));
    await expect(put(at(head(2, 1)))).rejects.toMatchObject({ code: 'Internal' });
    await expect(put(at(head(9, 0)))).rejects.toMatchObject({ code: 'Internal' });
    expect(await open().read()).toEqual({ kind: 'whole', record: at(head(3, 1)) });
  });

  it('takes a note of a pending head for its commit, once, and any other for nothing', async () => {
    const record = async () => {
      const reading = await open().read();
      return reading.kind === 'whole' ? reading.record : reading.kind;
    };
    await put(at(head(4), head(5, 0, 1), head(5, 0, 2)));
    for (const other of [head(3), head(4), head(5), head(6)]) {
      const before = readFileSync(path);
      await open().note(other);
      expect(readFileSync(path)).toEqual(before);
    }
    await open().note(head(5, 0, 2));
    expect(await record()).toEqual(at(head(5, 0, 2)));
    // What comes next is built on the note; an older note changes nothing, also when it has the slot of a newer head.
    for (let i = 6; i < 30; i++) {
      const base = i === 6 ? head(5, 0, 2) : head(i - 1);
      await open().update((now) =>
        now.kind === 'whole' ? withPending(now.record, base, head(i)) : undefined,
      );
      await open().note(base);
      expect(await record()).toEqual(at(base, head(i)));
      if (i % 2 === 0) await open().note(head(i));
    }
    await open().note(head(29));
    expect(await record()).toEqual(at(head(29)));
    expect(readFileSync(path)).toHaveLength(12 * SLOT);
  });

  it('takes a torn or forged note for none, and one from a file of four slots for what it is', async () => {
    await put(at(head(4), head(5)));
    truncateSync(path, 4 * SLOT);
    expect(await open().read()).toEqual({ kind: 'whole', record: at(head(4), head(5)) });
    await open(identityFromSeed(randomBytes(32))).note(head(5));
    await open().note(head(5));
    expect(await open().read()).toEqual({ kind: 'whole', record: at(head(5)) });
    const bytes = readFileSync(path);
    const note = bytes.indexOf('committed');
    expect(note).toBeGreaterThan(4 * SLOT);
    bytes.fill(' ', note + 60, note + 120);
    writeFileSync(path, bytes);
    expect(await open().read()).toEqual({ kind: 'whole', record: at(head(4), head(5)) });
  });

  it('keeps what was noted when the record that announced it is no longer whole', async () => {
    await put(at(head(4), head(5)));
    await open().note(head(5));
    await put(at(head(5), head(6)));
    await open().note(head(6));
    const { bytes, place } = newestSlot();
    bytes.fill(' ', place * SLOT + 60, place * SLOT + 120);
    writeFileSync(path, bytes);
    expect(await open().read()).toEqual({ kind: 'whole', record: at(head(6)) });
    await expect(put(at(head(5)))).rejects.toMatchObject({ code: 'Internal' });
  });

  it('ends a fence by the note of a later chain epoch, and by no other', async () => {
    const fenced = { chainEpoch: 0, reason: 'head-mismatch', at: 7 } as const;
    await put({ ...at(head(4), head(5)), fenced });
    await open().note(head(5));
    expect(await open().read()).toEqual({ kind: 'whole', record: { ...at(head(5)), fenced } });
    await put({ ...at(head(5), head(0, 1)), fenced });
    await open().note(head(0, 1));
    expect(await open().read()).toEqual({ kind: 'whole', record: at(head(0, 1)) });
  });

  it('loses nothing of two processes, of which one notes what it committed while the other announces', async () => {
    await put(at(head(0)));
    const RELEASES = 150;
    // The database: its head, and the lock of the head's row, which ends with the commit and not with the note.
    let committed = head(0);
    let holder: ChildProcess | undefined;
    const waiting: ChildProcess[] = [];
    const grant = () => {
      holder = waiting.shift();
      holder?.send({ base: committed });
    };
    const writers = [1, 2].map(() => {
      const child = spawn(
        process.execPath,
        ['--import', 'tsx', 'test/party/head-writer.ts', path, seed.toString('hex'), `${RELEASES}`],
        { cwd: repoRoot, stdio: ['ignore', 'inherit', 'inherit', 'ipc'] },
      );
      child.on('message', (said: { lock?: true; commit?: ReleaseHead }) => {
        if (said.commit !== undefined) {
          committed = said.commit;
          grant();
        } else {
          waiting.push(child);
          if (holder === undefined) grant();
        }
      });
      return child;
    });
    const codes = await Promise.all(
      writers.map((child) => new Promise<number | null>((done) => child.once('exit', done))),
    );
    // Each writer ends with 1 as soon as the heads disagree, or the file stands before what it has committed and noted.
    expect(codes).toEqual([0, 0]);
    expect(committed.sequence).toBe(2 * RELEASES);
    expect(await open().read()).toEqual({ kind: 'whole', record: at(committed) });
  });
});

describe('the heads compared', () => {
  const whole = (record: HeadRecord) => ({ kind: 'whole', record }) as const;

  it('agree when the database stands at the last or a pending one, and at nothing else', () => {
    const record = at(head(4), head(5));
    expect(judgeHead(whole(record), head(4)).kind).toBe('in-step');
    expect(judgeHead(whole(record), head(5)).kind).toBe('in-step');
    for (const other of [head(3), head(6), head(5, 0, 1), head(4, 1)])
      expect(judgeHead(whole(record), other)).toEqual({
        kind: 'restored',
        reason: 'head-mismatch',
      });
    expect(judgeHead({ kind: 'missing' }, head(4)).kind).toBe('restored');
    expect(judgeHead({ kind: 'missing' }, GENESIS).kind).toBe('first');
    expect(judgeHead({ kind: 'broken' }, GENESIS).kind).toBe('restored');
  });

  it('keep what several writers announced on one base, until one of them is known to be committed', () => {
    let record = withPending(at(head(4)), head(4), head(5, 0, 1));
    record = withPending(record, head(4), head(5, 0, 2));
    expect(record.pending).toHaveLength(2);
    // A transaction that lost the lock writes late: the one that committed is still admitted.
    expect(judgeHead(whole(record), head(5, 0, 1)).kind).toBe('in-step');
    const next = withPending(record, head(5, 0, 1), head(6));
    expect(next).toEqual(at(head(5, 0, 1), head(6)));
    expect(() => withPending(next, head(4), head(5, 0, 3))).toThrow(/moved on/);
    for (let salt = 0; salt < 20; salt++)
      record = withPending(record, head(4), head(5, 0, 10 + salt));
    expect(record.pending).toHaveLength(MOST_PENDING);
  });

  it('stay fenced until the database stands in the epoch that an order opened', () => {
    const fence = { reason: 'head-mismatch', at: 7 } as const;
    const fenced = withFence(whole(at(head(9))), head(4), fence, undefined);
    expect(judgeHead(whole(fenced), head(9)).kind).toBe('fenced');
    const ordered = withPending(fenced, fenced.last, head(0, 1));
    expect(judgeHead(whole(ordered), head(4)).kind).toBe('fenced');
    expect(judgeHead(whole(ordered), head(0, 1)).kind).toBe('in-step');
  });

  it('name the newest epoch that is known to have begun, so that an old order cannot end the fence', () => {
    const fence = { reason: 'witness', at: 7 } as const;
    const shown = withFence(whole(at(head(9, 1))), head(4, 0), fence, head(2, 3));
    expect(shown.fenced?.chainEpoch).toBe(3);
    expect(withFence({ kind: 'missing' }, head(4, 2), fence, undefined).fenced?.chainEpoch).toBe(2);
    expect(compareHeads(head(0, 1), head(9, 0))).toBeGreaterThan(0);
  });
});
