/** What every worker process does alike: log, say when it is ready, end in order, fail with one clear line. */
import { hostname } from 'node:os';
import { DefaultLogger, type NativeConnection, Runtime, type Worker } from '@temporalio/worker';
import pino from 'pino';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import { errorForLog, withoutParams } from './error-log.ts';

/**
 * JSON lines on stderr; stdout is for the ready line. Fields that could hold a secret are cut by name, should one slip in,
 * and errors say where they happened, not with which values.
 */
export const createLogger = (
  name: string,
  destination: pino.DestinationStream = pino.destination(2),
): pino.Logger =>
  pino(
    {
      name,
      level: process.env.KEYSAGA_LOG_LEVEL ?? 'info',
      redact: ['*.share', '*.seed', '*.secretKey', '*.nonces', '*.passphrase'],
      serializers: { err: (error: unknown) => errorForLog(error) },
    },
    destination,
  );

/** Sends the SDK's own log through ours. Once a process, before the first worker or connection. */
export function installRuntime(log: pino.Logger): void {
  Runtime.install({
    logger: new DefaultLogger('WARN', ({ level, message, meta }) => {
      const at = level === 'ERROR' ? 'error' : level === 'WARN' ? 'warn' : 'info';
      log[at](
        {
          sdk: {
            taskQueue: meta?.taskQueue,
            workflowId: meta?.workflowId,
            error: withoutParams(`${meta?.error ?? ''}`),
          },
        },
        message,
      );
    }),
    shutdownSignals: ['SIGINT', 'SIGTERM'],
  });
}

export const instanceName = (configured?: string): string =>
  configured ?? `${process.pid}@${hostname()}`;

/**
 * Runs the workers until a signal; prints the ready line (`{"ready":true,…}`) once all of them poll; then closes what
 * was opened, last first.
 */
export async function serve(
  log: pino.Logger,
  workers: readonly Worker[],
  connection: NativeConnection,
  ready: Readonly<Record<string, unknown>>,
  close: readonly (() => Promise<void>)[],
): Promise<void> {
  const running = Promise.all(workers.map((worker) => worker.run()));
  process.stdout.write(`${JSON.stringify({ ready: true, pid: process.pid, ...ready })}\n`);
  log.info(ready, 'ready');
  try {
    await running;
  } finally {
    for (const step of [...close].reverse())
      await step().catch((error: unknown) => log.error({ err: error }, 'closing failed'));
    await connection.close();
    log.info('stopped');
  }
}

/** Entry of a process: one line and exit code 1 instead of a stack trace. */
export function main(name: string, run: (log: pino.Logger) => Promise<void>): void {
  const log = createLogger(name);
  run(log).catch((error: unknown) => {
    if (error instanceof KeysagaError) {
      log.fatal({ code: error.code, details: error.details }, error.message);
      process.stderr.write(`error ${error.code}: ${error.message} ${error.remedy}\n`);
    } else log.fatal({ err: error }, 'stopped by a defect');
    process.exitCode = 1;
    // Handles that a half-started worker left must not keep a failed process alive.
    setTimeout(() => process.exit(1), 2_000).unref();
  });
}
