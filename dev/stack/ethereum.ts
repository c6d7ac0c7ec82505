/** A local Ethereum node with a faucet and a miner. Its chain is kept in the data folder, block by block. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { eip55 } from '../../schema/contracts/asset.ts';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import { mineBlocks, type StateFile, startMiner } from '../ethereum/miner.ts';
import { checkNetwork, ethereumRpc } from '../ethereum/rpc.ts';
import { ensureEthereum } from '../parts/ethereum.ts';
import { releasePorts } from '../process/ports.ts';
import type { Mining } from '../topology.ts';
import { listens, logFile, type StackContext, serverEnv, startOnPorts } from './context.ts';
import type { StackRecord } from './record.ts';
import type { StartedPart } from './temporal.ts';

export type EthereumRecord = NonNullable<StackRecord['ethereum']>;

const stateFile = (dataDir: string): string => join(dataDir, 'ethereum', 'state.json');

export async function startEthereum(
  context: StackContext,
  mining: Mining,
): Promise<StartedPart<EthereumRecord>> {
  const { network, rpcPort } = context.topology.chains.ethereum;
  const external = context.external.ethereumRpcUrl;
  if (external) {
    // The user's own chain is the user's to mine: no ticker, and the faucet works where the node has an open account.
    await checkNetwork(ethereumRpc(external), network);
    return { record: { external: true, network, rpcUrl: external } };
  }
  const program = await ensureEthereum(context.progress);
  context.progress({
    part: 'ethereum',
    phase: 'start',
    message: `starting anvil ${program.version}`,
  });
  const folder = join(context.dataDir, 'ethereum');
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const state = stateFile(context.dataDir);
  const urlOf = (port: number) => `http://127.0.0.1:${port}`;
  const { process, ports } = await startOnPorts(context, { rpc: rpcPort }, (wished) => ({
    name: 'ethereum',
    command: program.path,
    args: [
      ...['--host', '127.0.0.1', '--port', String(wished.rpc)],
      ...['--chain-id', network.slice('eip155:'.length)],
      // One open account, the faucet, whose key is public knowledge: this chain's ether is worth nothing.
      ...['--accounts', '1', '--balance', '1000000000'],
      ...['--state', state],
      // The ticker mines, as a network does: a transaction waits in the mempool first.
      '--no-mining',
    ],
    env: serverEnv(context, 'ethereum'),
    cwd: folder,
    logFile: logFile(context, 'ethereum'),
    ready: async ({ pid }) => {
      if (!(await listens(pid, wished.rpc))) return false;
      await ethereumRpc(urlOf(wished.rpc), 3000)
        .call<string>('eth_blockNumber')
        .catch((error) => Promise.reject(new Error(String(error)))); // not yet, rather than never
      return true;
    },
  }));
  const rpcUrl = urlOf(ports.rpc);
  const rpc = ethereumRpc(rpcUrl);
  try {
    await checkNetwork(rpc, network);
  } catch (error) {
    await process.stop();
    releasePorts(ports.rpc);
    throw error;
  }
  const stopMiner = startMiner(rpc, mining, state);
  return {
    record: { external: false, network, rpcUrl },
    process,
    close: async () => {
      await stopMiner();
      releasePorts(ports.rpc);
    },
  };
}

export interface EthereumClient {
  readonly rpcUrl: string;
  /** CAIP-2. */
  readonly network: string;
  /** Mines `count` blocks at once; returns their hashes. */
  mine(count: number): Promise<string[]>;
  /** Pays `wei` from the node's own open account; returns the transaction id. It confirms with the next block. */
  faucet(address: string, wei: bigint): Promise<string>;
  /** Address of that account, in EIP-55 spelling. @throws KeysagaError `InsufficientFunds` when there is none. */
  faucetAddress(): Promise<string>;
}

export function ethereumClient(record: EthereumRecord, dataDir: string): EthereumClient {
  const rpc = ethereumRpc(record.rpcUrl);
  const file: StateFile = record.external ? undefined : stateFile(dataDir);
  // The node reads its open account's nonce and stores the transaction in two steps.
  let turn: Promise<unknown> = Promise.resolve();
  const openAccount = async (): Promise<string> => {
    const [account] = await rpc.call<string[]>('eth_accounts');
    if (account === undefined)
      throw new KeysagaError('InsufficientFunds', 'the Ethereum node has no open account', {
        field: 'ETHEREUM_RPC_URL',
      });
    return account;
  };
  const pay = async (address: string, wei: bigint): Promise<string> => {
    const from = await openAccount();
    const value = `0x${wei.toString(16)}`;
    return rpc.call<string>('eth_sendTransaction', { from, to: address, value });
  };
  return {
    rpcUrl: record.rpcUrl,
    network: record.network,
    mine: (count) => mineBlocks(rpc, count, file),
    faucetAddress: async () => eip55(Buffer.from((await openAccount()).slice(2), 'hex')),
    async faucet(address, wei) {
      if (!/^0x[0-9a-fA-F]{40}$/.test(address))
        throw new KeysagaError('InvalidInput', 'address: not an Ethereum address', {
          field: 'address',
        });
      if (wei < 1n)
        throw new KeysagaError('InvalidInput', 'wei: a positive amount', { field: 'wei' });
      const paid = turn.then(() => pay(address, wei));
      turn = paid.catch(() => {});
      return paid;
    },
  };
}
