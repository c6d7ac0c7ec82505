/** An Ethereum development node: Anvil. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type { Progress } from '../progress.ts';
import { compareVersions, missing, onPath, output, type Part } from './part.ts';

const packageName = '@foundry-rs/anvil-linux-amd64';
/** From here on `anvil_reorg` is there. */
const minimum = '1.0.0';

/** `anvil` on PATH, else the program of the npm package. @throws KeysagaError `PartMissing` with the remedy. */
export async function ensureEthereum(_progress: Progress): Promise<Part> {
  const own = onPath('anvil');
  let why = 'no anvil on PATH';
  if (own) {
    const version = /(\d+\.\d+\.\d+)/.exec(await output(own, ['--version']).catch(() => ''))?.[1];
    if (version && compareVersions(version, minimum) >= 0) return { path: own, version };
    why = `${own} is ${version ?? 'of an unknown version'}, older than ${minimum}`;
  }
  try {
    const manifest = createRequire(import.meta.url).resolve(`${packageName}/package.json`);
    const { version } = JSON.parse(readFileSync(manifest, 'utf8')) as { version: string };
    return { path: join(dirname(manifest), 'bin', 'anvil'), version };
  } catch (error) {
    throw missing(
      'Ethereum node',
      `${why}, and the npm package ${packageName} is not installed (it exists for linux-x64 only)`,
      'Install Foundry (https://getfoundry.sh), run `npm ci` with optional dependencies, or set ETHEREUM_RPC_URL to a local Anvil.',
      error,
    );
  }
}
