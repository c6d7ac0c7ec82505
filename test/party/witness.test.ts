/** The head file under crashes, losses and forgeries, and peers as witnesses of what a party has forgotten. */
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { signedBytes } from '../../schema/contracts/canonical.ts';
import type { RoundAnswer, SignedHead } from '../../schema/contracts/party.ts';
import type { PartyId } from '../../schema/contracts/primitives.ts';
import { identityFromSeed } from '../../storage/party/identity.ts';
import { route } from '../support/parties.ts';
import { code, ProcessDeath, points, scene } from './fenced.ts';
import { copyDatabase, copyMachine, putBackMachine } from './restore.ts';
import { nextRound } from './rig.ts';

const on = scene();
const headFile = () => join(on.rig.seat(on.alpha).keyStoreDirectory, '.release-head');

describe('the head file', () => {
  it('that is gone fences a party that has released', async () => {
    const last = await on.complete();
    await on.rig.seat(on.alpha).restart(() => rm(headFile()));
    expect((await on.healths())[0]?.fence?.reason).toBe('head-file-missing');
    await on.unfences(await on.isFenced([last]), [last]);
  });

  it('that another wrote fences the party', async () => {
    const last = await on.complete();
    const foreign = await readFile(join(on.rig.seat(on.beta).keyStoreDirectory, '.release-head'));
    await on.rig.seat(on.alpha).restart(() => writeFile(headFile(), foreign));
    expect((await on.healths())[0]?.fence?.reason).toBe('head-file-broken');
    await on.unfences(await on.isFenced([last]), [last]);
  });

  it.each(['record', 'note'])('whose last %s tore does not', async (kind) => {
    await on.complete();
    const bytes = await readFile(headFile());
    const places = kind === 'record' ? [0, 1, 2, 3] : [4, 5, 6, 7, 8, 9, 10, 11];
    const writes = Array.from({ length: 12 }, (_, i) => {
      const slot = bytes.toString('latin1', i * 4096, (i + 1) * 4096).trim();
      if (!places.includes(i) || slot === '') return 0;
      const { party, write, committed } = JSON.parse(slot).body;
      if (party !== on.alpha) return 0;
      return write ?? committed.chainEpoch * 1_000 + committed.sequence;
    });
    expect(Math.max(...writes)).toBeGreaterThan(0);
    const place = writes.indexOf(Math.max(...writes));
    bytes.fill(' ', place * 4096 + 60, place * 4096 + 200);
    await on.rig.seat(on.alpha).restart(() => writeFile(headFile(), bytes));
    expect((await on.healths()).map((h) => h.fenced)).toEqual([false, false]);
    await on.complete();
  });

  it.each(points('head'))('does not fence after a crash at %s', async (point) => {
    on.armed = {
      at: point,
      run: () => Promise.reject(new ProcessDeath(point)),
    };
    const { request } = on.pay();
    const prepared = await Promise.all(
      [on.alpha, on.beta].map((p) => on.rig.party(p).prepare(request)),
    );
    const first: RoundAnswer[] = [];
    for (const p of [on.alpha, on.beta])
      first.push(
        await on.rig.party(p).round({ ...nextRound(p, request, []), prepared: [...prepared] }),
      );
    await expect(on.rig.party(on.alpha).round(nextRound(on.alpha, request, first))).rejects.toThrow(
      ProcessDeath,
    );
    // Asked again at the other instance, which finishes what the first one began, then after a restart.
    const answer = await on.rig.party(on.alpha, 1).round(nextRound(on.alpha, request, first));
    expect(answer.done).toBe(true);
    await on.rig.seat(on.alpha).restart();
    expect(await on.rig.party(on.alpha).round(nextRound(on.alpha, request, first))).toEqual(answer);
    expect((await on.healths()).map((h) => h.fenced)).toEqual([false, false]);
    await on.complete();
  });

  it('keeps up with releases that race at two instances', async () => {
    const before = (await on.healths())[0]?.headSequence ?? 0;
    const many = Array.from({ length: 16 }, () => on.pay());
    await Promise.all(many.map(on.complete));
    const [first, second] = await on.healths();
    expect([first?.fenced, second?.fenced]).toEqual([false, false]);
    expect(first?.headSequence).toBe(before + 16);
    await on.rig.seat(on.alpha).restart();
    expect((await on.healths()).map((h) => h.fenced)).toEqual([false, false]);
  });
});

describe('a peer’s witness', () => {
  const machineBack = (copy: Awaited<ReturnType<typeof copyMachine>>) =>
    on.rig.seat(on.alpha).restart(() => putBackMachine(on.rig.seat(on.alpha), copy));
  const meets = async (who: PartyId): Promise<string> => {
    const signers = on.rig.parties.filter((p) => p === on.alpha || p === who);
    return code(route(on.rig.table, on.pay({ signers }).request));
  };

  it('fences a party whose whole machine was rolled back, at the next session', async () => {
    const copy = await copyMachine(on.rig.seat(on.alpha));
    // One release is enough: the peer has seen the session that led to it.
    const lost = await on.complete();
    await machineBack(copy);
    expect((await on.healths()).map((h) => h.fenced)).toEqual([false, false]);
    const before = await on.released();
    expect(await meets(on.beta)).toBe('PartyFenced');
    expect(await on.released()).toBe(before);
    expect((await on.healths())[0]?.fence?.reason).toBe('witness');
    const [row] = await on.rig.sql<{ evidence: SignedHead }>(
      on.alpha,
      'select evidence from fences order by id desc limit 1',
    );
    expect(row?.evidence.head).toMatchObject({ party: on.alpha, opened: lost.request.attempt });
    await on.unfences(await on.isFenced([lost]), [lost]);
  });

  it('fences it also after it has gone on with others and stands further than what was lost', async () => {
    const copy = await copyMachine(on.rig.seat(on.alpha));
    const lost = [await on.complete(), await on.complete()];
    await machineBack(copy);
    // Gamma has not heard of these sessions, and cannot tell.
    for (let i = 0; i < 3; i++) expect(await meets(on.gamma)).toBe('answered');
    expect(await meets(on.beta)).toBe('PartyFenced');
    await on.unfences(await on.isFenced(lost), lost);
  });

  it('reaches a party through a third one that has heard of it', async () => {
    const copy = await copyMachine(on.rig.seat(on.alpha));
    const lost = await on.complete();
    const signers = [on.beta, on.gamma];
    await route(on.rig.table, on.pay({ signers }).request);
    await machineBack(copy);
    expect(await meets(on.gamma)).toBe('PartyFenced');
    await on.unfences(await on.isFenced([lost]), [lost]);
  });

  it('fences nobody on a word that is not the party’s own', async () => {
    const { request } = on.pay();
    const prepared = await Promise.all(
      [on.alpha, on.beta].map((p) => on.rig.party(p).prepare(request)),
    );
    const peer = identityFromSeed(on.rig.seat(on.beta).identitySeed);
    const own = prepared[0]?.answer.head.head;
    const theirs = prepared[1];
    if (own === undefined || theirs === undefined) throw new Error('no answers');
    const ahead9 = { ...own, sequence: own.sequence + 9 };
    const forged: SignedHead[] = [
      { head: ahead9, signature: peer.sign(signedBytes('head', ahead9)) },
      { head: ahead9, signature: '00'.repeat(64) },
    ];
    for (const signed of forged) {
      const body = { ...theirs.answer, witnessed: [signed] };
      const shown = { answer: body, signature: peer.sign(signedBytes('prepare-answer', body)) };
      const asked = {
        ...nextRound(on.alpha, request, []),
        prepared: [prepared[0] as never, shown],
      };
      await expect(on.rig.party(on.alpha).round(asked)).rejects.toMatchObject({
        code: 'EnvelopeInvalid',
        details: { culprit: on.beta },
      });
    }
    expect((await on.healths()).map((h) => h.fenced)).toEqual([false, false]);
    const first = await Promise.all(
      [on.alpha, on.beta].map((p) =>
        on.rig.party(p).round({ ...nextRound(p, request, []), prepared }),
      ),
    );
    expect((await on.rig.party(on.alpha).round(nextRound(on.alpha, request, first))).done).toBe(
      true,
    );
  });

  it('says nothing by a head of an epoch that an order ended', async () => {
    const copy = await copyDatabase(on.rig.seat(on.alpha).databaseUrl);
    const lost = await on.complete();
    await on.restore(copy);
    await on.unfences(await on.isFenced([lost]), [lost]);
    // Beta still holds heads of the epoch before, some of sessions that on.alpha no longer knows.
    const heads = await on.rig.sql<{ signed: SignedHead }>(
      on.gamma,
      `select signed from witnessed_heads where party = '${on.alpha}'`,
    );
    expect(heads).toHaveLength(1);
    expect(await meets(on.gamma)).toBe('answered');
    expect((await on.healths()).map((h) => h.fenced)).toEqual([false, false]);
  });
});

describe('the chain', () => {
  it('gives each release, certificate, activation and order its own place, each naming the one before', async () => {
    const rows = await on.rig.sql<{ epoch: number; sequence: string; kind: string; hash: string }>(
      on.alpha,
      'select chain_epoch as epoch, sequence, kind, hash from releases order by 1, 2',
    );
    expect(new Set(rows.map((r) => r.hash)).size).toBe(rows.length);
    expect(new Set(rows.map((r) => r.kind))).toEqual(
      new Set(['policy', 'certificate', 'activation', 'release', 'order']),
    );
    const [head] = await on.rig.sql<{ hash: string }>(on.alpha, 'select hash from release_head');
    expect(rows.at(-1)?.hash).toBe(head?.hash);
  });
});
