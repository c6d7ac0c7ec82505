/** What the coordinator lends of the parties' presignatures: names, each to one attempt, for ever. On a real PostgreSQL. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { policyHash } from '../../core/policy.ts';
import type { Built } from '../../schema/contracts/activities.ts';
import { MAX_PACK, type PoolRef } from '../../schema/contracts/pool.ts';
import { startTestPostgres, type TestPostgres } from '../support/postgres.ts';
import {
  ATTEMPT,
  ATTEMPT_2,
  ceremony,
  createWorld,
  PARTIES,
  signedPolicy,
  type World,
} from './world.ts';

let postgres: TestPostgres;
let world: World;
let pool: PoolRef;
beforeAll(async () => {
  postgres = await startTestPostgres();
});
afterAll(() => postgres?.stop());
beforeEach(async () => {
  world = await createWorld(postgres);
  const { keyId, epoch } = await world.wallet();
  pool = { keyId, epoch, signers: PARTIES.slice(0, 2) };
});

const HOUR = 3_600_000;
const currentHash = policyHash(signedPolicy.policy);
const packId = (n: number) => `${n}`.repeat(64);
const iso = (ms: number) => new Date(world.clock.now() + ms).toISOString();
const stock = (n: number, count: number, change: { of?: PoolRef; life?: number } = {}) =>
  world.ledger.stockPack({
    pool: change.of ?? pool,
    packId: packId(n),
    count,
    expiresAt: iso(change.life ?? HOUR),
  });
const lent = (owner: string, count: number) =>
  world.uow.transaction((tx) => tx.pools.lend(pool, owner, count, 0));
const counts = async () => {
  const { stock: now } = await world.ledger.lookAtPool({
    walletId: pool.keyId as string as never,
    signers: pool.signers,
  });
  const { available, leased, spent, dropped } = now;
  return { available, leased, spent, dropped };
};
const built = (id: string, usePool: string) =>
  world.chain.build({ intent: world.intent(id), policyHash: currentHash, usePool } as never);
const reserved = (id: string) => world.ledger.reserve(world.asked(world.intent(id)));

describe('a pool', () => {
  it('counts a pack once, whatever has been lent of it since', async () => {
    expect(await stock(1, 3)).toMatchObject({ available: 3, leased: 0 });
    expect(await lent('a', 2)).toHaveLength(2);
    expect(await stock(1, 3)).toMatchObject({ available: 1, leased: 2 });
  });

  it('is lent from once at a time: racing takers share nothing, and all get what they asked for or nothing', async () => {
    await stock(1, MAX_PACK);
    await stock(2, 16);
    const takers = await Promise.all(Array.from({ length: 20 }, (_, i) => lent(`taker-${i}`, 5)));
    const names = takers.flat().map((one) => `${one.packId}/${one.index}`);
    expect(new Set(names).size).toBe(names.length);
    for (const taken of takers) expect([0, 5]).toContain(taken.length);
    expect(names.length).toBeGreaterThanOrEqual(60);
    expect(await counts()).toMatchObject({ leased: names.length, available: 80 - names.length });
  });

  it('lends what ends first, nothing that has ended, and nothing of another pool', async () => {
    await stock(1, 2, { life: 2 * HOUR });
    await stock(2, 2, { life: HOUR });
    await stock(3, 2, { of: { ...pool, signers: PARTIES.slice(1) } });
    await stock(4, 2, { of: { ...pool, epoch: 1 } });
    expect((await lent('a', 1)).map((one) => one.packId)).toEqual([packId(2)]);
    world.clock.ms += HOUR;
    expect((await lent('b', 2)).map((one) => one.packId)).toEqual([packId(1), packId(1)]);
    expect(await lent('c', 1)).toEqual([]);
    expect(await counts()).toEqual({ available: 0, leased: 2, spent: 0, dropped: 2 });
  });

  it('is dropped by pool or by pack, without what is lent', async () => {
    await stock(1, 3);
    await stock(2, 3);
    await lent('a', 1);
    const { keyId, signers } = pool;
    expect(await world.ledger.dropPool({ keyId, packId: packId(2), reason: 'x' } as never)).toEqual(
      { dropped: 3 },
    );
    expect(await world.ledger.dropPool({ keyId, signers, reason: 'x' } as never)).toEqual({
      dropped: 2,
    });
    expect(await counts()).toEqual({ available: 0, leased: 1, spent: 0, dropped: 5 });
    expect((await world.ledger.readPools({ keyId })).pools).toHaveLength(1);
  });

  it('refuses a signer set that is none', async () => {
    for (const signers of [PARTIES, PARTIES.slice(0, 1), [...PARTIES.slice(0, 2)].reverse()])
      await expect(
        world.ledger.lookAtPool({ walletId: pool.keyId as string as never, signers } as never),
      ).rejects.toMatchObject({ code: 'InvalidInput', details: { field: 'signers' } });
  });
});

describe('a payment that is built', () => {
  it('is lent one a digest, the same at a repeat, and another attempt others', async () => {
    await stock(1, 3);
    await reserved('r1');
    const first = await built('r1', ATTEMPT);
    expect(first).toMatchObject({
      ranking: expect.arrayContaining([...PARTIES]),
      pooled: { attempt: ATTEMPT, signers: pool.signers, rounds: 1 },
    });
    expect((first as unknown as Built).ranking.slice(0, 2)).toEqual(pool.signers);
    expect(await built('r1', ATTEMPT)).toEqual(first);
    const second = await built('r1', ATTEMPT_2);
    expect(second).not.toMatchObject({
      pooled: {
        presignatures: (first as unknown as Built).pooled?.presignatures,
      },
    });
    expect(await counts()).toMatchObject({ available: 1, leased: 2 });
  });

  it('is lent nothing without stock, unasked, or of parties that have just failed', async () => {
    await reserved('r1');
    expect(await built('r1', ATTEMPT)).not.toHaveProperty('pooled');
    await stock(1, 3);
    const unasked = { intent: world.intent('r1'), policyHash: currentHash };
    expect(await world.chain.build(unasked as never)).not.toHaveProperty('pooled');
    const report = (ok: boolean) =>
      world.ledger.reportParties({
        walletId: pool.keyId as string as never,
        reports: [{ party: PARTIES[0] as never, ok, step: 'prepare' }],
      });
    await report(false);
    expect(await built('r1', ATTEMPT)).not.toHaveProperty('pooled');
    await report(true);
    expect(await built('r1', ATTEMPT)).toHaveProperty('pooled');
  });

  it('whose signature cannot be put together drops the rest of its pack, and no other', async () => {
    await stock(1, 3);
    await stock(2, 3, { life: 2 * HOUR });
    await reserved('r1');
    const { unsigned } = (await built('r1', ATTEMPT)) as unknown as Built;
    await world.ledger.passPivot({
      requestId: 'r1' as never,
      attempt: ATTEMPT as never,
      purpose: 'payment',
      reports: [],
    });
    // What plain signing says in its first round is nothing of the online round.
    const [said] = ceremony(unsigned, 'spoilt');
    await expect(
      world.chain.attach({
        requestId: 'r1' as never,
        purpose: 'payment',
        attempt: ATTEMPT as never,
        unsigned,
        signers: pool.signers,
        rounds: [said ?? []],
        pooled: true,
      }),
    ).rejects.toMatchObject({ code: 'ProtocolFault' });
    expect(await counts()).toEqual({ available: 3, leased: 1, spent: 0, dropped: 2 });
  });
});
