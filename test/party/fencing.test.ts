/**
 * Fencing: a party whose database was put back to an older state notices, signs nothing until the administrators' order,
 * and then never an intent that can have been issued before it. Two instances of each party on one database, key store
 * and head file; all copies are real ones (`restore.ts`).
 */
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { PARTY_FAIL_POINTS, type PartyFailPoint } from '../../activities/party/deps.ts';
import { generateKey, keygenRequest, route, SOLANA, signPolicy } from '../support/parties.ts';
import { code, DAY, ProcessDeath, points, scene } from './fenced.ts';
import { copyDatabase, type DatabaseCopy, orderOf, putBack } from './restore.ts';
import { nextRound, spoilt } from './rig.ts';

const on = scene();
const headFile = () => join(on.rig.seat(on.alpha).keyStoreDirectory, '.release-head');

describe('a party restored from a copy of its database', () => {
  /** Takes a copy when alpha comes to the point in the middle of `work`, which goes on. */
  async function copyAt(point: PartyFailPoint, work: () => Promise<unknown>) {
    let copy: DatabaseCopy | undefined;
    const { databaseUrl } = on.rig.seat(on.alpha);
    on.armed = {
      at: point,
      run: async () => {
        copy = await copyDatabase(databaseUrl);
      },
    };
    await work();
    if (copy === undefined) throw new Error(`${point} was not reached`);
    return copy;
  }

  it.each(points('prepare', 'round', 'head', 'release'))('taken at %s is fenced', async (point) => {
    const during = on.pay();
    const copy = await copyAt(point, () => on.complete(during));
    const after = await on.complete();
    await on.restore(copy);
    const epoch = await on.isFenced([during, after]);
    await on.unfences(epoch, [during, after]);
  });

  it.each(points('abort'))('taken at %s is fenced', async (point) => {
    const dropped = on.pay();
    await route(on.rig.table, dropped.request, { until: 1 });
    const { keyId, attempt } = dropped.request;
    const copy = await copyAt(point, () =>
      on.rig.party(on.alpha).abort({ keyId, attempt, reason: 'test' }),
    );
    const after = await on.complete();
    await on.restore(copy);
    await on.unfences(await on.isFenced([dropped, after]), [after, dropped]);
  });

  it.each(points('certify', 'activate'))(
    'taken at %s is fenced, and erases nothing of the key that it forgot',
    async (point) => {
      const request = keygenRequest(
        on.rig.cast,
        point.replaceAll(/[^a-z]/g, '-'),
        SOLANA,
        'frost-ed25519',
      );
      const { keyId, attempt } = request;
      const copy = await copyAt(point, () => generateKey(on.rig.table, request));
      const { keyStoreDirectory, backupDirectory, instances } = on.rig.seat(on.alpha);
      const kept = async () => [
        ...(await readdir(keyStoreDirectory)).filter((f) => f.startsWith(`share-${attempt}`)),
        ...(await readdir(backupDirectory)).filter((f) => f.includes(attempt)),
      ];
      const before = await kept();
      expect(before).toHaveLength(2);
      const after = await on.complete();
      await on.restore(copy);
      const epoch = await on.isFenced([after]);
      expect(await code(on.rig.party(on.alpha).destroy({ keyId, attempt }))).toBe('PartyFenced');
      await on.rig.party(on.alpha).abort({ keyId, attempt, reason: 'test' });
      await on.unfences(epoch, [after]);
      on.ahead += DAY;
      for (let i = 0; i < 3; i++) await Promise.all(instances.map((s) => s.sweepOnce()));
      await on.rig.party(on.alpha).abort({ keyId, attempt, reason: 'test' });
      const { outcome, never } = await on.rig.party(on.alpha).destroy({ keyId, attempt });
      expect({ outcome, never }).toEqual({ outcome: 'kept', never: undefined });
      expect(await kept()).toEqual(before);
    },
  );

  it.each(points('destroy', 'order', 'policy', 'failure'))(
    'taken at %s is fenced',
    async (point) => {
      const copy = await copyAt(point, async () => {
        if (point.startsWith('party.policy:')) {
          const policy = { ...on.rig.cast.policy, policyId: point.replaceAll(/[^a-z]/g, '-') };
          const signed = signPolicy(on.rig.cast, policy as typeof on.rig.cast.policy);
          await on.rig.party(on.alpha).receivePolicy({ signed });
          return;
        }
        if (point.startsWith('party.failure:')) {
          const { request } = on.pay();
          const { rounds } = await route(on.rig.table, request, { until: 1 });
          const asked = nextRound(on.alpha, request, rounds[0] ?? []);
          const inbox = spoilt(asked.inbox, on.rig.seat(on.beta));
          expect(await code(on.rig.party(on.alpha).round({ ...asked, inbox }))).toBe(
            'ProtocolFault',
          );
          return;
        }
        if (point.startsWith('party.destroy:')) {
          const request = keygenRequest(on.rig.cast, 'undone', SOLANA, 'frost-ed25519');
          await route(on.rig.table, request, { until: 2 });
          const { keyId, attempt } = request;
          await on.rig.party(on.alpha).destroy({ keyId, attempt });
          return;
        }
        const keyId = 'no-key-of-ours' as never;
        for (const kind of ['quarantine', 'release'] as const)
          await on.rig
            .party(on.alpha)
            .order({ signed: orderOf(on.rig, on.clock(), { kind, party: on.alpha, keyId }) });
      });
      const after = await on.complete();
      await on.restore(copy);
      await on.unfences(await on.isFenced([after]), [after]);
    },
  );

  it.each(points('fence'))(
    'taken at %s is fenced, also when the fencing crashed there',
    async (point) => {
      const { databaseUrl } = on.rig.seat(on.alpha);
      const old = await copyDatabase(databaseUrl);
      const after = await on.complete();
      let again: DatabaseCopy | undefined;
      on.armed = {
        at: point,
        run: async () => {
          again = await copyDatabase(databaseUrl);
          throw new ProcessDeath(point);
        },
      };
      await expect(on.restore(old)).rejects.toThrow(ProcessDeath);
      if (again === undefined) throw new Error('not reached');
      await on.restore(again);
      await on.unfences(await on.isFenced([after]), [after]);
    },
  );

  it('is fenced when it is put back under running instances, by the next request', async () => {
    const { databaseUrl } = on.rig.seat(on.alpha);
    const copy = await copyDatabase(databaseUrl);
    const after = await on.complete();
    await putBack(databaseUrl, copy);
    expect(await code(on.rig.party(on.alpha).prepare(on.pay().request))).toBe('PartyFenced');
    await on.unfences(await on.isFenced([after]), [after]);
  });

  it('pays no intent that was dated ahead and signed before, though the order comes at once', async () => {
    const { databaseUrl } = on.rig.seat(on.alpha);
    const copy = await copyDatabase(databaseUrl);
    // Valid when it is signed: an intent may be dated five minutes ahead.
    const early = await on.complete(on.pay({ issuedAt: on.clock() + 240_000 }));
    await on.restore(copy);
    const chainEpoch = await on.isFenced();
    const signed = orderOf(on.rig, on.clock(), { kind: 'unfence', party: on.alpha, chainEpoch });
    await on.rig.party(on.alpha).order({ signed });
    expect((await on.healths()).map((h) => h.fenced)).toEqual([false, false]);
    const again = () =>
      Promise.all(
        [0, 1].map((instance) =>
          code(on.rig.party(on.alpha, instance).prepare(on.rig.again(early))),
        ),
      );
    expect(await again()).toEqual(['PartyFenced', 'PartyFenced']);
    on.ahead += DAY + 1_000;
    expect(await again()).toEqual(['PartyFenced', 'PartyFenced']);
    await on.complete(on.pay({ issuedAt: on.clock() }));
  });

  it('is fenced when only an activation came after it', async () => {
    const request = keygenRequest(on.rig.cast, 'certified-only', SOLANA, 'frost-ed25519');
    const { rounds } = await route(on.rig.table, request);
    const certificates = (rounds.at(-1) ?? []).flatMap((a) =>
      a.keygen ? [a.keygen.certificate] : [],
    );
    const { keyId, attempt } = request;
    const copy = await copyDatabase(on.rig.seat(on.alpha).databaseUrl);
    await on.rig.party(on.alpha).activate({ keyId, attempt, certificates });
    // A repeat is no second link.
    const sequence = (await on.healths())[0]?.headSequence;
    await on.rig.party(on.alpha, 1).activate({ keyId, attempt, certificates });
    expect((await on.healths())[1]?.headSequence).toBe(sequence);
    await on.restore(copy);
    await on.unfences(await on.isFenced());
  });

  it('drops every session with its data key', async () => {
    const first = on.pay();
    await route(on.rig.table, first.request, { until: 1 });
    const copy = await copyDatabase(on.rig.seat(on.alpha).databaseUrl);
    const after = await on.complete();
    await on.restore(copy);
    const [row] = await on.rig.sql<{ state: string; seed: unknown }>(
      on.alpha,
      `select state, sealed_seed as seed from sessions where attempt = '${first.request.attempt}'`,
    );
    expect(row).toEqual({ state: 'aborted', seed: null });
    const keys = await readdir(on.rig.seat(on.alpha).keyStoreDirectory);
    expect(keys.filter((f) => f.includes(first.request.attempt))).toEqual([]);
    await on.unfences(await on.isFenced([first]), [after, first]);
  });

  it('stays fenced when a later copy replaces the restored one, and when the file’s fence is put back', async () => {
    const { databaseUrl } = on.rig.seat(on.alpha);
    const old = await copyDatabase(databaseUrl);
    const after = await on.complete();
    const newest = await copyDatabase(databaseUrl);
    const file = await readFile(headFile());
    await on.restore(old);
    await on.isFenced();
    // The right database again: what happened meanwhile, nobody knows.
    await on.restore(newest);
    await on.isFenced();
    // The file of before the fence: the database knows.
    await on.rig.seat(on.alpha).restart(() => writeFile(headFile(), file));
    await on.unfences(await on.isFenced([after]), [after]);
  });
});

describe('what the cases above cover', () => {
  it('is every fail point', () => {
    const here = ['prepare', 'round', 'head', 'release', 'abort', 'certify', 'activate', 'destroy'];
    // A pool’s own: pool.test.ts.
    const pool = ['bind', 'presign'];
    expect(points(...here, ...pool, 'order', 'policy', 'failure', 'fence')).toEqual([
      ...PARTY_FAIL_POINTS,
    ]);
  });
});
