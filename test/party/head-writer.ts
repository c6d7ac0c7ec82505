/**
 * One instance of a party at the head file, in a process of its own: `head-writer.ts <file> <identity seed> <releases>`. It
 * asks its parent for the lock of the head's row, announces the next head, commits, which gives the lock back, and notes.
 */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { ReleaseHead } from '../../core/ports/party-store.ts';
import { judgeHead, withPending } from '../../core/rules/head.ts';
import { createHeadFile } from '../../storage/party/head-file.ts';
import { identityFromSeed, verifyNative } from '../../storage/party/identity.ts';

const [path = '', seed = '', releases = '0'] = process.argv.slice(2);
const identity = identityFromSeed(new Uint8Array(Buffer.from(seed, 'hex')));
const file = createHeadFile(path, 'alpha', identity, verifyNative);
const say = (message: unknown) => process.send?.(message);

for (let i = 0; i < Number(releases); i++) {
  say({ lock: true });
  const [{ base }] = (await once(process, 'message')) as [{ base: ReleaseHead }];
  const found = judgeHead(await file.read(), base);
  if (found.kind !== 'in-step') throw new Error(`fenced at ${base.sequence}: ${found.kind}`);
  const hash = randomBytes(32).toString('hex');
  const next = { ...base, sequence: base.sequence + 1, hash };
  await file.update((reading) => {
    if (reading.kind !== 'whole') throw new Error(reading.kind);
    return withPending(reading.record, base, next);
  });
  say({ commit: next });
  await file.note(next);
  const reading = await file.read();
  const last = reading.kind === 'whole' ? reading.record.last.sequence : -1;
  if (last < next.sequence) throw new Error(`noted ${next.sequence}, and the file has ${last}`);
}
process.disconnect();
