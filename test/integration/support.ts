/** What the tests on the whole platform share: watching sagas, settling accounts, the `temporal` CLI. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect } from 'vitest';
import type { Wallet } from '../../client/index.ts';
import { ensureTemporal } from '../../dev/parts/temporal.ts';
import { silent } from '../../dev/progress.ts';
import { until } from '../../dev/until.ts';
import type { TransferIntent } from '../../schema/contracts/intent.ts';
import type { TransferPhase, TransferStatus } from '../../schema/contracts/saga.ts';
import { workflowId } from '../../schema/contracts/temporal.ts';
import {
  type Platform,
  type PlatformChain,
  chainOf as platformChainOf,
} from '../support/platform.ts';

export const CHAINS = ['bitcoin', 'solana'] as const;
export type Chain = (typeof CHAINS)[number];
export type Wallets = Readonly<Record<Chain, Wallet>>;

export const chainOf = (intent: TransferIntent): PlatformChain => platformChainOf(intent.chain);

/** A wallet on each chain, generated side by side. */
export async function wallets(
  platform: Platform,
  name: string,
  funding: { readonly [C in Chain]?: { coins?: number; each?: bigint } } = {},
): Promise<Wallets> {
  const [bitcoin, solana] = await Promise.all(
    CHAINS.map((chain) => platform.wallet(`${name}-${chain}`, chain, funding[chain])),
  );
  return { bitcoin: bitcoin as Wallet, solana: solana as Wallet };
}

/** Status while parts may be down: undefined is "nobody answers". */
export const look = (platform: Platform, requestId: string): Promise<TransferStatus | undefined> =>
  platform.client.status(requestId).catch(() => undefined);

/** Waits until a transfer's status is as wanted. */
export const untilStatus = (
  platform: Platform,
  requestId: string,
  wanted: (status: TransferStatus) => unknown,
  what: string,
  deadlineMs = 60_000,
): Promise<TransferStatus> =>
  until(
    async () => {
      const status = await look(platform, requestId);
      return status !== undefined && wanted(status) ? status : undefined;
    },
    { deadlineMs, intervalMs: 150, what: `${requestId}: ${what}` },
  );

export const untilPhase = (
  platform: Platform,
  requestId: string,
  ...phases: readonly TransferPhase[]
): Promise<TransferStatus> =>
  untilStatus(platform, requestId, ({ phase }) => phases.includes(phase), phases.join(' or '));

/**
 * The saga is over and its destination has what the status says, by the node's own word: exactly the amount, or
 * nothing. A test that expects a certain end names it.
 */
export async function expectEnd(
  platform: Platform,
  intent: TransferIntent,
  phase: 'Completed' | 'Failed',
  deadlineMs?: number,
): Promise<TransferStatus> {
  const status = await platform.ended(intent.requestId, deadlineMs);
  const { code, message } = status.failure ?? {};
  expect(status.phase, `${intent.requestId} ${code}: ${message}`).toBe(phase);
  // What a token moved is in its contract: the destination's own balance stays as it is.
  const due = phase === 'Completed' && intent.asset === 'native' ? BigInt(intent.amount) : 0n;
  expect(await platform.received(chainOf(intent), intent.destination)).toBe(due);
  return status;
}

export type TemporalCli = {
  /** Runs a command, e.g. `run('workflow', 'list', …)`; address and namespace are added. Rejects on a non-zero exit. */
  run(...args: readonly string[]): Promise<string>;
  /** The same with `--output json`, parsed. */
  json(...args: readonly string[]): Promise<unknown>;
  /** `temporal workflow signal` for a transfer, the input plain JSON as an operator types it. */
  signal(intent: TransferIntent, name: string, input: string): Promise<void>;
};

/** Temporal's own command line against the platform's server: no codec, no keys, as an operator has it. */
export async function temporalCli(platform: Platform): Promise<TemporalCli> {
  const { path } = await ensureTemporal(silent);
  const { address, namespace } = platform.stack.temporal;
  const run = async (...args: readonly string[]): Promise<string> => {
    const { stdout } = await promisify(execFile)(
      path,
      [...args, '--address', address, '--namespace', namespace],
      { timeout: 30_000, maxBuffer: 64 * 1024 * 1024 },
    );
    return stdout;
  };
  return {
    run,
    json: async (...args) => JSON.parse(await run(...args, '--output', 'json')),
    async signal(intent, name, input) {
      const id = workflowId.transfer(intent.requestId);
      await run('workflow', 'signal', '--workflow-id', id, '--name', name, '--input', input);
    },
  };
}
