/** Anvil as a part of the local stack: mined on demand, kept block by block, found by others, or the user's own. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ethereumRpc } from '../../dev/ethereum/rpc.ts';
import { ensureEthereum } from '../../dev/parts/ethereum.ts';
import { attachStack, type Stack, startStack } from '../../dev/stack/index.ts';
import { loadTopology } from '../../dev/topology.ts';
import { until } from '../../dev/until.ts';

const { topology } = loadTopology(undefined, {});
const address = '0x70997970C51812dc3A010C7d01b50e0d17dc79C8';
const folders: string[] = [];
const newFolder = () => {
  const folder = mkdtempSync(join(tmpdir(), 'keysaga-anvil-'));
  folders.push(folder);
  return folder;
};
let dataDir: string;
let stack: Stack;
beforeAll(async () => {
  dataDir = newFolder();
  stack = await startStack({
    topology,
    external: {},
    dataDir,
    parts: ['ethereum'],
    mining: { mode: 'demand', blockIntervalMs: 50, settleBlocks: 2 },
  });
});
afterAll(async () => {
  await stack?.stop();
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

const rpc = () => ethereumRpc(stack.ethereum.rpcUrl);
const height = async () => Number(await rpc().call<string>('eth_blockNumber'));
const balance = async () => BigInt(await rpc().call<string>('eth_getBalance', address, 'latest'));

describe('the local Ethereum node', () => {
  it('mines what waits, gives it depth, and then rests', async () => {
    const before = await height();
    const paid = await Promise.all([
      stack.ethereum.faucet(address, 5n),
      stack.ethereum.faucet(address, 6n),
    ]);
    expect(new Set(paid).size).toBe(2);
    await until(async () => (await balance()) === 11n, {
      deadlineMs: 10_000,
      what: 'the payments',
    });
    const receipt = await rpc().call<{ blockNumber: string }>('eth_getTransactionReceipt', paid[1]);
    expect(Number(receipt.blockNumber)).toBeGreaterThan(before);
    await until(async () => (await height()) >= Number(receipt.blockNumber) + 2, {
      deadlineMs: 10_000,
      what: 'two blocks on top',
    });
    expect(stack.record.ethereum).toMatchObject({ network: 'eip155:31337', external: false });
  });

  it('has its chain again after SIGKILL, whoever mined it', async () => {
    const hashes = await attachStack(dataDir).ethereum.mine(2);
    const [tip, wei] = [await height(), await balance()];
    await stack.kill('ethereum');
    await stack.restart('ethereum');
    expect(await height()).toBe(tip);
    expect(await balance()).toBe(wei);
    const block = await rpc().call<{ hash: string }>('eth_getBlockByNumber', 'latest', false);
    expect(block.hash).toBe(hashes.at(-1));
  });

  it('refuses what its faucet cannot pay to', async () => {
    const refused = (field: string) => ({ code: 'InvalidInput', details: { field } });
    await expect(stack.ethereum.faucet('not-an-address', 1n)).rejects.toMatchObject(
      refused('address'),
    );
    await expect(stack.ethereum.faucet(address, 0n)).rejects.toMatchObject(refused('wei'));
  });

  it('may be the user’s own, of the right network', async () => {
    const external = { ethereumRpcUrl: stack.ethereum.rpcUrl };
    const second = await startStack({
      topology,
      external,
      dataDir: newFolder(),
      parts: ['ethereum'],
    });
    try {
      expect(second.record.ethereum).toMatchObject({
        external: true,
        rpcUrl: external.ethereumRpcUrl,
      });
      expect(await second.ethereum.faucet(address, 1n)).toMatch(/^0x[0-9a-f]{64}$/);
    } finally {
      await second.stop();
    }
    const chains = {
      ...topology.chains,
      ethereum: { ...topology.chains.ethereum, network: 'eip155:1' },
    };
    await expect(
      startStack({
        topology: { ...topology, chains },
        external,
        dataDir: newFolder(),
        parts: ['ethereum'],
      }),
    ).rejects.toMatchObject({ code: 'ChainMismatch' });
  });

  it('comes from PATH or from npm', async () => {
    expect(await ensureEthereum(() => {})).toMatchObject({
      version: expect.stringMatching(/^\d+\./),
    });
  });
});
