/**
 * Daily limits at real parties with rotating signer sets: what each enforces by itself, what all of them together let
 * through, and what `strictDailyLimit` makes of it.
 */
import { afterEach, describe, expect, it } from 'vitest';
import type { Policy } from '../../schema/contracts/policy.ts';
import type { PartyId } from '../../schema/contracts/primitives.ts';
import { approve, castOf, intentFor, route, SOLANA, signRequest } from '../support/parties.ts';
import { payment, provenNonce, someAddress, voidOf } from '../support/solana-plans.ts';
import { type Rig, startRig } from './rig.ts';

const LIMIT = 300n;
let rig: Rig | undefined;
let ahead = 0;
afterEach(async () => {
  await rig?.stop();
  rig = undefined;
  ahead = 0;
});
const start = async (change: Partial<Policy> = {}): Promise<Rig> => {
  rig = await startRig({
    instances: 2,
    now: () => Date.now() + ahead,
    cast: castOf(3, {
      limits: [{ network: SOLANA, asset: 'native', perTransfer: `${LIMIT}`, perDay: `${LIMIT}` }],
      voidFeeCaps: [{ network: SOLANA, cap: '100000' }],
      ...change,
    }),
  });
  return rig;
};
const asked = (r: Rig, amount: bigint, signers: readonly PartyId[]) => {
  const to = someAddress();
  const intent = intentFor(r.key, to, `${amount}`, {
    issuedAt: new Date(Date.now() + ahead - 1_000).toISOString(),
    expiresAt: new Date(Date.now() + ahead + 3_600_000).toISOString(),
  });
  const nonce = provenNonce();
  const at = Date.now() + ahead;
  const approvals = r.cast.approvers
    .slice(0, 2)
    .map((who) => approve(intent, who, 'approve', { at, validUntil: at + 3_000_000 }));
  const unsigned = payment(r.key, nonce, to, amount);
  const request = signRequest(r.cast, r.key, intent, unsigned, signers, { approvals });
  return { intent, nonce, request };
};
/** Every pair of the three in turn pays as much as it lets through, then each is asked for one more. */
async function rotate(r: Rig, each: bigint): Promise<bigint> {
  const [alpha, beta, gamma] = r.parties;
  const pairs = [
    [alpha, beta],
    [beta, gamma],
    [alpha, gamma],
  ] as const;
  let paid = 0n;
  for (const pair of pairs) {
    const { rounds } = await route(r.table, asked(r, each, pair).request);
    if (rounds.at(-1)?.every((answer) => answer.done)) paid += each;
  }
  for (const pair of pairs)
    for (const party of pair)
      await expect(r.party(party).prepare(asked(r, 1n, pair).request)).rejects.toMatchObject({
        code: 'LimitExceeded',
        details: { rule: 'perDay' },
      });
  return paid;
}

describe('the daily limit L of t = 2 of n = 3', () => {
  it('is enforced by each party alone: rotating signers reach L·n/t, and not a unit more', async () => {
    expect(await rotate(await start(), LIMIT / 2n)).toBe((LIMIT * 3n) / 2n);
  });

  it('with strictDailyLimit each enforces L·t/n: rotating signers reach L, and not a unit more', async () => {
    expect(await rotate(await start({ strictDailyLimit: true }), LIMIT / 3n)).toBe(LIMIT);
  });

  it('is reserved by open sessions on both instances, given back on abort and expiry, spent from release on', async () => {
    const r = await start();
    const [alpha, beta, gamma] = r.parties;
    const pair = [alpha, beta];
    // Asked at once on two instances: together they would exceed it.
    const rush = Array.from({ length: 6 }, () => asked(r, 100n, pair).request);
    const answers = await Promise.allSettled(
      rush.map((request, i) => r.party(alpha, i % 2).prepare(request)),
    );
    expect(answers.filter((a) => a.status === 'fulfilled')).toHaveLength(3);
    for (const a of answers)
      if (a.status === 'rejected') expect(a.reason).toMatchObject({ code: 'LimitExceeded' });
    const opened = rush.filter((_, i) => answers[i]?.status === 'fulfilled');
    const [first] = opened;
    if (first === undefined) expect.unreachable();
    await r.party(alpha).abort({ keyId: first.keyId, attempt: first.attempt, reason: 'test' });
    const late = asked(r, 100n, pair).request;
    await r.party(alpha, 1).prepare(late);
    ahead += 61_000;
    await r.seat(alpha).service.sweepOnce();
    // All of it is free again; three payments are released, and stay spent for a day.
    for (let i = 0; i < 3; i++) await route(r.table, asked(r, 100n, [alpha, gamma]).request);
    const more = asked(r, 1n, [alpha, gamma]);
    await expect(r.party(alpha).prepare(more.request)).rejects.toMatchObject({
      code: 'LimitExceeded',
    });
    ahead += 86_400_000 - 120_000;
    await expect(
      r.party(alpha).prepare(asked(r, 1n, [alpha, gamma]).request),
    ).rejects.toMatchObject({ code: 'LimitExceeded' });
    ahead += 180_000;
    await route(r.table, asked(r, 300n, [alpha, gamma]).request);
  });

  it('counts a line once, however often its payment is signed, and never its void', async () => {
    const r = await start();
    const [alpha, beta] = r.parties;
    const paid = asked(r, LIMIT, [alpha, beta]);
    await route(r.table, paid.request);
    const again = (change = {}) => ({
      ...signRequest(r.cast, r.key, paid.intent, paid.request.unsigned, [alpha, beta], change),
      approvals: paid.request.approvals,
    });
    await route(r.table, again());
    await route(r.table, again({ purpose: 'void', unsigned: voidOf(r.key, paid.nonce) }));
    // A void proves nothing to the party about the chain: the payment may have won, so it stays spent.
    await expect(r.party(alpha).prepare(asked(r, 1n, [alpha, beta]).request)).rejects.toMatchObject(
      { code: 'LimitExceeded' },
    );
  });
});
