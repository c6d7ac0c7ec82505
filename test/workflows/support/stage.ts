/** A Temporal server with the sagas' worker and scripted parts around it; one per test file. */
import { randomUUID } from 'node:crypto';
import type { Client, WorkflowHandle } from '@temporalio/client';
import { TestWorkflowEnvironment } from '@temporalio/testing';
import { DefaultLogger, Runtime, Worker } from '@temporalio/worker';
import { ensureTemporal, ensureTemporalTestServer } from '../../../dev/parts/temporal.ts';
import { fromFailure } from '../../../schema/contracts/failures.ts';
import type { PartyId } from '../../../schema/contracts/primitives.ts';
import type { TransferInput, TransferStatus } from '../../../schema/contracts/saga.ts';
import {
  NAMESPACE,
  partyQueue,
  SEARCH_ATTRIBUTES,
  TASK_QUEUES,
  WORKFLOWS,
  workflowId,
} from '../../../schema/contracts/temporal.ts';
import { createDataConverter } from '../../../wire/data-converter.ts';
import { activityFailures } from '../../../workers/support/activity-failures.ts';
import { bundleSagas, type SagasBundle } from '../../../workers/support/bundle.ts';
import { heartbeats } from '../../../workers/support/heartbeats.ts';
import { createSagasWorkerOptions } from '../../../workers/support/sagas-worker.ts';
import { CHAIN_STEPS, LEDGER_STEPS, PARTY_STEPS, Worlds } from './world.ts';

export const KEYS = { current: 'test', keys: { test: new Uint8Array(32).fill(42) } };
export const dataConverter = createDataConverter({ keys: KEYS });
const quiet = () => {};
const INDEXED = { Keyword: 2, KeywordList: 7 } as const;

/** Of each part's worker: so many activities of it at once. */
export const SLOTS = 20;

export type Kind = 'time-skipping' | 'local';

export class Stage {
  readonly env: TestWorkflowEnvironment;
  readonly worlds = new Worlds();
  readonly bundle: SagasBundle;
  readonly namespace: string;
  readonly #running = new Map<Worker, Promise<void>>();

  constructor(env: TestWorkflowEnvironment, bundle: SagasBundle) {
    this.env = env;
    this.bundle = bundle;
    this.namespace = env.namespace ?? 'default';
  }
  get client(): Client {
    return this.env.client;
  }

  static async open(
    kind: Kind,
    parties: readonly string[] = ['alpha', 'beta', 'gamma'],
    worker: { buildId?: string } = {},
  ): Promise<Stage> {
    const logger = new DefaultLogger(
      (process.env.SAGA_LOG as 'INFO' | undefined) ?? 'ERROR',
      process.env.SAGA_LOG ? undefined : quiet,
    );
    try {
      Runtime.install({ logger });
    } catch {
      // One per process: an earlier stage installed it.
    }
    const bundle = await bundleSagas();
    const client = { dataConverter };
    const env =
      kind === 'time-skipping'
        ? await TestWorkflowEnvironment.createTimeSkipping({
            server: {
              executable: {
                type: 'existing-path',
                path: (await ensureTemporalTestServer(quiet)).path,
              },
            },
            client,
          })
        : await TestWorkflowEnvironment.createLocal({
            server: {
              executable: { type: 'existing-path', path: (await ensureTemporal(quiet)).path },
              namespace: NAMESPACE,
              extraArgs: [
                ...Object.entries(SEARCH_ATTRIBUTES).flatMap(([name, type]) => [
                  '--search-attribute',
                  `${name}=${type}`,
                ]),
                ...['transfer', 'timer', 'visibility'].flatMap((queue) => [
                  '--dynamic-config-value',
                  `history.${queue}ProcessorMaxPollRPS=5000`,
                ]),
              ],
            },
            client,
          });
    const stage = new Stage(env, bundle);
    if (kind === 'time-skipping')
      await env.connection.operatorService.addSearchAttributes({
        namespace: stage.namespace,
        searchAttributes: Object.fromEntries(
          Object.entries(SEARCH_ATTRIBUTES).map(([name, type]) => [name, INDEXED[type]]),
        ),
      });
    await stage.sagas(worker);
    await stage.part(TASK_QUEUES.ledger, stage.worlds.activities(LEDGER_STEPS));
    const { confirm, ...chain } = stage.worlds.activities(CHAIN_STEPS);
    await stage.part(TASK_QUEUES.chain, chain);
    await stage.part(TASK_QUEUES.confirm, { confirm });
    for (const party of parties) await stage.party(party);
    return stage;
  }

  async sagas(options: { bundle?: SagasBundle; buildId?: string } = {}): Promise<Worker> {
    return this.#run(
      await Worker.create(
        createSagasWorkerOptions({
          connection: this.env.nativeConnection,
          namespace: this.namespace,
          bundle: options.bundle ?? this.bundle,
          dataConverter,
          ...(options.buildId === undefined ? {} : { deployment: { buildId: options.buildId } }),
        }),
      ),
    );
  }
  /** Leaves the sagas' queue to others. */
  async stopSagas(): Promise<void> {
    for (const worker of [...this.#running.keys()])
      if (worker.options.taskQueue === TASK_QUEUES.sagas) await this.stop(worker);
  }
  async part(taskQueue: string, activities: object): Promise<Worker> {
    return this.#run(
      await Worker.create({
        connection: this.env.nativeConnection,
        namespace: this.namespace,
        taskQueue,
        activities,
        dataConverter,
        maxConcurrentActivityTaskExecutions: SLOTS,
        interceptors: { activity: [activityFailures(quiet), heartbeats()] },
      }),
    );
  }
  /** Starts a party; until then it is a stopped one. */
  party(name: string): Promise<Worker> {
    const id = name as PartyId;
    return this.part(partyQueue(id), this.worlds.activities(PARTY_STEPS, id));
  }
  #run(worker: Worker): Worker {
    this.#running.set(worker, worker.run());
    return worker;
  }
  async stop(worker: Worker): Promise<void> {
    worker.shutdown();
    await this.#running.get(worker);
    this.#running.delete(worker);
  }
  async close(): Promise<void> {
    for (const worker of this.#running.keys())
      if (worker.getState() === 'RUNNING') worker.shutdown();
    await Promise.all(this.#running.values());
    await this.env.teardown();
  }

  now(): Promise<number> {
    return this.env.currentTimeMs();
  }
  async transfer(input: TransferInput): Promise<WorkflowHandle> {
    return this.client.workflow.start(WORKFLOWS.transfer, {
      taskQueue: TASK_QUEUES.sagas,
      workflowId: workflowId.transfer(input.intent.requestId),
      args: [input],
    });
  }

  /** What `temporal workflow reset` does: a new run from the first task, with the messages of the old one. */
  async reset(handle: WorkflowHandle): Promise<WorkflowHandle> {
    const { workflowId: id } = handle;
    const { events } = await handle.fetchHistory();
    const first = events?.find((event) => event.workflowTaskCompletedEventAttributes);
    await this.client.workflowService.resetWorkflowExecution({
      namespace: this.namespace,
      workflowExecution: { workflowId: id },
      workflowTaskFinishEventId: first?.eventId ?? null,
      requestId: randomUUID(),
      reason: 'test',
    });
    return this.client.workflow.getHandle(id);
  }
}

/** Waits on a condition of the saga's own status, never on time. */
export async function untilStatus(
  handle: WorkflowHandle,
  what: string,
  met: (status: TransferStatus) => boolean,
  deadlineMs = 30_000,
): Promise<TransferStatus> {
  const deadline = Date.now() + deadlineMs;
  let last: TransferStatus | undefined;
  for (;;) {
    last = await handle.query<TransferStatus>('status').catch(() => last);
    if (last !== undefined && met(last)) return last;
    if (Date.now() > deadline)
      throw new Error(`${what}: not within ${deadlineMs} ms; ${JSON.stringify(last)}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Code of the typed failure a workflow, update or start ended with. */
export async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    return fromFailure(error).code;
  }
  return 'it did not fail';
}

/** Something that a scripted step waits for. */
export const gate = (): { open: () => void; passed: Promise<void> } => {
  let open = (): void => {};
  const passed = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { open, passed };
};

export async function until(what: string, met: () => boolean, deadlineMs = 30_000): Promise<void> {
  const deadline = Date.now() + deadlineMs;
  while (!met()) {
    if (Date.now() > deadline) throw new Error(`${what}: not within ${deadlineMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** All bytes of a protobuf object, read as text: what somebody sees who reads Temporal's database. */
export function bytesAsText(value: unknown, seen = new Set<unknown>()): string {
  if (value instanceof Uint8Array) return `${Buffer.from(value).toString('latin1')}\n`;
  if (typeof value === 'string') return `${value}\n`;
  if (typeof value !== 'object' || value === null || seen.has(value)) return '';
  seen.add(value);
  return Object.values(value)
    .map((part) => bytesAsText(part, seen))
    .join('');
}
