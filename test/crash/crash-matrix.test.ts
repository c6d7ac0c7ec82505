/** One cell for every fail point, on a chain that the seed chooses; `npm run crash-matrix` runs all of them. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Wallet } from '../../client/index.ts';
import { type Platform, startPlatform } from '../support/platform.ts';
import { ALL_POINTS, type Chain, runCells, sample } from './cells.ts';

const seed = Number(process.env.KEYSAGA_SEED ?? Math.floor(Date.now() % 2 ** 31));
let platform: Platform;
let wallets: Record<Chain, Wallet>;

beforeAll(async () => {
  platform = await startPlatform({
    chains: ['bitcoin', 'solana', 'ethereum'],
    coordinators: 2,
    poolSize: 12,
  });
  wallets = {
    bitcoin: await platform.wallet('crash-btc', 'bitcoin', { coins: 16, each: 300_000n }),
    solana: await platform.wallet('crash-sol', 'solana'),
    ethereum: await platform.wallet('crash-eth', 'ethereum'),
  };
}, 300_000);
afterAll(() => platform?.close());

describe(`crash matrix, seed ${seed}`, () => {
  it('SIGKILL at every fail point leaves each saga completed or compensated, and pays at most once', async () => {
    const cells = sample(seed);
    expect(cells.length).toBeGreaterThanOrEqual(30);
    const results = await runCells(platform, wallets, cells, {
      parallel: 6,
      report: ({ point, chain, outcome, seconds }) =>
        process.stderr.write(`${point} ${chain}: ${outcome} in ${seconds.toFixed(1)} s\n`),
    });
    expect(new Set(results.map((r) => r.point))).toEqual(new Set(ALL_POINTS));
  }, 1_200_000);
});
