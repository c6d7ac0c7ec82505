/** Temporal itself: its version, its namespace, and who polls its queues. */
import type { Client } from '@temporalio/client';

export async function serverInfo(
  client: Client,
): Promise<{ readonly version: string; readonly namespace: string }> {
  const { namespace } = client.options;
  const service = client.workflowService;
  const [info] = await Promise.all([
    service.getSystemInfo({}),
    service.describeNamespace({ namespace }),
  ]);
  return { version: info.serverVersion ?? 'unknown', namespace };
}

export async function pollersOf(
  client: Client,
  queue: string,
  kind: 'workflow' | 'activity',
): Promise<{ identity: string; agoMs: number }[]> {
  const answer = await client.workflowService.describeTaskQueue({
    namespace: client.options.namespace,
    taskQueue: { name: queue },
    taskQueueType: kind === 'workflow' ? 1 : 2,
  });
  return (answer.pollers ?? []).map(({ identity, lastAccessTime }) => ({
    identity: identity ?? '',
    agoMs: Math.max(0, Date.now() - Number(lastAccessTime?.seconds ?? 0) * 1000),
  }));
}
