/** Our own programs as supervised children: coordinator and party workers. */
import { KeysagaError } from '../../schema/contracts/errors.ts';
import { repoRoot } from '../paths.ts';
import { type ExitInfo, ManagedProcess } from '../process/managed.ts';
import { program } from '../programs.ts';
import { logFile, mark, type StackContext } from './context.ts';

/** What a program says when it is ready: one JSON line on stdout, `{"ready":true, …}`. */
export type ReadyLine = Readonly<Record<string, unknown>> & { readonly ready: true };

/** The ready line in what a child printed so far. */
export function readyLine(output: string): ReadyLine | undefined {
  for (const line of output.split('\n').slice(0, -1)) {
    if (!line.startsWith('{') || !line.includes('"ready"')) continue;
    try {
      const value = JSON.parse(line) as { ready?: unknown };
      if (value.ready === true) return value as ReadyLine;
    } catch {
      // a log line that looks alike
    }
  }
  return undefined;
}

export interface NodeOptions {
  /** Unique in the stack; names the log file. */
  readonly name: string;
  /** TypeScript or JavaScript file, relative to the checkout. */
  readonly script: string;
  readonly args?: readonly string[];
  /** Added to what it gets of this process's environment (`INHERITED`). `undefined` removes a variable. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Default: the ready line. Looked at with everything the child printed. */
  readonly readyWhen?: (output: string) => unknown;
  /** Default 60 s. */
  readonly readyTimeoutMs?: number;
  /** Between SIGTERM and SIGKILL; default 10 s. */
  readonly stopTimeoutMs?: number;
}

export interface NodeProcess {
  readonly name: string;
  /** `undefined` while it is down. */
  readonly pid: number | undefined;
  /** Ready line of the present run. */
  readonly ready: ReadyLine | undefined;
  readonly logFile: string;
  /** What the present, or last, run printed. */
  output(): string;
  /** Settles when the present run ends; `undefined` when it has ended. */
  readonly exited: Promise<ExitInfo> | undefined;
  stop(): Promise<void>;
  /** As a crash would; resolves once it is gone (SIGSTOP, SIGCONT: at once). */
  kill(signal?: NodeJS.Signals): Promise<void>;
  /** Stops it when it runs, and starts it again, with another environment or other arguments if given. */
  restart(change?: Pick<NodeOptions, 'env' | 'args'>): Promise<void>;
}

/**
 * What a worker gets of its owner's environment: how a program runs, and nothing of what the owner may hold there (an
 * administrator's database address, a passphrase, tokens). All that a worker is told is in its configuration file.
 */
const INHERITED =
  /^(PATH|HOME|USER|LOGNAME|SHELL|LANG|LANGUAGE|LC_\w+|TZ|TMPDIR|TEMP|TMP|TERM|CI|VITEST|NODE_\w+|UV_\w+|RUST_\w+|SSL_CERT_\w+|KEYSAGA_(LOG_LEVEL|FAIL_POINTS|CACHE))$/;

const merged = (
  context: StackContext,
  name: string,
  env: NodeOptions['env'] = {},
): Record<string, string> => {
  const own = Object.entries(process.env).filter(([variable]) => INHERITED.test(variable));
  const all = { ...Object.fromEntries(own), ...env, ...mark(context, name) };
  return Object.fromEntries(
    Object.entries(all).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
};

/** Spawns `node <bundle of script> …args` and waits until it is ready. @throws KeysagaError `PartFailed`. */
export async function spawnNode(
  context: StackContext,
  options: NodeOptions,
): Promise<{ process: ManagedProcess; node: NodeProcess }> {
  const { name } = options;
  if (!/^[a-z0-9][-a-z0-9.]{0,63}$/.test(name)) {
    throw new KeysagaError('InvalidInput', 'name: 1 to 64 of a-z 0-9 - .', { field: 'name' });
  }
  const path = await program(options.script);
  const argsOf = (args: readonly string[] = []) => [path, ...args];
  const readyWhen = options.readyWhen ?? readyLine;
  const child = new ManagedProcess(
    {
      name,
      command: process.execPath,
      args: argsOf(options.args),
      env: merged(context, name, options.env),
      cwd: repoRoot,
      logFile: logFile(context, name),
      ready: ({ output }) => readyWhen(output()),
      readyTimeoutMs: options.readyTimeoutMs ?? 60_000,
      stopTimeoutMs: options.stopTimeoutMs ?? 10_000,
    },
    context.onChange,
  );
  context.progress({ part: name, phase: 'start', message: `starting ${name}` });
  const started = Date.now();
  await child.start();
  context.progress({
    part: name,
    phase: 'ready',
    message: `${name} is ready`,
    ms: Date.now() - started,
  });
  return {
    process: child,
    node: {
      name,
      get pid() {
        return child.pid;
      },
      get ready() {
        return child.pid === undefined ? undefined : readyLine(child.output());
      },
      logFile: child.spec.logFile,
      output: () => child.output(),
      get exited() {
        return child.pid === undefined ? undefined : child.exited;
      },
      stop: () => child.stop(),
      kill: (signal) => child.kill(signal),
      restart: (change) =>
        child.restart({
          ...(change?.args ? { args: argsOf(change.args) } : {}),
          ...(change?.env ? { env: merged(context, name, { ...options.env, ...change.env }) } : {}),
        }),
    },
  };
}
