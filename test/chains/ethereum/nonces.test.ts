/** Nonces as leases, on a real database and a real node: no gap, no double, whatever is given back. */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createEthereum } from '../../../chains/ethereum/blockchain.ts';
import { readUnsigned } from '../../../chains/ethereum/codec.ts';
import { ethereumNetwork } from '../../../chains/ethereum/networks.ts';
import { nonceResource } from '../../../core/ports/ethereum-nonces.ts';
import { isKeysagaError } from '../../../schema/contracts/errors.ts';
import type { UnsignedTransaction } from '../../../schema/contracts/transaction.ts';
import { ETHER, type Rig, startRig } from './rig.ts';
import { LOCAL, testKey } from './support.ts';

let rig: Rig;
beforeAll(async () => {
  rig = await startRig();
});
afterAll(() => rig?.stop());

const nonceOf = (unsigned: UnsignedTransaction) =>
  readUnsigned(ethereumNetwork(LOCAL), unsigned).nonce;

/** An account whose chain is a counter, so that thousands of takes need no node. */
function account() {
  const { address } = testKey();
  const walletId = `model-${address.slice(2, 12).toLowerCase()}`;
  let mined = 0n;
  const counts = () => ({ final: mined, latest: mined, pending: mined });
  return {
    address,
    mine: (nonce: bigint) => {
      mined = nonce;
    },
    open: () => rig.nonces.open({ network: LOCAL, walletId, address, at: 0 }),
    take: (owner: string, only?: bigint, by = rig.nonces) =>
      by.lend(
        LOCAL,
        address,
        counts(),
        0,
        (nonce) =>
          rig.work.transaction(({ leases }) =>
            leases.tryTake(owner, walletId, LOCAL, {
              resource: nonceResource(LOCAL, address, nonce),
              detail: {},
            }),
          ),
        only,
      ),
    record: () => rig.nonces.record(LOCAL, address, counts(), 0),
    gaps: () => rig.nonces.gaps(LOCAL, address),
  };
}

describe('taking, giving back and using', () => {
  it('leaves no gap and lends nothing twice, in any order', async () => {
    type Step = { kind: 'take'; many: number } | { kind: 'release' | 'use'; which: number };
    const step: fc.Arbitrary<Step> = fc.oneof(
      fc.record({ kind: fc.constant('take' as const), many: fc.integer({ min: 1, max: 4 }) }),
      fc.record({ kind: fc.constantFrom('release' as const, 'use' as const), which: fc.nat(50) }),
    );
    let run = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 3, maxLength: 25 }), async (steps) => {
        const one = account();
        await one.open();
        const prefix = `model-${run++}`;
        const held = new Map<string, bigint>();
        const used = new Set<bigint>();
        let mined = 0n;
        let owners = 0;
        const lowestFree = (count: number) => {
          const taken = new Set([...held.values(), ...used]);
          const free: bigint[] = [];
          for (let n = mined; free.length < count; n++) if (!taken.has(n)) free.push(n);
          return free;
        };
        for (const next of steps) {
          if (next.kind === 'take') {
            const expected = lowestFree(next.many);
            const names = Array.from({ length: next.many }, () => `${prefix}-${owners++}`);
            const got = await Promise.all(names.map((name) => one.take(name)));
            // Together they get exactly the lowest free ones, whoever is first.
            expect([...got].sort((a, b) => Number((a ?? 0n) - (b ?? 0n)))).toEqual(expected);
            for (const [i, name] of names.entries()) held.set(name, got[i] as bigint);
            continue;
          }
          const [owner, nonce] = [...held][next.which % Math.max(1, held.size)] ?? [];
          if (owner === undefined || nonce === undefined) continue;
          held.delete(owner);
          await rig.setState(owner, next.kind === 'use' ? 'consumed' : 'released');
          if (next.kind === 'release') continue;
          used.add(nonce);
          while (used.has(mined)) mined++;
          one.mine(mined);
          await one.record();
        }
        // Every hole below a nonce that somebody has is reported, and the next takers fill exactly those.
        const taken = [...held.values(), ...used];
        const highest = taken.reduce((most, nonce) => (nonce > most ? nonce : most), -1n);
        const holes = lowestFree(60).filter((nonce) => nonce < highest);
        await one.record();
        expect((await one.gaps()).map(({ nonce }) => nonce)).toEqual(holes);
        for (const hole of holes) expect(await one.take(`${prefix}-${owners++}`)).toBe(hole);
        expect(await one.gaps()).toEqual([]);
      }),
      { numRuns: 25 },
    );
  }, 120_000);

  it('serves several coordinators at once', async () => {
    const one = account();
    await one.open();
    const got = await Promise.all(
      Array.from({ length: 60 }, (_, i) =>
        one.take(`rush-${i}`, undefined, i % 2 === 0 ? rig.nonces : rig.elsewhere),
      ),
    );
    expect([...got].map(Number).sort((a, b) => a - b)).toEqual(
      Array.from({ length: 60 }, (_, i) => i),
    );
    expect(await one.gaps()).toEqual([]);
  });

  it('gives a named one, or nothing', async () => {
    const one = account();
    await one.open();
    expect(await one.take('first')).toBe(0n);
    expect(await one.take('named', 0n)).toBeUndefined();
    expect(await one.take('named', 1n)).toBe(1n);
    await rig.setState('first', 'released');
    expect(await one.take('second', 0n)).toBe(0n);
    await expect(account().take('nobody')).rejects.toMatchObject({ code: 'WalletUnknown' });
  });

  it('never falls behind what was final once, though a node does', async () => {
    const one = account();
    await one.open();
    one.mine(7n);
    await one.record();
    one.mine(3n);
    await one.record();
    const [known] = (await rig.nonces.accounts(LOCAL)).filter((a) => a.address === one.address);
    expect(known?.counts).toEqual({ final: 7n, latest: 3n, pending: 3n });
    expect(await one.take('late')).toBe(7n);
  });
});

describe('on the node', () => {
  it('200 transfers at once land with consecutive nonces, every tenth cancelled before signing', async () => {
    const from = await rig.wallet(10n * ETHER);
    const cancelled: { owner: string; unsigned: UnsignedTransaction }[] = [];
    const sent: UnsignedTransaction[] = [];
    await Promise.all(
      Array.from({ length: 200 }, async (_, i) => {
        const { unsigned, owner } = await rig.build(from, { amount: `${1000 + i}` });
        if (i % 10 === 9) {
          await rig.setState(owner, 'released');
          cancelled.push({ owner, unsigned });
          return;
        }
        await rig.setState(owner, 'pivoted');
        expect(await rig.chain.broadcast(from.sign(unsigned))).toEqual({ status: 'accepted' });
        sent.push(unsigned);
      }),
    );
    expect(cancelled).toHaveLength(20);
    // What was given back last has no transfer after it: its own void fills the gap.
    await rig.chain.syncNonces();
    const gaps = await rig.nonces.gaps(LOCAL, from.address);
    for (const { nonce, lastOwner } of gaps) {
      const mine = cancelled.find(
        ({ owner, unsigned }) => owner === lastOwner && nonceOf(unsigned) === nonce,
      );
      if (mine === undefined) throw new Error(`nobody gave ${nonce} back`);
      const voided = await rig.chain.buildVoid(from.descriptor, [mine.unsigned], ETHER / 50n);
      const [lease] = voided.leases;
      const retaken = await rig.work.transaction(({ leases }) =>
        leases.tryTake(
          mine.owner,
          from.descriptor.walletId,
          LOCAL,
          lease as NonNullable<typeof lease>,
        ),
      );
      expect(retaken).toBe(true);
      expect(await rig.chain.broadcast(from.sign(voided.unsigned))).toEqual({ status: 'accepted' });
    }
    await rig.mine(2);
    expect(await rig.nonce(from.address)).toBe(BigInt(180 + gaps.length));
    for (const unsigned of sent) {
      const status = await rig.chain.lookup(from.sign(unsigned).id, unsigned, from.key.publicKey);
      expect(status).toMatchObject({ status: 'included', final: true });
    }
    const landed = new Set(sent.map((unsigned) => nonceOf(unsigned)));
    expect(landed.size).toBe(180);
    await rig.chain.syncNonces();
    expect(await rig.nonces.gaps(LOCAL, from.address)).toEqual([]);
    expect(nonceOf((await rig.build(from)).unsigned)).toBe(BigInt(180 + gaps.length));
  }, 180_000);

  it('a nonce given back below a used one goes to the next transfer', async () => {
    const from = await rig.wallet();
    const first = await rig.build(from);
    const second = await rig.build(from);
    await rig.setState(second.owner, 'pivoted');
    await rig.chain.broadcast(from.sign(second.unsigned));
    await rig.setState(first.owner, 'released');
    await rig.mine(2);
    expect(await rig.nonce(from.address)).toBe(0n);
    expect(await rig.nonces.gaps(LOCAL, from.address)).toEqual([
      { nonce: 0n, lastOwner: first.owner },
    ]);
    const next = await rig.build(from);
    expect(nonceOf(next.unsigned)).toBe(0n);
    await rig.chain.broadcast(from.sign(next.unsigned));
    await rig.mine(1);
    expect(await rig.nonce(from.address)).toBe(2n);
  });

  it.each([false, true])(
    'one that nothing was signed for is filled, within the cap (legacy: %s)',
    async (legacy) => {
      const chain = createEthereum({ ...rig.options, legacy });
      const from = await rig.wallet();
      const [first, second] = [await rig.build(from), await rig.build(from)];
      await rig.chain.broadcast(from.sign(second.unsigned));
      const [resource = ''] = first.leases.map((lease) => lease.resource);
      const filler = await chain.fillGap?.(from.descriptor, resource, ETHER / 50n);
      if (filler === undefined) throw new Error('nothing fills it');
      expect(filler.leases).toEqual(first.leases);
      expect(filler.fee).toBeLessThanOrEqual(ETHER / 50n);
      const { fees } = readUnsigned(ethereumNetwork(LOCAL), filler.unsigned);
      expect(fees.type).toBe(legacy ? 'legacy' : 'eip1559');
      expect(await chain.broadcast(from.sign(filler.unsigned))).toEqual({ status: 'accepted' });
      await rig.mine(1);
      expect(await rig.nonce(from.address)).toBe(2n);
      await expect(chain.fillGap?.(from.descriptor, resource, 1n)).rejects.toMatchObject({
        code: 'FeeAboveCap',
      });
      const other = (await rig.wallet()).descriptor;
      await expect(chain.fillGap?.(other, resource, ETHER)).rejects.toMatchObject({
        code: 'InvalidInput',
      });
    },
  );

  it('what the chain used or waits with is reconciled, also without our own record of it', async () => {
    const from = await rig.wallet();
    const first = await rig.build(from);
    const second = await rig.build(from);
    for (const { unsigned } of [first, second]) await rig.chain.broadcast(from.sign(unsigned));
    // As after a restore of the coordinator's database: the leases are gone, the transactions are not.
    await rig.work.transaction(async ({ leases }) => {
      await leases.setState(first.owner, 'released');
      await leases.setState(second.owner, 'released');
    });
    await rig.mine(1);
    await rig.chain.syncNonces();
    const third = await rig.build(from);
    expect(nonceOf(third.unsigned)).toBe(2n);
    const stranger = await rig.wallet();
    const outside = await rig.build(stranger);
    await rig.chain.broadcast(stranger.sign(outside.unsigned));
    const fresh = createEthereum({ ...rig.options });
    // Its lease is held here; elsewhere only the mempool tells of it.
    const [account] = (await rig.nonces.accounts(LOCAL)).filter(
      ({ address }) => address === stranger.address,
    );
    expect(account?.counts.pending).toBe(0n);
    await fresh.syncNonces();
    const [after] = (await rig.nonces.accounts(LOCAL)).filter(
      ({ address }) => address === stranger.address,
    );
    expect(after?.counts).toEqual({ final: 0n, latest: 0n, pending: 1n });
  });

  it('a serial wallet can be anchored to its next nonce', async () => {
    const from = await rig.wallet();
    const payment = { amount: 1000n, feeCap: ETHER / 100n };
    const refused = await rig.chain.anchors(from.descriptor, payment).catch((error) => error);
    expect(isKeysagaError(refused, 'InvalidInput') && refused.details.field).toBe('anchor');
    const serial = createEthereum({ ...rig.options, serial: () => true });
    const [candidate] = await serial.anchors(from.descriptor, payment);
    expect(candidate?.anchor).toEqual({ kind: 'ethereum-nonce', nonce: '0' });
    const anchor = { kind: 'ethereum-nonce', nonce: '0' } as const;
    const built = await rig.build(from, { anchor }, 'anchored');
    expect(built.leases.map(({ resource }) => resource)).toEqual([candidate?.lease.resource]);
    const other = await rig.build(from, { anchor }, 'late').catch((error) => error);
    expect(isKeysagaError(other, 'LeaseUnavailable')).toBe(true);
    const wrong = { kind: 'ethereum-nonce', nonce: '3' } as const;
    const moved = await rig.build(from, { anchor: wrong }, 'anchored').catch((error) => error);
    expect(isKeysagaError(moved, 'StateConflict') && moved.details.field).toBe('anchor');
    await expect(
      serial.buildVoid(from.descriptor, [built.unsigned], ETHER / 100n, wrong),
    ).rejects.toMatchObject({ code: 'ConflictRule' });
    const voided = await serial.buildVoid(from.descriptor, [built.unsigned], ETHER / 100n, anchor);
    expect(nonceOf(voided.unsigned)).toBe(0n);
  });
});
