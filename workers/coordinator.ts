/** A coordinator's worker process: sagas, ledger and chains. `node --import tsx workers/coordinator.ts --config <file>`. */
import { NativeConnection, Worker } from '@temporalio/worker';
import { CoordinatorConfig } from '../schema/contracts/config.ts';
import { SignedPolicy } from '../schema/contracts/policy.ts';
import { TASK_QUEUES } from '../schema/contracts/temporal.ts';
import { createDataConverter } from '../wire/data-converter.ts';
import { createCoordinatorService } from './coordinator-service.ts';
import { activityFailures } from './support/activity-failures.ts';
import { bundleSagas } from './support/bundle.ts';
import { dataConverterOptions, loadConfig, readJson } from './support/config.ts';
import { createFailPoints } from './support/fail-points.ts';
import { heartbeats } from './support/heartbeats.ts';
import { installRuntime, instanceName, main, serve } from './support/run.ts';
import { createSagasWorkerOptions } from './support/sagas-worker.ts';

main('coordinator', async (log) => {
  const loaded = loadConfig(CoordinatorConfig);
  const { config, path } = loaded;
  installRuntime(log);
  const bundle = bundleSagas();
  const service = await createCoordinatorService({
    databaseUrl: config.databaseUrl,
    directory: new Map(config.directory.map(({ party, publicKey }) => [party, publicKey])),
    administrators: config.administrators,
    administratorQuorum: config.administratorQuorum,
    chains: config.chains.map((chain) => ({
      ...chain,
      ...(chain.sponsorFile === undefined ? {} : { sponsorFile: path(chain.sponsorFile) }),
    })),
    failPoints: createFailPoints(),
    log,
  });
  for (const file of config.initialPolicies)
    await service.adoptPolicy(SignedPolicy.parse(readJson(path(file), 'initialPolicies')));
  await service.start();
  const connection = await NativeConnection.connect({ address: config.temporal.address });
  const identity = `coordinator/${instanceName(config.instance)}`;
  const dataConverter = createDataConverter(dataConverterOptions(loaded));
  const shared = { connection, namespace: config.temporal.namespace, identity, dataConverter };
  const activityWorker = (
    taskQueue: string,
    activities: object,
    maxConcurrentActivityTaskExecutions: number,
  ) =>
    Worker.create({
      ...shared,
      taskQueue,
      activities,
      interceptors: {
        activity: [
          heartbeats(),
          activityFailures((entry) =>
            log.error(
              { ...entry, error: undefined, err: entry.error },
              'activity failed unexpectedly',
            ),
          ),
        ],
      },
      maxConcurrentActivityTaskExecutions,
      shutdownGraceTime: '5 seconds',
    });
  const workers = await Promise.all([
    Worker.create(createSagasWorkerOptions({ ...shared, bundle: await bundle })),
    activityWorker(TASK_QUEUES.ledger, service.ledger, 32),
    // With `confirm` too, which sagas of earlier releases scheduled here.
    activityWorker(TASK_QUEUES.chain, service.chain, 100),
    // It waits for blocks while it occupies its slot, so there are many more of them than cores.
    activityWorker(TASK_QUEUES.confirm, { confirm: service.chain.confirm }, 500),
  ]);
  await serve(log, workers, connection, { role: 'coordinator', bundle: (await bundle).hash }, [
    () => service.close(),
  ]);
});
