/** The follower on a real node and a real database: its rows are those of a rebuild, whatever happened on the way. */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createBitcoinCodec } from '../../../chains/bitcoin/codec.ts';
import { createFollower } from '../../../chains/bitcoin/follower.ts';
import type { BitcoinNode } from '../../../chains/bitcoin/node.ts';
import { until } from '../../../dev/until.ts';
import { KeysagaError } from '../../../schema/contracts/errors.ts';
import { type Rig, startRig } from './stack.ts';
import { hex, REGTEST, rawPsbt, testKey, unsignedOf } from './support.ts';

const codec = createBitcoinCodec(REGTEST);
let rig: Rig;
beforeAll(async () => {
  rig = await startRig();
});
afterAll(() => rig?.stop());

const wallet = () => {
  const key = testKey();
  return { key, script: hex(key.script), address: codec.address(key.publicKey) };
};
type Wallet = ReturnType<typeof wallet>;
const height = () => rig.rpc.call<number>('getblockcount');
type Database = Awaited<ReturnType<Rig['database']>>;

async function followed(
  wallets: readonly Wallet[],
  fromHeight: number,
  node = rig.node(),
  batch?: number,
) {
  const database = await rig.database();
  for (const [i, { script }] of wallets.entries()) {
    await database.outputs.watch({ script, walletId: `w${i}`, fromHeight });
  }
  const follower = createFollower({
    network: REGTEST,
    node,
    outputs: database.outputs,
    ...(batch === undefined ? {} : { batch }),
  });
  return { database, follower };
}

/** Rows of a follower that starts from nothing now. */
async function rebuilt(wallets: readonly Wallet[], fromHeight: number) {
  const { database, follower } = await followed(wallets, fromHeight);
  await follower.syncOnce();
  return database.rows(fromHeight);
}

/** Spends an output of a wallet to the same wallet and another, signed by its plain key. */
async function spend(from: Wallet, to: Wallet, database: Database): Promise<string | undefined> {
  const [coin] = await database.outputs.unspent(from.script);
  if (coin === undefined || coin.amount < 10_000n) return undefined;
  const half = (coin.amount - 1_000n) / 2n;
  const unsigned = unsignedOf(
    rawPsbt({
      inputs: [{ txid: coin.txid, vout: coin.vout, amount: coin.amount, script: from.key.script }],
      outputs: [
        { amount: half, script: to.key.script },
        { amount: half, script: from.key.script },
      ],
    }),
  );
  const signatures = codec.messages(unsigned, from.key.publicKey).map(from.key.sign);
  const { bytes } = codec.attach(unsigned, from.key.publicKey, signatures);
  return rig.rpc.call<string>('sendrawtransaction', bytes).catch(() => undefined);
}

describe('the follower', () => {
  it('finds payments, marks spends and reads nothing twice', async () => {
    const [a, b] = [wallet(), wallet()];
    const from = (await height()) + 1;
    const { database, follower } = await followed([a, b], from);
    const txid = await rig.pay(a.address, 100_000n);
    await rig.mine(1);
    expect(await follower.syncOnce()).toMatchObject({ worked: true, blocks: 1 });
    expect(await database.outputs.unspent(a.script)).toMatchObject([
      {
        txid,
        amount: 100_000n,
        coinbase: false,
        blockHeight: from,
        spentBy: null,
        spentHeight: null,
      },
    ]);
    expect(await follower.syncOnce()).toMatchObject({ worked: true, blocks: 0 });

    const spender = await spend(a, b, database);
    await rig.mine(1);
    expect(await follower.syncOnce()).toMatchObject({ worked: true, blocks: 1 });
    const { outputs } = await database.rows();
    expect(outputs).toHaveLength(3);
    expect(outputs.find((output) => output.txid === txid)).toMatchObject({
      spentBy: spender,
      spentHeight: from + 1,
    });
    expect(await database.rows(from)).toEqual(await rebuilt([a, b], from));
  });

  it('undoes what a reorganisation took back', async () => {
    const [a, b] = [wallet(), wallet()];
    const from = (await height()) + 1;
    const { database, follower } = await followed([a, b], from);
    await rig.pay(a.address, 200_000n);
    await rig.mine(2);
    await follower.syncOnce();
    await spend(a, b, database);
    await rig.mine(2);
    await follower.syncOnce();
    const before = await database.rows(from);
    expect(before.outputs.filter(({ spentBy }) => spentBy !== null)).toHaveLength(1);

    await rig.reorganise(2);
    const fork = (await height()) - 3;
    expect(await follower.syncOnce()).toMatchObject({
      worked: true,
      blocks: 3,
      rolledBackTo: fork,
    });
    const after = await database.rows(from);
    expect(after.blocks.at(-1)?.hash).not.toBe(before.blocks.at(-1)?.hash);
    expect(after).toEqual(await rebuilt([a, b], from));
  });

  it('follows the node down to a shorter chain and up again', async () => {
    const a = wallet();
    const from = (await height()) + 1;
    const { database, follower } = await followed([a], from);
    await rig.pay(a.address, 50_000n);
    await rig.mine(3);
    await follower.syncOnce();
    const bad = await rig.rpc.call<string>('getblockhash', from);
    await rig.rpc.call('invalidateblock', bad);
    expect(await follower.syncOnce()).toMatchObject({ rolledBackTo: from - 1 });
    expect(await database.outputs.unspent(a.script)).toEqual([]);
    await rig.rpc.call('reconsiderblock', bad);
    await follower.syncOnce();
    expect(await database.outputs.unspent(a.script)).toHaveLength(1);
    expect(await database.rows(from)).toEqual(await rebuilt([a], from));
  });

  it('equals a rebuild after any course of payments, blocks, reorganisations and syncs', async () => {
    const step = fc.oneof(
      fc.constant({ kind: 'pay' as const }),
      fc.constant({ kind: 'spend' as const }),
      fc.record({ kind: fc.constant('mine' as const), count: fc.integer({ min: 1, max: 3 }) }),
      fc.record({
        kind: fc.constant('reorganise' as const),
        depth: fc.integer({ min: 1, max: 3 }),
      }),
      fc.constant({ kind: 'sync' as const }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 6, maxLength: 14 }), async (steps) => {
        const [a, b] = [wallet(), wallet()];
        // Room below the birth, so that no reorganisation reaches under it.
        await rig.mine(4);
        const from = (await height()) - 3;
        const { database, follower } = await followed([a, b], from, rig.node(), 2);
        for (const one of steps) {
          if (one.kind === 'pay') await rig.pay(a.address, 30_000n);
          else if (one.kind === 'spend') await spend(a, b, database);
          else if (one.kind === 'mine') await rig.mine(one.count);
          else if (one.kind === 'reorganise') await rig.reorganise(one.depth);
          else await follower.syncOnce();
        }
        await follower.syncOnce();
        expect(await database.rows(from)).toEqual(await rebuilt([a, b], from));
      }),
      { numRuns: 6 },
    );
  });

  it('reads a newly watched script from its birth, and the others no second time', async () => {
    const [a, late] = [wallet(), wallet()];
    const from = (await height()) + 1;
    const { database, follower } = await followed([a], from);
    await rig.pay(late.address, 70_000n);
    await rig.pay(a.address, 60_000n);
    await rig.mine(4);
    await follower.syncOnce();
    expect(await database.outputs.unspent(late.script)).toEqual([]);
    await database.outputs.watch({ script: late.script, walletId: 'w1', fromHeight: from });
    expect(await follower.syncOnce()).toMatchObject({ blocks: 4 });
    expect(await database.outputs.unspent(late.script)).toMatchObject([{ amount: 70_000n }]);
    expect(await database.rows(from)).toEqual(await rebuilt([a, late], from));

    // An earlier birth than the known one means a new scan; a later one changes nothing.
    await database.outputs.watch({ script: late.script, walletId: 'w1', fromHeight: from + 2 });
    expect(await follower.syncOnce()).toMatchObject({ blocks: 0 });
    await database.outputs.watch({ script: late.script, walletId: 'w1', fromHeight: from - 2 });
    expect(await follower.syncOnce()).toMatchObject({ blocks: 6 });
    expect((await database.rows()).outputs).toHaveLength(2);
  });

  it('misses nothing of a script that is watched while it reads', async () => {
    const [a, late] = [wallet(), wallet()];
    const from = (await height()) + 1;
    for (let i = 0; i < 4; i++) {
      await rig.pay(late.address, 70_000n);
      await rig.mine(1);
    }
    const real = rig.node();
    let reads = 0;
    const { database, follower } = await followed([a], from, {
      ...real,
      async block(hash, options) {
        if (++reads === 3) {
          await database.outputs.watch({
            script: late.script,
            walletId: 'w1',
            fromHeight: from + 1,
          });
        }
        return real.block(hash, options);
      },
    });
    await follower.syncOnce();
    expect(await database.outputs.unspent(late.script)).toHaveLength(3);
    // Read for both again from where the late one was born, or only for it: the rows are the same.
    const again = await followed([a], from);
    await again.database.outputs.watch({
      script: late.script,
      walletId: 'w1',
      fromHeight: from + 1,
    });
    await again.follower.syncOnce();
    expect(await database.rows(from)).toEqual(await again.database.rows(from));
  });

  it('resumes where a failure in mid-batch left it', async () => {
    const a = wallet();
    const from = (await height()) + 1;
    await rig.pay(a.address, 40_000n);
    await rig.mine(3);
    await rig.pay(a.address, 41_000n);
    await rig.mine(4);
    const real = rig.node();
    let reads = 0;
    const failing: BitcoinNode = {
      ...real,
      block: (hash, options) => {
        reads++;
        if (reads === 4) throw new KeysagaError('ChainUnavailable', 'the line is cut');
        return real.block(hash, options);
      },
    };
    const { database, follower } = await followed([a], from, failing, 2);
    await expect(follower.syncOnce()).rejects.toMatchObject({ code: 'ChainUnavailable' });
    // The first batch is committed, of the second one nothing.
    const { blocks, scripts } = await database.rows();
    expect(blocks.map((block) => block.height)).toEqual([from, from + 1]);
    expect(scripts[0]?.scannedHeight).toBe(from + 1);
    await follower.syncOnce();
    expect(reads).toBe(2 + 2 + 5);
    expect(await database.rows(from)).toEqual(await rebuilt([a], from));
  });

  it('lets one of several work at a time', async () => {
    const a = wallet();
    const from = (await height()) + 1;
    const { database } = await followed([a], from);
    let busy = 0;
    let most = 0;
    let read = 0;
    const real = rig.node();
    const counting: BitcoinNode = {
      ...real,
      async block(hash, options) {
        most = Math.max(most, ++busy);
        read++;
        try {
          return await real.block(hash, options);
        } finally {
          busy--;
        }
      },
    };
    const followers = Array.from({ length: 4 }, () =>
      createFollower({ network: REGTEST, node: counting, outputs: database.outputs, batch: 1 }),
    );
    await rig.pay(a.address, 90_000n);
    await rig.mine(12);
    const results = await Promise.all(followers.map((follower) => follower.syncOnce()));
    await followers[0]?.syncOnce();
    expect(most).toBe(1);
    expect(read).toBe(12);
    expect(results.reduce((sum, { blocks }) => sum + blocks, 0)).toBeLessThanOrEqual(12);
    expect(await database.rows(from)).toEqual(await rebuilt([a], from));
  });

  it('runs by itself until it is stopped', async () => {
    const a = wallet();
    const { database, follower } = await followed([a], (await height()) + 1);
    follower.start({ pollMs: 20 });
    await rig.pay(a.address, 33_000n);
    await rig.mine(1);
    await until(async () => (await database.outputs.unspent(a.script)).length === 1, {
      deadlineMs: 10_000,
      what: 'the running follower sees the payment',
    });
    await follower.stop();
    const top = await database.outputs.followed();
    await rig.mine(1);
    expect(await database.outputs.followed()).toEqual(top);
    expect(await follower.syncOnce()).toMatchObject({ blocks: 1 });
  });
});
