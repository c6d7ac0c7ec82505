/**
 * A party dies at each of its fail points, and another instance comes up in its place. The request that died is asked
 * again, as Temporal does, and everything ends as if nothing had happened. (Real SIGKILLs on real processes: the crash
 * matrix.)
 */
import { readdir } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PARTY_FAIL_POINTS, type PartyFailPoint } from '../../activities/party/deps.ts';
import { policyHash } from '../../core/policy.ts';
import type { KeyDescriptor } from '../../schema/contracts/key.ts';
import type { PrepareRequest, RoundAnswer } from '../../schema/contracts/party.ts';
import type { Policy } from '../../schema/contracts/policy.ts';
import type { PartyId } from '../../schema/contracts/primitives.ts';
import {
  intentFor,
  keygenRequest,
  route,
  SOLANA,
  signPolicy,
  signRequest,
} from '../support/parties.ts';
import { payment, provenNonce, someAddress } from '../support/solana-plans.ts';
import { nextRound, type Rig, spoilt, startRig } from './rig.ts';

class ProcessDeath extends Error {}

let rig: Rig;
let alpha: PartyId;
let beta: PartyId;
let gamma: PartyId;
/** Alpha dies when it comes to this point, once; nothing of the dead process runs on. */
let armed: PartyFailPoint | undefined;
let died = 0;
let turn = 0;
beforeAll(async () => {
  rig = await startRig({
    orphanMs: 0,
    failPoints: (party) => ({
      at(point) {
        if (party !== 'alpha' || point !== armed) return;
        armed = undefined;
        died += 1;
        throw new ProcessDeath(point);
      },
    }),
  });
  [alpha, beta, gamma] = rig.parties;
});
afterAll(() => rig?.stop());

type Activities = ReturnType<Rig['party']>;
/** Asks an instance of a party, in turn; when it dies meanwhile and another takes its place, asks the next one the same. */
async function ask<T>(party: PartyId, request: (activities: Activities) => Promise<T>): Promise<T> {
  const instance = ++turn % 2;
  try {
    return await request(rig.party(party, instance));
  } catch (error) {
    if (!(error instanceof ProcessDeath)) throw error;
    await rig.seat(party).replace(instance);
    return request(rig.party(party, ++turn % 2));
  }
}

async function run(request: PrepareRequest, rounds = 32): Promise<RoundAnswer[]> {
  const { signers } = request;
  const prepared = await Promise.all(signers.map((p) => ask(p, (a) => a.prepare(request))));
  let before: RoundAnswer[] = [];
  for (let round = 1; round <= rounds && !before.some((a) => a.done); round++)
    before = await Promise.all(
      signers.map((p) => {
        const asked = {
          ...nextRound(p, request, before),
          ...(round === 1 ? { prepared } : {}),
        };
        return ask(p, (a) => a.round(asked));
      }),
    );
  return before;
}

/** Data keys of the attempt that are still in alpha's key store after the sweeps that a restart brings. */
async function keysLeft(attempt: string): Promise<string[]> {
  const { service, keyStoreDirectory } = rig.seat(alpha);
  await service.sweepOnce();
  await service.sweepOnce();
  return (await readdir(keyStoreDirectory)).filter((f) => f.includes(attempt));
}

/** The key signs at alpha and beta, also after a restart: the share's data key is the one that sealed it. */
async function signsWith(key: KeyDescriptor): Promise<void> {
  await rig.seat(alpha).restart();
  const to = someAddress();
  const unsigned = payment(key, provenNonce(), to, 5n);
  const request = signRequest(rig.cast, key, intentFor(key, to, '5'), unsigned, [alpha, beta]);
  const { rounds } = await route(rig.table, request);
  expect(rounds.at(-1)?.every((a) => a.done)).toBe(true);
}

const of = (...kinds: string[]) =>
  PARTY_FAIL_POINTS.filter((p) => kinds.some((k) => p.startsWith(`party.${k}:`)));
async function dies(point: PartyFailPoint, work: () => Promise<void>): Promise<void> {
  const before = died;
  armed = point;
  await work();
  // A point that nobody reached would make the case empty.
  expect(died).toBe(before + 1);
}
let serial = 0;
const keygen = () => keygenRequest(rig.cast, `crash-${++serial}`, SOLANA, 'frost-ed25519');

describe('a crash while signing', () => {
  it.each(of('prepare', 'round', 'head', 'release'))('at %s', (point) =>
    dies(point, async () => {
      const { request } = rig.pay();
      const answers = await run(request);
      expect(answers.map((a) => a.done)).toEqual([true, true]);
      // Nothing of the session can be opened any more, and the shares that left are the ones that are stored.
      expect(await keysLeft(request.attempt)).toEqual([]);
      const [row] = await rig.sql<{ state: string; gone: boolean; seed: unknown }>(
        alpha,
        `select state, data_key_destroyed as gone, sealed_seed as seed from sessions where attempt = '${request.attempt}'`,
      );
      expect(row).toEqual({ state: 'released', gone: true, seed: null });
      const releases = await rig.sql(
        alpha,
        `select 1 from releases where attempt = '${request.attempt}'`,
      );
      expect(releases).toHaveLength(1);
    }),
  );

  it.each(of('failure'))('at %s, when a peer’s message fails its check', (point) =>
    dies(point, async () => {
      const { request } = rig.pay();
      const right = nextRound(alpha, request, await run(request, 1));
      const inbox = spoilt(right.inbox, rig.seat(beta));
      await expect(ask(alpha, (a) => a.round({ ...right, inbox }))).rejects.toMatchObject({
        code: 'ProtocolFault',
        details: { culprit: beta },
      });
      // The seed never meets another inbox.
      await expect(ask(alpha, (a) => a.round(right))).rejects.toMatchObject({
        code: 'ProtocolFault',
      });
      expect(await keysLeft(request.attempt)).toEqual([]);
      const entries = await rig.sql(
        alpha,
        `select 1 from audit_entries where kind = 'session-failed' and attempt = '${request.attempt}'`,
      );
      expect(entries).toHaveLength(1);
    }),
  );

  it.each(of('abort'))('at %s', (point) =>
    dies(point, async () => {
      const { request } = rig.pay();
      await run(request, 1);
      const { keyId, attempt } = request;
      const { outcome } = await ask(alpha, (a) => a.abort({ keyId, attempt, reason: 'test' }));
      expect(outcome).toBe(point === 'party.abort:before-commit' ? 'aborted' : 'already-closed');
      expect(await keysLeft(attempt)).toEqual([]);
    }),
  );
});

describe('a crash while a key is made', () => {
  it.each(of('prepare', 'round', 'head', 'certify', 'activate'))('at %s', (point) =>
    dies(point, async () => {
      const request = keygen();
      const answers = await run(request);
      const certificates = answers.flatMap((a) => (a.keygen ? [a.keygen.certificate] : []));
      expect(certificates).toHaveLength(3);
      const { keyId, attempt } = request;
      for (const p of [alpha, beta, gamma])
        await ask(p, (a) => a.activate({ keyId, attempt, certificates }));
      const left = await keysLeft(attempt);
      expect(left).toHaveLength(1);
      expect(left[0]).toMatch(/^share-/);
      await signsWith(answers[0]?.keygen?.key as KeyDescriptor);
    }),
  );

  it.each(of('destroy'))('at %s, a ceremony that is not certified', (point) =>
    dies(point, async () => {
      const request = keygen();
      const { keyId, attempt } = request;
      await run(request, 4);
      const answer = await ask(alpha, (a) => a.destroy({ keyId, attempt }));
      expect(answer.never?.never).toMatchObject({ party: alpha, keyId, attempt });
      expect(await keysLeft(attempt)).toEqual([]);
    }),
  );

  it.each(of('destroy'))('at %s, a certified share on a never', async (point) => {
    const request = keygen();
    const { keyId, attempt } = request;
    const before = await run(request, 5);
    await rig.party(alpha).round(nextRound(alpha, request, before));
    const { never } = await rig.party(beta).destroy({ keyId, attempt });
    if (never === undefined) throw new Error('no never');
    await dies(point, async () => {
      await ask(alpha, (a) => a.destroy({ keyId, attempt, never }));
      expect(await keysLeft(attempt)).toEqual([]);
      const backups = await readdir(rig.seat(alpha).backupDirectory);
      expect(backups.filter((f) => f.includes(attempt))).toEqual([]);
    });
  });
});

describe('a crash before a certificate', () => {
  it('leaves no backup of the share when the ceremony ends, also when that crashes before the erasure', async () => {
    const request = keygen();
    const { keyId, attempt } = request;
    const before = await run(request, 5);
    const backups = async () =>
      (await readdir(rig.seat(alpha).backupDirectory)).filter((f) => f.includes(attempt));
    armed = 'party.certify:before-commit';
    await expect(rig.party(alpha).round(nextRound(alpha, request, before))).rejects.toThrow(
      ProcessDeath,
    );
    expect(await backups()).toHaveLength(1);
    armed = 'party.abort:after-commit';
    await expect(rig.party(alpha).abort({ keyId, attempt, reason: 'test' })).rejects.toThrow(
      ProcessDeath,
    );
    expect(await backups()).toHaveLength(1);
    await rig.seat(alpha).replace(0);
    expect(await keysLeft(attempt)).toEqual([]);
    expect(await backups()).toEqual([]);
  });
});

// Last: payments of the version before are refused from then on.
describe('a crash while a policy is taken', () => {
  let current: Policy;
  beforeAll(() => {
    current = rig.cast.policy;
  });
  it.each(of('policy'))('at %s', (point) =>
    dies(point, async () => {
      const { request } = rig.pay(1_000n, { policyHash: policyHash(current) as never });
      await run(request, 1);
      current = { ...current, version: current.version + 1, previous: policyHash(current) };
      const signed = signPolicy(rig.cast, current);
      const { receipt } = await ask(alpha, (a) => a.receivePolicy({ signed }));
      expect(receipt).toMatchObject({ party: alpha, policyHash: policyHash(current) });
      await rig.party(beta).receivePolicy({ signed });
      const links = await rig.sql(
        alpha,
        `select 1 from releases where outbox_hash = '${policyHash(current)}'`,
      );
      expect(links).toHaveLength(1);
      // What began under the version before has ended, and nothing of it can be opened any more.
      const state = `select state from sessions where attempt = '${request.attempt}'`;
      expect(await rig.sql(alpha, state)).toEqual([{ state: 'superseded' }]);
      expect(await keysLeft(request.attempt)).toEqual([]);
    }),
  );
});

describe('what the cases above cover', () => {
  it('is every fail point', () => {
    const signing = ['prepare', 'round', 'head', 'release', 'failure', 'abort'];
    const here = [...signing, 'certify', 'activate', 'destroy', 'policy'];
    // Those of an order: orders.test.ts; of a fence: fencing.test.ts; of a pool: pool.test.ts.
    expect(of(...here, 'order', 'fence', 'bind', 'presign')).toEqual([...PARTY_FAIL_POINTS]);
  });
});
