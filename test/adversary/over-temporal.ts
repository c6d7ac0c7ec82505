/**
 * The field of a compromised operator: Temporal with the payload key, the coordinator's database, the chains' RPC. The
 * parties are the platform's own processes; the honest people are reached over the channel of the process that started
 * this one, and can be asked for nothing but their decisions.
 */
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { base58 } from '@scure/base';
import { Client, Connection, type WorkflowHandle } from '@temporalio/client';
import { defaultPayloadConverter, type Payload, type PayloadCodec } from '@temporalio/common';
import {
  bundleWorkflowCode,
  DefaultLogger,
  NativeConnection,
  Runtime,
  Worker,
} from '@temporalio/worker';
import { isErrorCode, isKeysagaError, KeysagaError } from '../../schema/contracts/errors.ts';
import { PrepareRequest, type PrepareSign } from '../../schema/contracts/party.ts';
import type { PartyId } from '../../schema/contracts/primitives.ts';
import { KeygenOutcome } from '../../schema/contracts/saga.ts';
import { partyQueue, WORKFLOWS, workflowId } from '../../schema/contracts/temporal.ts';
import { createPayloadCodec } from '../../wire/codec.ts';
import { failureConverterPath, payloadConverterPath } from '../../wire/converter-paths.ts';
import { createDataConverter } from '../../wire/data-converter.ts';
import { fromFailure } from '../../wire/failures.ts';
import type { Activity, Answer, Field, Harvest, Way } from './field.ts';
import { type Ask, type Greeting, peopleOver } from './people.ts';

/** What the operator has. No party's key or file is among it. */
export type Target = {
  readonly temporal: { readonly address: string; readonly namespace: string };
  /** 64 hex digits. */
  readonly payloadKey: string;
  readonly coordinatorDatabase: string;
  readonly solanaRpc: string;
  readonly bitcoinRpc: string;
  readonly parties: readonly { readonly party: PartyId; readonly publicKey: string }[];
  readonly people: Greeting;
};

const QUEUE = 'adversary';

export async function startOverTemporal(
  targetFile: string,
): Promise<{ readonly field: Field; close(): Promise<void> }> {
  const target = JSON.parse(readFileSync(targetFile, 'utf8')) as Target;
  Runtime.install({ logger: new DefaultLogger('ERROR') });
  const keys = { current: 'test', keys: { test: Buffer.from(target.payloadKey, 'hex') } };
  const dataConverter = createDataConverter({ keys });
  const { address, namespace } = target.temporal;
  const [connection, native, workflowBundle] = await Promise.all([
    Connection.connect({ address }),
    NativeConnection.connect({ address }),
    bundleWorkflowCode({
      workflowsPath: fileURLToPath(new URL('./workflows.ts', import.meta.url)),
      payloadConverterPath,
      failureConverterPath,
      logger: new DefaultLogger('ERROR'),
    }),
  ]);
  const client = new Client({ connection, namespace, dataConverter });
  const worker = await Worker.create({
    connection: native,
    namespace,
    taskQueue: QUEUE,
    workflowBundle,
    dataConverter,
  });
  const running = worker.run();

  const honest = channel();
  let showing: Promise<unknown> = Promise.resolve();
  const field: Field = {
    parties: target.parties.map(({ party }) => party),
    directory: new Map(target.parties.map(({ party, publicKey }) => [party, publicKey])),
    people: peopleOver(target.people, honest),
    async ask<A extends Activity>(
      party: PartyId,
      activity: A,
      input: unknown,
      // Temporal hands a task to whichever process asks first: nobody chooses, but the history tells.
      { heard }: Way = {},
    ): Promise<Answer<A>> {
      const args = input === undefined ? [] : [input];
      const handle = await client.workflow.start('ask', {
        workflowId: `adversary/${randomUUID()}`,
        taskQueue: QUEUE,
        args: [{ queue: partyQueue(party), activity, args }],
      });
      try {
        return (await handle.result()) as Answer<A>;
      } catch (error) {
        if (isKeysagaError(error)) throw error;
        throw fromFailure(error);
      } finally {
        if (heard !== undefined) for (const name of await workersOf(handle)) heard(party, name);
      }
    },
    async kill(party, instance) {
      await honest({ ask: 'kill', party, instance });
    },
    // A question is mostly waiting for Temporal.
    atOnce: 6,
    ownTime: false,
    async outlast(condition) {
      const deadline = Date.now() + 90_000;
      for (;;) {
        if (await condition()) return true;
        if (Date.now() > deadline) return false;
        await new Promise((resolve) => setTimeout(resolve, 5_000));
      }
    },
    async recentBlockhash() {
      const response = await fetch(target.solanaRpc, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'getLatestBlockhash', params: [] }),
      });
      const { result } = (await response.json()) as { result: { value: { blockhash: string } } };
      return base58.decode(result.value.blockhash);
    },
    show(walletId, outcome) {
      // One at a time: what a user is shown is the newest run's answer.
      const shown = showing.then(async () => {
        // The workflow by which a user finds the wallet is the adversary's.
        await client.workflow.execute('generateKey', {
          workflowId: workflowId.keygen(walletId as never),
          taskQueue: QUEUE,
          args: [outcome],
          workflowIdReusePolicy: 'ALLOW_DUPLICATE',
        });
        return (await honest({ ask: 'show', walletId })) as { address: string }[];
      });
      showing = shown.catch(() => {});
      return shown;
    },
    harvest: () => harvest(client, createPayloadCodec(keys)),
  };
  return {
    field,
    async close() {
      worker.shutdown();
      await running;
      await connection.close();
      await native.close();
    },
  };
}

/** Who worked on the activities of a workflow, by the identity that its worker gave. */
async function workersOf(handle: WorkflowHandle): Promise<string[]> {
  const { events } = await handle.fetchHistory();
  return (events ?? []).flatMap(({ activityTaskStartedEventAttributes: started }) =>
    started?.identity ? [started.identity] : [],
  );
}

type Reply = { readonly id: string; readonly ok?: unknown; readonly error?: Told };
/** What the honest side tells of an error: a user is told as much. */
export type Told = {
  readonly code: string;
  readonly message: string;
  readonly details: Record<string, string>;
};

/** Questions to the process that started this one. */
function channel(): (question: Ask) => Promise<unknown> {
  const waiting = new Map<string, (reply: Reply) => void>();
  process.on('message', (reply: Reply) => {
    waiting.get(reply.id)?.(reply);
    waiting.delete(reply.id);
  });
  return (question) =>
    new Promise((resolve, reject) => {
      const id = randomUUID();
      waiting.set(id, ({ ok, error }) => {
        if (error === undefined) resolve(ok);
        else if (isErrorCode(error.code))
          reject(new KeysagaError(error.code, error.message, error.details));
        else reject(new Error(error.message));
      });
      process.send?.({ id, question });
    });
}

/** Every request that a saga sent to a party, and every key that a ceremony gave, out of the histories. */
async function harvest(client: Client, codec: PayloadCodec): Promise<Harvest> {
  const payments: PrepareSign[] = [];
  const wallets: Harvest['wallets'][number][] = [];
  const open = async (payloads: readonly Payload[] | null | undefined): Promise<unknown> => {
    const [payload] = await codec.decode([...(payloads ?? [])]);
    return payload === undefined ? undefined : defaultPayloadConverter.fromPayload(payload);
  };
  for (const type of [WORKFLOWS.transfer, WORKFLOWS.generateKey])
    for await (const { workflowId: id, runId } of client.workflow.list({
      query: `WorkflowType = '${type}' AND ExecutionStatus = 'Completed'`,
    })) {
      const { events } = await client.workflow.getHandle(id, runId).fetchHistory();
      for (const event of events ?? []) {
        const scheduled = event.activityTaskScheduledEventAttributes;
        if (scheduled?.activityType?.name === 'prepare') {
          const request = PrepareRequest.safeParse(await open(scheduled.input?.payloads));
          if (request.success && request.data.kind === 'sign') payments.push(request.data);
        }
        const completed = event.workflowExecutionCompletedEventAttributes;
        if (type === WORKFLOWS.generateKey && completed) {
          const outcome = KeygenOutcome.safeParse(await open(completed.result?.payloads));
          if (outcome.success) wallets.push(outcome.data);
        }
      }
    }
  return { payments, wallets };
}
