/** What every installer shares: finding programs, running them, putting a result in the cache in one step. */
import { execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { delimiter, join } from 'node:path';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import { cacheFolder } from '../paths.ts';
import { withLock } from '../process/lock.ts';
import type { Progress } from '../progress.ts';

export interface Part {
  /** The program, or the folder or module that stands for it. */
  readonly path: string;
  readonly version: string;
}

/** First executable file of that name on PATH. */
export function onPath(name: string, path = process.env.PATH ?? ''): string | undefined {
  return path
    .split(delimiter)
    .filter((folder) => folder !== '')
    .map((folder) => join(folder, name))
    .find((file) => {
      try {
        accessSync(file, constants.X_OK);
        return statSync(file).isFile();
      } catch {
        return false;
      }
    });
}

/** Runs a program to its end and returns its stdout. Rejects on a non-zero code, with the stderr's end in the message. */
export const output = (
  file: string,
  args: readonly string[],
  timeoutMs = 20_000,
): Promise<string> =>
  new Promise((resolve, reject) => {
    execFile(file, [...args], { timeout: timeoutMs, encoding: 'utf8' }, (error, stdout, stderr) => {
      if (error)
        reject(
          new Error(`${error.message}${stderr ? `: ${stderr.slice(-500)}` : ''}`, { cause: error }),
        );
      else resolve(stdout);
    });
  });

/** The same for long jobs: each line of either stream goes to `onLine`. */
export const runLoud = (
  file: string,
  args: readonly string[],
  options: { readonly env?: NodeJS.ProcessEnv; readonly cwd?: string; onLine(line: string): void },
): Promise<void> =>
  new Promise((resolve, reject) => {
    const child = spawn(file, [...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: options.env ?? process.env,
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    });
    let last = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        for (const line of text.split(/[\r\n]+/)) {
          if (line.trim() === '') continue;
          last = line.trim();
          options.onLine(last);
        }
      });
    }
    child.once('error', reject);
    child.once('close', (code, signal) =>
      code === 0 ? resolve() : reject(new Error(`${file} ended with ${signal ?? code}: ${last}`)),
    );
  });

/** Compares dotted versions by number: negative, zero, positive. */
export function compareVersions(a: string, b: string): number {
  const [left, right] = [a, b].map((version) =>
    version
      .split(/[.-]/)
      .slice(0, 3)
      .map((n) => Number.parseInt(n, 10) || 0),
  );
  for (let i = 0; i < 3; i++) {
    const difference = (left?.[i] ?? 0) - (right?.[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

/**
 * `<cache>/<name>`, filled by `make(folder)` when it is not there yet. `make` works in a folder beside it that is renamed
 * when it is complete, under a lock, so that a crash or a second process never leaves half a program behind.
 */
export async function cached(
  name: string,
  make: (folder: string) => Promise<void>,
  { root = cacheFolder(), progress, part }: { root?: string; progress: Progress; part: string },
): Promise<string> {
  const target = join(root, name);
  if (existsSync(target)) return target;
  return withLock(
    join(root, `${name}.lock`),
    async () => {
      if (existsSync(target)) return target; // another process was faster
      const started = Date.now();
      for (const left of readdirSync(root)) {
        // A killed installer's work; its lock is ours now.
        if (left.startsWith(`${name}.`) && left.endsWith('.partial'))
          rmSync(join(root, left), { recursive: true, force: true });
      }
      const temporary = join(root, `${name}.${randomBytes(4).toString('hex')}.partial`);
      mkdirSync(temporary, { recursive: true });
      try {
        await make(temporary);
        renameSync(temporary, target);
      } finally {
        rmSync(temporary, { recursive: true, force: true });
      }
      progress({ part, phase: 'install', message: `installed ${name}`, ms: Date.now() - started });
      return target;
    },
    {
      onWait: (pid) =>
        progress({
          part,
          phase: 'install',
          message: `waiting for process ${pid}, which installs ${name}`,
        }),
    },
  );
}

/** The one failure of an installer. `remedy` is a sentence that says what to do. */
export const missing = (part: string, why: string, remedy: string, cause?: unknown): KeysagaError =>
  new KeysagaError(
    'PartMissing',
    `${part} is missing: ${why}. ${remedy}`,
    { part, remedy },
    cause === undefined ? {} : { cause },
  );

/** First line of an error, for a message of one line. */
export const firstLine = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).split('\n')[0]?.slice(0, 300) ?? '';
