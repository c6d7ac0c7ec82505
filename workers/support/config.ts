/** Reading configuration files and the key files that they name. */
import { readFileSync, statSync } from 'node:fs';
import { dirname, isAbsolute, join } from 'node:path';
import { parseArgs } from 'node:util';
import type * as z from 'zod';
import { parseWith } from '../../core/parse.ts';
import type { PayloadStorage } from '../../schema/contracts/config.ts';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import { readSecretFile } from '../../storage/party/secret-file.ts';
import type { PayloadKeys } from '../../wire/codec.ts';
import type { DataConverterOptions } from '../../wire/data-converter.ts';

export type Loaded<T> = { readonly config: T; path(relative: string): string };
export type Flags = Readonly<Record<string, string | boolean | undefined>>;

/** The options of a command line. Throws `InvalidInput` for others, and repeats nothing of what was given. */
export function readFlags(
  options: Readonly<Record<string, { readonly type: 'string' | 'boolean' }>>,
  argv: readonly string[] = process.argv.slice(2),
): Flags {
  try {
    return parseArgs({ args: [...argv], options: { ...options } }).values as Flags;
  } catch (cause) {
    throw new KeysagaError(
      'InvalidInput',
      `Usage: ${Object.entries(options)
        .map(([name, { type }]) => (type === 'string' ? `--${name} <${name}>` : `[--${name}]`))
        .join(' ')}`,
      { field: 'arguments' },
      { cause },
    );
  }
}

/**
 * `--config <file>` of the command line, which only its owner may read, since it names a database with its password.
 * Throws `InvalidInput` naming the field that is wrong, `PartMissing` (`config`) for a file that others may read.
 */
export function loadConfig<T>(
  schema: z.ZodType<T>,
  flags: Flags = readFlags({ config: { type: 'string' } }),
): Loaded<T> {
  const file = flags.config;
  if (typeof file !== 'string')
    throw new KeysagaError('InvalidInput', 'Name a configuration: --config <file>.', {
      field: 'config',
    });
  let text: string;
  let mode: number;
  try {
    mode = statSync(file).mode;
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    throw new KeysagaError(
      'InvalidInput',
      `The configuration cannot be read: ${file}`,
      { field: 'config' },
      { cause },
    );
  }
  if ((mode & 0o077) !== 0)
    throw new KeysagaError(
      'PartMissing',
      `The configuration is readable by others; make it mode 0600: ${file}`,
      { field: 'config' },
    );
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new KeysagaError(
      'InvalidInput',
      `The configuration is not JSON: ${file}`,
      { field: 'config' },
      { cause },
    );
  }
  const folder = dirname(file);
  return {
    config: parseWith(schema, json, 'configuration'),
    path: (relative) => (isAbsolute(relative) ? relative : join(folder, relative)),
  };
}

/** 32 bytes of hex from a file that only its owner may read. Throws `PartMissing` (`field`). */
export const readKey = readSecretFile;

export function readJson(file: string, field: string): unknown {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch (cause) {
    throw new KeysagaError(
      'InvalidInput',
      `${field}: ${file} cannot be read as JSON.`,
      { field },
      { cause },
    );
  }
}

/** Keys and storage as a configuration names them; every worker of the stack has the same. */
export function dataConverterOptions(
  loaded: Loaded<{
    readonly payloadKeys: Parameters<typeof readPayloadKeys>[1];
    readonly payloadStorage?: PayloadStorage;
  }>,
): DataConverterOptions {
  const { payloadKeys, payloadStorage } = loaded.config;
  return {
    keys: readPayloadKeys(loaded, payloadKeys),
    ...(payloadStorage === undefined
      ? {}
      : {
          externalStorage: { ...payloadStorage, directory: loaded.path(payloadStorage.directory) },
        }),
  };
}

/** Payload keys in order; new payloads are sealed under the first. */
export function readPayloadKeys(
  { path }: Loaded<unknown>,
  files: readonly { readonly id: string; readonly file: string }[],
): PayloadKeys {
  const [first] = files;
  if (first === undefined)
    throw new KeysagaError('InvalidInput', 'No payload key is configured.', {
      field: 'payloadKeys',
    });
  return {
    current: first.id,
    keys: Object.fromEntries(
      files.map(({ id, file }) => [id, readKey(path(file), `payloadKeys.${id}`)]),
    ),
  };
}
