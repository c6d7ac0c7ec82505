/** Options of the worker that runs the sagas: queue, bundle, converter, versioning. */
import type { DataConverter, WorkerDeploymentVersion } from '@temporalio/common';
import type { NativeConnection, WorkerOptions } from '@temporalio/worker';
import { TASK_QUEUES } from '../../schema/contracts/temporal.ts';
import type { SagasBundle } from './bundle.ts';
import { tolerant } from './tolerant-codec.ts';

/** Name of the worker deployment under which coordinators register; party workers are not versioned with them. */
export const SAGAS_DEPLOYMENT = 'keysaga-sagas';

export type SagasWorkerConfig = {
  readonly connection: NativeConnection;
  readonly namespace: string;
  readonly bundle: SagasBundle;
  readonly dataConverter: DataConverter;
  /** Shown in the UI beside each task. */
  readonly identity?: string;
  /**
   * Present: the worker takes part in Worker Deployments, and tasks come only once its version is current. Absent:
   * an unversioned worker, which runs everything that is not routed to a version.
   */
  readonly deployment?: Partial<WorkerDeploymentVersion> | undefined;
  /**
   * Sagas kept in memory; default 1,000. Higher saves replays of waiting sagas when they wake; each costs some
   * 100 kB.
   */
  readonly maxCachedWorkflows?: number;
  /** Workflow tasks at once; default 40. */
  readonly maxConcurrentWorkflowTasks?: number;
};

/** For `Worker.create`. Activities are left out: they run in workers of their own queues. */
export function createSagasWorkerOptions(config: SagasWorkerConfig): WorkerOptions {
  const { connection, namespace, bundle, dataConverter, identity, deployment } = config;
  return {
    connection,
    namespace,
    taskQueue: TASK_QUEUES.sagas,
    workflowBundle: { codePath: bundle.path },
    dataConverter: tolerant(dataConverter),
    ...(identity === undefined ? {} : { identity }),
    maxCachedWorkflows: config.maxCachedWorkflows ?? 1_000,
    // A killed coordinator's sagas wait this long for it before any other may take them; the SDK's default is 10 s.
    stickyQueueScheduleToStartTimeout: 3_000,
    maxConcurrentWorkflowTaskExecutions: config.maxConcurrentWorkflowTasks ?? 40,
    ...(deployment === undefined
      ? {}
      : {
          workerDeploymentOptions: {
            useWorkerVersioning: true,
            version: {
              deploymentName: deployment.deploymentName ?? SAGAS_DEPLOYMENT,
              buildId: deployment.buildId ?? bundle.hash,
            },
            // Sagas wait for days on approvals: they move to the next version, guarded by `patched`.
            defaultVersioningBehavior: 'AUTO_UPGRADE',
          },
        }),
  };
}
