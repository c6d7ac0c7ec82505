/** Blocks on request, and by a ticker, each kept in a file before the next: Anvil itself writes its chain only as it ends. */
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { writeAtomic } from '../files.ts';
import type { Mining } from '../topology.ts';
import type { EthereumDevRpc } from './rpc.ts';

const inflate = promisify(gunzip);

/** Where a node's chain is kept; undefined for a node that is not ours. */
export type StateFile = string | undefined;

/** Writes the whole chain in the form that `anvil --state` reads. */
export async function keepState(rpc: EthereumDevRpc, file: StateFile): Promise<void> {
  if (file === undefined) return;
  const dump = await rpc.call<string>('anvil_dumpState');
  writeAtomic(file, await inflate(Buffer.from(dump.slice(2), 'hex')));
}

/** Mines `count` blocks and returns their hashes. */
export async function mineBlocks(
  rpc: EthereumDevRpc,
  count: number,
  file: StateFile,
): Promise<string[]> {
  const hashes: string[] = [];
  for (let i = 0; i < count; i++) {
    await rpc.call('evm_mine');
    hashes.push((await rpc.call<{ hash: string }>('eth_getBlockByNumber', 'latest', false)).hash);
  }
  await keepState(rpc, file);
  return hashes;
}

/** Mines as `mining` says until the returned function is called, which waits for a block under way. */
export function startMiner(
  rpc: EthereumDevRpc,
  mining: Mining,
  file: StateFile,
): () => Promise<void> {
  if (mining.mode === 'off') return async () => {};
  let stopped = false;
  let owed = mining.settleBlocks; // what was mined when the stack went down gets its depth
  const tick = async (): Promise<void> => {
    if (mining.mode === 'demand') {
      const { pending } = await rpc.call<{ pending: string }>('txpool_status');
      if (BigInt(pending) > 0n) owed = mining.settleBlocks + 1;
      if (owed === 0) return;
      owed--;
    }
    await mineBlocks(rpc, 1, file);
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
