/** Which deployment a command speaks to: `KEYSAGA_CONFIG`, or the local stack of the data folder. */
import { join, relative } from 'node:path';
import {
  clientOptions,
  createClient,
  type KeysagaClient,
  readClientConfig,
} from '../client/index.ts';
import { dataFolder } from '../dev/paths.ts';
import { readStack } from '../dev/stack/index.ts';
import type { ClientConfig } from '../schema/contracts/config.ts';
import { KeysagaError } from '../schema/contracts/errors.ts';
import type { Env } from './io.ts';

export const clientConfigFile = (dataDir: string): string => join(dataDir, 'client.json');
/** How the commands are called from the checkout; shown in hints. */
export const COMMAND = './cli/keysaga';

export type Settings = {
  readonly config: ClientConfig;
  /** Set for the local stack. */
  readonly dataDir?: string;
};

/** Throws `PartMissing` when neither a configuration nor a running stack is there. */
export function settings(env: Env): Settings {
  if (env.KEYSAGA_CONFIG) return { config: readClientConfig(env.KEYSAGA_CONFIG) };
  const dataDir = dataFolder(env);
  if (readStack(dataDir) === undefined)
    throw new KeysagaError('PartMissing', `No stack runs on ${shown(dataDir)}.`, {
      field: 'KEYSAGA_DATA',
      remedy: 'Start it with `npm start`, or name a deployment with KEYSAGA_CONFIG.',
    });
  return { config: readClientConfig(clientConfigFile(dataDir)), dataDir };
}

/** Opens a client for the time of `work`. */
export async function withClient<T>(
  env: Env,
  work: (client: KeysagaClient, settings: Settings) => Promise<T>,
): Promise<T> {
  const found = settings(env);
  const client = await createClient(clientOptions(found.config, env));
  try {
    return await work(client, found);
  } finally {
    await client.close();
  }
}

/** A path as a person in this folder would type it. */
export const shown = (path: string): string => {
  const near = relative(process.cwd(), path);
  return near.startsWith('..') ? path : near || '.';
};

/** The saga in the Temporal UI. */
export const sagaLink = (config: ClientConfig, workflowId: string): string | undefined =>
  config.uiUrl === undefined
    ? undefined
    : `${config.uiUrl}/namespaces/${config.temporal.namespace}/workflows/${encodeURIComponent(workflowId)}`;
