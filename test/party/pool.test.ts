/**
 * Presignatures at real parties, two instances of each on one database and key store: one is for one message, whatever is
 * repeated, raced, killed, aborted or put back. Over FROST, whose nonces give the share away as surely as those of ECDSA.
 */
import { randomUUID } from 'node:crypto';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import type { PreparePresign } from '../../schema/contracts/pool.ts';
import type { PartyId } from '../../schema/contracts/primitives.ts';
import { generateKey, keygenRequest, route, SOLANA } from '../support/parties.ts';
import { code, ProcessDeath, points, scene } from './fenced.ts';
import { copyDatabase, copyMachine, orderOf, putBack, putBackMachine } from './restore.ts';
import { nextRound, type Payment } from './rig.ts';

const on = scene();
afterEach(() => {
  expect(on.armed).toBeUndefined();
});

type Change = Partial<Omit<PreparePresign, 'kind'>>;
const presign = (change: Change = {}): PreparePresign => {
  const { keyId, epoch, policyHash } = on.rig.key;
  const attempt = randomUUID() as PreparePresign['attempt'];
  return {
    kind: 'presign',
    requestId: attempt as string as PreparePresign['requestId'],
    attempt,
    keyId,
    epoch,
    signers: on.rig.parties.slice(0, 2),
    count: 2,
    packExpiresAt: new Date(on.clock() + 3_600_000).toISOString(),
    policyHash,
    ...change,
  };
};
/** A pack at its signers; answers with its id. */
async function pack(change: Change = {}): Promise<string> {
  const request = presign(change);
  const { rounds } = await route(on.rig.table, request);
  expect(rounds).toHaveLength(2);
  const ids = rounds.at(-1)?.map(({ sessionId, done, outbox }) => {
    expect({ done, outbox }).toEqual({ done: true, outbox: [] });
    return sessionId;
  });
  expect(new Set(ids).size).toBe(1);
  return ids?.[0] ?? '';
}
const with_ = (payment: Payment, packId: string, index = 0): Payment => ({
  ...payment,
  request: { ...payment.request, pooled: [{ packId, index }] },
});
const payment = (packId: string, index = 0): Payment => with_(on.pay(), packId, index);
const again = (of: Payment): Payment => ({
  ...of,
  request: on.rig.again(of, { pooled: of.request.pooled } as never),
});
const prepare = (party: PartyId, { request }: Payment, instance = 0) =>
  on.rig.party(party, instance).prepare(request);
const states = (packId: string, party = on.alpha) =>
  on.rig
    .sql<{ state: string }>(
      party,
      `select state from presignatures where pack_id = '${packId}' order by index`,
    )
    .then((rows) => rows.map(({ state }) => state));
const sealed = async (packId: string): Promise<number> => {
  const [row] = await on.rig.sql<{ n: number }>(
    on.alpha,
    `select count(*)::int as n from presignatures where pack_id = '${packId}' and sealed is not null`,
  );
  return row?.n ?? -1;
};
/** Of all packs: stocked or bound. */
const live = async (): Promise<number> => {
  const [row] = await on.rig.sql<{ n: number }>(
    on.alpha,
    "select count(*)::int as n from presignatures where state in ('stocked', 'bound')",
  );
  return row?.n ?? -1;
};
const packKeys = async (): Promise<string[]> =>
  (await readdir(on.rig.seat(on.alpha).keyStoreDirectory)).filter((f) => f.startsWith('pack-'));
/** Twice: a key without a row may be that of a commit that is about to come. */
const swept = async (): Promise<void> => {
  const { service } = on.rig.seat(on.alpha);
  await service.sweepOnce();
  await service.sweepOnce();
};

describe('a presignature', () => {
  it('signs its message in one round, and is gone from database and key store', async () => {
    const before = (await packKeys()).length;
    const packId = await pack();
    expect(await states(packId)).toEqual(['stocked', 'stocked']);
    expect((await packKeys()).length).toBe(before + 2);
    const { rounds } = await route(on.rig.table, payment(packId).request);
    expect(rounds.map((answers) => answers.map(({ done }) => done))).toEqual([[true, true]]);
    expect(await states(packId)).toEqual(['spent', 'stocked']);
    expect(await sealed(packId)).toBe(1);
    expect((await packKeys()).length).toBe(before + 1);
  });

  it('is for one message: the same request is answered the same, any other is refused', async () => {
    const packId = await pack();
    const first = payment(packId);
    const answers = await route(on.rig.table, first.request);
    expect(await route(on.rig.table, first.request)).toEqual(answers);
    for (const other of [payment(packId), again(first), with_(on.pay(), packId)])
      for (const instance of [0, 1])
        expect(await code(prepare(on.alpha, other, instance))).toBe('PresignatureUsed');
    await on.complete(payment(packId, 1));
  });

  it('is bound once when two messages race for it at two instances', async () => {
    const packId = await pack();
    const racers = Array.from({ length: 6 }, () => payment(packId));
    const codes = await Promise.all(racers.map((one, i) => code(prepare(on.alpha, one, i % 2))));
    expect(codes.sort()).toEqual([
      'PresignatureUsed',
      'PresignatureUsed',
      'PresignatureUsed',
      'PresignatureUsed',
      'PresignatureUsed',
      'answered',
    ]);
    expect(await states(packId)).toEqual(['bound', 'stocked']);
  });

  it('is burned by the end of its session, whatever ends that', async () => {
    const packId = await pack();
    const aborted = payment(packId);
    await prepare(on.alpha, aborted);
    const { keyId, attempt } = aborted.request;
    await on.rig.party(on.alpha, 1).abort({ keyId, attempt, reason: 'test' });
    expect(await states(packId)).toEqual(['burned', 'stocked']);
    expect(await sealed(packId)).toBe(1);
    expect(await code(prepare(on.alpha, again(aborted)))).toBe('PresignatureUsed');
    // A newer attempt for the same line takes the place of one that is prepared.
    const replaced = payment(packId, 1);
    await prepare(on.alpha, replaced);
    await on.complete({ ...replaced, request: on.rig.again(replaced) });
    expect(await states(packId)).toEqual(['burned', 'burned']);
    expect(await sealed(packId)).toBe(0);
  });

  it('costs nothing while something else is refused', async () => {
    const packId = await pack();
    const unapproved = payment(packId);
    const refused = { ...unapproved, request: { ...unapproved.request, approvals: [] } };
    expect(await code(prepare(on.alpha, refused))).toBe('QuorumMissing');
    expect(await states(packId)).toEqual(['stocked', 'stocked']);
    await on.complete(unapproved);
  });

  it('is refused to whom it is not for', async () => {
    const packId = await pack();
    const third = on.rig.parties[2];
    const other = on.pay({ signers: [on.alpha, third] });
    const { key: elsewhere } = await generateKey(
      on.rig.table,
      keygenRequest(on.rig.cast, `pool-${randomUUID().slice(0, 8)}`, SOLANA, 'frost-ed25519'),
    );
    const foreign = await pack({ keyId: elsewhere.keyId });
    const two = on.pay();
    const cases: readonly (readonly [string, Payment])[] = [
      ['PresignatureStale', with_(other, packId)],
      ['PresignatureStale', payment(packId, 2)],
      ['PresignatureStale', payment('ab'.repeat(32))],
      ['PresignatureStale', payment(foreign)],
      [
        'InvalidInput',
        { ...two, request: { ...two.request, pooled: [0, 1].map((index) => ({ packId, index })) } },
      ],
      ['InvalidInput', { ...two, request: { ...two.request, pooled: [] } }],
    ];
    for (const [refusal, one] of cases) expect(await code(prepare(on.alpha, one))).toBe(refusal);
    expect(await states(packId)).toEqual(['stocked', 'stocked']);
  });

  it('ends with its pack: aborted, expired, or its key quarantined', async () => {
    const undone = presign();
    const { rounds } = await route(on.rig.table, undone);
    const packId = rounds[0]?.[0]?.sessionId ?? '';
    const { keyId, attempt } = undone;
    await on.rig.party(on.alpha).abort({ keyId, attempt, reason: 'beta did not stock it' });
    expect(await states(packId)).toEqual(['dropped', 'dropped']);
    expect(await code(prepare(on.alpha, payment(packId)))).toBe('PresignatureStale');

    const short = await pack({ packExpiresAt: new Date(on.clock() + 120_000).toISOString() });
    on.ahead += 121_000;
    expect(await code(prepare(on.alpha, payment(short)))).toBe('PresignatureStale');
    await on.rig.seat(on.alpha).restart();
    expect(await states(short)).toEqual(['dropped', 'dropped']);
    expect(await sealed(short)).toBe(0);

    const kept = await pack();
    const signed = orderOf(on.rig, on.clock(), {
      kind: 'quarantine',
      party: on.alpha,
      keyId: on.rig.key.keyId,
    });
    await on.rig.party(on.alpha).order({ signed });
    expect(await states(kept)).toEqual(['dropped', 'dropped']);
    const release = orderOf(on.rig, on.clock(), {
      kind: 'release',
      party: on.alpha,
      keyId: on.rig.key.keyId,
    } as never);
    await on.rig.party(on.alpha).order({ signed: release });
    expect(await code(prepare(on.alpha, payment(kept)))).toBe('PresignatureStale');
    await on.rig.seat(on.alpha).restart();
    expect(await packKeys()).toHaveLength(await live());
  });

  it('is made within bounds only', async () => {
    const hour = 3_600_000;
    const at = (ms: number) => ({ packExpiresAt: new Date(on.clock() + ms).toISOString() });
    for (const change of [
      at(10_000),
      at(8 * 24 * hour),
      { policyHash: 'cd'.repeat(32) },
      { signers: on.rig.parties },
      { count: 0 },
      { count: 65 },
    ] as Change[])
      expect(await code(on.rig.party(on.alpha).prepare(presign(change)))).toBe('InvalidInput');
  });
});

describe('a crash', () => {
  const dies = async <T>(
    point: Parameters<typeof points>[0],
    work: () => Promise<T>,
  ): Promise<T> => {
    on.armed = {
      at: point as never,
      run: () => Promise.reject(new ProcessDeath(point)),
    };
    await expect(work()).rejects.toThrow(ProcessDeath);
    await on.rig.seat(on.alpha).replace(0);
    await on.rig.seat(on.alpha).replace(1);
    return work();
  };

  it.each(points('bind'))('at %s binds once, and the payment goes on', async (point) => {
    const packId = await pack();
    const paid = payment(packId);
    await dies(point, () => prepare(on.alpha, paid));
    expect(await states(packId)).toEqual(['bound', 'stocked']);
    expect(await code(prepare(on.alpha, payment(packId)))).toBe('PresignatureUsed');
    await on.complete(paid);
  });

  it.each(points('presign'))('at %s stocks the pack once', async (point) => {
    const request = presign();
    const { rounds, prepared } = await route(on.rig.table, request, { until: 1 });
    expect(prepared).toHaveLength(2);
    const last = nextRound(on.alpha, request, rounds[0] ?? []);
    const answer = await dies(point, () => on.rig.party(on.alpha).round(last));
    await on.rig
      .party(on.rig.parties[1])
      .round(nextRound(on.rig.parties[1], request, rounds[0] ?? []));
    expect(await states(answer.sessionId)).toEqual(['stocked', 'stocked']);
    await on.complete(payment(answer.sessionId));
    // What a first try sealed and did not commit is no key that stays: the sweep finds it.
    await swept();
    expect(await packKeys()).toHaveLength(await live());
  });

  it.each(points('release'))(
    'at %s answers with the same share, and never another',
    async (point) => {
      const packId = await pack();
      const paid = payment(packId);
      const { prepared } = await route(on.rig.table, paid.request, { until: 0 });
      const { keyId, attempt } = paid.request;
      const first = () =>
        on.rig.party(on.alpha).round({ keyId, attempt, round: 1, prepared, inbox: [] });
      const answer = await dies(point, first);
      expect(await first()).toEqual(answer);
      expect(await states(packId)).toEqual(['spent', 'stocked']);
      await on.rig.seat(on.alpha).restart();
      expect(await packKeys()).toHaveLength(await live());
      expect(await code(prepare(on.alpha, again(paid)))).toBe('PresignatureUsed');
    },
  );
});

// Last: a party that was put back signs little afterwards.
describe('a party that was put back to before a presignature was used', () => {
  it('is fenced, and drops every pack with its keys', async () => {
    const packId = await pack();
    const copy = await copyDatabase(on.rig.seat(on.alpha).databaseUrl);
    const paid = await on.complete(payment(packId));
    await on.restore(copy);
    const epoch = await on.isFenced([paid]);
    expect(await states(packId)).toEqual(['dropped', 'dropped']);
    expect(await packKeys()).toEqual([]);
    await on.unfences(epoch, [paid]);
    const later = with_(on.pay({ issuedAt: on.clock() }), packId, 1);
    expect(await code(prepare(on.alpha, later))).toBe('PresignatureStale');
  });

  it('with the whole machine is told by its peer, before anything is computed', async () => {
    const packId = await pack();
    const seat = on.rig.seat(on.alpha);
    const copy = await copyMachine(seat);
    await on.complete(with_(on.pay({ issuedAt: on.clock() }), packId));
    await seat.restart(() => putBackMachine(seat, copy));
    // With it the stocked presignature and its key are back.
    expect(await states(packId)).toEqual(['stocked', 'stocked']);
    const second = with_(on.pay({ issuedAt: on.clock() }), packId);
    await prepare(on.alpha, second);
    expect(await code(prepare(on.rig.parties[1], second))).toBe('PresignatureUsed');
    const fresh = with_(on.pay({ issuedAt: on.clock() }), packId, 1);
    expect(await code(route(on.rig.table, fresh.request))).toBe('PartyFenced');
    expect(await states(packId)).toEqual(['burned', 'burned']);
    await on.unfences(await on.isFenced());
  });

  // Also where nothing tells: both signers, their databases and head files as they were, but not the key stores.
  it('has nothing left that opens it, even when it and its peer know of nothing', async () => {
    const packId = await pack();
    const both = [on.alpha, on.rig.parties[1]].map((party) => on.rig.seat(party));
    const copies = await Promise.all(
      both.map(async (seat) => {
        const file = join(seat.keyStoreDirectory, '.release-head');
        return {
          seat,
          file,
          database: await copyDatabase(seat.databaseUrl),
          head: await readFile(file),
        };
      }),
    );
    await on.complete(with_(on.pay({ issuedAt: on.clock() }), packId));
    for (const { seat, file, database, head } of copies)
      await seat.restart(async () => {
        await putBack(seat.databaseUrl, database);
        await writeFile(file, head);
      });
    expect(await states(packId)).toEqual(['stocked', 'stocked']);
    const second = with_(on.pay({ issuedAt: on.clock() }), packId);
    const { prepared } = await route(on.rig.table, second.request, { until: 0 });
    const { keyId, attempt } = second.request;
    for (const seat of both)
      expect(
        await code(
          on.rig.party(seat.party).round({ keyId, attempt, round: 1, prepared, inbox: [] }),
        ),
      ).toBe('PresignatureUsed');
    // What was not used opens as ever.
    await on.complete(with_(on.pay({ issuedAt: on.clock() }), packId, 1));
  });
});
