/** PostgreSQL killed under load: the process lives, nothing committed is lost, and the pool and its followers come back. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { StoredEvent } from '../../../core/ports/ledger.ts';
import { until } from '../../../dev/until.ts';
import { createFollower } from '../../../storage/coordinator/follow.ts';
import { createUnitOfWork } from '../../../storage/coordinator/index.ts';
import { startTestPostgres, type TestPostgres } from '../../support/postgres.ts';
import { initiated, phaseChanged, TestClock } from './fixtures.ts';

let postgres: TestPostgres;
beforeAll(async () => {
  postgres = await startTestPostgres();
});
afterAll(() => postgres?.stop());

it('survives SIGKILL of the server in the middle of many transactions', async () => {
  const database = await postgres.coordinator({ max: 8 });
  const uow = createUnitOfWork(database, new TestClock());
  const seen: StoredEvent[] = [];
  const follower = createFollower(database, {
    name: 'loss',
    pollMs: 50,
    apply: async (_tx, events) => {
      seen.push(...events);
    },
  });
  await follower.start();

  const acknowledged = new Set<string>();
  const codes = new Set<string>();
  let stop = false;
  let serial = 0;
  // Between their two statements transactions wait a turn of the event loop, so that some are idle when the server dies.
  const writer = async (): Promise<void> => {
    while (!stop) {
      const id = `x${serial++}`;
      try {
        await uow.transaction(async (tx) => {
          await tx.events.append(`transfer-${id}`, 0, [initiated(id)]);
          await new Promise((resolve) => setImmediate(resolve));
          await tx.events.append(`transfer-${id}`, 1, [phaseChanged(id, 'Preparing')]);
        });
        acknowledged.add(`transfer-${id}`);
      } catch (error) {
        codes.add((error as { code?: string }).code ?? String(error));
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    }
  };
  const writers = Array.from({ length: 12 }, writer);
  for (let kill = 0; kill < 2; kill++) {
    const before = acknowledged.size;
    await until(() => acknowledged.size > before + 30, {
      deadlineMs: 20_000,
      what: 'transactions are committed',
    });
    await postgres.stack.kill('postgres', 'SIGKILL');
    await postgres.stack.restart('postgres');
  }
  const after = acknowledged.size;
  await until(() => acknowledged.size > after + 30, {
    deadlineMs: 30_000,
    what: 'writers are back',
  });
  stop = true;
  await Promise.all(writers);

  // Every failure was a typed, retryable one, and something did fail.
  expect([...codes]).toEqual(['Internal']);
  await until(
    () => [...acknowledged].every((stream) => seen.filter((e) => e.stream === stream).length >= 2),
    {
      deadlineMs: 20_000,
      intervalMs: 200,
      what: 'the follower has every acknowledged event',
    },
  );
  await follower.stop();
  // Whole transactions only.
  const perStream = new Map<string, Set<number>>();
  for (const e of seen)
    perStream.set(e.stream, (perStream.get(e.stream) ?? new Set()).add(e.version));
  expect([...perStream.values()].every((versions) => versions.size === 2)).toBe(true);
});
