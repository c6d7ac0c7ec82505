/** No party certifies a key whose backup it could not read back: on disks that lose or change what was written. */
import { type FSWatcher, renameSync, rmSync, watch, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { PrepareKeygen, RoundAnswer } from '../../schema/contracts/party.ts';
import { createShareBackup } from '../../storage/party/backup.ts';
import { at, keygenRequest, route, SOLANA } from '../support/parties.ts';
import { nextRound, type Rig, startRig } from './rig.ts';

let rig: Rig;
/** Rounds of a key ceremony; the last one certifies. */
let total: number;
beforeAll(async () => {
  rig = await startRig();
  total = (await route(rig.table, request('whole'))).rounds.length;
}, 120_000);
afterAll(() => rig?.stop());

const request = (id: string): PrepareKeygen => keygenRequest(rig.cast, id, SOLANA, 'frost-ed25519');
const backupOf = (party: (typeof rig.parties)[number]): string => rig.seat(party).backupDirectory;

/** Changes each file once, as soon as it was renamed to what it is called. */
function spoil(folder: string): FSWatcher {
  return watch(folder, (kind, name) => {
    if (kind === 'rename' && name !== null && !name.startsWith('.'))
      writeFileSync(join(folder, name), 'spoiled');
  });
}

/** What a party's database knows of a key: shares, and its word about it. */
async function known(id: string) {
  const [, beta] = rig.parties;
  const rows = await Promise.all(
    ['shares', 'ceremony_words'].map((table) =>
      rig.sql<{ n: string }>(beta, `select count(*) n from ${table} where key_id = '${id}'`),
    ),
  );
  return rows.map(([row]) => Number(row?.n));
}

/** A ceremony up to its last round, and what beta answers when it is asked for that. */
async function upToTheLast(id: string) {
  const [, beta] = rig.parties;
  const asked = request(id);
  const { rounds } = await route(rig.table, asked, { until: total - 1 });
  const last = nextRound(beta, asked, rounds.at(-1) as RoundAnswer[]);
  return () => at(rig.table, beta).round(last);
}

describe('a backup', () => {
  it('that reads back as something else is refused at once', async () => {
    const folder = join(rig.stack.dataDir, 'spoiled');
    const backup = createShareBackup(folder, new Uint8Array(32).fill(7));
    const context = { purpose: 'backup' } as never;
    const watcher = spoil(folder);
    await expect(backup.write('one', new Uint8Array(64), context)).rejects.toMatchObject({
      code: 'SealBroken',
    });
    watcher.close();
    await backup.write('two', new Uint8Array(64).fill(1), context);
    expect(await backup.read('two', context)).toEqual(new Uint8Array(64).fill(1));
  });
});

describe('a party', () => {
  it('that cannot write its backup gives no certificate and keeps no share, until it can', async () => {
    const [, beta] = rig.parties;
    const ask = await upToTheLast('unwritten');
    const folder = backupOf(beta);
    renameSync(folder, `${folder}.away`);
    writeFileSync(folder, 'no folder');
    try {
      await expect(ask()).rejects.toThrow();
      expect(await known('unwritten')).toEqual([0, 0]);
    } finally {
      rmSync(folder);
      renameSync(`${folder}.away`, folder);
    }
    const { keygen } = await ask();
    expect(keygen?.certificate.certificate).toMatchObject({ party: beta, keyId: 'unwritten' });
    expect(await known('unwritten')).toEqual([1, 1]);
  });

  it('whose backup reads back as something else never certifies that key', async () => {
    const [, beta] = rig.parties;
    const ask = await upToTheLast('unread');
    const watcher = spoil(backupOf(beta));
    await expect(ask()).rejects.toMatchObject({ code: 'SealBroken' });
    watcher.close();
    // Nor later on: the session has failed, and its seed is gone.
    await expect(ask()).rejects.toMatchObject({ code: 'SealBroken' });
    expect(await known('unread')).toEqual([0, 0]);
  });
});
