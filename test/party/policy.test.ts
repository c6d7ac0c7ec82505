/** Policy documents at a party: two instances on one database take, chain, keep and acknowledge versions. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { policyHash } from '../../core/policy.ts';
import { publicKeyOf, signObject, verifySigned } from '../../core/signed.ts';
import type { RoundAnswer } from '../../schema/contracts/party.ts';
import type { Policy, SignedPolicy } from '../../schema/contracts/policy.ts';
import type { PartyId } from '../../schema/contracts/primitives.ts';
import { approve, person, route, SOLANA, signPolicy } from '../support/parties.ts';
import { nextRound, type Payment, type Rig, startRig } from './rig.ts';

let rig: Rig;
let alpha: PartyId;
let beta: PartyId;
/** The newest version that the parties hold. */
let current: Policy;
beforeAll(async () => {
  rig = await startRig({ instances: 2 });
  [alpha, beta] = rig.parties;
  current = rig.cast.policy;
});
afterAll(() => rig?.stop());

const following = (change: Partial<Policy> = {}): Policy => ({
  ...current,
  version: current.version + 1,
  previous: policyHash(current),
  issuedAt: new Date().toISOString(),
  ...change,
});
const sign = (policy: Policy): SignedPolicy => signPolicy(rig.cast, policy);
const give = (party: PartyId, policy: Policy, instance = 0) =>
  rig.party(party, instance).receivePolicy({ signed: sign(policy) });
/** A version at every party. */
async function adopt(change: Partial<Policy> = {}): Promise<Policy> {
  const next = following(change);
  for (const party of rig.parties) await give(party, next);
  current = next;
  return next;
}
const pay = (change: Parameters<Rig['pay']>[1] = {}): Payment =>
  rig.pay(1_000n, { policyHash: policyHash(current), ...change });

describe('a receipt', () => {
  it('is signed by the party, and the same at both instances, however often', async () => {
    const next = following();
    const receipts = await Promise.all([0, 1, 0, 1].map((instance) => give(alpha, next, instance)));
    const [first] = receipts;
    if (first === undefined) throw new Error('no receipt');
    for (const receipt of receipts) expect(receipt).toEqual(first);
    expect(first.receipt).toEqual({
      party: alpha,
      policyId: next.policyId,
      version: 2,
      policyHash: policyHash(next),
    });
    const identity = publicKeyOf(rig.seat(alpha).identitySeed);
    expect(verifySigned('receipt', first.receipt, identity, first.signature)).toBe(true);
    const rows = await rig.sql<{ n: number }>(
      alpha,
      `select count(*)::int as n from policies where version = 2`,
    );
    expect(rows[0]?.n).toBe(1);
    await give(beta, next);
    await give(rig.parties[2], next);
    current = next;
  });

  it('ends the unreleased sessions of the version before, at whichever instance they run', async () => {
    const prepared = pay();
    const running = pay();
    await rig.party(alpha, 0).prepare(prepared.request);
    const signers = running.request.signers;
    const answers = await Promise.all(
      signers.map((party) => rig.party(party, 0).prepare(running.request)),
    );
    const round1: RoundAnswer[] = await Promise.all(
      signers.map((party) =>
        rig.party(party, 0).round({
          keyId: running.request.keyId,
          attempt: running.request.attempt,
          round: 1,
          prepared: answers,
          inbox: [],
        }),
      ),
    );
    const next = following({ quorum: 1 });
    await give(alpha, next, 1);
    await expect(rig.party(alpha, 0).prepare(prepared.request)).rejects.toMatchObject({
      code: 'SessionSuperseded',
    });
    await expect(
      rig.party(alpha, 0).round(nextRound(alpha, running.request, round1)),
    ).rejects.toMatchObject({ code: 'SessionSuperseded' });
    const open = await rig.sql<{ n: number }>(
      alpha,
      `select count(*)::int as n from sessions where state in ('prepared', 'running')`,
    );
    expect(open[0]?.n).toBe(0);
    // The other party has not taken it: it goes on, and one signer is no signature.
    await expect(
      rig.party(beta, 0).round(nextRound(beta, running.request, round1)),
    ).resolves.toMatchObject({ done: true });
    for (const party of rig.parties) await give(party, next);
    current = next;
  });

  it('makes another version refuse with a typed error, older or newer', async () => {
    const old = pay({ policyHash: policyHash(rig.cast.policy) });
    const unknown = pay({ policyHash: 'ee'.repeat(32) });
    for (const { request } of [old, unknown])
      for (const instance of [0, 1])
        await expect(rig.party(alpha, instance).prepare(request)).rejects.toMatchObject({
          code: 'PolicyUnknown',
          details: { field: 'policyHash' },
        });
    expect((await route(rig.table, pay().request)).rounds).toHaveLength(2);
  });
});

describe('the chain', () => {
  it('refuses a rollback, a gap and another predecessor, saying what it holds', async () => {
    await expect(
      give(alpha, { ...following(), version: current.version + 2 }),
    ).rejects.toMatchObject({
      code: 'PolicyViolation',
      details: { field: 'version', holds: current.version },
    });
    await expect(give(alpha, { ...following(), previous: '77'.repeat(32) })).rejects.toMatchObject({
      code: 'PolicyViolation',
      details: { field: 'previous' },
    });
    // An older version again is acknowledged as held, and changes nothing.
    const { receipt } = await give(alpha, rig.cast.policy);
    expect(receipt.version).toBe(1);
    const stale = pay({ policyHash: policyHash(rig.cast.policy) });
    await expect(rig.party(alpha).prepare(stale.request)).rejects.toMatchObject({
      code: 'PolicyUnknown',
    });
    // Another document under an old number, with its sequel.
    const forged = { ...rig.cast.policy, quorum: 1 };
    await expect(give(alpha, forged)).rejects.toMatchObject({
      code: 'PolicyViolation',
      details: { field: 'document', holds: 1, holdsHash: rig.cast.policyHash },
    });
  });

  it('keeps the first of two documents of one version, however they race, and refuses the other', async () => {
    const one = following({ quorum: 2 });
    const other = following({ quorum: 3 });
    const races = await Promise.allSettled(
      Array.from({ length: 6 }, (_, i) => give(alpha, i % 2 === 0 ? one : other, i % 2)),
    );
    const kept = races.flatMap((race) =>
      race.status === 'fulfilled' ? [race.value.receipt.policyHash] : [],
    );
    expect(new Set(kept).size).toBe(1);
    const refused = races.flatMap((race) => (race.status === 'rejected' ? [race.reason] : []));
    expect(refused).toHaveLength(3);
    for (const error of refused)
      expect(error).toMatchObject({
        code: 'PolicyViolation',
        details: { field: 'document', holdsHash: kept[0] },
      });
    const winner = kept[0] === policyHash(one) ? one : other;
    for (const party of rig.parties) await give(party, winner);
    current = winner;
    // The sequel of the refused one does not follow either.
    const loser = winner === one ? other : one;
    await expect(
      give(alpha, { ...loser, version: loser.version + 1, previous: policyHash(loser) }),
    ).rejects.toMatchObject({ code: 'PolicyViolation', details: { field: 'previous' } });
  });

  it('takes only what k distinct pinned administrators signed', async () => {
    const next = following();
    const [ada, bo] = rig.cast.administrators;
    if (ada === undefined || bo === undefined) throw new Error('no administrators');
    const by = (who: typeof ada, name = who.name) => ({
      administrator: name,
      publicKey: who.publicKey,
      signature: signObject('policy', next, who.secretKey),
    });
    const stranger = person('mallory');
    const approver = rig.cast.approvers[0];
    if (approver === undefined) throw new Error('no approver');
    for (const [signatures, code] of [
      [[by(ada)], 'QuorumMissing'],
      [[by(ada), by(ada)], 'QuorumMissing'],
      [[by(ada), by(stranger)], 'QuorumMissing'],
      [[by(ada), by(approver)], 'QuorumMissing'],
      [[by(ada), by(stranger, bo.name)], 'ApprovalInvalid'],
      [[by(ada), { ...by(bo), signature: by(ada).signature }], 'ApprovalInvalid'],
    ] as const)
      await expect(
        rig.party(alpha).receivePolicy({ signed: { policy: next, signatures } as never }),
      ).rejects.toMatchObject({ code });
  });
});

describe('approvals under the version in force', () => {
  it('a removed approver no longer counts, and an added one’s earlier approval does', async () => {
    const dora = person('dora');
    const [ann, ben] = rig.cast.approvers;
    if (ann === undefined || ben === undefined) throw new Error('no approvers');
    const early = pay();
    const approvals = [ann, ben, dora].map((who) => approve(early.intent, who));
    await adopt({
      quorum: 2,
      approvers: [ben, dora].map(({ name, publicKey }) => ({ name, publicKey })) as never,
    });
    const bound = { policyHash: policyHash(current) };
    await expect(
      rig.party(alpha).prepare(rig.again(early, { ...bound, approvals: approvals.slice(0, 2) })),
    ).rejects.toMatchObject({ code: 'QuorumMissing', details: { have: 1, need: 2 } });
    await expect(
      rig.party(alpha).prepare(rig.again(early, { ...bound, approvals })),
    ).resolves.toMatchObject({ answer: { policyHash: policyHash(current) } });
  });

  it('lower limits refuse what was approved under higher ones', async () => {
    const [, ben] = rig.cast.approvers;
    if (ben === undefined) throw new Error('no approver');
    await adopt({
      quorum: 1,
      approvers: [{ name: ben.name, publicKey: ben.publicKey }] as never,
      limits: current.limits.map((limit) =>
        limit.network === SOLANA ? { ...limit, perTransfer: '999' } : limit,
      ),
    });
    const p = pay();
    await expect(
      rig.party(alpha).prepare({ ...p.request, approvals: [approve(p.intent, ben)] }),
    ).rejects.toMatchObject({ code: 'LimitExceeded' });
  });
});
