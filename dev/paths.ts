/** Where the local stack keeps things. All three folders are git-ignored or outside the checkout. */
import { isAbsolute, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

type Env = Readonly<Record<string, string | undefined>>;

/** The checkout, without a trailing slash. */
export const repoRoot = fileURLToPath(new URL('..', import.meta.url)).replace(/\/$/, '');

const under = (value: string): string => (isAbsolute(value) ? value : resolve(repoRoot, value));

/** Downloaded programs: `$KEYSAGA_CACHE`, else `.cache` in the checkout. Safe to delete at any time. */
export const cacheFolder = (env: Env = process.env): string =>
  env.KEYSAGA_CACHE ? under(env.KEYSAGA_CACHE) : join(repoRoot, '.cache');

/** State of a stack: `$KEYSAGA_DATA`, else `.keysaga` in the checkout. `npm run reset` deletes it. */
export const dataFolder = (env: Env = process.env): string =>
  env.KEYSAGA_DATA ? under(env.KEYSAGA_DATA) : join(repoRoot, '.keysaga');
