/** Who opens a share leaves a trace, and who fails at it too often waits. Two instances of each party. */
import { randomBytes, randomInt } from 'node:crypto';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { PartyFailPoint } from '../../activities/party/deps.ts';
import { shareContext } from '../../activities/party/shares.ts';
import type { PrepareSign, RoundRequest } from '../../schema/contracts/party.ts';
import type { PartyId } from '../../schema/contracts/primitives.ts';
import { createKeyStore } from '../../storage/party/key-store.ts';
import { generateKey, keygenRequest, route, SOLANA } from '../support/parties.ts';
import { type Rig, startRig } from './rig.ts';

let rig: Rig;
let alpha: PartyId;
let beta: PartyId;
let ahead = 0;
let crashAt: PartyFailPoint | undefined;
let keep: { sealed: string; dataKeyId: string; dataKey: Buffer };
let keyFile: string;

beforeAll(async () => {
  rig = await startRig({
    instances: 2,
    now: () => Date.now() + ahead,
    failPoints: (party) => ({
      async at(point) {
        if (party !== 'alpha' || point !== crashAt) return;
        crashAt = undefined;
        throw new Error('crash');
      },
    }),
  });
  [alpha, beta] = rig.parties;
  const [row] = await rig.sql<{ sealed: string; id: string }>(
    alpha,
    `select encode(sealed, 'hex') as sealed, data_key_id as id from shares where key_id = 'sol-main'`,
  );
  const dataKeyId = row?.id as string;
  keyFile = join(rig.seat(alpha).keyStoreDirectory, dataKeyId);
  keep = { sealed: row?.sealed as string, dataKeyId, dataKey: await readFile(keyFile) };
});
afterAll(() => rig?.stop());
afterEach(async () => {
  await mend();
  await rig.sql(alpha, 'delete from share_access');
});

const tamper = (sealed: Uint8Array) =>
  rig.sql(
    alpha,
    `update shares set sealed = '\\x${Buffer.from(sealed).toString('hex')}' where key_id = 'sol-main'`,
  );
const sealed = () => Buffer.from(keep.sealed, 'hex');
async function mend(): Promise<void> {
  await tamper(sealed());
  await rm(keyFile, { recursive: true, force: true });
  await writeFile(keyFile, keep.dataKey, { mode: 0o600 });
}
const flipped = (bytes: Uint8Array): Buffer => {
  const copy = Buffer.from(bytes);
  const at = randomInt(copy.length);
  copy[at] = (copy[at] ?? 0) ^ (1 << randomInt(8));
  return copy;
};

type Begun = { readonly request: PrepareSign; readonly first: RoundRequest };
/** A session that is about to open alpha's share. */
async function begin(instance = 0): Promise<Begun> {
  const { request } = rig.pay();
  const prepared = await Promise.all(
    [alpha, beta].map((p) => rig.party(p, instance).prepare(request)),
  );
  const { keyId, attempt } = request;
  return { request, first: { keyId, attempt, round: 1, prepared, inbox: [] } };
}
/** Asks alpha to open its share: `opened`, or the code of its refusal. */
async function open(instance = 0): Promise<string> {
  try {
    const { first } = await begin(instance);
    await rig.party(alpha, instance).round(first);
    return 'opened';
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  }
}
type Entry = { kind: string; attempt: string; detail: Record<string, string>; tx: string };
const audit = (where: string) =>
  rig.sql<Entry>(
    alpha,
    `select kind, attempt, detail, xmin::text as tx from audit_entries where ${where} order by position`,
  );
const access = async () =>
  (
    await rig.sql<{ failures: number; until: Date | null }>(
      alpha,
      `select failures, locked_until as until from share_access where key_id = 'sol-main'`,
    )
  )[0];

describe('the audit of a share', () => {
  it('has the opening before it happens and its success in the commit of the round, no further one', async () => {
    const { request, first } = await begin();
    await rig.party(alpha).round(first);
    const entries = await audit(`attempt = '${request.attempt}'`);
    expect(entries.map(({ kind }) => kind)).toEqual(['share-opening', 'share-opened']);
    for (const { detail } of entries)
      expect(detail).toEqual({
        epoch: '0',
        purpose: 'payment',
        sessionId: expect.stringMatching(/^[0-9a-f]{64}$/),
      });
    const [round] = await rig.sql<{ tx: string }>(
      alpha,
      `select xmin::text as tx from rounds where attempt = '${request.attempt}' and round = 1`,
    );
    expect(entries[1]?.tx).toBe(round?.tx);
    expect(entries[0]?.tx).not.toBe(round?.tx);
  });

  it('has it when a crash comes between the two, and once more when the run is rebuilt', async () => {
    const { request, first } = await begin();
    crashAt = 'party.round:after-inbox-commit';
    await expect(rig.party(alpha).round(first)).rejects.toThrow('crash');
    const kinds = async () =>
      (await audit(`attempt = '${request.attempt}'`)).map(({ kind }) => kind);
    expect(await kinds()).toEqual(['share-opening']);
    await rig.party(alpha, 1).round(first);
    expect(await kinds()).toEqual(['share-opening', 'share-opening', 'share-opened']);
  });

  it('has a failure in a commit of its own, before the session is closed', async () => {
    await tamper(flipped(sealed()));
    const { request, first } = await begin();
    await expect(rig.party(alpha).round(first)).rejects.toMatchObject({ code: 'SealBroken' });
    const entries = await audit(`attempt = '${request.attempt}'`);
    expect(entries.map(({ kind }) => kind)).toEqual([
      'share-opening',
      'share-open-failed',
      'session-failed',
    ]);
    expect(entries[1]?.detail).toMatchObject({ code: 'SealBroken', counted: 'yes' });
    expect(new Set(entries.map(({ tx }) => tx)).size).toBe(3);
  });

  it('keeps the failure when closing the session fails afterwards', async () => {
    await tamper(flipped(sealed()));
    const { request, first } = await begin();
    // The database refuses the tombstone, so the transaction that would write it rolls back.
    await rig.sql(
      alpha,
      `create function refuse() returns trigger language plpgsql as $$ begin raise exception 'no'; end $$`,
    );
    await rig.sql(
      alpha,
      `create trigger refuse before update on sessions for each row when (new.state = 'failed') execute function refuse()`,
    );
    try {
      await expect(rig.party(alpha).round(first)).rejects.toMatchObject({ code: 'Internal' });
    } finally {
      await rig.sql(alpha, 'drop trigger refuse on sessions');
      await rig.sql(alpha, 'drop function refuse');
    }
    const kinds = (await audit(`attempt = '${request.attempt}'`)).map(({ kind }) => kind);
    expect(kinds).toEqual(['share-opening', 'share-open-failed']);
    expect((await access())?.failures).toBe(1);
  });

  it('never holds the share, sealed or plain', async () => {
    const { keyStoreDirectory, keyStoreMasterKey } = rig.seat(alpha);
    const keys = createKeyStore(keyStoreDirectory, keyStoreMasterKey);
    const [row] = await rig.sql<{ attempt: string }>(
      alpha,
      `select attempt from shares where key_id = 'sol-main'`,
    );
    const attempt = row?.attempt as string;
    const share = await keys.open(
      keep.dataKeyId,
      sealed(),
      shareContext(alpha, { keyId: 'sol-main', attempt, epoch: 0 }),
    );
    const all = JSON.stringify(await audit('true'));
    expect(all).toContain('share-opened');
    const secret = Buffer.from(share).subarray(-32);
    for (const form of ['hex', 'base64', 'latin1'] as const)
      expect(all).not.toContain(secret.toString(form).slice(0, 20));
    expect(all).not.toContain(keep.sealed.slice(26, 66));
  });
});

describe('the lock', () => {
  it('comes after five failures in a row, at both instances and after a restart, and grows', async () => {
    await tamper(flipped(sealed()));
    for (let i = 0; i < 5; i++) {
      expect(await open(i % 2)).toBe('SealBroken');
      expect((await access())?.failures).toBe(i + 1);
    }
    for (const seconds of [30, 60, 120, 240]) {
      const before = (await audit(`kind like 'share-open%'`)).length;
      for (const instance of [0, 1]) {
        const locked = rig.party(alpha, instance).prepare(rig.pay().request);
        await expect(locked).rejects.toMatchObject({ code: 'KeyLocked', retryable: false });
        const { details } = (await locked.catch((e) => e)) as { details: { retryAt: string } };
        const left = Date.parse(details.retryAt) - Date.now() - ahead;
        expect(left).toBeGreaterThan(seconds * 1000 - 20_000);
        expect(left).toBeLessThanOrEqual(seconds * 1000);
      }
      if (seconds === 60) await rig.seat(alpha).restart();
      expect(await open(1)).toBe('KeyLocked');
      expect((await audit(`kind like 'share-open%'`)).length).toBe(before);
      ahead += seconds * 1000;
      // One try a lock.
      expect(await open(seconds === 60 ? 0 : 1)).toBe('SealBroken');
    }
    const locks = (await audit(`kind = 'key-locked'`)).map(({ detail }) => detail.failures);
    expect(locks).toEqual(['5', '6', '7', '8', '9']);
  });

  it('lets nothing be opened, not even the right bytes, and leaves the session as it was', async () => {
    const { first } = await begin(0);
    await tamper(flipped(sealed()));
    for (let i = 0; i < 5; i++) expect(await open(i % 2)).toBe('SealBroken');
    await mend();
    for (const instance of [0, 1])
      await expect(rig.party(alpha, instance).round(first)).rejects.toMatchObject({
        code: 'KeyLocked',
      });
    const [session] = await rig.sql<{ state: string }>(
      alpha,
      `select state from sessions where attempt = '${first.attempt}'`,
    );
    expect(session?.state).toBe('prepared');
    ahead += 31_000;
    // The session's own minute is not over, and the lock is: it goes on, and its success ends the row of failures.
    expect((await rig.party(alpha, 1).round(first)).round).toBe(1);
    expect(await access()).toBeUndefined();
  });

  it('of one key leaves the others alone', async () => {
    const request = keygenRequest(rig.cast, 'sol-other', SOLANA, 'frost-ed25519');
    await generateKey(rig.table, request);
    await tamper(flipped(sealed()));
    for (let i = 0; i < 5; i++) await open();
    expect(await open()).toBe('KeyLocked');
    const rows = await rig.sql<{ key_id: string }>(alpha, 'select key_id from share_access');
    expect(rows.map((r) => r.key_id)).toEqual(['sol-main']);
  });

  it('starts to count anew after a success', async () => {
    for (let round = 0; round < 2; round++) {
      await tamper(flipped(sealed()));
      for (let i = 0; i < 4; i++) expect(await open(i % 2)).toBe('SealBroken');
      await mend();
      expect(await open(round)).toBe('opened');
      expect(await access()).toBeUndefined();
    }
  });

  it('counts failures of two instances at once, none lost', async () => {
    const begun = await Promise.all([0, 1, 0, 1].map((i) => begin(i)));
    await tamper(flipped(sealed()));
    const codes = await Promise.all(
      begun.map(({ first }, i) =>
        rig
          .party(alpha, i % 2)
          .round(first)
          .then(
            () => 'opened',
            (e: { code: string }) => e.code,
          ),
      ),
    );
    expect(codes).toEqual(Array(4).fill('SealBroken'));
    expect((await access())?.failures).toBe(4);
  });
});

describe('what counts', () => {
  const ways: Record<string, () => Promise<unknown>> = {
    'a changed bit of the sealed share': () => tamper(flipped(sealed())),
    'a share cut short': () => tamper(sealed().subarray(0, randomInt(1, sealed().length))),
    'random bytes': () => tamper(Buffer.concat([Buffer.of(1), randomBytes(randomInt(200))])),
    'another version byte': () => tamper(Buffer.concat([Buffer.of(2), sealed().subarray(1)])),
    'a changed bit of the data key': () => writeFile(keyFile, flipped(keep.dataKey)),
    'the data key of something else': async () => {
      const { instances } = rig.seat(alpha);
      await instances[0]?.sweepOnce();
      const { request } = await begin();
      const [row] = await rig.sql<{ id: string }>(
        alpha,
        `select data_key_id as id from sessions where attempt = '${request.attempt}'`,
      );
      const other = await readFile(join(rig.seat(alpha).keyStoreDirectory, row?.id as string));
      await writeFile(keyFile, other);
    },
    'a data key that is gone': () => rm(keyFile),
  };
  it.each(Object.entries(ways))('%s', async (_, spoil) => {
    for (let i = 1; i <= 3; i++) {
      await mend();
      await spoil();
      expect(await open(i % 2)).toBe('SealBroken');
      expect((await access())?.failures).toBe(i);
    }
    await mend();
    expect(await open()).toBe('opened');
  });

  it('is no request that the party refuses, however often', async () => {
    const { request, first } = await begin();
    const forged = rig.pay().request;
    const refusals = [
      () => rig.party(alpha).prepare({ ...forged, approvals: [] }),
      () => rig.party(alpha).prepare({ ...forged, policyHash: '00'.repeat(32) }),
      () => rig.party(alpha).prepare({ ...forged, keyId: 'nobody' as never }),
      () => rig.party(alpha).round({ ...first, prepared: first.prepared?.slice(1) ?? [] }),
      () => rig.party(alpha).round({ ...first, round: 2 }),
      () => rig.party(alpha).round({ ...first, keyId: 'nobody' as never }),
      () => rig.party(alpha).prepare({ ...request, purpose: 'void' }),
    ];
    for (let i = 0; i < 2; i++)
      for (const refusal of refusals) await expect(refusal()).rejects.toThrow();
    expect(await access()).toBeUndefined();
    expect(await open()).toBe('opened');
    const { rounds } = await route(rig.table, rig.pay().request);
    expect(rounds.at(-1)?.every((a) => a.done)).toBe(true);
  });

  it('is no key file that the disk does not give: audited, not counted, and the session lives', async () => {
    const { request, first } = await begin();
    await rename(keyFile, `${keyFile}.away`);
    await mkdir(keyFile);
    await expect(rig.party(alpha).round(first)).rejects.toThrow('EISDIR');
    await rm(keyFile, { recursive: true });
    await rename(`${keyFile}.away`, keyFile);
    const entries = await audit(`attempt = '${request.attempt}' and kind = 'share-open-failed'`);
    expect(entries[0]?.detail).toMatchObject({ code: 'Internal', counted: 'no' });
    expect(await access()).toBeUndefined();
    expect((await rig.party(alpha).round(first)).round).toBe(1);
  });
});
