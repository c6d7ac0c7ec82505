/** The event log on a real PostgreSQL: order, versions, snapshots, past states, and that nothing is lost or changed. */
import { sql } from 'drizzle-orm';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Fold, StoredEvent, UnitOfWork } from '../../../core/ports/ledger.ts';
import { until } from '../../../dev/until.ts';
import { streams } from '../../../schema/contracts/events.ts';
import type { RequestId } from '../../../schema/contracts/primitives.ts';
import { createFollower } from '../../../storage/coordinator/follow.ts';
import {
  type CoordinatorDatabase,
  createInProcessBus,
  createOutboxPublisher,
  createUnitOfWork,
  migrateCoordinatorDatabase,
} from '../../../storage/coordinator/index.ts';
import { startTestPostgres, type TestPostgres } from '../../support/postgres.ts';
import { initiated, phaseChanged, TestClock } from './fixtures.ts';

let postgres: TestPostgres;
let database: CoordinatorDatabase & { url: string };
let uow: UnitOfWork;
let clock: TestClock;
const stream = (id: string) => streams.transfer(id as RequestId);
const gate = () => {
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { open, opened };
};

beforeAll(async () => {
  postgres = await startTestPostgres();
});
afterAll(() => postgres?.stop());
beforeEach(async () => {
  clock = new TestClock();
  database = await postgres.coordinator();
  uow = createUnitOfWork(database, clock);
});

describe('append', () => {
  it('keeps versions without gaps and refuses a version that is not the newest', async () => {
    const first = await uow.events.append(stream('a'), 0, [
      initiated('a'),
      phaseChanged('a', 'Preparing'),
    ]);
    expect(first.map((e) => e.version)).toEqual([1, 2]);
    await expect(uow.events.append(stream('a'), 0, [initiated('a')])).rejects.toMatchObject({
      code: 'VersionConflict',
    });
    await expect(
      uow.events.append(stream('a'), 1, [phaseChanged('a', 'Signing')]),
    ).rejects.toMatchObject({ code: 'VersionConflict' });
    await expect(
      uow.events.append(stream('a'), 7, [phaseChanged('a', 'Signing')]),
    ).rejects.toMatchObject({ code: 'VersionConflict' });
    expect(await uow.events.read(stream('a'))).toEqual(first);
  });

  it('lets one of many concurrent writers win each version, and loses no event', async () => {
    await uow.events.append(stream('race'), 0, [initiated('race')]);
    const writer = async (): Promise<number> => {
      for (let conflicts = 0; ; conflicts++) {
        const { version } = await uow.events.load(stream('race'), counter);
        try {
          await uow.events.append(stream('race'), version, [phaseChanged('race', 'Preparing')]);
          return conflicts;
        } catch (error) {
          if ((error as { code?: string }).code !== 'VersionConflict') throw error;
        }
      }
    };
    const conflicts = await Promise.all(Array.from({ length: 40 }, writer));
    const events = await uow.events.read(stream('race'));
    expect(events.map((e) => e.version)).toEqual(Array.from({ length: 41 }, (_, i) => i + 1));
    expect(conflicts.some((n) => n > 0)).toBe(true);
    const [boxed] = await database.db.execute<{ n: number }>(
      sql`select count(*)::int as n from outbox`,
    );
    expect(boxed?.n).toBe(41);
  });

  it('names the field of an event that does not fit its schema, and writes nothing', async () => {
    const bad = {
      ...initiated('bad'),
      data: { ...initiated('bad').data, intentDigest: 'xyz' },
    } as never;
    await expect(
      uow.events.append(stream('bad'), 0, [initiated('bad'), bad]),
    ).rejects.toMatchObject({
      code: 'InvalidInput',
      details: { field: 'events.1.data.intentDigest' },
    });
    expect(await uow.events.read(stream('bad'))).toEqual([]);
  });

  it('refuses a stored event that no longer fits its schema', async () => {
    await database.db.execute(
      sql`insert into events (stream, version, type, data, at) values (${stream('old')}, 1, 'keysaga.transfer.initiated.v1', '{}', now())`,
    );
    await expect(uow.events.read(stream('old'))).rejects.toMatchObject({
      code: 'Internal',
      retryable: false,
    });
  });

  it('never runs time backwards within a stream', async () => {
    await uow.events.append(stream('time'), 0, [initiated('time')]);
    clock.advance(-60_000);
    const [late] = await uow.events.append(stream('time'), 1, [phaseChanged('time', 'Preparing')]);
    expect(late?.at).toBe('2026-01-01T00:00:00.000Z');
  });
});

const counter: Fold<{ events: number; phases: string[] }> = {
  name: 'counter',
  schemaVersion: 1,
  initial: { events: 0, phases: [] },
  apply: (s, e) => ({
    events: s.events + 1,
    phases:
      e.type === 'keysaga.transfer.phase-changed.v1'
        ? [...s.phases, e.data.phase].slice(-3)
        : s.phases,
  }),
};

describe('load', () => {
  it('keeps a snapshot every 100 events and starts from it', async () => {
    await uow.events.append(stream('s'), 0, [initiated('s')]);
    for (let v = 1; v < 250; v += 50)
      await uow.events.append(
        stream('s'),
        v,
        Array.from({ length: 50 }, (_, i) => phaseChanged('s', `p${v + i}`)),
      );
    const whole = await uow.events.load(stream('s'), counter);
    expect(whole).toMatchObject({ version: 251, state: { events: 251 } });
    const snapshots = await database.db.execute<{ version: number }>(
      sql`select version from snapshots`,
    );
    expect(snapshots.map((s) => s.version)).toEqual([200]);
    // From the snapshot: a fold that would count differently shows where it began.
    const applied: number[] = [];
    const watched = {
      ...counter,
      apply: (s: typeof counter.initial, e: never) => {
        applied.push((e as StoredEvent).version);
        return counter.apply(s, e);
      },
    };
    expect(await uow.events.load(stream('s'), watched)).toEqual(whole);
    expect(applied[0]).toBe(201);
    // New code does not fold an old snapshot.
    applied.length = 0;
    expect(await uow.events.load(stream('s'), { ...watched, schemaVersion: 2 })).toEqual(whole);
    expect(applied[0]).toBe(1);
  });

  it('gives the state at any past time', async () => {
    await uow.events.append(stream('p'), 0, [initiated('p')]);
    clock.advance(1000);
    await uow.events.append(stream('p'), 1, [phaseChanged('p', 'Preparing')]);
    clock.advance(1000);
    await uow.events.append(stream('p'), 2, [phaseChanged('p', 'Signing')]);
    const at = async (iso: string) =>
      (await uow.events.load(stream('p'), counter, { at: iso })).version;
    expect(await at('2025-12-31T23:59:59.999Z')).toBe(0);
    expect(await at('2026-01-01T00:00:00.999Z')).toBe(1);
    expect(await at('2026-01-01T00:00:01.000Z')).toBe(2);
    expect(await at('2026-01-01T00:00:02.000Z')).toBe(3);
    expect(
      await uow.events.read(stream('p'), { after: 1, at: '2026-01-01T00:00:01.500Z' }),
    ).toHaveLength(1);
  });
});

describe('append-only', () => {
  it.each(['update events set type = type', 'delete from events', 'truncate events'])(
    'refuses: %s',
    async (statement) => {
      await uow.events.append(stream('x'), 0, [initiated('x')]);
      await expect(database.db.execute(sql.raw(statement))).rejects.toMatchObject({
        cause: { message: expect.stringContaining('append-only') },
      });
      expect(await uow.events.read(stream('x'))).toHaveLength(1);
    },
  );
});

describe('transactions', () => {
  it('roll back everything when the work throws', async () => {
    await expect(
      uow.transaction(async (tx) => {
        await tx.claim('transfer', 'r', 'h');
        await tx.events.append(stream('r'), 0, [initiated('r')]);
        await tx.leases.tryTake('r', 'w1', 'n', { resource: 'x', detail: {} });
        throw new TypeError('no');
      }),
    ).rejects.toThrow('no');
    expect(await uow.events.read(stream('r'))).toEqual([]);
    expect(await uow.transaction((tx) => tx.claim('transfer', 'r', 'other'))).toEqual({
      fresh: true,
    });
    expect(await uow.transaction((tx) => tx.leases.lockByOwner('r'))).toEqual([]);
  });

  it('report a connection killed in mid-transaction as retryable, with nothing written', async () => {
    const killed = uow.transaction(async (tx) => {
      await tx.events.append(stream('k'), 0, [initiated('k')]);
      await database.db.execute(sql`
        select pg_terminate_backend(pid) from pg_stat_activity
        where state = 'idle in transaction' and datname = current_database()`);
      await tx.events.append(stream('k'), 1, [phaseChanged('k', 'Preparing')]);
    });
    await expect(killed).rejects.toMatchObject({ code: 'Internal', retryable: true });
    expect(await uow.events.read(stream('k'))).toEqual([]);
    // The pool has healed.
    await uow.events.append(stream('k'), 0, [initiated('k')]);
  });

  it('try a deadlock again', async () => {
    let tries = 0;
    const both = (
      a: string,
      b: string,
      mine: ReturnType<typeof gate>,
      other: ReturnType<typeof gate>,
    ) =>
      uow.transaction(async (tx) => {
        tries += 1;
        await tx.lock(a);
        // The lock is on its way; an answer to what follows it says that it is held.
        await tx.events.read(stream(a));
        mine.open();
        await other.opened;
        await tx.lock(b);
      });
    const [one, two] = [gate(), gate()];
    await Promise.all([both('a', 'b', one, two), both('b', 'a', two, one)]);
    expect(tries).toBe(3);
  });

  it('hold an id to its first body', async () => {
    const claim = (hash: string) => uow.transaction((tx) => tx.claim('transfer', 'id', hash));
    expect(await claim('h1')).toEqual({ fresh: true });
    expect(await claim('h1')).toEqual({ fresh: false });
    await expect(claim('h2')).rejects.toMatchObject({
      code: 'RequestConflict',
      details: { field: 'requestId' },
    });
  });
});

describe('followers', () => {
  const collect = () => {
    const seen: StoredEvent[] = [];
    const follower = createFollower(database, {
      name: 'test',
      apply: async (_tx, events) => {
        seen.push(...events);
      },
    });
    return { seen, follower };
  };

  it('wait at a position that is still under way, and never skip it', async () => {
    const { seen, follower } = collect();
    const [written, go] = [gate(), gate()];
    const slow = uow.transaction(async (tx) => {
      await tx.events.append(stream('slow'), 0, [initiated('slow')]);
      written.open();
      await go.opened;
    });
    await written.opened;
    await uow.events.append(stream('fast'), 0, [initiated('fast')]);
    for (let i = 0; i < 5; i++)
      expect(await follower.runOnce()).toMatchObject({ applied: 0, waiting: true });
    go.open();
    await slow;
    expect(await follower.runOnce()).toMatchObject({ applied: 2, waiting: false });
    expect(seen.map((e) => e.stream)).toEqual(['transfer-slow', 'transfer-fast']);
  });

  it('pass a gap that a rolled-back transaction left', async () => {
    const { seen, follower } = collect();
    await uow
      .transaction(async (tx) => {
        await tx.events.append(stream('gone'), 0, [initiated('gone')]);
        throw new TypeError('rolled back');
      })
      .catch(() => {});
    await uow.events.append(stream('next'), 0, [initiated('next')]);
    await until(async () => (await follower.runOnce()).applied === 1, {
      deadlineMs: 5_000,
      what: 'the gap is passed',
    });
    expect(seen.map((e) => e.stream)).toEqual(['transfer-next']);
  });

  it('see every event of many concurrent writers once and in order, some of them rolled back', async () => {
    const { seen, follower } = collect();
    let done = false;
    const following = (async () => {
      while (!done || (await follower.runOnce()).applied > 0) await follower.runOnce();
    })();
    const writers = Array.from({ length: 8 }, async (_, w) => {
      for (let i = 0; i < 25; i++) {
        const id = `c${w}-${i}`;
        await uow
          .transaction(async (tx) => {
            await tx.events.append(stream(id), 0, [initiated(id)]);
            await tx.events.append(stream(id), 1, [phaseChanged(id, 'Preparing')]);
            if (i % 5 === 4) throw new TypeError('rolled back');
          })
          .catch((error) => {
            if (!(error instanceof TypeError)) throw error;
          });
      }
    });
    await Promise.all(writers);
    await until(() => seen.length >= 8 * 20 * 2, {
      deadlineMs: 10_000,
      what: 'all events are followed',
    });
    done = true;
    await following;
    expect(seen).toHaveLength(8 * 20 * 2);
    const positions = seen.map((e) => e.position);
    expect(positions).toEqual([...positions].sort((a, b) => a - b));
    expect(new Set(positions).size).toBe(positions.length);
    const all = await database.db.execute<{ position: string }>(
      sql`select position from events order by position`,
    );
    expect(positions).toEqual(all.map((row) => Number(row.position)));
  });

  it('share one checkpoint between processes', async () => {
    for (let i = 0; i < 30; i++) await uow.events.append(stream(`m${i}`), 0, [initiated(`m${i}`)]);
    const seen: number[] = [];
    const make = () =>
      createFollower(database, {
        name: 'shared',
        batch: 3,
        apply: async (_tx, events) => {
          seen.push(...events.map((e) => e.position));
        },
      });
    const followers = [make(), make(), make()];
    await until(
      async () => {
        await Promise.all(followers.map((f) => f.runOnce()));
        return seen.length >= 30;
      },
      { deadlineMs: 10_000, what: 'all are followed' },
    );
    expect(seen).toEqual([...new Set(seen)]);
  });
});

describe('outbox', () => {
  it('reaches subscribers in order, again after a handler failed, and is emptied', async () => {
    const bus = createInProcessBus();
    const good: number[] = [];
    const flaky: number[] = [];
    let failures = 2;
    bus.subscribe('good', async (event) => {
      good.push(event.position);
    });
    bus.subscribe('flaky', async (event) => {
      if (event.type === 'keysaga.transfer.phase-changed.v1' && failures-- > 0)
        throw new TypeError('not now');
      flaky.push(event.position);
    });
    const publisher = createOutboxPublisher(database, bus, { pollMs: 20 });
    await publisher.start();
    const written = [
      ...(await uow.events.append(stream('o'), 0, [
        initiated('o'),
        phaseChanged('o', 'Preparing'),
      ])),
      ...(await uow.events.append(stream('o'), 2, [phaseChanged('o', 'Signing')])),
    ].map((e) => e.position);
    await until(() => flaky.length === 3, {
      deadlineMs: 10_000,
      what: 'the flaky handler has all',
    });
    expect(flaky).toEqual(written);
    expect(good).toEqual(written);
    await until(async () => (await database.db.execute(sql`select from outbox`)).length === 0, {
      deadlineMs: 5_000,
      what: 'the outbox is empty',
    });
    await publisher.stop();
  });
});

describe('migrations', () => {
  it('are applied once when several processes start together', async () => {
    const url = await postgres.create('fresh');
    await Promise.all(Array.from({ length: 4 }, () => migrateCoordinatorDatabase(url)));
    await migrateCoordinatorDatabase(url);
  });
});
