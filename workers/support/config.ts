/** Reading configuration files and the key files that they name. */
import { readFileSync, statSync } from 'node:fs';
import { dirname, isAbsolute, join } from 'node:path';
import { parseArgs } from 'node:util';
import type * as z from 'zod';
import { parseWith } from '../../core/parse.ts';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import type { PayloadKeys } from '../../wire/codec.ts';

export type Loaded<T> = { readonly config: T; path(relative: string): string };

/** `--config <file>` of the command line. Throws `InvalidInput` naming the field that is wrong. */
export function loadConfig<T>(
  schema: z.ZodType<T>,
  argv: readonly string[] = process.argv.slice(2),
): Loaded<T> {
  const { values } = parseArgs({ args: [...argv], options: { config: { type: 'string' } } });
  const file = values.config;
  if (file === undefined)
    throw new KeysagaError('InvalidInput', 'Name a configuration: --config <file>.', {
      field: 'config',
    });
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    throw new KeysagaError(
      'InvalidInput',
      `The configuration cannot be read: ${file}`,
      { field: 'config' },
      { cause },
    );
  }
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

/** 32 bytes of hex from a file that only its owner may read. */
export function readKey(file: string, field: string): Uint8Array {
  let text: string;
  try {
    if ((statSync(file).mode & 0o077) !== 0)
      throw new KeysagaError(
        'PartMissing',
        `${field}: the key file is readable by others; make it mode 0600.`,
        { field },
      );
    text = readFileSync(file, 'utf8').trim();
  } catch (cause) {
    if (cause instanceof KeysagaError) throw cause;
    throw new KeysagaError(
      'PartMissing',
      `${field}: the key file cannot be read.`,
      { field },
      { cause },
    );
  }
  if (!/^[0-9a-f]{64}$/.test(text))
    throw new KeysagaError('PartMissing', `${field}: the key file is not 32 bytes of hex.`, {
      field,
    });
  return new Uint8Array(Buffer.from(text, 'hex'));
}

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
