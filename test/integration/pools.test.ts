/**
 * Presignature pools on the whole platform: filled by their workflow, used by transfers of every protocol, seen and ended from
 * the command line. That a transfer was signed with one shows in the parties' own databases.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Wallet } from '../../client/index.ts';
import { until } from '../../dev/until.ts';
import type { PoolStock } from '../../schema/contracts/pool.ts';
import { type Platform, type PlatformChain, startPlatform } from '../support/platform.ts';

let platform: Platform;
beforeAll(async () => {
  platform = await startPlatform({ chains: ['bitcoin', 'solana', 'ethereum'] });
}, 300_000);
afterAll(() => platform?.close());

const MARKS = { low: 3, high: 6, batch: 3, lifeSeconds: 3_600 };

/** Until a condition on the wallet's pool holds; answers with what it holds then. */
const stocked = (walletId: string, holds: (stock: PoolStock) => boolean, what: string) =>
  until(
    async () => {
      const [stock] = await platform.client.pools(walletId);
      return stock !== undefined && holds(stock) ? stock : undefined;
    },
    { deadlineMs: 120_000, intervalMs: 200, what },
  );

describe('a pool of each protocol', () => {
  const cases: readonly [PlatformChain, string][] = [
    ['ethereum', 'dkls23'],
    ['solana', 'frost-ed25519'],
    ['bitcoin', 'frost-secp256k1-bip340'],
  ];
  it.each(cases)(
    'is filled, and a transfer on %s signs with it',
    async (chain) => {
      const wallet: Wallet = await platform.wallet(`pooled-${chain}`, chain);
      const { signers } = await platform.client.fillPool(wallet, { marks: MARKS });
      expect(signers).toEqual(wallet.key.parties.slice(0, 2));
      await stocked(wallet.walletId, ({ available }) => available >= 6, 'the pool is full');
      const intent = platform.intent(wallet);
      await platform.startApproved(intent);
      expect((await platform.ended(intent.requestId)).phase).toBe('Completed');
      const stock = await stocked(wallet.walletId, ({ spent }) => spent > 0, 'one was spent');
      expect(stock.leased).toBe(0);
    },
    180_000,
  );
});
