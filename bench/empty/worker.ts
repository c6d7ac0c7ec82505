/** Serves the empty saga's queues: `worker.ts sagas|party <name>`; the same split of processes as the real one. */
import { fileURLToPath } from 'node:url';
import { NativeConnection, Worker, type WorkerOptions } from '@temporalio/worker';
import { parsePayloadKeys } from '../../wire/codec.ts';
import { createDataConverter } from '../../wire/data-converter.ts';
import { bundleSagas } from '../../workers/support/bundle.ts';
import { EMPTY_QUEUES, emptyPartyQueue } from './workflows.ts';

/** Bundled as the real sagas are: the SDK's own bundler would look for the converters beside the program. */
const workflowsPath = fileURLToPath(new URL('./workflows.ts', import.meta.url));
const [role, name = ''] = process.argv.slice(2);
const env = (key: string): string => {
  const value = process.env[key];
  if (value === undefined) throw new TypeError(`${key} is not set`);
  return value;
};
async function main(): Promise<void> {
  const connection = await NativeConnection.connect({ address: env('TEMPORAL_ADDRESS') });
  const shared = {
    connection,
    namespace: env('TEMPORAL_NAMESPACE'),
    dataConverter: createDataConverter({ keys: parsePayloadKeys(env('KEYSAGA_PAYLOAD_KEYS')) }),
  };
  const activities = { step: async (payload: string) => payload };
  const serve = (options: Omit<WorkerOptions, keyof typeof shared>) =>
    Worker.create({ ...shared, ...options });

  const workers =
    role === 'sagas'
      ? await Promise.all([
          serve({
            taskQueue: EMPTY_QUEUES.sagas,
            workflowBundle: { codePath: (await bundleSagas({ workflowsPath })).path },
          }),
          serve({ taskQueue: EMPTY_QUEUES.ledger, activities }),
          serve({ taskQueue: EMPTY_QUEUES.chain, activities }),
        ])
      : [await serve({ taskQueue: emptyPartyQueue(name), activities })];
  const running = Promise.all(workers.map((worker) => worker.run()));
  process.stdout.write(`${JSON.stringify({ ready: true })}\n`);
  await running;
  await connection.close();
}

main().catch((error: unknown) => {
  process.stderr.write(`${error}\n`);
  process.exit(1);
});
