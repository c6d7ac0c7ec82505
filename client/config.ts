/** Reading a client's configuration file and the key files it names. */
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { parseWith } from '../core/parse.ts';
import { ClientConfig } from '../schema/contracts/config.ts';
import { KeysagaError } from '../schema/contracts/errors.ts';
import { connectionFromEnv } from '../wire/connection.ts';
import type { ClientOptions } from './options.ts';

function read(file: string, what: string, field: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw new KeysagaError('NotFound', `${what} ${file} cannot be read.`, { field }, { cause });
  }
}

/** Throws `NotFound` and `InvalidInput` (`field`); paths in the result are absolute. */
export function readClientConfig(file: string): ClientConfig {
  let json: unknown;
  try {
    json = JSON.parse(read(file, 'The configuration', 'KEYSAGA_CONFIG'));
  } catch (error) {
    if (error instanceof KeysagaError) throw error;
    throw new KeysagaError('InvalidInput', `${file} is not JSON.`, { field: 'KEYSAGA_CONFIG' });
  }
  const config = parseWith(ClientConfig, json, 'configuration');
  const absolute = (path: string) => resolve(dirname(file), path);
  return {
    ...config,
    payloadKeys: config.payloadKeys.map(({ id, file: path }) => ({ id, file: absolute(path) })),
    ...(config.payloadStorage === undefined
      ? {}
      : {
          payloadStorage: {
            ...config.payloadStorage,
            directory: absolute(config.payloadStorage.directory),
          },
        }),
    ...(config.approvers === undefined
      ? {}
      : {
          approvers: config.approvers.map(({ name, keyFile }) => ({
            name,
            keyFile: absolute(keyFile),
          })),
        }),
    ...(config.administrators === undefined
      ? {}
      : {
          administrators: config.administrators.map(({ keyFile, ...one }) => ({
            ...one,
            ...(keyFile === undefined ? {} : { keyFile: absolute(keyFile) }),
          })),
        }),
  };
}

/**
 * Options for `createClient`. The environment's `TEMPORAL_*` variables win over the file. Throws `NotFound` and
 * `InvalidInput`; no message repeats a key.
 */
export function clientOptions(
  config: ClientConfig,
  env: Readonly<Record<string, string | undefined>> = process.env,
): ClientOptions {
  const keys: Record<string, Uint8Array> = Object.create(null);
  for (const { id, file } of config.payloadKeys) {
    const hex = read(file, 'The payload key', 'payloadKeys').trim();
    if (!/^[0-9a-f]{64}$/.test(hex))
      throw new KeysagaError('InvalidInput', `${file} does not hold 32 bytes of hex.`, {
        field: 'payloadKeys',
      });
    keys[id] = Uint8Array.from(Buffer.from(hex, 'hex'));
  }
  return {
    temporal: connectionFromEnv({
      ...env,
      TEMPORAL_ADDRESS: env.TEMPORAL_ADDRESS || config.temporal.address,
      TEMPORAL_NAMESPACE: env.TEMPORAL_NAMESPACE || config.temporal.namespace,
    }),
    payloadKeys: { current: config.payloadKeys[0]?.id ?? '', keys },
    directory: config.directory,
    ...(config.payloadStorage === undefined ? {} : { externalStorage: config.payloadStorage }),
    ...(config.committees === undefined ? {} : { committees: config.committees }),
    ...(config.administrators === undefined
      ? {}
      : {
          administrators: {
            administrators: config.administrators.map(({ name, publicKey }) => ({
              name,
              publicKey,
            })),
            quorum: config.administratorQuorum ?? config.administrators.length,
          },
        }),
  };
}
