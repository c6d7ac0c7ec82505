/** What the saga benchmarks run on: the whole local stack with funded wallets, and the yardstick's workers on the same server. */
import { Client, Connection, type WorkflowHandle } from '@temporalio/client';
import proto from '@temporalio/proto';
import type { Wallet } from '../client/index.ts';
import { until } from '../dev/until.ts';
import { createRegistry } from '../mpc/index.ts';
import { approve } from '../test/support/parties.ts';
import { type Platform, startPlatform } from '../test/support/platform.ts';
import { createDataConverter } from '../wire/data-converter.ts';
import { EMPTY_QUEUES, emptyApprove, type emptyTransfer, type Shape } from './empty/workflows.ts';

const { EVENT_TYPE_ACTIVITY_TASK_COMPLETED } = proto.temporal.api.enums.v1.EventType;

export type SagaChain = 'solana' | 'ethereum';

/** `characters`: about what an envelope of each round carries; 1,500 where nothing is said. Amounts in smallest units. */
const CHAINS: Readonly<
  Record<
    SagaChain,
    {
      readonly protocol: string;
      readonly characters: readonly number[];
      readonly funds: bigint;
      readonly amount: string;
    }
  >
> = {
  solana: {
    protocol: 'frost-ed25519',
    characters: [],
    funds: 100_000_000_000n,
    amount: '900000',
  },
  ethereum: {
    protocol: 'dkls23',
    characters: [14_500, 54_000],
    funds: 10_000_000_000_000_000_000n,
    amount: '1000000000000000',
  },
};
const SMALL = 1_500;

/** Both sagas have two parties, two approvals and the protocol's rounds. */
function shapeOf(chain: SagaChain, pooled: boolean): Shape {
  const { protocol, characters } = CHAINS[chain];
  const { presigning, metadata } = createRegistry().get(protocol);
  if (pooled)
    return {
      parties: ['alpha', 'beta'],
      approvals: 2,
      prepare: SMALL,
      rounds: Array.from({ length: presigning?.rounds.online ?? 1 }, () => SMALL),
    };
  const rounds = metadata.rounds.sign;
  return {
    parties: ['alpha', 'beta'],
    approvals: 2,
    prepare: SMALL,
    rounds: Array.from({ length: rounds }, (_, i) => characters[i] ?? SMALL),
  };
}

export type Bench = {
  readonly platform: Platform;
  readonly client: Client;
  readonly chain: SagaChain;
  /** Of the yardstick's saga. */
  readonly shape: Shape;
  readonly wallets: readonly Wallet[];
  close(): Promise<void>;
};

/**
 * `slotTimeMs` and `poolSize` are Solana's: nonce accounts of each wallet, and so its transfers under way at once; default as
 * in production.
 */
export async function open(
  chain: SagaChain,
  wallets: number,
  options: {
    readonly slotTimeMs?: number;
    readonly poolSize?: number;
    /** So many presignatures in stock of each wallet, made before anything is timed. */
    readonly presignatures?: number;
  } = {},
): Promise<Bench> {
  const platform = await startPlatform({ chains: [chain], ...options });
  const { stack, payloadKey } = platform;
  const keys = `bench:${payloadKey}`;
  const { address, namespace } = stack.temporal;
  const env = {
    TEMPORAL_ADDRESS: address,
    TEMPORAL_NAMESPACE: namespace,
    KEYSAGA_PAYLOAD_KEYS: keys,
  };
  const script = 'bench/empty/worker.ts';
  await Promise.all([
    stack.startNode({ name: 'empty-sagas', script, args: ['sagas'], env }),
    ...['alpha', 'beta', 'gamma'].map((party) =>
      stack.startNode({ name: `empty-${party}`, script, args: ['party', party], env }),
    ),
  ]);
  const { client, close } = await openClient(platform);
  const made: Wallet[] = [];
  for (let i = 0; i < wallets; i++)
    made.push(await platform.wallet(`bench-${i}`, chain, { each: CHAINS[chain].funds }));
  const { presignatures } = options;
  for (const wallet of presignatures === undefined ? [] : made) {
    const marks = { low: 1, high: presignatures as number, batch: 16, lifeSeconds: 3_600 };
    await platform.client.fillPool(wallet, { marks });
    await until(
      async () => ((await platform.client.pools(wallet.walletId))[0]?.available ?? 0) >= marks.high,
      { deadlineMs: 120_000, intervalMs: 100, what: 'the pool is full' },
    );
  }
  return {
    platform,
    client,
    chain,
    shape: shapeOf(chain, presignatures !== undefined),
    wallets: made,
    async close() {
      await close();
      await platform.close();
    },
  };
}

/** Temporal's own client, which reads the histories of both sagas. */
export async function openClient({
  stack,
  payloadKey,
}: Platform): Promise<{ readonly client: Client; close(): Promise<void> }> {
  const { address, namespace } = stack.temporal;
  const connection = await Connection.connect({ address });
  const client = new Client({
    connection,
    namespace,
    dataConverter: createDataConverter({
      keys: {
        current: 'bench',
        keys: { bench: Buffer.from(payloadKey, 'hex'), test: Buffer.from(payloadKey, 'hex') },
      },
    }),
  });
  return { client, close: () => connection.close() };
}

/** A history's time. */
export const milliseconds = (
  t: { seconds?: unknown; nanos?: number | null } | null | undefined,
): number => Number(t?.seconds ?? 0) * 1_000 + (t?.nanos ?? 0) / 1e6;

let runs = 0;
const nextId = (): string => `bench-${Date.now().toString(36)}-${++runs}`;

/** Approvals come when the saga waits for them, so that what is timed begins with the last one. */
const WAITS = { deadlineMs: 30_000, intervalMs: 10, what: 'the saga waits for its last approval' };

/** When each activity was completed, in order. */
export const completions = (
  events: readonly proto.temporal.api.history.v1.IHistoryEvent[],
): number[] =>
  events
    .filter((event) => event.eventType === EVENT_TYPE_ACTIVITY_TASK_COMPLETED)
    .map((event) => milliseconds(event.eventTime));

/** One saga of the yardstick, approved. `warm`: its last approval comes when everything before it has ended. */
export async function empty({ client, shape }: Bench, warm = false): Promise<WorkflowHandle> {
  const handle = await client.workflow.start<typeof emptyTransfer>('emptyTransfer', {
    taskQueue: EMPTY_QUEUES.sagas,
    workflowId: nextId(),
    args: [shape],
  });
  for (let i = 1; i < shape.approvals; i++) await handle.signal(emptyApprove);
  if (warm)
    await until(async () => {
      const { events } = await handle.fetchHistory();
      return completions(events ?? []).length >= shape.approvals;
    }, WAITS);
  await handle.signal(emptyApprove);
  return handle;
}

/** One transfer, approved; `warm` as above. */
export async function real(
  { platform, client, chain }: Bench,
  wallet: Wallet,
  warm = false,
): Promise<WorkflowHandle> {
  const intent = platform.intent(wallet, {
    amount: CHAINS[chain].amount,
    requestId: nextId() as never,
  });
  const approvals = platform.cast.approvers.slice(0, 2).map((who) => approve(intent, who));
  await platform.client.transfer(intent);
  for (const signed of approvals) {
    if (warm && signed === approvals.at(-1))
      await until(async () => {
        const { phase, approvals: given } = await platform.client.status(intent.requestId);
        return phase === 'AwaitingApprovals' && given.length === approvals.length - 1;
      }, WAITS);
    await platform.client.signalDecision(intent.requestId, signed);
  }
  return client.workflow.getHandle(`transfer/${intent.requestId}`);
}
