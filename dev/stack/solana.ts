/** A local Solana runtime. Its state dies with its process, so the sponsor is funded again at each start. */
import { randomBytes } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ed25519 } from '@noble/curves/ed25519.js';
import { base58 } from '@scure/base';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import { readOrCreate } from '../files.ts';
import { ensureSolana } from '../parts/solana.ts';
import { releasePorts } from '../process/ports.ts';
import { until } from '../until.ts';
import { listens, logFile, type StackContext, serverEnv, startOnPorts } from './context.ts';
import { readyLine } from './node.ts';
import type { StackRecord } from './record.ts';
import type { StartedPart } from './temporal.ts';

export type SolanaRecord = NonNullable<StackRecord['solana']>;

async function call<T>(rpcUrl: string, method: string, ...params: readonly unknown[]): Promise<T> {
  let answer: { result?: T; error?: { code: number; message: string } };
  try {
    const response = await fetch(rpcUrl, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
      signal: AbortSignal.timeout(20_000),
    });
    answer = (await response.json()) as typeof answer;
  } catch (error) {
    throw new KeysagaError(
      'ChainUnavailable',
      `the Solana node did not answer ${method}`,
      { method },
      { cause: error },
    );
  }
  if (answer.error) {
    throw new KeysagaError(
      'BroadcastRejected',
      `the Solana node refuses ${method}: ${answer.error.message}`,
      { method, reason: answer.error.message },
    );
  }
  return answer.result as T;
}

/** The sponsor's key pair in the Solana CLI's own file format: a JSON array of seed ‖ public key. */
export function sponsorAddress(file: string): string {
  const text = readOrCreate(file, () => {
    const seed = randomBytes(32);
    return JSON.stringify([...seed, ...ed25519.getPublicKey(seed)]);
  });
  return base58.encode(Uint8Array.from(JSON.parse(text) as number[]).subarray(32));
}

async function airdrop(rpcUrl: string, address: string, lamports: bigint): Promise<string> {
  const signature = await call<string>(rpcUrl, 'requestAirdrop', address, Number(lamports));
  await until(
    async () => {
      const { value } = await call<{
        value: ({ confirmationStatus?: string; err: unknown } | null)[];
      }>(rpcUrl, 'getSignatureStatuses', [signature]);
      const status = value[0];
      if (status?.err)
        throw new KeysagaError('BroadcastRejected', 'the airdrop failed', {
          reason: JSON.stringify(status.err),
        });
      return (
        status?.confirmationStatus === 'confirmed' || status?.confirmationStatus === 'finalized'
      );
    },
    { deadlineMs: 30_000, what: 'the airdrop being confirmed' },
  );
  return signature;
}

async function fundSponsor(rpcUrl: string, file: string, lamports: bigint): Promise<void> {
  const address = sponsorAddress(file);
  const { value } = await call<{ value: number }>(rpcUrl, 'getBalance', address);
  if (BigInt(value) < lamports / 2n) await airdrop(rpcUrl, address, lamports);
}

export async function startSolana(context: StackContext): Promise<StartedPart<SolanaRecord>> {
  const config = context.topology.chains.solana;
  const sponsorFile = join(context.dataDir, 'solana-sponsor.json');
  const sponsorLamports = BigInt(config.sponsorLamports);
  const base = { network: config.network, sponsorFile };
  const external = context.external.solanaRpcUrl;
  if (external) {
    // A validator's convention: the WebSocket is one port above the RPC.
    const guess = new URL(external);
    guess.protocol = guess.protocol === 'https:' ? 'wss:' : 'ws:';
    if (guess.port) guess.port = String(Number(guess.port) + 1);
    await call(external, 'getLatestBlockhash');
    sponsorAddress(sponsorFile);
    return {
      record: {
        ...base,
        external: true,
        rpcUrl: external,
        wsUrl: context.external.solanaWsUrl ?? guess.href,
      },
    };
  }
  const addon = await ensureSolana(context.progress);
  context.progress({
    part: 'solana',
    phase: 'start',
    message: `starting surfpool ${addon.version}`,
  });
  const folder = join(context.dataDir, 'solana');
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const { process: child, ports } = await startOnPorts(
    context,
    { rpc: config.rpcPort, ws: config.wsPort },
    (wished) => ({
      name: 'solana',
      command: process.execPath,
      args: [
        fileURLToPath(new URL('../solana/host.mjs', import.meta.url)),
        addon.path,
        JSON.stringify({ rpcPort: wished.rpc, wsPort: wished.ws, slotTimeMs: config.slotTimeMs }),
      ],
      env: serverEnv(context, 'solana'),
      cwd: folder,
      logFile: logFile(context, 'solana'),
      ready: async ({ pid, output }) =>
        readyLine(output()) !== undefined &&
        (await listens(pid, wished.rpc)) &&
        listens(pid, wished.ws),
    }),
  );
  const rpcUrl = `http://127.0.0.1:${ports.rpc}`;
  const fund = () => fundSponsor(rpcUrl, sponsorFile, sponsorLamports);
  try {
    await fund();
  } catch (error) {
    await child.stop();
    releasePorts(ports.rpc, ports.ws);
    throw error;
  }
  return {
    record: { ...base, external: false, rpcUrl, wsUrl: `ws://127.0.0.1:${ports.ws}` },
    process: child,
    restarted: fund,
    close: async () => releasePorts(ports.rpc, ports.ws),
  };
}

export interface SolanaClient {
  readonly rpcUrl: string;
  readonly wsUrl: string;
  /** CAIP-2. */
  readonly network: string;
  /** Key pair file of the operator's sponsor, as the Solana CLI writes it. */
  readonly sponsorFile: string;
  readonly sponsorAddress: string;
  /** Airdrop; returns the signature once it is confirmed. */
  faucet(address: string, lamports: bigint | number): Promise<string>;
}

export function solanaClient(record: SolanaRecord): SolanaClient {
  return {
    rpcUrl: record.rpcUrl,
    wsUrl: record.wsUrl,
    network: record.network,
    sponsorFile: record.sponsorFile,
    sponsorAddress: sponsorAddress(record.sponsorFile),
    async faucet(address, lamports) {
      let bytes: Uint8Array;
      try {
        bytes = base58.decode(address);
      } catch {
        bytes = new Uint8Array();
      }
      if (bytes.length !== 32) {
        throw new KeysagaError('InvalidInput', 'address: not a Solana address', {
          field: 'address',
        });
      }
      const whole = typeof lamports === 'bigint' || Number.isSafeInteger(lamports);
      if (!whole || lamports < 1 || BigInt(lamports) > BigInt(Number.MAX_SAFE_INTEGER)) {
        throw new KeysagaError('InvalidInput', 'lamports: a positive whole number', {
          field: 'lamports',
        });
      }
      return airdrop(record.rpcUrl, address, BigInt(lamports));
    },
  };
}
