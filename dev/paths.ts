/** Where the local stack keeps things. Both folders are git-ignored or outside the checkout. */
import { readFileSync } from 'node:fs';
import { isAbsolute, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import * as z from 'zod';
import { KeysagaError } from '../schema/contracts/errors.ts';

type Env = Readonly<Record<string, string | undefined>>;

/** The checkout, without a trailing slash. */
export const repoRoot = fileURLToPath(new URL('..', import.meta.url)).replace(/\/$/, '');

export const topologyFile = join(repoRoot, 'temporal-dev.yaml');

/** Of the topology; relative to the checkout, or absolute. */
const Folder = z.string().min(1).max(1024);
export const Folders = z.strictObject({ data: Folder, cache: Folder });
export type Folders = z.infer<typeof Folders>;

/** The file's, without a check of all the rest of it: `keysaga reset` must work when a port is misspelt. */
function foldersOf(file: string): Folders {
  let document: unknown;
  try {
    document = parse(readFileSync(file, 'utf8'));
  } catch (cause) {
    throw new KeysagaError('InvalidInput', `${file} cannot be read.`, { field: file }, { cause });
  }
  const found = z.object({ folders: Folders }).safeParse(document);
  if (found.success) return found.data.folders;
  const field = found.error.issues[0]?.path.join('.') ?? 'folders';
  throw new KeysagaError('InvalidInput', `${field}: not a folder (in ${file})`, { field });
}

let read: Folders | undefined;
const configured = (): Folders => {
  read ??= foldersOf(topologyFile);
  return read;
};

const under = (value: string): string => (isAbsolute(value) ? value : resolve(repoRoot, value));

/** Downloaded programs: `$KEYSAGA_CACHE`, else as `temporal-dev.yaml` says. Safe to delete at any time. */
export const cacheFolder = (env: Env = process.env, folders?: Folders): string =>
  under(env.KEYSAGA_CACHE || (folders ?? configured()).cache);

/** State of a stack: `$KEYSAGA_DATA`, else as `temporal-dev.yaml` says. `npm run reset` deletes it. */
export const dataFolder = (env: Env = process.env, folders?: Folders): string =>
  under(env.KEYSAGA_DATA || (folders ?? configured()).data);
