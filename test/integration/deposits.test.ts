/** Deposit addresses on the whole platform: derived by the client, funded on chain, read, and spent by approved transfers. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { depositAddress, type Wallet } from '../../client/index.ts';
import { until } from '../../dev/until.ts';
import { type Platform, startPlatform } from '../support/platform.ts';

const PATH = 'm/0/3';
let platform: Platform;
beforeAll(async () => {
  platform = await startPlatform({ chains: ['bitcoin', 'ethereum'] });
}, 300_000);
afterAll(() => platform?.close());

const balanceAt = async (wallet: Wallet, path: string): Promise<bigint> =>
  BigInt((await platform.client.balances(wallet, [path]))[0]?.balance ?? -1);

/** Deposits, watches the coordinator see it, pays from there, and hears from the chain who was paid. */
async function depositAndPay(
  wallet: Wallet,
  chain: 'bitcoin' | 'ethereum',
  deposit: bigint,
): Promise<void> {
  const { address } = depositAddress(wallet, PATH);
  expect(address).not.toBe(wallet.address);
  // Paid before anybody asked about it: the deposit must be found in old blocks.
  await platform.stack[chain].faucet(address, deposit);
  await platform.stack[chain].mine(1);
  await until(async () => (await balanceAt(wallet, PATH)) === deposit, {
    deadlineMs: 60_000,
    intervalMs: 300,
    what: 'the deposit is seen',
  });
  const own = await balanceAt(wallet, 'm');
  const intent = platform.intent(wallet, { path: PATH });
  await platform.startApproved(intent);
  const { phase, failure } = await platform.ended(intent.requestId);
  expect(failure).toBeUndefined();
  expect(phase).toBe('Completed');
  expect(await platform.received(chain, intent.destination)).toBe(BigInt(intent.amount));
  // The child paid amount and fee, and nobody else did.
  const left = await until(
    async () => {
      const now = await balanceAt(wallet, PATH);
      return now < deposit ? now : undefined;
    },
    { deadlineMs: 60_000, intervalMs: 300, what: 'the payment is seen' },
  );
  const fee = deposit - left - BigInt(intent.amount);
  expect(fee).toBeGreaterThan(0n);
  expect(fee).toBeLessThanOrEqual(BigInt(intent.feeCap));
  expect(await balanceAt(wallet, 'm')).toBe(own);
}

describe('a deposit', () => {
  it('at a child of a Taproot key is moved by an approved transfer', {
    timeout: 240_000,
  }, async () => {
    const wallet = await platform.wallet('deposits-p2tr', 'bitcoin', { coins: 1 });
    await depositAndPay(wallet, 'bitcoin', 150_000n);
    // The wallet's own address still pays as before.
    const intent = platform.intent(wallet);
    await platform.startApproved(intent);
    expect((await platform.ended(intent.requestId)).phase).toBe('Completed');
  });

  it('at a child of an ECDSA key on Bitcoin, and on Ethereum', { timeout: 240_000 }, async () => {
    const segwit = await platform.wallet('deposits-p2wpkh', 'bitcoin', {
      coins: 0,
      protocol: 'dkls23',
    });
    await depositAndPay(segwit, 'bitcoin', 150_000n);
    const ether = await platform.wallet('deposits-eth', 'ethereum', { coins: 0 });
    await depositAndPay(ether, 'ethereum', 10n ** 18n);
    // A child has nonces of its own: the next one is 1, whatever the wallet's own account did.
    const again = platform.intent(ether, { path: PATH });
    await platform.startApproved(again);
    expect((await platform.ended(again.requestId)).phase).toBe('Completed');
  });

  it('that does not cover the payment is refused by name, and nothing is reserved', async () => {
    const wallet = await platform.client.wallet('deposits-eth');
    const intent = platform.intent(wallet, { path: 'm/0/4' });
    await platform.startApproved(intent);
    const { phase, failure } = await platform.ended(intent.requestId);
    expect(phase).toBe('Failed');
    expect(failure?.code).toBe('InsufficientFunds');
  });
});
