/**
 * `pool/ecdsa-throughput` and `pool/bip340-throughput`: signatures a second through the sagas, parties, their commits and
 * Temporal included, of Bitcoin transfers that spend 64 coins each, so that one session signs 64 digests; from a filled pool,
 * and beside it in all rounds. `pool/ed25519-throughput`: the same of Solana transfers, which have one signature each.
 */
import type { WorkflowHandle } from '@temporalio/client';
import proto from '@temporalio/proto';
import type { Wallet } from '../client/index.ts';
import { until } from '../dev/until.ts';
import { MAX_PACK } from '../schema/contracts/pool.ts';
import { approve } from '../test/support/parties.ts';
import { type Platform, type PlatformChain, startPlatform } from '../test/support/platform.ts';
import type { Benchmark, Figure } from './figures.ts';
import { milliseconds, openClient } from './stack.ts';

const { EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED } = proto.temporal.api.enums.v1.EventType;
/** Coins are worth enough for their own fee, and a transfer pays all of 64 but what it costs. */
const COIN = 100_000n;

type Plan = {
  readonly chain: PlatformChain;
  readonly protocol: string;
  /** Signatures of one transfer. */
  readonly batch: number;
  /** Transfers at once. */
  readonly transfers: number;
};

/** What one burst of transfers needed, from the first approval to the last signature that was put together. */
async function burst(
  platform: Platform,
  handleOf: (workflowId: string) => WorkflowHandle,
  wallet: Wallet,
  { chain, batch, transfers }: Plan,
): Promise<{ readonly perSecond: number; readonly pooled: number }> {
  const amount = chain === 'bitcoin' ? `${COIN * BigInt(batch) - 90_000n}` : undefined;
  const intents = Array.from({ length: transfers }, () =>
    platform.intent(wallet, amount === undefined ? {} : { amount, feeCap: '90000' }),
  );
  const waits = { deadlineMs: 240_000, intervalMs: 50 };
  for (const intent of intents) await platform.client.transfer(intent);
  for (const intent of intents)
    await until(
      async () => (await platform.client.status(intent.requestId)).phase === 'AwaitingApprovals',
      { ...waits, what: 'the transfers wait for their approvals' },
    );
  for (const intent of intents)
    for (const who of platform.cast.approvers.slice(0, 2))
      await platform.client.signalDecision(intent.requestId, approve(intent, who));
  let pooled = 0;
  const ends: number[] = [];
  const begins: number[] = [];
  for (const { requestId } of intents) {
    const status = await platform.ended(requestId);
    if (status.phase !== 'Completed') throw new Error(`${requestId} ended ${status.phase}`);
    if (status.parties[0]?.steps.length === 2) pooled += 1;
    const { events } = await handleOf(`transfer/${requestId}`).fetchHistory();
    const attach = events?.find(
      (e) => e.activityTaskScheduledEventAttributes?.activityType?.name === 'attach',
    );
    const end = events?.find(
      (e) => `${e.activityTaskCompletedEventAttributes?.scheduledEventId}` === `${attach?.eventId}`,
    );
    const begin = events?.findLast((e) => e.eventType === EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED);
    begins.push(milliseconds(begin?.eventTime));
    ends.push(milliseconds(end?.eventTime));
  }
  const seconds = (Math.max(...ends) - Math.min(...begins)) / 1_000;
  return { perSecond: (batch * transfers) / seconds, pooled };
}

async function throughput(name: string, plan: Plan): Promise<readonly Figure[]> {
  const { chain, protocol, batch, transfers } = plan;
  const platform = await startPlatform({ chains: [chain], poolSize: transfers });
  const { client, close } = await openClient(platform);
  try {
    const handleOf = (id: string) => client.workflow.getHandle(id);
    const funds = chain === 'bitcoin' ? { coins: 2 * batch * transfers, each: COIN } : {};
    const wallet = await platform.wallet('bench-pool', chain, { ...funds, protocol });
    const plain = await burst(platform, handleOf, wallet, plan);
    const count = batch * transfers;
    const began = performance.now();
    await platform.client.fillPool(wallet, {
      marks: { low: count, high: count, batch: Math.min(MAX_PACK, count), lifeSeconds: 3_600 },
    });
    await until(
      async () => ((await platform.client.pools(wallet.walletId))[0]?.available ?? 0) >= count,
      { deadlineMs: 600_000, intervalMs: 100, what: 'the pool is full' },
    );
    const filled = count / ((performance.now() - began) / 1_000);
    const fast = await burst(platform, handleOf, wallet, plan);
    if (plain.pooled > 0 || fast.pooled < transfers)
      throw new Error(`${plain.pooled} and ${fast.pooled} of ${transfers} signed from the pool`);
    const yardstick = { name: 'in all rounds, no pool', median: plain.perSecond };
    const one = (suffix: string, value: number): Figure => ({
      name: `${name}${suffix}`,
      unit: '1/s',
      median: value,
      p99: value,
      yardstick,
      ratio: value / plain.perSecond,
    });
    return [one('', fast.perSecond), one('(fill)', filled)];
  } finally {
    await close();
    await platform.close();
  }
}

const benchmark = (name: string, plan: Plan): Benchmark => ({
  name,
  figures: () => throughput(name, plan),
});
export const poolEcdsa = benchmark('pool/ecdsa-throughput', {
  chain: 'bitcoin',
  protocol: 'dkls23',
  batch: 64,
  transfers: 6,
});
export const poolBip340 = benchmark('pool/bip340-throughput', {
  chain: 'bitcoin',
  protocol: 'frost-bip340',
  batch: 64,
  transfers: 6,
});
export const poolEd25519 = benchmark('pool/ed25519-throughput', {
  chain: 'solana',
  protocol: 'frost-ed25519',
  batch: 1,
  transfers: 32,
});
