/** The checkout as a thing under test: its files, its commands, and throw-away trees beside it. */
import { execFileSync, spawn } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const repoRoot = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');

export interface RunResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command to its end, without a terminal or stdin. A signal counts as exit code 128. */
export function run(
  command: string,
  args: readonly string[],
  cwd: string,
  env: Readonly<Record<string, string>> = {},
): Promise<RunResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd,
      env: { ...process.env, NO_COLOR: '1', FORCE_COLOR: undefined, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    child.on('error', reject);
    child.on('close', (code) => resolve({ code: code ?? 128, stdout, stderr }));
  });
}

/** Writes `files` (path → text) to a fresh folder, with the named root entries of the checkout. */
export function scratchTree(
  files: Readonly<Record<string, string>>,
  fromRepo: readonly string[] = [],
): { readonly path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), 'keysaga-check-'));
  for (const name of fromRepo) {
    if (name === 'node_modules') symlinkSync(join(repoRoot, name), join(path, name));
    else cpSync(join(repoRoot, name), join(path, name), { recursive: true });
  }
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(path, name)), { recursive: true });
    writeFileSync(join(path, name), text);
  }
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

const holdsCode = (folder: string): boolean =>
  readdirSync(folder, { withFileTypes: true }).some((entry) =>
    entry.isDirectory()
      ? entry.name !== 'node_modules' && holdsCode(join(folder, entry.name))
      : /\.[mc]?[jt]s$/.test(entry.name),
  );

/** First-level folders of `root` that hold code (hidden folders and node_modules aside). */
export function listSourceFolders(root: string): string[] {
  return readdirSync(root, { withFileTypes: true })
    .filter(
      (entry) => entry.isDirectory() && !/^(\.|node_modules$|coverage$|dist$)/.test(entry.name),
    )
    .map((entry) => entry.name)
    .filter((name) => holdsCode(join(root, name)))
    .sort();
}

/**
 * Files that belong to the project: tracked, or new and not ignored. A deleted file that is still
 * in the index is left out.
 */
export function projectFiles(): string[] {
  return execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
    cwd: repoRoot,
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  })
    .split('\0')
    .filter((file) => file !== '' && existsSync(join(repoRoot, file)));
}
