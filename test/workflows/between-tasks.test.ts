/**
 * A query that comes between two workflow tasks: asked of a worker that is dead, given to another one while the next task
 * still waits for the dead one. The SDK's core lets such a query run ahead of the task, and the run could never be replayed.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { WorkflowHandle } from '@temporalio/client';
import { Worker } from '@temporalio/worker';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { askStatus } from '../../client/ask.ts';
import { ASKED_BETWEEN_TASKS, TASK_QUEUES } from '../../schema/contracts/temporal.ts';
import { failureConverterPath, payloadConverterPath } from '../../wire/converter-paths.ts';
import { bundleSagas, type SagasBundle } from '../../workers/support/bundle.ts';
import { decodePayloads } from './support/payloads.ts';
import { Stage } from './support/stage.ts';

/** The server gives up on a cached run's worker after 10 s of a query; its next task must wait for longer. */
const STICKY_MS = 13_000;
const TIMER_MS = 1_500;

let stage: Stage;
let bundle: SagasBundle;
let first: ChildProcess | undefined;
beforeAll(async () => {
  stage = await Stage.open('local', []);
  bundle = await bundleSagas({
    workflowsPath: fileURLToPath(new URL('./between/index.ts', import.meta.url)),
  });
});
afterAll(async () => {
  first?.kill('SIGKILL');
  await stage?.close();
});

describe('a query between two tasks', () => {
  it('is refused by the worker and asked again by the client, and the run stays replayable', {
    timeout: 90_000,
  }, async () => {
    // Only the process to be killed serves the sagas' queue at first.
    await stage.stopSagas();
    const script = fileURLToPath(new URL('./between/worker.ts', import.meta.url));
    const address = stage.env.address;
    first = spawn(
      process.execPath,
      ['--import', 'tsx', script, address, stage.namespace, `${STICKY_MS}`],
      { stdio: 'ignore' },
    );
    const handle: WorkflowHandle = await stage.client.workflow.start('punctual', {
      taskQueue: TASK_QUEUES.sagas,
      workflowId: `between-${Date.now()}`,
      args: [TIMER_MS],
    });
    // Begun, its timer running: from now on its tasks and queries go to the process that dies.
    await expect(askStatus(handle)).resolves.toBe('waits');
    first.kill('SIGKILL');
    const asked: Promise<unknown> = handle.query('status').catch((error: unknown) => error);
    const insisted = askStatus(handle);
    await stage.sagas({ bundle });

    expect(String(await asked)).toContain(ASKED_BETWEEN_TASKS);
    await expect(insisted).resolves.toBe('late');
    await handle.signal('leave');
    await expect(handle.result()).resolves.toBe('late');
    const history = await handle.fetchHistory();
    await decodePayloads(history);
    await expect(
      Worker.runReplayHistory(
        {
          workflowBundle: { code: bundle.code },
          dataConverter: { failureConverterPath, payloadConverterPath },
        },
        history,
      ),
    ).resolves.toBeUndefined();
  });
});
