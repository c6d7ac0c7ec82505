/** Anchors: leased to a request id before its transfer, taken by it, or given back; never both, and never by two. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { ANCHOR_MARGIN_MS } from '../../core/anchor.ts';
import type { AnchorRequest, LeasedAnchor, TransferIntent } from '../../schema/contracts/intent.ts';
import { startTestPostgres, type TestPostgres } from '../support/postgres.ts';
import { ATTEMPT, ceremony, createWorld, PARTIES, type World } from './world.ts';

let postgres: TestPostgres;
let world: World;
beforeAll(async () => {
  postgres = await startTestPostgres();
});
afterAll(() => postgres?.stop());
beforeEach(async () => {
  world = await createWorld(postgres);
  await world.wallet();
});

const failure = { code: 'IntentRejected', message: 'x', at: '2026-03-01T12:00:00.000Z' };
const asked = (requestId = 'r1', change: Partial<AnchorRequest> = {}): AnchorRequest => {
  const { walletId, amount, feeCap, expiresAt } = world.intent(requestId);
  return { requestId, walletId, amount, feeCap, expiresAt, ...change } as AnchorRequest;
};
const lease = (requestId = 'r1', change: Partial<AnchorRequest> = {}) =>
  world.chain.leaseAnchor({ request: asked(requestId, change) });
const giveBack = (requestId = 'r1') =>
  world.chain.releaseAnchor({ requestId: requestId as never, reason: 'expired' });
const anchored = ({ anchor }: LeasedAnchor, requestId = 'r1', change = {}): TransferIntent =>
  world.intent(requestId, { anchor, ...change });
const reserve = (intent: TransferIntent) => world.ledger.reserve(world.asked(intent));
const fail = (requestId = 'r1') =>
  world.ledger.fail({ requestId: requestId as never, failure } as never);
/** Owner and state of every lease, by resource. */
const owners = async () =>
  (await world.leases()).map(({ owner, state }) => `${owner} ${state}`).sort();

describe('an anchor', () => {
  it('is leased before the transfer, kept through its builds, and spent with it', async () => {
    const leased = await lease();
    expect(await lease()).toEqual(leased);
    expect(leased.until).toBe(
      new Date(Date.parse(asked().expiresAt) + ANCHOR_MARGIN_MS).toISOString(),
    );
    expect(await owners()).toEqual(['r1 held']);
    const intent = anchored(leased);
    await reserve(intent);
    // While people decide another transfer looks for a nonce: it gets the other one.
    await reserve(world.intent('r2'));
    const other = await world.chain.build({ intent: world.intent('r2') });
    expect(other.unsigned.nonceProof?.value).not.toBe(
      leased.anchor.kind === 'solana-nonce' && leased.anchor.value,
    );
    const built = await world.chain.build({ intent });
    expect({ kind: 'solana-nonce', ...built.unsigned.nonceProof }).toMatchObject(leased.anchor);
    // Built anew, the anchor is never free in between.
    world.node.fee = { units: 2000, microLamports: 1n };
    world.node.midBuild = async () => {
      expect(await owners()).toEqual(['r1 held', 'r2 held']);
    };
    const again = await world.chain.build({ intent });
    expect(again.unsigned).not.toEqual(built.unsigned);
    expect(again.unsigned.nonceProof).toEqual(built.unsigned.nonceProof);
    await world.ledger.passPivot({
      requestId: 'r1' as never,
      attempt: ATTEMPT,
      purpose: 'payment',
      reports: [],
    });
    expect(await giveBack()).toEqual({ outcome: 'taken' });
    expect(await owners()).toEqual(['r1 pivoted', 'r2 held']);
    const signed = await world.chain.attach({
      requestId: 'r1' as never,
      purpose: 'payment',
      attempt: ATTEMPT,
      unsigned: again.unsigned,
      signers: PARTIES.slice(0, 2),
      rounds: ceremony(again.unsigned, 'anchored'),
    });
    expect(signed.id).not.toBe('');
  });

  it('stays the transfer’s after a build that failed, and after a crash in one', async () => {
    const intent = anchored(await lease());
    await reserve(intent);
    world.node.midBuild = () => Promise.reject(new Error('the node is away'));
    await expect(world.chain.build({ intent })).rejects.toThrow('the node is away');
    expect(await owners()).toEqual(['r1 held']);
    world.node.midBuild = async () => {};
    await world.chain.build({ intent });
    expect(await owners()).toEqual(['r1 held']);
  });

  it('goes back when its time is over and no transfer has begun; the request id gets none any more', async () => {
    const leased = await lease();
    expect(await giveBack()).toEqual({ outcome: 'given-back' });
    expect(await giveBack()).toEqual({ outcome: 'given-back' });
    expect(await owners()).toEqual(['r1 released']);
    await expect(reserve(anchored(leased))).rejects.toMatchObject({
      code: 'StateConflict',
      details: { field: 'anchor' },
    });
    await expect(lease()).rejects.toMatchObject({
      code: 'StateConflict',
      details: { field: 'anchor' },
    });
    // Free for others at once.
    expect((await lease('r2')).anchor).toEqual(leased.anchor);
  });

  it('given back before it was leased, it is never leased', async () => {
    world.node.midBuild = async () => {
      world.node.midBuild = async () => {};
      await giveBack();
    };
    const late = lease();
    await expect(late).rejects.toMatchObject({ code: 'StateConflict' });
    expect(await owners()).toEqual([]);
  });

  it('goes to the transfer or back, never both, however they race', async () => {
    const results: string[] = [];
    for (let i = 0; i < 12; i++) {
      const id = `race-${i}`;
      const leased = await lease(id);
      const intent = anchored(leased, id, { amount: '1000' });
      const [reserved, back] = await Promise.allSettled([reserve(intent), giveBack(id)]);
      if (back.status === 'rejected') throw back.reason;
      const state = (await owners()).find((row) => row.startsWith(`${id} `));
      if (reserved.status === 'fulfilled') {
        expect(back.value).toEqual({ outcome: 'taken' });
        expect(state).toBe(`${id} held`);
        await fail(id);
      } else {
        expect(reserved.reason).toMatchObject({
          code: 'StateConflict',
          details: { field: 'anchor' },
        });
        expect(back.value).toEqual({ outcome: 'given-back' });
      }
      expect(await owners()).not.toContain(`${id} held`);
      results.push(reserved.status);
    }
    expect(results).toHaveLength(12);
  });

  it('is held by one request at a time, and the next one waits', async () => {
    const [one, two] = await Promise.all([lease('r1'), lease('r2')]);
    expect(one.anchor).not.toEqual(two.anchor);
    await expect(lease('r3')).rejects.toMatchObject({ code: 'LeaseUnavailable', retryable: true });
    await giveBack('r2');
    expect((await lease('r3')).anchor).toEqual(two.anchor);
  });

  it('goes back with a transfer that is rejected, expires or is cancelled before it is built', async () => {
    await reserve(anchored(await lease()));
    await world.ledger.release({ requestId: 'r1' as never, reason: 'IntentRejected' });
    await fail();
    expect(await owners()).toEqual(['r1 released']);
    expect(await giveBack()).toEqual({ outcome: 'taken' });
  });

  it('goes back with a transfer that was never reserved', async () => {
    const leased = await lease();
    await expect(reserve(anchored(leased, 'r1', { amount: '600000' }))).rejects.toMatchObject({
      code: 'LimitExceeded',
    });
    await world.ledger.release({ requestId: 'r1' as never, reason: 'LimitExceeded' });
    await fail();
    expect(await owners()).toEqual(['r1 released']);
    await expect(lease()).rejects.toMatchObject({ code: 'StateConflict' });
  });

  it('that has moved on ends the transfer with a typed failure, and everything goes back', async () => {
    const intent = anchored(await lease());
    await reserve(intent);
    world.node.nonces.splice(0, 1);
    await expect(world.chain.build({ intent })).rejects.toMatchObject({
      code: 'StateConflict',
      retryable: false,
      details: { field: 'anchor' },
    });
    await world.chain.releaseLease({ requestId: 'r1' as never });
    await world.ledger.release({ requestId: 'r1' as never, reason: 'StateConflict' });
    await fail();
    expect(await owners()).toEqual(['r1 released']);
  });

  it('must be the request’s own: not another’s, not another wallet’s, not one that nobody leased', async () => {
    await world.wallet('w2');
    const theirs = await lease('r2');
    const refused = { code: 'StateConflict', details: { field: 'anchor' } };
    await expect(reserve(anchored(theirs, 'r1'))).rejects.toMatchObject(refused);
    await expect(reserve(anchored(theirs, 'r2', { walletId: 'w2' }))).rejects.toMatchObject(
      refused,
    );
    const nowhere = { ...theirs.anchor, value: '11'.repeat(32) } as LeasedAnchor['anchor'];
    await expect(reserve(world.intent('r2', { anchor: nowhere }))).rejects.toMatchObject(refused);
    await expect(lease('r2', { walletId: 'w2' as never })).rejects.toMatchObject({
      code: 'RequestConflict',
      details: { field: 'walletId' },
    });
    await reserve(anchored(theirs, 'r2'));
  });

  it('is not leased for a transfer that has begun without one, nor for one that is over', async () => {
    await reserve(world.intent('r1'));
    await expect(lease()).rejects.toMatchObject({
      code: 'StateConflict',
      details: { field: 'anchor' },
    });
    await expect(lease('r2', { expiresAt: '2026-03-01T11:59:59.000Z' })).rejects.toMatchObject({
      code: 'IntentExpired',
    });
    await expect(lease('r2', { expiresAt: '2026-06-01T00:00:00.000Z' })).rejects.toMatchObject({
      code: 'InvalidInput',
      details: { field: 'expiresAt' },
    });
    await expect(lease('r2', { walletId: 'nobody' as never })).rejects.toMatchObject({
      code: 'WalletUnknown',
    });
    expect(await owners()).toEqual([]);
  });

  it('is demanded by the policy from an amount on, and the refusal says what to do', async () => {
    await expect(reserve(world.intent('r1', { amount: '450000' }))).rejects.toMatchObject({
      code: 'PolicyViolation',
      details: { field: 'anchor', rule: 'anchorFrom' },
      message: expect.stringContaining('--anchor'),
    });
    const leased = await lease('r2', { amount: '450000' });
    await reserve(anchored(leased, 'r2', { amount: '450000' }));
  });
});
