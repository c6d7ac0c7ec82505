/** The Solana runtime: surfpool as a native addon, from npm. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type { Progress } from '../progress.ts';
import { missing, type Part } from './part.ts';

const packageName = '@solana/surfpool-linux-x64-gnu';

/** `path` is the addon file, to be loaded in a process of its own. @throws KeysagaError `PartMissing` with the remedy. */
export async function ensureSolana(_progress: Progress): Promise<Part> {
  try {
    const path = createRequire(import.meta.url).resolve(packageName);
    const { version } = JSON.parse(readFileSync(join(dirname(path), 'package.json'), 'utf8')) as {
      version: string;
    };
    return { path, version };
  } catch (error) {
    throw missing(
      'Solana runtime',
      `the npm package ${packageName} is not installed (it exists for linux-x64 with glibc only)`,
      'Run `npm ci` with optional dependencies, or set SOLANA_RPC_URL to a local validator.',
      error,
    );
  }
}
