/** What a person types in a shell, as a test: commands run to their end, and `npm start`, which stays up. */
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { repoRoot } from '../../dev/paths.ts';

export type Run = { code: number | null; stdout: string; stderr: string };
export type Env = Readonly<Record<string, string>>;
/** A command that is still running. */
export type Live = Run & { readonly child: ChildProcess; readonly ended: Promise<number | null> };

function begin(dataDir: string, command: string, args: readonly string[], env: Env): Live {
  const { NO_COLOR: _, FORCE_COLOR: __, ...inherited } = process.env;
  const child = spawn(command, [...args], {
    cwd: repoRoot,
    env: { ...inherited, KEYSAGA_DATA: dataDir, ...env },
    // A group of its own, as a shell gives to a job: a signal to it is what a terminal's Ctrl-C does.
    detached: true,
    stdio: 'pipe',
  });
  const live: Live = {
    code: null,
    stdout: '',
    stderr: '',
    child,
    ended: new Promise((resolve) => {
      child.once('close', (code) => {
        live.code = code;
        resolve(code);
      });
    }),
  };
  child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
    live.stdout += chunk;
  });
  child.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
    live.stderr += chunk;
  });
  return live;
}

export type Shell = {
  run(command: string, args: readonly string[], input?: string, env?: Env): Promise<Run>;
  /** The command line, from the checkout. */
  keysaga(args: readonly string[], env?: Env): Promise<Run>;
  /** `npm start`, which ends when it is told to. */
  start(...args: string[]): Live;
};

/** A shell in the checkout whose local stack is that of `dataDir`. */
export function shell(dataDir: string): Shell {
  const run = async (
    command: string,
    args: readonly string[],
    input = '',
    env: Env = {},
  ): Promise<Run> => {
    const live = begin(dataDir, command, args, env);
    live.child.stdin?.end(input);
    const code = await live.ended;
    return { code, stdout: live.stdout, stderr: live.stderr };
  };
  return {
    run,
    keysaga: (args, env) => run(join(repoRoot, 'cli/keysaga'), args, '', env),
    start: (...args) => begin(dataDir, process.execPath, ['scripts/start.mjs', ...args], {}),
  };
}
