/**
 * All @temporalio packages must share one copy of protobufjs 8. With two, reflection objects of one
 * copy meet the classes of the other: `historyToJSON`, replay from JSON and external storage throw
 * "type must be a Type", and sagas hang. That is why protobufjs is a direct, pinned dependency.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { historyFromJSON, historyToJSON } from '@temporalio/common/lib/proto-utils.js';
import { temporal } from '@temporalio/proto';
import { describe, expect, it } from 'vitest';
import { repoRoot } from '../support/repo.ts';

const fromRoot = createRequire(`${repoRoot}/package.json`);
const manifest = JSON.parse(readFileSync(`${repoRoot}/package.json`, 'utf8')) as {
  readonly dependencies: Readonly<Record<string, string>>;
};
const shared = fromRoot.resolve('protobufjs');
const users = ['activity', 'client', 'common', 'proto', 'testing', 'worker', 'workflow'];

describe('protobufjs', () => {
  it('is the pinned 8.x', () => {
    const { version } = fromRoot('protobufjs/package.json') as { readonly version: string };
    expect(version).toMatch(/^8\./);
    expect(version).toBe(manifest.dependencies.protobufjs);
  });

  it.each(users)('@temporalio/%s resolves the shared copy', (name) => {
    const fromPackage = createRequire(fromRoot.resolve(`@temporalio/${name}/package.json`));
    expect(fromPackage.resolve('protobufjs')).toBe(shared);
  });

  it('turns a history into JSON and back', () => {
    const { EventType, TaskQueueKind } = temporal.api.enums.v1;
    const history = temporal.api.history.v1.History.create({
      events: [
        {
          eventType: EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED,
          workflowExecutionStartedEventAttributes: {
            workflowType: { name: 'transfer' },
            taskQueue: { name: 'sagas', kind: TaskQueueKind.TASK_QUEUE_KIND_NORMAL },
            input: {
              payloads: [
                {
                  metadata: { encoding: new TextEncoder().encode('json/plain') },
                  data: new TextEncoder().encode('{"requestId":"r1"}'),
                },
              ],
            },
          },
        },
      ],
    });
    const json = historyToJSON(history);
    const parsed = JSON.parse(json) as { readonly events: readonly { eventType: string }[] };
    expect(parsed.events[0]?.eventType).toMatch(/WORKFLOW_EXECUTION_STARTED$/);
    const back = historyFromJSON(parsed);
    const started = back.events?.[0]?.workflowExecutionStartedEventAttributes;
    expect(started?.taskQueue?.name).toBe('sagas');
    const payload = started?.input?.payloads?.[0]?.data;
    expect(new TextDecoder().decode(payload ?? new Uint8Array())).toBe('{"requestId":"r1"}');
    expect(historyToJSON(back)).toBe(json);
  });
});
