/** What is erased stays closed, what lives is never erased, and nothing secret is written or said in the clear. */
import { readdir } from 'node:fs/promises';
import postgres from 'postgres';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { seedContext } from '../../activities/party/prepare.ts';
import { backupName } from '../../activities/party/sessions.ts';
import { shareContext } from '../../activities/party/shares.ts';
import type { PartyId } from '../../schema/contracts/primitives.ts';
import { createShareBackup } from '../../storage/party/backup.ts';
import { createKeyStore } from '../../storage/party/key-store.ts';
import {
  approve,
  generateKey,
  intentFor,
  keygenRequest,
  route,
  SOLANA,
  signRequest,
} from '../support/parties.ts';
import { payment, provenNonce, someAddress } from '../support/solana-plans.ts';
import { takeBaseBackup } from './base-backup.ts';
import { orderOf } from './restore.ts';
import { nextRound, type Rig, startRig } from './rig.ts';

let rig: Rig;
let alpha: PartyId;
let beta: PartyId;
let ahead = 0;
beforeAll(async () => {
  rig = await startRig({ instances: 2, orphanMs: 0, now: () => Date.now() + ahead });
  [alpha, beta] = rig.parties;
});
afterAll(() => rig?.stop());

const keyStore = (party = alpha) => {
  const { keyStoreDirectory, keyStoreMasterKey } = rig.seat(party);
  return createKeyStore(keyStoreDirectory, keyStoreMasterKey);
};
const keysOf = async (attempt: string) =>
  (await readdir(rig.seat(alpha).keyStoreDirectory)).filter((f) => f.includes(attempt));

/** An old copy of a session's row, as a backup of the database would hold it. */
type OldRow = {
  keyId: string;
  attempt: string;
  epoch: number;
  sealed: Uint8Array;
  dataKeyId: string;
};
async function oldRow(attempt: string): Promise<OldRow> {
  const [row] = await rig.sql<OldRow>(
    alpha,
    `select key_id as "keyId", attempt, epoch, sealed_seed as sealed, data_key_id as "dataKeyId" from sessions where attempt = '${attempt}'`,
  );
  if (row === undefined) throw new Error('no row');
  return row;
}
const openSeed = (row: OldRow) =>
  keyStore().open(row.dataKeyId, row.sealed, seedContext(alpha, row));

describe('a session that is over', () => {
  const ends: Record<
    string,
    (rig: Rig, request: ReturnType<Rig['pay']>['request']) => Promise<void>
  > = {
    release: async () => {},
    abort: async (r, { keyId, attempt }) => {
      await r.party(alpha, 1).abort({ keyId, attempt, reason: 'test' });
    },
    expiry: async (r) => {
      ahead += 61_000;
      await r.seat(alpha).instances[1]?.sweepOnce();
    },
  };
  it.each(Object.keys(ends))(
    'cannot be opened from an old copy of its row after its %s',
    async (end) => {
      const { request } = rig.pay();
      await route(rig.table, request, { until: 1 });
      const row = await oldRow(request.attempt);
      expect(await openSeed(row)).toHaveLength(32);
      if (end === 'release') {
        const other = rig.pay();
        await route(rig.table, other.request, {
          onRound: async (round) => {
            if (round === 2) Object.assign(row, await oldRow(other.request.attempt));
          },
        });
      } else await ends[end]?.(rig, request);
      await expect(openSeed(row)).rejects.toMatchObject({ code: 'SealBroken' });
      expect(await keysOf(row.attempt)).toEqual([]);
    },
  );

  it('gives back line, limit and lock when its time is over by the party’s own clock', async () => {
    const first = rig.pay();
    await route(rig.table, first.request, { until: 1 });
    const held = async () => ({
      open: (
        await rig.sql(
          alpha,
          `select 1 from sessions where attempt = '${first.request.attempt}' and state in ('prepared', 'running')`,
        )
      ).length,
      reserved: (
        await rig.sql(
          alpha,
          `select 1 from spent s join sessions x using (intent_digest, line) where x.attempt = '${first.request.attempt}'`,
        )
      ).length,
      line: (
        await rig.sql(
          alpha,
          `select 1 from line_transactions where attempt = '${first.request.attempt}' and state = 'open'`,
        )
      ).length,
    });
    expect(await held()).toEqual({ open: 1, reserved: 1, line: 1 });
    ahead += 61_000;
    // Without a sweep: another transaction of the line, which the open one would have forbidden.
    const second = rig.besides(first);
    const fresh = { ...second, approvals: first.request.approvals };
    await rig.party(alpha, 1).prepare(fresh);
    expect(await held()).toMatchObject({ open: 0, line: 0 });
    const { keyId, attempt } = second;
    await rig.party(alpha).abort({ keyId, attempt, reason: 'test' });
    expect(await held()).toEqual({ open: 0, reserved: 0, line: 0 });
  });

  it('releases nothing after its time, whatever was begun before', async () => {
    const { request } = rig.pay();
    const { rounds } = await route(rig.table, request, { until: 1 });
    ahead += 61_000;
    const asked = nextRound(alpha, request, rounds[0] ?? []);
    await expect(rig.party(alpha).round(asked)).rejects.toMatchObject({ code: 'SessionExpired' });
    expect(await keysOf(request.attempt)).toEqual([]);
  });

  it('ends when the clock that dated it ahead has been set right', async () => {
    const day = 86_400_000;
    const validUntil = Date.now() + 3 * day;
    const to = someAddress();
    const intent = intentFor(rig.key, to, '7', { expiresAt: new Date(validUntil).toISOString() });
    const approvals = rig.cast.approvers
      .slice(0, 2)
      .map((a) => approve(intent, a, 'approve', { validUntil }));
    const unsigned = payment(rig.key, provenNonce(), to, 7n);
    const request = signRequest(rig.cast, rig.key, intent, unsigned, [alpha, beta], { approvals });
    ahead += day;
    await rig.party(alpha).prepare(request);
    await rig.seat(alpha).service.sweepOnce();
    await rig.party(alpha).prepare(request);
    ahead -= day;
    await rig.seat(alpha).service.sweepOnce();
    await expect(rig.party(alpha).prepare(request)).rejects.toMatchObject({
      code: 'SessionExpired',
    });
  });
});

describe('the sweep', () => {
  it('destroys the key of a prepare that crashed before its commit, and no row ever named', async () => {
    const orphan = `session-${crypto.randomUUID()}-0011223344556677`;
    const context = {
      party: alpha,
      keyId: 'x',
      purpose: 'seed',
      session: 'x',
      epoch: 0,
      row: 'sessions',
    } as const;
    await keyStore().seal(orphan, new Uint8Array(32), context, { create: true });
    await rig.seat(alpha).service.sweepOnce();
    await rig.seat(alpha).service.sweepOnce();
    expect(await keyStore().has(orphan)).toBe(false);
  });

  it('destroys a share’s key that no commit took, once its ceremony is over, and not before', async () => {
    const request = keygenRequest(rig.cast, 'unfinished', SOLANA, 'frost-ed25519');
    await route(rig.table, request, { until: 3 });
    const { keyId, attempt } = request;
    const loose = `share-${attempt}-0011223344556677`;
    const context = shareContext(alpha, { keyId, attempt, epoch: 0 });
    await keyStore().seal(loose, new Uint8Array(32), context, { create: true });
    const sweeps = async () => {
      for (let i = 0; i < 3; i++)
        await Promise.all(rig.seat(alpha).instances.map((s) => s.sweepOnce()));
    };
    await sweeps();
    expect(await keyStore().has(loose)).toBe(true);
    await rig.party(alpha).destroy({ keyId, attempt });
    await sweeps();
    expect(await keyStore().has(loose)).toBe(false);
  });

  it('never destroys the key of a living share, nor one that its database does not know', async () => {
    const made = await generateKey(
      rig.table,
      keygenRequest(rig.cast, 'living', SOLANA, 'frost-ed25519'),
    );
    const [row] = await rig.sql<{ id: string }>(
      alpha,
      `select data_key_id as id from shares where key_id = '${made.key.keyId}'`,
    );
    const unknown = `share-${crypto.randomUUID()}-0011223344556677`;
    const context = shareContext(alpha, { keyId: 'x', attempt: 'x', epoch: 0 });
    await keyStore().seal(unknown, new Uint8Array(32), context, { create: true });
    for (let i = 0; i < 3; i++) {
      ahead += 250_000;
      await Promise.all(rig.seat(alpha).instances.map((s) => s.sweepOnce()));
    }
    expect(await keyStore().has(row?.id ?? '')).toBe(true);
    // A party that was pointed at an empty or restored database must not erase what that database does not know.
    expect(await keyStore().has(unknown)).toBe(true);
    await keyStore().destroy([unknown]);
  });
});

describe('destroy', () => {
  it('touches nothing of an active share, however it is named', async () => {
    const { keyId } = rig.key;
    const [row] = await rig.sql<{ attempt: string; id: string }>(
      alpha,
      `select attempt, data_key_id as id from shares where key_id = '${keyId}'`,
    );
    const attempt = row?.attempt as never;
    expect((await rig.party(alpha).destroy({ keyId, attempt })).outcome).toBe('kept');
    const other = 'another-key' as never;
    expect((await rig.party(alpha).destroy({ keyId: other, attempt })).outcome).toBe('nothing');
    expect(await keyStore().has(row?.id ?? '')).toBe(true);
    const backups = await readdir(rig.seat(alpha).backupDirectory);
    expect(backups).toContain(backupName({ keyId, epoch: 0, attempt }));
    await route(rig.table, rig.pay().request);
  });

  it('does not reach into a signing session', async () => {
    const { request } = rig.pay();
    const { rounds } = await route(rig.table, request, { until: 1 });
    const { keyId, attempt } = request;
    expect((await rig.party(alpha).destroy({ keyId, attempt })).outcome).toBe('nothing');
    const answer = await rig.party(alpha).round(nextRound(alpha, request, rounds[0] ?? []));
    expect(answer.done).toBe(true);
  });

  it('answers two askers of an unknown ceremony alike', async () => {
    const request = { keyId: 'unheard-of' as never, attempt: crypto.randomUUID() as never };
    const answers = await Promise.all([0, 1].map((i) => rig.party(alpha, i).destroy(request)));
    expect(answers[1]).toEqual(answers[0]);
    expect(answers[0]?.never).toBeDefined();
  });
});

describe('an old copy of the database files, with its write-ahead log', () => {
  it('opens neither a session nor a share epoch that has been erased since', async () => {
    const { key } = await generateKey(
      rig.table,
      keygenRequest(rig.cast, 'copied', SOLANA, 'frost-ed25519'),
    );
    const to = someAddress();
    const unsigned = payment(key, provenNonce(), to, 5n);
    const request = signRequest(rig.cast, key, intentFor(key, to, '5'), unsigned, [alpha, beta]);
    const { rounds } = await route(rig.table, request, { until: 1 });
    const database = new URL(rig.seat(alpha).databaseUrl).pathname.slice(1);
    const backup = await takeBaseBackup(rig.stack.postgres.adminUrl, rig.seat(alpha).directory);
    try {
      const { url } = await backup.start();
      const old = postgres(url(database), { max: 1, onnotice: () => {} });
      const [session] = await old<OldRow[]>`
        select key_id as "keyId", attempt, epoch, sealed_seed as sealed, data_key_id as "dataKeyId"
        from sessions where attempt = ${request.attempt}`;
      const [share] = await old<OldRow[]>`
        select key_id as "keyId", attempt, epoch, sealed, data_key_id as "dataKeyId"
        from shares where key_id = ${key.keyId}`;
      await old.end();
      if (session === undefined || share === undefined) throw new Error('the copy is empty');
      const openShare = () =>
        keyStore().open(share.dataKeyId, share.sealed, shareContext(alpha, share));
      const { backupDirectory, backupKey } = rig.seat(alpha);
      const openBackup = () =>
        createShareBackup(backupDirectory, backupKey).read(
          backupName(share),
          shareContext(alpha, share, 'backup'),
        );
      // As long as they live, the copy is as good as the original.
      expect(await openSeed(session)).toHaveLength(32);
      expect((await openShare()).length).toBeGreaterThan(32);
      expect((await openBackup()).length).toBeGreaterThan(32);

      const answer = await rig.party(alpha).round(nextRound(alpha, request, rounds[0] ?? []));
      expect(answer.done).toBe(true);
      await expect(openSeed(session)).rejects.toMatchObject({ code: 'SealBroken' });
      await openShare();
      const wish = { kind: 'destroy', party: alpha, keyId: key.keyId, epoch: 0 } as const;
      await rig.party(alpha, 1).order({ signed: orderOf(rig, Date.now() + ahead, wish) });
      await expect(openShare()).rejects.toMatchObject({ code: 'SealBroken' });
      await expect(openBackup()).rejects.toMatchObject({ code: 'SealBroken' });
    } finally {
      await backup.remove();
    }
  });
});

describe('secrets', () => {
  it('stand in no row and in no answer: neither a share nor a seed', async () => {
    const said: unknown[] = [];
    const { request } = rig.pay();
    const secrets: string[] = [];
    const { prepared, rounds } = await route(rig.table, request, {
      onRound: async () => {
        secrets.push(Buffer.from(await openSeed(await oldRow(request.attempt))).toString('hex'));
      },
    });
    const failing = rig.pay();
    await route(rig.table, failing.request, { until: 1 });
    said.push(prepared, rounds, await rig.party(alpha).health());
    said.push(
      await rig
        .party(beta)
        .round({ ...failing.request, round: 2, inbox: [] } as never)
        .catch((e) => ({ ...e, text: String(e) })),
    );
    const { backupDirectory, backupKey } = rig.seat(alpha);
    const [row] = await rig.sql<{ attempt: string }>(
      alpha,
      `select attempt from shares where key_id = '${rig.key.keyId}'`,
    );
    const of = { keyId: rig.key.keyId, attempt: row?.attempt ?? '', epoch: 0 };
    const share = await createShareBackup(backupDirectory, backupKey).read(
      backupName(of),
      shareContext(alpha, of, 'backup'),
    );
    // The last 32 bytes are the signing share; the rest of the encoding names public things.
    secrets.push(Buffer.from(share.subarray(-32)).toString('hex'));

    const tables = await rig.sql<{ name: string }>(
      alpha,
      `select tablename as name from pg_tables where schemaname = 'public'`,
    );
    expect(tables.length).toBeGreaterThan(8);
    const rows: unknown[] = [];
    for (const { name } of tables)
      rows.push(...(await rig.sql(alpha, `select t::text as row from "${name}" t`)));
    const text = JSON.stringify([rows, said]).toLowerCase();
    expect(text).toContain(request.attempt);
    for (const secret of secrets) {
      expect(secret).toMatch(/^[0-9a-f]{64}$/);
      const bytes = Buffer.from(secret, 'hex');
      for (const form of [
        secret,
        bytes.toString('base64').toLowerCase(),
        [...bytes].join(','),
        Buffer.from(bytes).reverse().toString('hex'),
      ])
        expect(text.includes(form)).toBe(false);
    }
  });
});
