/** The whole platform for a test: real parts, coordinators and parties as processes of their own, restarted when they die. */
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { schnorr, secp256k1 } from '@noble/curves/secp256k1.js';
import { base58 } from '@scure/base';
import { createBitcoinCodec } from '../../chains/bitcoin/codec.ts';
import { bitcoinNetwork } from '../../chains/bitcoin/networks.ts';
import { addressScript } from '../../chains/bitcoin/script.ts';
import { createEthereumCodec } from '../../chains/ethereum/codec.ts';
import { createClient, type KeysagaClient, type Wallet } from '../../client/index.ts';
import { bytesToHex } from '../../core/signed.ts';
import { type NodeProcess, type Stack, startStack } from '../../dev/stack/index.ts';
import { resetStack } from '../../dev/stack/reset.ts';
import { loadTopology } from '../../dev/topology.ts';
import { until } from '../../dev/until.ts';
import type { TransferIntent } from '../../schema/contracts/intent.ts';
import { ProtocolId } from '../../schema/contracts/key.ts';
import type { PartyId, PolicyId, RequestId } from '../../schema/contracts/primitives.ts';
import type { TransferStatus } from '../../schema/contracts/saga.ts';
import { identityFromSeed } from '../../storage/party/identity.ts';
import { executionOf } from './execution.ts';
import { approve, BITCOIN, type Cast, castOf, ETHEREUM, intentFor, SOLANA } from './parties.ts';

export type PlatformChain = 'bitcoin' | 'solana' | 'ethereum';

export type PlatformOptions = {
  /** Default: Bitcoin and Solana. */
  readonly chains?: readonly PlatformChain[];
  readonly cast?: Cast;
  readonly coordinators?: number;
  /** Worker processes a party runs on its one database. */
  readonly instances?: number;
  /** Restart a worker that died; default true. */
  readonly supervise?: boolean;
  readonly poolSize?: number;
  /** Ethereum: EIP-155 transactions instead of EIP-1559 ones. */
  readonly legacy?: boolean;
  /** Solana's slot time; default 50 ms. A benchmark of the platform does not want to wait for slots. */
  readonly slotTimeMs?: number;
  /** The providers that coordinators are given of a chain; default: its node alone. */
  readonly providers?: (chain: PlatformChain, rpcUrl: string) => Promise<readonly string[]>;
  readonly env?: Readonly<Record<string, string>>;
};

export interface Platform {
  readonly stack: Stack;
  readonly cast: Cast;
  readonly client: KeysagaClient;
  readonly dataDir: string;
  /** Directory in which fail points are armed. */
  readonly failPoints: string;
  readonly workers: ReadonlyMap<string, NodeProcess>;
  readonly payloadKey: string;
  /** Generates a wallet and funds it. */
  wallet(
    id: string,
    chain: PlatformChain,
    funding?: { coins?: number; each?: bigint; protocol?: string },
  ): Promise<Wallet>;
  /** An address nobody has used. */
  freshDestination(chain: PlatformChain): string;
  intent(wallet: Wallet, change?: Partial<TransferIntent>): TransferIntent;
  /** Starts a transfer and has two approvers sign it by signal, as the CLI does. */
  startApproved(intent: TransferIntent): Promise<void>;
  /** Waits until the saga is over. Survives whatever is being killed meanwhile. */
  ended(requestId: string, deadlineMs?: number): Promise<TransferStatus>;
  /** How often a destination was paid on chain, and how much, read from the node itself. */
  received(chain: PlatformChain, destination: string): Promise<bigint>;
  /** Bitcoin and Ethereum blocks come more than twice a second unless paused, so that a test can keep a payment unconfirmed; a pause has begun when it resolves. */
  mining(on: boolean): Promise<void>;
  /**
   * Stops all processes of a party, or one by a name of its own (`alpha-2`), without their being restarted; `resume` brings
   * back what does not run.
   */
  hold(name: string): Promise<void>;
  resume(name: string): Promise<void>;
  close(): Promise<void>;
}

export const networkOf = { bitcoin: BITCOIN, solana: SOLANA, ethereum: ETHEREUM } as const;
export const chainOf = (network: string): PlatformChain =>
  (Object.keys(networkOf) as PlatformChain[]).find((chain) => networkOf[chain] === network) ??
  'bitcoin';
/** What a wallet is given, and what a transfer of it pays: smallest units. */
const FUNDING = {
  bitcoin: { coins: 3, each: 500_000n },
  solana: { coins: 1, each: 5_000_000_000n },
  ethereum: { coins: 1, each: 5_000_000_000_000_000_000n },
} as const;
/**
 * Each look is a query that a coordinator answers, in the middle of what is tested: some 13 ms of CPU. The end of a saga
 * comes without one.
 */
const LOOK_MS = 1_500;

/** Waits for the end of a saga, which `result` settles with, and looks now and then meanwhile. */
export function untilEnded<T>(
  result: () => Promise<unknown>,
  look: () => Promise<T>,
  options: { readonly deadlineMs: number; readonly what: string },
): Promise<NonNullable<T>> {
  let over: Promise<void> | undefined;
  return until(
    async () => {
      over ??= result()
        .then(
          () => {},
          () => {},
        )
        // Temporal was away, or nobody answers the query yet.
        .finally(() => {
          over = undefined;
        });
      await Promise.race([over, sleep(LOOK_MS, undefined, { ref: false })]);
      return look();
    },
    { intervalMs: 100, ...options },
  );
}
const BLOCK_MS = 400;
/** A transfer is final 32 slots after its block, and each test waits for that. */
const SLOT_MS = 50;
const AMOUNT = { bitcoin: '20000', solana: '1000000', ethereum: '1000000000000000' } as const;

export async function startPlatform(options: PlatformOptions = {}): Promise<Platform> {
  const chains = options.chains ?? ['bitcoin', 'solana'];
  const dataDir = mkdtempSync(join(tmpdir(), 'keysaga-platform-'));
  const failPoints = join(dataDir, 'fail-points');
  mkdirSync(failPoints);
  const { topology } = loadTopology();
  const { solana } = topology.chains;
  const stack = await startStack({
    dataDir,
    topology: {
      ...topology,
      chains: {
        ...topology.chains,
        solana: { ...solana, slotTimeMs: options.slotTimeMs ?? SLOT_MS },
      },
    },
    parts: ['temporal', 'postgres', ...chains],
    mining: { mode: 'off', blockIntervalMs: 1000, settleBlocks: 0 },
  });
  const cast = options.cast ?? castOf(3);
  const file = (name: string, content: string): string => {
    const path = join(dataDir, name);
    writeFileSync(path, content, { mode: 0o600 });
    return path;
  };
  const key = () => randomBytes(32).toString('hex');
  const payloadKey = key();
  const seeds = new Map(cast.parties.map((party) => [party, randomBytes(32)]));
  const directory = [...seeds].map(([party, seed]) => ({
    party,
    publicKey: identityFromSeed(seed).publicKey,
  }));
  const temporal = { address: stack.temporal.address, namespace: stack.temporal.namespace };
  const shared = {
    temporal,
    payloadKeys: [{ id: 'test', file: file('payload.key', payloadKey) }],
    payloadStorage: { directory: join(dataDir, 'payloads') },
    directory,
    administrators: cast.administrators.map(({ name, publicKey }) => ({ name, publicKey })),
    administratorQuorum: 2,
    initialPolicies: [file('policy.json', JSON.stringify(cast.signedPolicy))],
  };
  const rpcUrls: Record<string, string | readonly string[]> = {};
  for (const chain of chains)
    rpcUrls[chain] = (await options.providers?.(chain, stack[chain].rpcUrl)) ?? stack[chain].rpcUrl;
  const chainConfigs = {
    bitcoin: () => ({
      network: BITCOIN,
      kind: 'bitcoin',
      rpcUrl: rpcUrls.bitcoin,
      finality: 2,
    }),
    solana: () => ({
      network: SOLANA,
      kind: 'solana',
      rpcUrl: rpcUrls.solana,
      sponsorFile: stack.solana.sponsorFile,
      ...(options.poolSize === undefined ? {} : { poolSize: options.poolSize }),
    }),
    ethereum: () => ({
      network: ETHEREUM,
      kind: 'ethereum',
      rpcUrl: rpcUrls.ethereum,
      ...(options.legacy === undefined ? {} : { legacy: options.legacy }),
    }),
  };

  const workers = new Map<string, NodeProcess>();
  const held = new Set<string>();
  let closing = false;
  const supervise = async (node: NodeProcess) => {
    while (!closing) {
      await node.exited;
      if (closing || held.has(node.name) || options.supervise === false) return;
      await node.restart().catch(() => {});
    }
  };
  const start = async (name: string, script: string, config: object) => {
    const node = await stack.startNode({
      name,
      script,
      args: ['--config', file(`${name}.json`, JSON.stringify(config))],
      env: { KEYSAGA_FAIL_POINTS: failPoints, KEYSAGA_LOG_LEVEL: 'warn', ...options.env },
      readyTimeoutMs: 180_000,
    });
    workers.set(name, node);
    void supervise(node);
  };
  /** `alpha` is the party with all its processes, as well as the first of them. */
  const processesOf = (name: string): NodeProcess[] =>
    [...workers.values()].filter(
      (node) => node.name.replace(/-\d+$/, '') === name || node.name === name,
    );
  const coordinatorUrl = await stack.postgres.createDatabase('coordinator');
  const starting: Promise<void>[] = [];
  for (let i = 1; i <= (options.coordinators ?? 1); i++) {
    const name = i === 1 ? 'coordinator' : `coordinator-${i}`;
    starting.push(
      start(name, 'workers/coordinator.ts', {
        ...shared,
        databaseUrl: coordinatorUrl,
        instance: name,
        chains: chains.map((c) => chainConfigs[c]()),
      }),
    );
  }
  for (const [party, seed] of seeds) {
    mkdirSync(join(dataDir, party));
    const databaseUrl = await stack.postgres.createDatabase(`party_${party}`);
    const own = {
      ...shared,
      party,
      databaseUrl,
      networks: [SOLANA, BITCOIN, ETHEREUM],
      identityKeyFile: file(`${party}/identity.key`, seed.toString('hex')),
      keyStoreDirectory: join(dataDir, party, 'keys'),
      keyStoreMasterKeyFile: file(`${party}/master.key`, key()),
      backupDirectory: join(dataDir, party, 'backup'),
      backupKeyFile: file(`${party}/backup.key`, key()),
    };
    for (let i = 1; i <= (options.instances ?? 1); i++) {
      const name = i === 1 ? party : `${party}-${i}`;
      starting.push(start(name, 'workers/party.ts', { ...own, instance: name }));
    }
  }
  await Promise.all(starting);

  const client = await createClient({
    temporal,
    payloadKeys: { current: 'test', keys: { test: Buffer.from(payloadKey, 'hex') } },
    directory: directory as { party: PartyId; publicKey: string }[],
    externalStorage: { directory: join(dataDir, 'payloads') },
  });
  const bitcoinCodec = createBitcoinCodec(BITCOIN);
  const ethereumCodec = createEthereumCodec(ETHEREUM);

  let mining = true;
  const mined = (['bitcoin', 'ethereum'] as const).filter((chain) => chains.includes(chain));
  /** The blocks in the making. A node that is slow gets no second order meanwhile: they would come long after a pause. */
  let making: Promise<unknown> | undefined;
  const miner = setInterval(() => {
    if (!mining || making !== undefined) return;
    // A block while the node or the database restarts is simply mined later.
    making = Promise.allSettled(mined.map((chain) => stack[chain].mine(1))).then(() => {
      making = undefined;
    });
  }, BLOCK_MS);

  const platform: Platform = {
    stack,
    cast,
    client,
    dataDir,
    failPoints,
    workers,
    payloadKey,
    async wallet(id, chain, funding = {}) {
      await client.generateKey({
        requestId: id as RequestId,
        network: networkOf[chain],
        threshold: Math.floor(cast.parties.length / 2) + 1,
        parties: [...cast.parties],
        policyId: cast.policy.policyId as PolicyId,
        ...(funding.protocol === undefined ? {} : { protocol: ProtocolId.parse(funding.protocol) }),
      });
      const wallet = await client.wallet(id, { wait: true });
      const { coins, each } = { ...FUNDING[chain], ...funding };
      for (let i = 0; i < coins; i++) await stack[chain].faucet(wallet.address, each);
      if (chain !== 'solana') await stack[chain].mine(1);
      return wallet;
    },
    freshDestination: (chain) =>
      chain === 'solana'
        ? base58.encode(randomBytes(32))
        : chain === 'ethereum'
          ? ethereumCodec.address(secp256k1.getPublicKey(secp256k1.utils.randomSecretKey()))
          : bitcoinCodec.address(schnorr.getPublicKey(schnorr.utils.randomSecretKey())),
    intent(wallet, change = {}) {
      const chain = chainOf(wallet.network);
      return intentFor(wallet.key, platform.freshDestination(chain), AMOUNT[chain], change);
    },
    async startApproved(intent) {
      await client.transfer(intent);
      for (const who of cast.approvers.slice(0, cast.policy.quorum))
        await client.signalDecision(intent.requestId, approve(intent, who));
    },
    async ended(requestId, deadlineMs = Number(process.env.X_DEADLINE ?? 240_000)) {
      let last: TransferStatus | undefined;
      let failure: unknown;
      try {
        return await untilEnded(
          () => client.result(requestId),
          async () => {
            // A query needs a living coordinator; while it is being restarted the answer is "not yet".
            const status = await client.status(requestId).catch((error: unknown) => {
              failure = error;
              return undefined;
            });
            last = status ?? last;
            return status && (status.phase === 'Completed' || status.phase === 'Failed')
              ? status
              : undefined;
          },
          { deadlineMs, what: `transfer ${requestId} ends` },
        );
      } catch (error) {
        const execution = await executionOf(stack.temporal, `transfer/${requestId}`);
        process.stderr.write(
          `${JSON.stringify({ status: last, failure: `${failure}`, execution })}\n`,
        );
        throw error;
      }
    },
    async received(chain, destination) {
      if (chain === 'solana') return solanaBalance(stack.solana.rpcUrl, destination);
      if (chain === 'ethereum')
        return BigInt(
          (await rpc(stack.ethereum.rpcUrl, 'eth_getBalance', [destination, 'latest'])) as string,
        );
      return bitcoinReceived(
        stack.bitcoin.rpcUrl,
        bytesToHex(addressScript(bitcoinNetwork(BITCOIN), destination)),
      );
    },
    async mining(on) {
      mining = on;
      if (!on) await making;
    },
    async hold(name) {
      const nodes = processesOf(name);
      for (const node of nodes) held.add(node.name);
      await Promise.all(nodes.map((node) => node.kill('SIGKILL')));
    },
    async resume(name) {
      const nodes = processesOf(name).filter(({ pid }) => pid === undefined);
      for (const node of nodes) held.delete(node.name);
      await Promise.all(nodes.map((node) => node.restart()));
      for (const node of nodes) void supervise(node);
    },
    async close() {
      closing = true;
      clearInterval(miner);
      await client.close();
      await stack.stop();
      if (process.env.KEYSAGA_KEEP === undefined) await resetStack(dataDir);
    },
  };
  return platform;
}

async function rpc(url: string, method: string, params: unknown[]): Promise<unknown> {
  const { username, password, origin, pathname } = new URL(url);
  const response = await fetch(`${origin}${pathname}`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      ...(username
        ? { authorization: `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}` }
        : {}),
    },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
  });
  const { result, error } = (await response.json()) as {
    result: unknown;
    error: { message: string } | null;
  };
  if (error) throw new Error(error.message);
  return result;
}

async function solanaBalance(url: string, address: string): Promise<bigint> {
  const result = (await rpc(url, 'getBalance', [address, { commitment: 'confirmed' }])) as {
    value: number;
  };
  return BigInt(result.value);
}

/** Blocks by hash: what is older than the last look is not asked for again. */
const blocks = new Map<string, string>();

/** Sum of all outputs to a script in the best chain, by reading every block: the node's own word, not the follower's. */
async function bitcoinReceived(url: string, script: string): Promise<bigint> {
  const GENESIS = '0'.repeat(64);
  let sum = 0n;
  let hash = (await rpc(url, 'getbestblockhash', [])) as string;
  while (hash !== GENESIS) {
    const raw = blocks.get(hash) ?? ((await rpc(url, 'getblock', [hash, 0])) as string);
    blocks.set(hash, raw);
    for (let at = raw.indexOf(script); at >= 0; at = raw.indexOf(script, at + 1)) {
      // An output is amount (8 bytes, little endian) ‖ script length ‖ script.
      const amount = Buffer.from(raw.slice(at - 18, at - 2), 'hex');
      if (raw.slice(at - 2, at) === (script.length / 2).toString(16).padStart(2, '0'))
        sum += amount.readBigUInt64LE();
    }
    // A header is version (4 bytes) ‖ hash of the block before (32, reversed) ‖ …
    hash = Buffer.from(raw.slice(8, 72), 'hex').reverse().toString('hex');
  }
  return sum;
}
