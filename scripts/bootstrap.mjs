/**
 * Makes `npm start` and `npm test` work on a fresh clone: installs the node modules when they are missing or not those of
 * package-lock.json. Plain JavaScript on Node's own modules, since nothing else is there yet. Speaks on stderr only.
 */
import { spawn } from 'node:child_process';
import { existsSync, linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

export const repoRoot = dirname(dirname(fileURLToPath(import.meta.url)));

const say = (text) => process.stderr.write(`keysaga: ${text}\n`);

/** One honest line and the remedy, no stack trace. */
export function fail(text, code = 1) {
  say(text);
  process.exit(code);
}

const readJson = (path) => JSON.parse(readFileSync(join(repoRoot, path), 'utf8'));

/**
 * Compares what is installed (npm's own note in node_modules) with the lock file, package by package. File times lie after
 * a checkout; an optional package may be absent because it is for another platform.
 */
export function staleReason() {
  if (!existsSync(join(repoRoot, 'node_modules'))) return 'node_modules is missing';
  let wanted;
  let present;
  try {
    wanted = readJson('package-lock.json').packages;
    present = readJson('node_modules/.package-lock.json').packages;
  } catch {
    return 'node_modules is incomplete';
  }
  for (const [path, entry] of Object.entries(wanted)) {
    if (path === '' || entry.link) continue;
    const found = present[path];
    if (found === undefined) {
      if (entry.optional || entry.devOptional || entry.peer) continue;
      return `${path} is missing`;
    }
    if (found.version !== entry.version) return `${path} is ${found.version}, not ${entry.version}`;
    if (!existsSync(join(repoRoot, path))) return `${path} is missing`;
  }
  return undefined;
}

const alive = (pid) => {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
};

/** Two first starts in one clone must not run `npm ci` at the same time. Returns the function that gives the lock back. */
async function lock() {
  const path = join(repoRoot, '.cache', 'bootstrap.lock');
  const mine = `${path}.${process.pid}`;
  mkdirSync(dirname(path), { recursive: true });
  let told = false;
  for (;;) {
    writeFileSync(mine, String(process.pid));
    try {
      linkSync(mine, path);
      return () => rmSync(path, { force: true });
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
    } finally {
      rmSync(mine, { force: true });
    }
    let holder = 0;
    try {
      holder = Number(readFileSync(path, 'utf8'));
    } catch {
      continue; // given back meanwhile
    }
    if (!alive(holder)) {
      rmSync(path, { force: true });
      continue;
    }
    if (!told) say(`waiting for process ${holder}, which installs the node modules`);
    told = true;
    await sleep(200);
  }
}

/** Runs npm with its output on our stderr; resolves to its exit code. */
function npm(args) {
  // Inside an npm script the very npm that runs us is known by path, which also spares a shell on Windows.
  const cli = process.env.npm_execpath;
  const viaNode = cli?.endsWith('.js') || cli?.endsWith('.cjs');
  const [command, list] = viaNode ? [process.execPath, [cli, ...args]] : ['npm', args];
  return new Promise((resolve) => {
    const child = spawn(command, list, {
      cwd: repoRoot,
      stdio: ['ignore', 2, 2],
      shell: !viaNode && process.platform === 'win32',
    });
    child.once('error', (error) => resolve(error.message));
    child.once('exit', (code, signal) => resolve(signal ?? code));
  });
}

/** Returns when the node modules are those of the lock file; ends the process with one line otherwise. */
export async function bootstrap() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (major < 20 || (major === 20 && minor < 19)) {
    fail(
      `Node ${process.versions.node} is too old: install Node 20.19 or newer (24 is recommended), then try again.`,
    );
  }
  if (staleReason() === undefined) return;
  const unlock = await lock();
  try {
    const reason = staleReason(); // another process may have done it
    if (reason === undefined) return;
    say(`installing node modules (${reason}) …`);
    const started = Date.now();
    const outcome = await npm([
      'ci',
      '--no-fund',
      '--no-audit',
      '--loglevel=warn',
      '--progress=true',
    ]);
    const left = staleReason();
    if (outcome !== 0 || left !== undefined) {
      unlock();
      fail(
        `the node modules could not be installed (npm ci: ${outcome === 0 ? left : outcome}). Check the network or the registry, run \`npm ci\` and try again.`,
      );
    }
    say(`node modules installed in ${((Date.now() - started) / 1000).toFixed(1)} s`);
  } finally {
    unlock();
  }
}

/** Lets this process, and only it, load TypeScript; call it after {@link bootstrap}. */
export async function registerTypeScript() {
  const { register } = await import('tsx/esm/api');
  register();
}
