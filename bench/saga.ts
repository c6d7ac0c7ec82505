/**
 * `saga/transfer-latency`: from the last approval to the accepted broadcast, by Temporal's own event times, beside a saga
 * of the same shape with empty activities, on the same server, in the same run, in turns.
 */
import { Client, Connection, type WorkflowHandle } from '@temporalio/client';
import proto from '@temporalio/proto';
import type { Wallet } from '../client/index.ts';
import { until } from '../dev/until.ts';
import { approve } from '../test/support/parties.ts';
import { type Platform, startPlatform } from '../test/support/platform.ts';
import { createDataConverter } from '../wire/data-converter.ts';
import { EMPTY_QUEUES, emptyApprove, type emptyTransfer, type Shape } from './empty/workflows.ts';
import { type Benchmark, type Figure, figure, quantile } from './figures.ts';

const EventType = proto.temporal.api.enums.v1.EventType;
const RUNS = 50;
const WARM_UP = 5;
/**
 * A slot is not part of the latency, which ends when a node has accepted. Shorter ones cost the chain's node CPU, longer
 * ones the run time: 32 pass before the next transfer begins.
 */
const SLOT_MS = 25;

/** Both sagas have two parties, two approvals and two rounds. `payload` is about what a FROST envelope carries. */
const shape: Shape = { parties: ['alpha', 'beta'], approvals: 2, rounds: 2, payload: 1_500 };

export type Bench = {
  readonly platform: Platform;
  readonly client: Client;
  readonly wallets: readonly Wallet[];
  close(): Promise<void>;
};

/** `poolSize`: nonce accounts of each wallet, and so its transfers under way at once; default as in production. */
export async function open(
  wallets: number,
  options: { readonly slotTimeMs: number; readonly poolSize?: number },
): Promise<Bench> {
  const platform = await startPlatform({ chains: ['solana'], ...options });
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
  const made: Wallet[] = [];
  for (let i = 0; i < wallets; i++)
    made.push(await platform.wallet(`bench-${i}`, 'solana', { each: 100_000_000_000n }));
  return {
    platform,
    client,
    wallets: made,
    async close() {
      await connection.close();
      await platform.close();
    },
  };
}

const milliseconds = (t: { seconds?: unknown; nanos?: number | null } | null | undefined): number =>
  Number(t?.seconds ?? 0) * 1_000 + (t?.nanos ?? 0) / 1e6;

/** Last approval signal → completion of `broadcast`, and the activity hops in between, from the history. */
async function lastApprovalToBroadcast(
  handle: WorkflowHandle,
  broadcast: (name: string) => boolean,
): Promise<{ ms: number; hops: number }> {
  const { events } = await handle.fetchHistory();
  let approved = 0;
  let done = 0;
  const names = new Map<string, string>();
  for (const event of events ?? []) {
    if (event.eventType === EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED)
      approved = milliseconds(event.eventTime);
    const scheduled = event.activityTaskScheduledEventAttributes;
    if (scheduled) names.set(`${event.eventId}`, scheduled.activityType?.name ?? '');
    const completed = event.activityTaskCompletedEventAttributes;
    if (completed && done === 0 && broadcast(names.get(`${completed.scheduledEventId}`) ?? ''))
      done = milliseconds(event.eventTime);
  }
  return { ms: done - approved, hops: hopsBetween(events ?? [], approved, done) };
}

/** The longest chain of activities that waited for one another: schedules after the workflow task that saw the one before end. */
function hopsBetween(
  events: readonly proto.temporal.api.history.v1.IHistoryEvent[],
  from: number,
  to: number,
): number {
  let hops = 0;
  let inTask = false;
  for (const event of events) {
    const at = milliseconds(event.eventTime);
    if (at < from || at > to) continue;
    if (event.eventType === EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED) {
      if (
        !inTask &&
        critical(event.activityTaskScheduledEventAttributes?.activityType?.name ?? '')
      ) {
        hops += 1;
        inTask = true;
      }
    } else if (event.eventType === EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED) inTask = false;
  }
  return hops;
}

/** Records that run beside the path and are not waited for by the next step. */
const critical = (name: string): boolean =>
  !['recordDecision', 'recordPhase', 'reportParties'].includes(name);

let runs = 0;
const nextId = (): string => `bench-${Date.now().toString(36)}-${++runs}`;

/** Approvals come when the saga waits for them, so that what is timed begins with the last one. */
const WAITS = { deadlineMs: 30_000, intervalMs: 10, what: 'the saga waits for its last approval' };

async function completions(handle: WorkflowHandle): Promise<number[]> {
  const { events } = await handle.fetchHistory();
  return (events ?? [])
    .filter((event) => event.eventType === EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)
    .map((event) => milliseconds(event.eventTime));
}

export async function empty(client: Client, warm = false): Promise<WorkflowHandle> {
  const handle = await client.workflow.start<typeof emptyTransfer>('emptyTransfer', {
    taskQueue: EMPTY_QUEUES.sagas,
    workflowId: nextId(),
    args: [shape],
  });
  for (let i = 1; i < shape.approvals; i++) await handle.signal(emptyApprove);
  if (warm) await until(async () => (await completions(handle)).length >= shape.approvals, WAITS);
  await handle.signal(emptyApprove);
  return handle;
}

export async function real(
  { platform, client }: Bench,
  wallet: Wallet,
  warm = false,
): Promise<WorkflowHandle> {
  const intent = platform.intent(wallet, { amount: '900000', requestId: nextId() as never });
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

async function latency(): Promise<readonly Figure[]> {
  const bench = await open(2, { slotTimeMs: SLOT_MS });
  try {
    const ours: number[] = [];
    const theirs: number[] = [];
    const hops: number[] = [];
    for (let i = 0; i < RUNS + WARM_UP; i++) {
      const handle = await real(bench, bench.wallets[i % bench.wallets.length] as Wallet, true);
      await handle.result();
      const measured = await lastApprovalToBroadcast(handle, (name) => name === 'broadcast');
      const other = await empty(bench.client, true);
      await other.result();
      // The empty saga's eighth and later steps have one name; its broadcast is the completion before confirm's.
      const yard = await emptyLatency(other);
      if (i < WARM_UP) continue;
      ours.push(measured.ms);
      theirs.push(yard);
      hops.push(measured.hops);
    }
    const yardstick = { name: 'the same shape, empty activities', samples: theirs };
    return [
      figure('saga/transfer-latency', 'ms', ours, yardstick),
      {
        name: 'saga/transfer-latency(hops)',
        unit: '1',
        median: quantile(hops, 0.5),
        p99: quantile(hops, 0.99),
        yardstick: {
          name: 'phases: build, prepare, rounds, pivot, attach, broadcast',
          median: 5 + shape.rounds,
        },
        ratio: quantile(hops, 0.5) / (5 + shape.rounds),
      },
    ];
  } finally {
    await bench.close();
  }
}

/** In the empty saga broadcast is the third last activity: broadcast, confirm, settle. */
async function emptyLatency(handle: WorkflowHandle): Promise<number> {
  const { events } = await handle.fetchHistory();
  let approved = 0;
  const completions: number[] = [];
  for (const event of events ?? []) {
    if (event.eventType === EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED)
      approved = milliseconds(event.eventTime);
    if (event.eventType === EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)
      completions.push(milliseconds(event.eventTime));
  }
  return (completions.at(-3) ?? 0) - approved;
}

export const sagaLatency: Benchmark = { name: 'saga/transfer-latency', figures: latency };
