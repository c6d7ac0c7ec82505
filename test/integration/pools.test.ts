/**
 * Presignature pools on the whole platform, with two coordinators: filled by their workflow, used by transfers of every
 * protocol, seen and ended from the command line; and never used twice when coordinators race and are killed, and when a
 * party is put back to an older copy of its database.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Wallet } from '../../client/index.ts';
import { until } from '../../dev/until.ts';
import type { PoolStock } from '../../schema/contracts/pool.ts';
import { checkLedger } from '../crash/cells.ts';
import { checkPresignatures } from '../crash/pool-cell.ts';
import { copyDatabase, putBack } from '../party/restore.ts';
import { type Platform, type PlatformChain, startPlatform } from '../support/platform.ts';
import { commandLine } from './command-line.ts';

let platform: Platform;
beforeAll(async () => {
  platform = await startPlatform({
    chains: ['bitcoin', 'solana', 'ethereum'],
    coordinators: 2,
    poolSize: 12,
  });
}, 300_000);
afterAll(() => platform?.close());

const MARKS = { low: 3, high: 6, batch: 3, lifeSeconds: 3_600 };

/** Until a condition on the wallet's pool holds; answers with what it holds then. */
const stocked = (walletId: string, holds: (stock: PoolStock) => boolean, what: string) =>
  until(
    async () => {
      const [stock] = await platform.client.pools(walletId).catch(() => []);
      return stock !== undefined && holds(stock) ? stock : undefined;
    },
    { deadlineMs: 120_000, intervalMs: 200, what },
  );

const wallets = new Map<PlatformChain, Wallet>();
const walletOn = (chain: PlatformChain): Wallet => {
  const wallet = wallets.get(chain);
  if (wallet === undefined) throw new Error(`no wallet on ${chain}`);
  return wallet;
};

describe('a pool of each protocol', () => {
  it.each<PlatformChain>(['ethereum', 'solana', 'bitcoin'])(
    'is filled, and a transfer on %s signs with it in one round',
    async (chain) => {
      const wallet = await platform.wallet(`pooled-${chain}`, chain, { coins: 6 });
      wallets.set(chain, wallet);
      const { signers } = await platform.client.fillPool(wallet, { marks: MARKS });
      expect(signers).toEqual(wallet.key.parties.slice(0, 2));
      await stocked(wallet.walletId, ({ available }) => available >= 6, 'the pool is full');
      const intent = platform.intent(wallet);
      await platform.startApproved(intent);
      const ended = await platform.ended(intent.requestId);
      expect(ended.phase).toBe('Completed');
      expect(ended.parties.map(({ party, steps }) => [party, steps.map((s) => s.name)])).toEqual(
        signers.map((party) => [party, ['prepare', 'round 1']]),
      );
      const stock = await stocked(wallet.walletId, ({ spent }) => spent > 0, 'one was spent');
      expect(stock).toMatchObject({ leased: 0, spent: 1, dropped: 0 });
    },
    180_000,
  );
});

describe('whatever happens', () => {
  it('two coordinators that race for what is left give no presignature out twice, one of them killed', async () => {
    const wallet = walletOn('solana');
    const before = await stocked(wallet.walletId, ({ available }) => available >= 3, 'stock');
    const intents = Array.from({ length: 10 }, () => platform.intent(wallet));
    for (const intent of intents) await platform.startApproved(intent);
    await stocked(
      wallet.walletId,
      ({ leased, spent }) => leased + spent > before.spent,
      'one lent',
    );
    await platform.workers.get('coordinator')?.kill('SIGKILL');
    for (const { requestId, destination, amount } of intents) {
      expect((await platform.ended(requestId)).phase).toBe('Completed');
      expect(await platform.received('solana', destination)).toBe(BigInt(amount));
    }
    const after = await stocked(wallet.walletId, () => true, 'the stock is read');
    expect(after.spent).toBeGreaterThan(before.spent);
    expect(await checkPresignatures(platform)).toBeGreaterThan(3);
    await checkLedger(platform);
  }, 240_000);

  it('a party that is put back to an older copy of its database uses none of what it held', async () => {
    const wallet = walletOn('ethereum');
    const [alpha] = platform.cast.parties;
    const url = await platform.stack.postgres.createDatabase(`party_${alpha}`);
    await stocked(wallet.walletId, ({ available }) => available >= 3, 'stock');
    const copy = await copyDatabase(url);
    const paid = platform.intent(wallet);
    await platform.startApproved(paid);
    expect((await platform.ended(paid.requestId)).phase).toBe('Completed');
    await platform.hold(`${alpha}`);
    await putBack(url, copy);
    await platform.resume(`${alpha}`);
    await until(
      async () => {
        const parties = await platform.client.parties();
        return parties.find(({ party }) => party === alpha)?.health?.fenced === true;
      },
      { deadlineMs: 60_000, what: 'alpha is fenced' },
    );
    // The ledger still lends what alpha held; alpha refuses, and the two others sign in all rounds.
    const next = platform.intent(wallet);
    await platform.startApproved(next);
    expect((await platform.ended(next.requestId)).phase).toBe('Completed');
    expect(await platform.received('ethereum', next.destination)).toBe(BigInt(next.amount));
    await checkPresignatures(platform);
  }, 240_000);
});

describe('from the command line', () => {
  it('a pool is filled, listed, shown and dropped, and errors name what is wrong', async () => {
    const { text } = await commandLine(platform);
    const run = (...args: string[]) => text('pool', ...args);
    const { walletId, key } = walletOn('bitcoin');
    // The first of them is fenced by now.
    const [, first, third] = key.parties;
    const signers = `${first},${third}`;
    await expect(run('fill', walletId, '--signers', `${first}`)).rejects.toMatchObject({
      code: 'InvalidInput',
      details: { field: 'signers' },
    });
    await expect(run('fill', walletId, '--low', '9', '--high', '3')).rejects.toMatchObject({
      code: 'InvalidInput',
      details: { field: 'marks.low' },
    });
    expect(
      await run(
        'fill',
        walletId,
        '--signers',
        signers,
        '--low',
        '1',
        '--high',
        '2',
        '--batch',
        '2',
      ),
    ).toContain(`the pool of ${first}, ${third} is kept filled`);
    await until(async () => (await run('list', walletId)).includes(signers), {
      deadlineMs: 60_000,
      what: 'the pool is listed',
    });
    expect(await run('show', walletId, '--signers', signers)).toMatch(
      /filled below 1 up to 2, 2 at a time/,
    );
    expect(await run('drop', walletId, '--signers', signers)).toContain('will not be used');
    const { pools } = JSON.parse(await run('list', walletId, '--json')) as { pools: PoolStock[] };
    expect(pools.find((one) => one.signers.join() === signers)).toMatchObject({ available: 0 });
    await expect(run('show', 'nobody', '--signers', signers)).rejects.toMatchObject({
      code: 'NotFound',
    });
  }, 120_000);
});
