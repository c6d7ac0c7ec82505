/** A sagas' worker as a process, to be killed: address, namespace, and how long its tasks wait for it. */
import { fileURLToPath } from 'node:url';
import { NativeConnection, Worker } from '@temporalio/worker';
import { bundleSagas } from '../../../workers/support/bundle.ts';
import { createSagasWorkerOptions } from '../../../workers/support/sagas-worker.ts';
import { dataConverter } from '../support/stage.ts';

const [address = '', namespace = '', stickyMs = ''] = process.argv.slice(2);
const worker = await Worker.create({
  ...createSagasWorkerOptions({
    connection: await NativeConnection.connect({ address }),
    namespace,
    bundle: await bundleSagas({
      workflowsPath: fileURLToPath(new URL('./index.ts', import.meta.url)),
    }),
    dataConverter,
  }),
  stickyQueueScheduleToStartTimeout: Number(stickyMs),
});
await worker.run();
