/** What Temporal says of a saga that a test waited for in vain: its pending steps, and the last events of its history. */
import { Client, Connection } from '@temporalio/client';
import proto from '@temporalio/proto';

const LAST_EVENTS = 80;
const { EventType, PendingActivityState } = proto.temporal.api.enums.v1;

export async function executionOf(
  { address, namespace }: { readonly address: string; readonly namespace: string },
  workflowId: string,
): Promise<object> {
  const connection = await Connection.connect({ address });
  try {
    // The answers as they are: payloads stay closed, and nothing here needs a key.
    const raw = await connection.workflowService.describeWorkflowExecution({
      namespace,
      execution: { workflowId },
    });
    const client = new Client({ connection, namespace });
    const { events } = await client.workflow.getHandle(workflowId).fetchHistory();
    return {
      pending: raw.pendingActivities?.map((one) => ({
        type: one.activityType?.name,
        queue: one.activityOptions?.taskQueue?.name,
        state: PendingActivityState[one.state ?? 0],
        attempt: one.attempt,
        lastStarted: seconds(one.lastStartedTime),
        lastFailure: one.lastFailure?.message,
        lastWorker: one.lastWorkerIdentity,
      })),
      pendingWorkflowTask: raw.pendingWorkflowTask && {
        attempt: raw.pendingWorkflowTask.attempt,
        scheduled: seconds(raw.pendingWorkflowTask.scheduledTime),
        started: seconds(raw.pendingWorkflowTask.startedTime),
      },
      events: (events ?? [])
        .slice(-LAST_EVENTS)
        .map((event) =>
          [
            seconds(event.eventTime),
            EventType[event.eventType ?? 0]?.replace('EVENT_TYPE_', ''),
            event.activityTaskScheduledEventAttributes?.activityType?.name,
            event.startChildWorkflowExecutionInitiatedEventAttributes?.workflowId,
            event.activityTaskFailedEventAttributes?.failure?.message,
            event.workflowTaskFailedEventAttributes?.failure?.message,
            event.workflowTaskFailedEventAttributes?.failure?.stackTrace,
          ]
            .filter((part) => part !== undefined)
            .join(' '),
        ),
    };
  } catch (error) {
    return { unknown: String(error) };
  } finally {
    await connection.close();
  }
}

const seconds = (
  time: { seconds?: { toNumber(): number } | null; nanos?: number | null } | null | undefined,
): string | undefined =>
  time?.seconds
    ? new Date(time.seconds.toNumber() * 1000 + (time.nanos ?? 0) / 1e6).toISOString().slice(11, 23)
    : undefined;
