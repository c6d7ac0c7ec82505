/**
 * The adapter and the follower once more, on a node that speaks Bitcoin Core's dialect: everything that holds on btcd
 * holds there, without its extra methods, its transaction index and its words.
 */
import { expect, it } from 'vitest';
import { bitcoinRpc } from '../../../dev/bitcoin/rpc.ts';
import { startRig } from './stack.ts';

process.env.KEYSAGA_TEST_BITCOIN_DIALECT = 'core';
await import('./blockchain.test.ts');
await import('./follower.test.ts');

it('knows none of the methods that Core does not have', async () => {
  const rig = await startRig();
  try {
    const rpc = bitcoinRpc(rig.rpcUrl);
    for (const method of ['generate', 'estimatefee', 'getinfo', 'searchrawtransactions'])
      await expect(rpc.call(method), method).rejects.toMatchObject({ rpcCode: -32601 });
    expect(await rig.node().relay()).toEqual({ floor: 1_000n, increment: 1_000n });
  } finally {
    await rig.stop();
  }
});
