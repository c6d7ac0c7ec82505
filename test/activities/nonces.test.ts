/**
 * Nonces in the hands of the coordinators' activities, on a real database and node: at no moment is one free below another
 * that somebody has, whoever builds, gives up or dies at once.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createChainActivities } from '../../activities/chain/index.ts';
import {
  adoptPolicy,
  createLedgerActivities,
  createPolicySource,
} from '../../activities/ledger/index.ts';
import { createEthereum, type EthereumOptions } from '../../chains/ethereum/blockchain.ts';
import { anchorRequestFor } from '../../client/index.ts';
import { intentDigest } from '../../core/intent.ts';
import { verifySignedPolicy } from '../../core/policy.ts';
import type { FailPoints } from '../../core/ports/clock.ts';
import type { EthereumNonces } from '../../core/ports/ethereum-nonces.ts';
import { hexToBytes } from '../../core/signed.ts';
import { createRegistry } from '../../mpc/index.ts';
import type { GivenBack } from '../../schema/contracts/activities.ts';
import { streams } from '../../schema/contracts/events.ts';
import type { TransferIntent } from '../../schema/contracts/intent.ts';
import type { KeyDescriptor } from '../../schema/contracts/key.ts';
import type { SignedPolicy } from '../../schema/contracts/policy.ts';
import { ETHER, type Rig, startRig } from '../chains/ethereum/rig.ts';
import { seeded } from '../crash/cells.ts';
import { approve, castOf, intentFor } from '../support/parties.ts';

const TO = '0x70997970C51812dc3A010C7d01b50e0d17dc79C8';
const ATTEMPT = '2b1f1f5e-5a43-4b0c-9d55-0d8a4b1c9d10';
const cast = castOf(3);

let rig: Rig;
let coordinators: readonly ReturnType<typeof coordinatorOf>[];
/** Called at every fail point of both coordinators. */
let at: FailPoints['at'] = () => {};
/** Called when a coordinator has read what is free and has not yet taken what it chose. */
let chosen: (nonce: bigint) => Promise<void> = async () => {};

function coordinatorOf(change: Partial<EthereumOptions>) {
  const options = { ...rig.options, serial: () => true, ...change };
  const nonces: EthereumNonces = {
    ...options.nonces,
    lend: (network, address, counts, now, take, only) =>
      options.nonces.lend(
        network,
        address,
        counts,
        now,
        async (nonce) => {
          await chosen(nonce);
          return take(nonce);
        },
        only,
      ),
  };
  const chain = createEthereum({ ...options, nonces });
  const deps = {
    uow: rig.work,
    chains: { get: () => chain, list: () => [chain] },
    protocols: createRegistry(),
    policies: createPolicySource(rig.work),
    subjects: { parties: async () => [], groups: async () => [] } as never,
    verifyPolicy: (signed: SignedPolicy) => verifySignedPolicy(signed, cast.administrators, 2),
    clock: rig.options.clock,
    failPoints: { at: (point: string) => at(point) },
    directory: new Map<string, string>(),
  };
  return { ...createLedgerActivities(deps), ...createChainActivities(deps), chain };
}

beforeAll(async () => {
  rig = await startRig();
  const verify = (signed: SignedPolicy) => verifySignedPolicy(signed, cast.administrators, 2);
  await adoptPolicy({ uow: rig.work, failPoints: { at: () => {} }, verify }, cast.signedPolicy);
  coordinators = [coordinatorOf({}), coordinatorOf({ nonces: rig.elsewhere })];
});
afterAll(() => rig?.stop());

/** An active, provisioned wallet under the cast's policy. */
async function wallet(): Promise<KeyDescriptor> {
  const { descriptor } = await rig.wallet(100n * ETHER);
  const key = { ...descriptor, policyId: cast.policy.policyId };
  await rig.work.transaction((tx) =>
    tx.events.append(streams.wallet(key.walletId), 0, [
      { type: 'keysaga.wallet.activated.v1', data: { walletId: key.walletId, key } },
    ]),
  );
  return key;
}
const by = (i: number) => coordinators[i % 2] as (typeof coordinators)[number];

/** Reserved, and approved by as many. */
async function begun(key: KeyDescriptor, i: number, change = {}, approvers = 2) {
  const intent = intentFor(key, TO, '1000', change);
  const workflowId = `transfer/${intent.requestId}`;
  await by(i).reserve({ intent, intentDigest: intentDigest(intent), workflowId });
  for (const who of cast.approvers.slice(0, approvers))
    await by(i).recordDecision({ requestId: intent.requestId, signed: approve(intent, who) });
  return intent;
}
const giveUp = ({ requestId }: TransferIntent, i: number): Promise<GivenBack> =>
  by(i).releaseLease({ requestId, fillGap: true });

const nonceIn = (key: KeyDescriptor, unsigned: Parameters<Rig['codec']['decode']>[0]): bigint => {
  const { conflictKeys } = rig.codec.decode(unsigned, hexToBytes(key.publicKey));
  return BigInt(conflictKeys[0]?.split(':').at(-1) ?? -1);
};
const account = (key: KeyDescriptor) =>
  rig.work.transaction((tx) => tx.leases.lockNonces(key.network, key.address));
const standing = async (key: KeyDescriptor) =>
  (await account(key)).lent.map(({ nonce, state }) => `${nonce} ${state}`);

describe('a nonce that is given up', () => {
  it('goes back when it is the highest, and is kept for a void of its own when it is not', async () => {
    const key = await wallet();
    const [low, middle, top] = await Promise.all([0, 1, 2].map((i) => begun(key, i)));
    if (low === undefined || middle === undefined || top === undefined) throw new Error('none');
    for (const intent of [low, middle, top]) await by(0).build({ intent });
    expect(await giveUp(top, 0)).toEqual({});
    expect(await giveUp(top, 1)).toEqual({});
    const kept = await giveUp(low, 0);
    expect(kept.gap?.approvals).toHaveLength(2);
    expect(await giveUp(low, 1)).toEqual(kept);
    // Nothing above the middle one is anybody's by now.
    expect(await giveUp(middle, 0)).toEqual({});
    expect(await standing(key)).toEqual(['0 held', '1 released', '2 released']);
    await expect(by(0).build({ intent: low })).rejects.toMatchObject({ code: 'StateConflict' });
    const voided = await by(1).buildVoid({ intent: low });
    expect(nonceIn(key, voided.unsigned)).toBe(0n);
    expect(rig.codec.decode(voided.unsigned, hexToBytes(key.publicKey)).effects).toEqual([]);
    expect(BigInt(voided.fee)).toBeLessThanOrEqual(20_000_000_000_000_000n);

    // A reset makes the saga forget, the ledger does not; and it does not end before the void is final.
    const again = await by(0).reserve({
      intent: low,
      intentDigest: intentDigest(low),
      workflowId: `transfer/${low.requestId}`,
    });
    expect(again).toMatchObject({ pivotPassed: false, fillsGap: true });
    expect(again.earlier?.decisions).toHaveLength(2);
    const released = { requestId: low.requestId, reason: 'Cancelled' };
    expect(await by(1).release(released)).toEqual({ fillsGap: true });
    expect(await by(1).release({ ...released, requestId: top.requestId })).toEqual({});
    const failure = { code: 'Cancelled', message: 'x', at: new Date().toISOString() };
    await expect(by(0).fail({ requestId: low.requestId, failure })).rejects.toMatchObject({
      code: 'PivotPassed',
    });
    await by(0).passPivot({
      requestId: low.requestId,
      attempt: ATTEMPT,
      purpose: 'void',
      reports: [],
    });
    expect((await by(0).buildVoid({ intent: low })).unsigned).toEqual(voided.unsigned);
    // The next transfers get what was given back, lowest first.
    for (const nonce of [1n, 2n, 3n]) {
      const { unsigned } = await by(0).build({ intent: await begun(key, 0) });
      expect(nonceIn(key, unsigned)).toBe(nonce);
    }
  });

  it('is kept for what was approved once, also when the approval was taken back; never for what was not', async () => {
    const key = await wallet();
    const turned = await begun(key, 0);
    await by(0).build({ intent: turned });
    await by(0).build({ intent: await begun(key, 0) });
    const [first] = cast.approvers;
    if (first === undefined) throw new Error('no approver');
    await by(0).recordDecision({
      requestId: turned.requestId,
      signed: approve(turned, first, 'reject'),
    });
    expect((await giveUp(turned, 0)).gap?.approvals).toHaveLength(2);

    // An anchor is leased before anybody approves, and no party signs a void for what nobody approved.
    const serial = await wallet();
    const anchored = intentFor(serial, TO, '1000');
    const { requestId } = anchored;
    const { anchor } = await by(0).leaseAnchor({ request: anchorRequestFor(anchored) });
    const intent = { ...anchored, anchor };
    const reservation = await by(0).reserve({
      intent,
      intentDigest: intentDigest(intent),
      workflowId: `transfer/${requestId}`,
    });
    expect(reservation.holdsNonce).toBe(true);
    await by(0).build({ intent: await begun(serial, 0) });
    expect(await giveUp(intent, 0)).toEqual({});
    expect(await standing(serial)).toEqual(['0 released', '1 held']);
    const next = await by(1).build({ intent: await begun(serial, 0) });
    expect(nonceIn(serial, next.unsigned)).toBe(0n);
  });

  it('is found by a coordinator that died in the middle, and by a saga that does not know of it', async () => {
    const key = await wallet();
    const [low, top] = [await begun(key, 0), await begun(key, 0)];
    const dies = (where: string) => {
      at = (point) => {
        if (point === where) throw new Error(`died at ${point}`);
      };
    };
    dies('build:before-commit');
    await expect(by(0).build({ intent: low })).rejects.toThrow('died');
    at = () => {};
    // Nothing is built, and the nonce stays with the transfer: a second try gets the same one.
    await by(1).build({ intent: top });
    const reserved = {
      intent: low,
      intentDigest: intentDigest(low),
      workflowId: `transfer/${low.requestId}`,
    };
    expect((await by(1).reserve(reserved)).holdsNonce).toBe(true);
    dies('claimGap:before-commit');
    await expect(giveUp(low, 0)).rejects.toThrow('died');
    expect((await by(1).reserve(reserved)).fillsGap).toBeUndefined();
    dies('claimGap:after-commit');
    await expect(giveUp(low, 0)).rejects.toThrow('died');
    at = () => {};
    expect((await by(1).reserve(reserved)).fillsGap).toBe(true);
    expect((await giveUp(low, 1)).gap?.approvals).toHaveLength(2);
    expect(nonceIn(key, (await by(1).buildVoid({ intent: low })).unsigned)).toBe(0n);
    expect(await standing(key)).toEqual(['0 held', '1 held']);
  });

  it('is taken before a higher one, by whoever had read it as taken', async () => {
    const key = await wallet();
    const low = await begun(key, 0);
    await by(0).build({ intent: low });
    const offered: bigint[] = [];
    chosen = async (nonce) => {
      offered.push(nonce);
      // Nobody is above it at this moment, so that it simply goes back.
      if (offered.length === 1) expect(await giveUp(low, 0)).toEqual({});
    };
    try {
      const { unsigned } = await by(1).build({ intent: await begun(key, 1) });
      expect(nonceIn(key, unsigned)).toBe(0n);
      expect(offered).toEqual([1n, 0n]);
    } finally {
      chosen = async () => {};
    }
  });

  it('leaves no hole, whatever two coordinators build and give up at once', async () => {
    const seed = Number(process.env.KEYSAGA_SEED ?? Math.floor(Date.now() % 2 ** 31));
    const random = seeded(seed);
    const key = await wallet();
    const pause = () => new Promise<void>((done) => setTimeout(done, random() * 20));
    // Between reading what is free and taking it, and between judging and committing.
    chosen = pause;
    at = async (point) => {
      if (/^(lend|releaseLease|claimGap):before/.test(point)) await pause();
    };
    try {
      for (let wave = 0; wave < 6; wave++) {
        const intents = await Promise.all(Array.from({ length: 8 }, (_, i) => begun(key, i)));
        const kept: string[] = [];
        await Promise.all(
          intents.map(async (intent, i) => {
            await pause();
            await by(i).build({ intent });
            if (random() < 0.6) return;
            await pause();
            const { gap } = await giveUp(intent, i + 1);
            if (gap !== undefined) kept.push(intent.requestId);
          }),
        );
        const { lent } = await account(key);
        const names = lent.map(({ nonce, state }) => `${nonce} ${state}`).join(', ');
        const highest = lent.filter(({ state }) => state !== 'released').at(-1)?.nonce ?? -1n;
        const holes = lent.filter(({ nonce, state }) => state === 'released' && nonce < highest);
        expect(holes, `seed ${seed}, wave ${wave}: ${names}`).toEqual([]);
        expect(lent.map(({ nonce }) => nonce)).toEqual(lent.map((_, i) => BigInt(i)));
        for (const requestId of kept)
          expect(lent.filter(({ owner }) => owner === requestId)).toHaveLength(1);
      }
    } finally {
      at = () => {};
      chosen = async () => {};
    }
  }, 120_000);
});
