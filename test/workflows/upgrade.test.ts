/** A coordinator of the next version takes over sagas that wait (Worker Deployments, AUTO_UPGRADE, `patched`). */
import { fileURLToPath } from 'node:url';
import type { WorkflowHandle } from '@temporalio/client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bundleSagas } from '../../workers/support/bundle.ts';
import { SAGAS_DEPLOYMENT } from '../../workers/support/sagas-worker.ts';
import { approval, inputOf, intent } from './support/fixtures.ts';
import { Stage, untilStatus } from './support/stage.ts';
import { PAYMENT_ID } from './support/world.ts';

let stage: Stage;
beforeAll(async () => {
  stage = await Stage.open('local', ['alpha', 'beta', 'gamma'], { buildId: 'today' });
});
afterAll(() => stage?.close());

/** Makes a version the one that new tasks go to; it must have polled once before. */
async function makeCurrent(buildId: string): Promise<void> {
  const deadline = Date.now() + 30_000;
  for (;;) {
    try {
      await stage.client.workflowService.setWorkerDeploymentCurrentVersion({
        namespace: stage.namespace,
        deploymentName: SAGAS_DEPLOYMENT,
        buildId,
        version: `${SAGAS_DEPLOYMENT}.${buildId}`,
        identity: 'test',
        ignoreMissingTaskQueues: true,
      });
      return;
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}
const versionsOf = async (handle: WorkflowHandle): Promise<string[]> => {
  const { events } = await handle.fetchHistory();
  return (events ?? []).flatMap(
    (event) => event.workflowTaskCompletedEventAttributes?.deploymentVersion?.buildId ?? [],
  );
};

describe('an upgrade in mid-saga', () => {
  it('the waiting saga goes on under the new version, new ones take the patch', async () => {
    await makeCurrent('today');
    const old = intent(Date.now());
    const waiting = await stage.transfer(inputOf(old));
    await untilStatus(waiting, 'waits', (s) => s.phase === 'AwaitingApprovals');
    await waiting.signal('approve', approval(old, 'alice', Date.now()));
    await untilStatus(waiting, 'one', (s) => s.approvals.length === 1);

    const bundle = await bundleSagas({
      workflowsPath: fileURLToPath(new URL('./next/index.ts', import.meta.url)),
    });
    await stage.sagas({ bundle, buildId: 'next' });
    await makeCurrent('next');

    await waiting.signal('approve', approval(old, 'bob', Date.now()));
    await expect(waiting.result()).resolves.toMatchObject({ transactionId: PAYMENT_ID });
    const versions = await versionsOf(waiting);
    expect(versions[0]).toBe('today');
    expect(versions.at(-1)).toBe('next');

    const fresh = intent(Date.now());
    const started = await stage.transfer(inputOf(fresh));
    for (const name of ['alice', 'bob'] as const)
      await started.signal('approve', approval(fresh, name, Date.now()));
    await expect(started.result()).resolves.toMatchObject({ transactionId: PAYMENT_ID });
    expect(new Set(await versionsOf(started))).toEqual(new Set(['next']));
    /** How often a history says that the new step was taken; today's sagas have patches of their own. */
    const patches = async (handle: WorkflowHandle) => {
      const { events } = await handle.fetchHistory();
      return (events ?? []).filter((event) =>
        Object.values(event.markerRecordedEventAttributes?.details ?? {}).some(({ payloads }) =>
          payloads?.some(({ data }) => Buffer.from(data ?? []).includes('pause-at-start')),
        ),
      ).length;
    };
    expect(await patches(waiting)).toBe(0);
    expect(await patches(started)).toBe(1);
  }, 90_000);
});
