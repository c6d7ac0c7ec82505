/** Temporal's development server with UI, on a file of its own. */

import { randomBytes } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { Connection } from '@temporalio/client';
import { msToTs } from '@temporalio/common/lib/time.js';
import proto from '@temporalio/proto';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import { readOrCreate } from '../files.ts';
import { ensureTemporal } from '../parts/temporal.ts';
import type { ManagedProcess } from '../process/managed.ts';
import { freePort, releasePorts } from '../process/ports.ts';
import type { Topology } from '../topology.ts';
import { until } from '../until.ts';
import { listens, logFile, type StackContext, serverEnv, startOnPorts } from './context.ts';
import type { StackRecord } from './record.ts';

export type TemporalRecord = NonNullable<StackRecord['temporal']>;
export interface StartedPart<R> {
  readonly record: R;
  /** Absent for an address of the user's own. */
  readonly process?: ManagedProcess;
  /** Runs after each restart of the process. */
  readonly restarted?: () => Promise<void>;
  readonly close?: () => Promise<void>;
}

async function withConnection<T>(
  address: string,
  work: (connection: Connection) => Promise<T>,
): Promise<T> {
  const connection = await Connection.connect({ address, connectTimeout: 2000 });
  try {
    return await connection.withDeadline(Date.now() + 5000, () => work(connection));
  } finally {
    await connection.close();
  }
}

const { IndexedValueType } = proto.temporal.api.enums.v1;
const indexedTypes: Readonly<
  Record<
    Topology['temporal']['searchAttributes'][string],
    proto.temporal.api.enums.v1.IndexedValueType
  >
> = {
  Keyword: IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD,
  KeywordList: IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD_LIST,
  Text: IndexedValueType.INDEXED_VALUE_TYPE_TEXT,
  Int: IndexedValueType.INDEXED_VALUE_TYPE_INT,
  Double: IndexedValueType.INDEXED_VALUE_TYPE_DOUBLE,
  Bool: IndexedValueType.INDEXED_VALUE_TYPE_BOOL,
  Datetime: IndexedValueType.INDEXED_VALUE_TYPE_DATETIME,
};

/** Adds what is missing; one of another type is an error, since a workflow that sets it would hang. */
async function ensureSearchAttributes(
  connection: Connection,
  config: Topology['temporal'],
): Promise<void> {
  const { namespace } = config;
  const { customAttributes } = await connection.operatorService.listSearchAttributes({ namespace });
  const absent: Record<string, proto.temporal.api.enums.v1.IndexedValueType> = {};
  for (const [name, type] of Object.entries(config.searchAttributes)) {
    const present = customAttributes?.[name];
    if (present === undefined || present === null) absent[name] = indexedTypes[type];
    else if (present !== indexedTypes[type]) {
      throw new KeysagaError(
        'PartFailed',
        `Temporal knows search attribute ${name} with another type than ${type}`,
        {
          part: 'temporal',
          field: `temporal.searchAttributes.${name}`,
        },
      );
    }
  }
  if (Object.keys(absent).length > 0) {
    await connection.operatorService.addSearchAttributes({ namespace, searchAttributes: absent });
  }
}

const codecOf = async (context: StackContext): Promise<TemporalRecord['codec']> => {
  const token = readOrCreate(join(context.dataDir, 'codec-token'), () =>
    randomBytes(24).toString('base64url'),
  );
  const port = await freePort(context.topology.temporal.codec.port);
  return { host: '127.0.0.1', port, token, endpoint: `http://127.0.0.1:${port}/${token}` };
};

export async function startTemporal(context: StackContext): Promise<StartedPart<TemporalRecord>> {
  const config = context.topology.temporal;
  const codec = await codecOf(context);
  const close = async () => releasePorts(codec.port);
  const { namespace } = config;
  const external = context.external.temporalAddress;
  if (external) {
    try {
      await withConnection(external, async (connection) => {
        await connection.workflowService.describeNamespace({ namespace });
        await ensureSearchAttributes(connection, config);
      });
    } catch (error) {
      if (error instanceof KeysagaError) throw error;
      throw new KeysagaError(
        'PartFailed',
        `the Temporal server at TEMPORAL_ADDRESS=${external} does not serve namespace ${namespace}`,
        { part: 'temporal', field: 'TEMPORAL_ADDRESS' },
        { cause: error },
      );
    }
    return { record: { external: true, address: external, namespace, codec }, close };
  }

  const program = await ensureTemporal(context.progress);
  context.progress({
    part: 'temporal',
    phase: 'start',
    message: `starting Temporal ${program.version}`,
  });
  const folder = join(context.dataDir, 'temporal');
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const pairs = (
    flag: string,
    values: Readonly<Record<string, unknown>>,
    quote: (value: unknown) => string = String,
  ): string[] => Object.entries(values).flatMap(([key, value]) => [flag, `${key}=${quote(value)}`]);
  const { process, ports } = await startOnPorts(
    context,
    { grpc: config.port, ui: config.uiPort },
    (wished) => ({
      name: 'temporal',
      command: program.path,
      args: [
        'server',
        'start-dev',
        '--ip',
        '127.0.0.1',
        '--db-filename',
        join(folder, 'temporal.db'),
        ...pairs('--sqlite-pragma', config.sqlitePragmas),
        '--port',
        String(wished.grpc),
        '--ui-port',
        String(wished.ui),
        '--ui-disable-news-fetch',
        '--ui-codec-endpoint',
        codec.endpoint,
        '--namespace',
        namespace,
        ...pairs('--search-attribute', config.searchAttributes),
        ...pairs('--dynamic-config-value', config.dynamicConfig, JSON.stringify),
        '--log-level',
        'warn',
      ],
      env: serverEnv(context, 'temporal'),
      cwd: folder,
      logFile: logFile(context, 'temporal'),
      ready: async ({ pid }) => {
        // Connecting too early would cost gRPC's back-off of a second.
        if (!(await listens(pid, wished.grpc)) || !(await listens(pid, wished.ui))) return false;
        await withConnection(`127.0.0.1:${wished.grpc}`, (connection) =>
          connection.workflowService.describeNamespace({ namespace }),
        );
        return true;
      },
      readyTimeoutMs: 60_000,
    }),
  );
  const address = `127.0.0.1:${ports.grpc}`;
  await until(
    async () => {
      await withConnection(address, async (connection) => {
        await ensureSearchAttributes(connection, config);
        // The server registers its namespace with a retention of its own choice.
        await connection.workflowService.updateNamespace({
          namespace,
          config: { workflowExecutionRetentionTtl: msToTs(config.retentionDays * 86_400_000) },
        });
      });
      return true;
    },
    { deadlineMs: 20_000, what: 'setting up the Temporal namespace' },
  );
  return {
    record: { external: false, address, namespace, uiUrl: `http://127.0.0.1:${ports.ui}`, codec },
    process,
    close: async () => releasePorts(codec.port, ports.grpc, ports.ui),
  };
}
