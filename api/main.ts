/** The HTTP edge's process: `node --import tsx api/main.ts --config <file>`. For now the codec server of the Temporal UI. */
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { clientOptions, readClientConfig } from '../client/index.ts';
import { ApiConfig } from '../schema/contracts/config.ts';
import { KeysagaError } from '../schema/contracts/errors.ts';
import { startCodecServer } from './codec-server.ts';

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { config: { type: 'string' } } });
  const file = values.config;
  if (file === undefined)
    throw new KeysagaError('InvalidInput', 'Name a configuration: --config <file>.', {
      field: 'config',
    });
  const parsed = ApiConfig.safeParse(JSON.parse(readFileSync(file, 'utf8')));
  if (!parsed.success)
    throw new KeysagaError(
      'InvalidInput',
      `configuration: ${parsed.error.issues[0]?.message ?? 'malformed'}`,
      {
        field: parsed.error.issues[0]?.path.join('.') ?? 'config',
      },
    );
  const path = (relative: string) => resolve(dirname(file), relative);
  const { codecServer, client } = parsed.data;
  const { payloadKeys } = clientOptions(readClientConfig(path(client)));
  const server = await startCodecServer({
    keys: payloadKeys,
    token: readFileSync(path(codecServer.tokenFile), 'utf8').trim(),
    port: codecServer.port,
    allowedOrigins: codecServer.allowedOrigins,
  });
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => void server.close());
  process.stdout.write(`${JSON.stringify({ ready: true, pid: process.pid, port: server.port })}\n`);
}

main().catch((error: unknown) => {
  const line =
    error instanceof KeysagaError
      ? `error ${error.code}: ${error.message} ${error.remedy}`
      : `error Internal: ${error instanceof Error ? error.message : String(error)}`;
  process.stderr.write(`${line}\n`);
  process.exitCode = 1;
});
