/** Blocks on request, and by a ticker. */
import type { Mining } from '../topology.ts';
import { parseBlock } from './block.ts';
import type { BlockJournal } from './journal.ts';
import { type BitcoinRpc, BitcoinRpcError } from './rpc.ts';

/** Mines `count` blocks to `address` and returns their hashes. btcd knows `generate` (to its --miningaddr), Bitcoin Core `generatetoaddress`. */
export async function mineBlocks(
  rpc: BitcoinRpc,
  address: string,
  count: number,
): Promise<string[]> {
  try {
    return await rpc.call<string[]>('generatetoaddress', count, address);
  } catch (error) {
    const unknown =
      error instanceof BitcoinRpcError &&
      (error.rpcCode === -32601 || /unimplemented|not found/i.test(error.message));
    if (!unknown) throw error;
    return rpc.call<string[]>('generate', count);
  }
}

/** Mines as `mining` says until the returned function is called, which waits for a block under way. */
export function startMiner(
  rpc: BitcoinRpc,
  address: string,
  mining: Mining,
  journal: BlockJournal,
): () => Promise<void> {
  if (mining.mode === 'off') return async () => {};
  let stopped = false;
  let owed = mining.settleBlocks; // what waited when the stack went down gets its depth
  const tick = async (): Promise<void> => {
    if (mining.mode === 'demand') {
      if ((await rpc.call<string[]>('getrawmempool')).length > 0) owed = mining.settleBlocks + 1;
      if (owed === 0) return;
      owed--;
    }
    const [hash] = await mineBlocks(rpc, address, 1);
    await journal.catchUp();
    // A transaction that came after the look at the mempool went straight into this block: it too gets its depth.
    if (mining.mode === 'demand' && hash !== undefined) {
      const { length } = parseBlock(await rpc.call<string>('getblock', hash, 0));
      if (length > 1) owed = mining.settleBlocks;
    }
  };
  let running = Promise.resolve();
  const timer = setInterval(() => {
    // A tick that takes longer than the interval is not overtaken; a node that is down is asked again.
    running = running.then(() => (stopped ? undefined : tick())).catch(() => {});
  }, mining.blockIntervalMs);
  timer.unref();
  return async () => {
    stopped = true;
    clearInterval(timer);
    await running;
  };
}
