/**
 * `saga/transfer-latency` (Solana, FROST) and `saga/ethereum-latency` (DKLs23, presigning inline; `-pool`:
 * with presignatures in stock): from the last approval to the
 * accepted broadcast, by Temporal's own event times, beside a saga of the same shape with empty activities, on the same
 * server, in the same run, in turns.
 */
import type { WorkflowHandle } from '@temporalio/client';
import proto from '@temporalio/proto';
import type { Wallet } from '../client/index.ts';
import { type Benchmark, type Figure, figure, quantile } from './figures.ts';
import { completions, empty, milliseconds, open, real, type SagaChain } from './stack.ts';

const EventType = proto.temporal.api.enums.v1.EventType;
const RUNS = 50;
const WARM_UP = 5;
/**
 * A slot is not part of the latency, which ends when a node has accepted. Shorter ones cost the chain's node CPU, longer
 * ones the run time: 32 pass before the next transfer begins.
 */
const SLOT_MS = 25;

type Events = Awaited<ReturnType<typeof eventsOf>>;
const eventsOf = async (handle: WorkflowHandle) => (await handle.fetchHistory()).events ?? [];

const lastApproval = (events: Events): number =>
  milliseconds(
    events.findLast(
      ({ eventType }) => eventType === EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED,
    )?.eventTime,
  );

/** The first completion of an activity called `broadcast`. */
function broadcastEnd(events: Events): number {
  const scheduled = new Set(
    events
      .filter((e) => e.activityTaskScheduledEventAttributes?.activityType?.name === 'broadcast')
      .map(({ eventId }) => `${eventId}`),
  );
  const end = events.find((e) =>
    scheduled.has(`${e.activityTaskCompletedEventAttributes?.scheduledEventId}`),
  );
  if (end === undefined) throw new Error('the transfer was not broadcast');
  return milliseconds(end.eventTime);
}

/** In the empty saga all activities have one name; broadcast is the third last: broadcast, confirm, settle. */
function emptyBroadcastEnd(events: Events): number {
  const end = completions(events).at(-3);
  if (end === undefined) throw new Error('the empty saga did not end');
  return end;
}

/** The longest chain of activities that waited for one another: schedules after the workflow task that saw the one before end. */
function hopsBetween(events: Events, from: number, to: number): number {
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

async function latency(
  name: string,
  chain: SagaChain,
  pooled: boolean,
): Promise<readonly Figure[]> {
  const wallets = 2;
  const bench = await open(chain, wallets, {
    slotTimeMs: SLOT_MS,
    ...(pooled ? { presignatures: Math.ceil((RUNS + WARM_UP) / wallets / 16 + 1) * 16 } : {}),
  });
  try {
    const ours: number[] = [];
    const theirs: number[] = [];
    const hops: number[] = [];
    for (let i = 0; i < RUNS + WARM_UP; i++) {
      const handle = await real(bench, bench.wallets[i % bench.wallets.length] as Wallet, true);
      await handle.result();
      const events = await eventsOf(handle);
      const other = await empty(bench, true);
      await other.result();
      const yard = await eventsOf(other);
      if (i < WARM_UP) continue;
      const [from, to] = [lastApproval(events), broadcastEnd(events)];
      ours.push(to - from);
      hops.push(hopsBetween(events, from, to));
      theirs.push(emptyBroadcastEnd(yard) - lastApproval(yard));
    }
    const phases = 5 + bench.shape.rounds.length;
    const yardstick = { name: 'the same shape, empty activities', samples: theirs };
    return [
      figure(name, 'ms', ours, yardstick),
      {
        name: `${name}(hops)`,
        unit: '1',
        median: quantile(hops, 0.5),
        p99: quantile(hops, 0.99),
        yardstick: {
          name: 'phases: build, prepare, rounds, pivot, attach, broadcast',
          median: phases,
        },
        ratio: quantile(hops, 0.5) / phases,
      },
    ];
  } finally {
    await bench.close();
  }
}

const benchmark = (name: string, chain: SagaChain, pooled = false): Benchmark => ({
  name,
  figures: () => latency(name, chain, pooled),
});
export const sagaLatency = benchmark('saga/transfer-latency', 'solana');
export const ethereumLatency = benchmark('saga/ethereum-latency', 'ethereum');
export const ethereumLatencyPool = benchmark('saga/ethereum-latency-pool', 'ethereum', true);
