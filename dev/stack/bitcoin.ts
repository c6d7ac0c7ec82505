/** A Bitcoin regtest node with a faucet and a miner. */
import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import { bitcoinFaucet, faucetKey } from '../bitcoin/faucet.ts';
import { type BlockJournal, blockJournal } from '../bitcoin/journal.ts';
import { mineBlocks, startMiner } from '../bitcoin/miner.ts';
import { type BitcoinRpc, BitcoinRpcError, bitcoinRpc } from '../bitcoin/rpc.ts';
import { readOrCreate } from '../files.ts';
import { type BitcoinFlavour, ensureBitcoin } from '../parts/bitcoin.ts';
import { releasePorts } from '../process/ports.ts';
import type { Mining } from '../topology.ts';
import { listens, logFile, type StackContext, serverEnv, startOnPorts } from './context.ts';
import type { StackRecord } from './record.ts';
import type { StartedPart } from './temporal.ts';

export type BitcoinRecord = NonNullable<StackRecord['bitcoin']>;

/** Height at which the faucet has ten block rewards to spend. */
const readyHeight = 110;

async function checkNetwork(rpc: BitcoinRpc, network: string): Promise<void> {
  const genesis = await rpc.call<string>('getblockhash', 0);
  if (`bip122:${genesis.slice(0, 32)}` !== network) {
    throw new KeysagaError(
      'ChainMismatch',
      `the Bitcoin node serves bip122:${genesis.slice(0, 32)}, not ${network}`,
      {
        field: 'chains.bitcoin.network',
        network: `bip122:${genesis.slice(0, 32)}`,
      },
    );
  }
}

interface NodeOptions {
  readonly port: number;
  readonly folder: string;
  readonly user: string;
  readonly password: string;
  readonly miningAddress: string;
}

/** Both relay from 1 sat/vB on, as public nodes do, so that fee rules are tried as they are. */
const nodeArgs: Readonly<Record<BitcoinFlavour, (options: NodeOptions) => string[]>> = {
  btcd: ({ port, folder, user, password, miningAddress }) => [
    '--regtest',
    '--nodnsseed',
    '--nolisten',
    '--notls',
    '--txindex',
    '--addrindex',
    `--rpclisten=127.0.0.1:${port}`,
    `--rpcuser=${user}`,
    `--rpcpass=${password}`,
    // The default of 10 is less than a coordinator and its tests use at once.
    '--rpcmaxclients=200',
    '--rpcmaxconcurrentreqs=200',
    `--miningaddr=${miningAddress}`,
    '--minrelaytxfee=0.00001',
    `--datadir=${folder}`,
    `--logdir=${join(folder, 'logs')}`,
    `--configfile=${join(folder, 'btcd.conf')}`,
  ],
  bitcoind: ({ port, folder, user, password }) => [
    '-regtest',
    '-server=1',
    '-listen=0',
    '-connect=0',
    '-dnsseed=0',
    '-disablewallet=1',
    '-txindex=1',
    '-rpcbind=127.0.0.1',
    '-rpcallowip=127.0.0.1/32',
    `-rpcport=${port}`,
    `-rpcuser=${user}`,
    `-rpcpassword=${password}`,
    '-minrelaytxfee=0.00001',
    `-datadir=${folder}`,
    '-printtoconsole=1',
  ],
};

const journalOf = (dataDir: string, rpc: BitcoinRpc): BlockJournal =>
  blockJournal(join(dataDir, 'bitcoin-blocks'), rpc);

export async function startBitcoin(
  context: StackContext,
  mining: Mining,
): Promise<StartedPart<BitcoinRecord>> {
  const { network, rpcPort } = context.topology.chains.bitcoin;
  const external = context.external.bitcoinRpcUrl;
  const { address } = faucetKey(context.dataDir);
  if (external) {
    // The user's own chain is the user's to mine: no ticker, and the faucet works where the node lets it mine.
    await checkNetwork(bitcoinRpc(external), network);
    return { record: { external: true, network, rpcUrl: external } };
  }
  const program = await ensureBitcoin(context.progress);
  context.progress({
    part: 'bitcoin',
    phase: 'start',
    message: `starting ${program.flavour} ${program.version}`,
  });
  const password = readOrCreate(join(context.dataDir, 'bitcoin-password'), () =>
    randomBytes(18).toString('hex'),
  );
  const user = 'keysaga';
  // The two programs keep their files differently.
  const folder = join(context.dataDir, program.flavour);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  // Without one, btcd tries to write its sample beside its program, and the user's own must not be read.
  writeFileSync(join(folder, 'btcd.conf'), '', { mode: 0o600 });
  const urlOf = (port: number) => `http://${user}:${password}@127.0.0.1:${port}`;
  const { process, ports } = await startOnPorts(context, { rpc: rpcPort }, (wished) => ({
    name: 'bitcoin',
    command: program.path,
    args: nodeArgs[program.flavour]({
      port: wished.rpc,
      folder,
      user,
      password,
      miningAddress: address,
    }),
    env: serverEnv(context, 'bitcoin'),
    cwd: folder,
    logFile: logFile(context, 'bitcoin'),
    ready: async ({ pid }) => {
      if (!(await listens(pid, wished.rpc))) return false;
      await bitcoinRpc(urlOf(wished.rpc), 3000)
        .call<number>('getblockcount')
        .catch((error) => Promise.reject(new Error(String(error)))); // not yet, rather than never
      return true;
    },
    stopTimeoutMs: 20_000,
  }));
  const rpcUrl = urlOf(ports.rpc);
  const rpc = bitcoinRpc(rpcUrl);
  const journal = journalOf(context.dataDir, rpc);
  let stopMiner = async () => {};
  const close = async () => {
    await stopMiner();
    releasePorts(ports.rpc);
  };
  try {
    await checkNetwork(rpc, network);
    await journal.replay();
    const height = await rpc.call<number>('getblockcount');
    if (height < readyHeight) await mineBlocks(rpc, address, readyHeight - height);
    await journal.catchUp();
    stopMiner = startMiner(rpc, address, mining, journal);
  } catch (error) {
    await process.stop();
    await close();
    throw error;
  }
  const restarted = async () => {
    await journal.replay();
  };
  return { record: { external: false, network, rpcUrl }, process, close, restarted };
}

export interface BitcoinClient {
  readonly rpcUrl: string;
  /** CAIP-2. */
  readonly network: string;
  /** Mines `count` blocks at once; returns their hashes. */
  mine(count: number): Promise<string[]>;
  /** Pays `sats` from the local faucet; returns the transaction id. It confirms with the next block. */
  faucet(address: string, sats: bigint | number): Promise<string>;
}

export function bitcoinClient(record: BitcoinRecord, dataDir: string): BitcoinClient {
  const rpc = bitcoinRpc(record.rpcUrl);
  const faucet = bitcoinFaucet(rpc, dataDir);
  const journal = journalOf(dataDir, rpc);
  const mine = async (count: number): Promise<string[]> => {
    try {
      const hashes = await mineBlocks(rpc, faucet.address, count);
      if (!record.external) await journal.catchUp();
      return hashes;
    } catch (error) {
      if (!(error instanceof BitcoinRpcError)) throw error;
      throw new KeysagaError(
        'ChainUnavailable',
        `the node does not mine: ${error.message}`,
        { reason: error.message },
        { cause: error },
      );
    }
  };
  return {
    rpcUrl: record.rpcUrl,
    network: record.network,
    mine,
    async faucet(address, sats) {
      if (typeof sats === 'number' && !Number.isSafeInteger(sats)) {
        throw new KeysagaError('InvalidInput', 'sats: must be a whole number', { field: 'sats' });
      }
      try {
        return await faucet.pay(address, BigInt(sats));
      } catch (error) {
        if (
          !(record.external && error instanceof KeysagaError && error.code === 'InsufficientFunds')
        )
          throw error;
        // A user's own regtest node knows nothing of our faucet key yet.
        await mine(101);
        return faucet.pay(address, BigInt(sats));
      }
    },
  };
}
