/**
 * One child process under supervision: started in a session of its own (a terminal's Ctrl-C must reach the stack's
 * owner only, which stops the parts in order), its output in a log file, ready when its probe says so.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync, renameSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import { until } from '../until.ts';
import { identify, isAlive, type ProcessIdentity, signalProcess } from './identity.ts';

export interface ProcessSpec {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  /** The whole environment of the child; nothing is inherited. */
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  /** Unprivileged user and group for a server that refuses root. */
  readonly uid?: number;
  readonly gid?: number;
  readonly logFile: string;
  /** Looked at until truthy. Throwing means "not yet". `output` is what the child printed since its start. */
  readonly ready: (child: { readonly pid: number; output(): string }) => unknown | Promise<unknown>;
  /** Default 30 s. */
  readonly readyTimeoutMs?: number;
  /** Asks for an orderly end; default SIGTERM. */
  readonly stopSignal?: NodeJS.Signals;
  /** SIGKILL follows after it; default 10 s. */
  readonly stopTimeoutMs?: number;
  /** Further processes that must be gone before a restart (helpers that outlive a killed server for a moment). */
  readonly remnants?: () => ProcessIdentity[];
}

export interface ExitInfo {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** False for an end that `stop` or `kill` asked for. */
  readonly unexpected: boolean;
}

const maxLogBytes = 16 * 1024 * 1024;

/** Appends to the log; one older generation is kept. Returns the descriptor and where this run begins. */
function openLog(path: string): { fd: number; from: number } {
  mkdirSync(dirname(path), { recursive: true });
  try {
    if (statSync(path).size > maxLogBytes) renameSync(path, `${path}.old`);
  } catch {
    // first run
  }
  const fd = openSync(path, 'a', 0o600);
  return { fd, from: statSync(path).size };
}

export class ManagedProcess {
  #spec: ProcessSpec;
  #child: ChildProcess | undefined;
  #identity: ProcessIdentity | undefined;
  #exit: Promise<ExitInfo> | undefined;
  #asked = false;
  #logFrom = 0;
  readonly #onChange: (process: ManagedProcess, exit?: ExitInfo) => void;

  /** `onChange` runs after each start and each end, so that the owner can record the pid. */
  constructor(
    spec: ProcessSpec,
    onChange: (process: ManagedProcess, exit?: ExitInfo) => void = () => {},
  ) {
    this.#spec = spec;
    this.#onChange = onChange;
  }

  get spec(): ProcessSpec {
    return this.#spec;
  }
  /** Present from spawn until exit. */
  get identity(): ProcessIdentity | undefined {
    return this.#identity;
  }
  get pid(): number | undefined {
    return this.#identity?.pid;
  }
  /** Settles when the present run has ended. */
  get exited(): Promise<ExitInfo> | undefined {
    return this.#exit;
  }

  /** What the present (or last) run printed. */
  output(): string {
    try {
      return readFileSync(this.spec.logFile).subarray(this.#logFrom).toString('utf8');
    } catch {
      return '';
    }
  }

  /**
   * Spawns the child and waits for readiness.
   * @throws KeysagaError `PartFailed` when it ends or stays unready; details: `part`, `log`, `lastLines`. The child is gone then.
   */
  async start(): Promise<void> {
    if (this.#identity) {
      throw new KeysagaError('StateConflict', `${this.spec.name} is running`, {
        part: this.spec.name,
      });
    }
    await this.#clearRemnants();
    const { spec } = this;
    const log = openLog(spec.logFile);
    this.#logFrom = log.from;
    this.#asked = false;
    const child = spawn(spec.command, [...spec.args], {
      cwd: spec.cwd,
      env: { ...spec.env },
      detached: true,
      stdio: ['ignore', log.fd, log.fd],
      ...(spec.uid === undefined ? {} : { uid: spec.uid }),
      ...(spec.gid === undefined ? {} : { gid: spec.gid }),
    });
    closeSync(log.fd);
    this.#child = child;
    let failed: Error | undefined;
    let ended: ExitInfo | undefined;
    this.#exit = new Promise<ExitInfo>((resolve) => {
      const finish = (code: number | null, signal: NodeJS.Signals | null) => {
        if (ended) return;
        ended = { code, signal, unexpected: !this.#asked };
        this.#identity = undefined;
        this.#child = undefined;
        this.#onChange(this, ended);
        resolve(ended);
      };
      child.once('error', (error) => {
        failed = error;
        finish(null, null);
      });
      child.once('exit', finish);
    });
    if (child.pid !== undefined) {
      // A child that is already a zombie has no identity to record; its exit event follows.
      this.#identity = identify(child.pid) ?? { pid: child.pid, startTime: '' };
      this.#onChange(this);
    }
    const pid = child.pid ?? 0;
    try {
      await until(
        async () => {
          if (ended)
            throw this.#failure(
              failed
                ? `could not be run: ${failed.message}`
                : `ended with ${ended.signal ?? `code ${ended.code}`}`,
              'exited',
            );
          const ready = await spec.ready({ pid, output: () => this.output() });
          // A probe may have been answered by somebody else's server while this one died.
          return ready && !ended;
        },
        { deadlineMs: spec.readyTimeoutMs ?? 30_000, what: `${spec.name} becoming ready` },
      );
    } catch (error) {
      const reason = error instanceof KeysagaError ? error.details.reason : undefined;
      if (!ended) await this.#end('SIGKILL', 5000);
      if (reason === 'exited') throw error;
      throw this.#failure(
        error instanceof Error ? error.message : String(error),
        String(reason ?? 'unready'),
        error,
      );
    }
  }

  /** Orderly end, SIGKILL after the limit. Does nothing when it is not running. */
  async stop(): Promise<void> {
    if (!this.#child) return;
    await this.#end(this.spec.stopSignal ?? 'SIGTERM', this.spec.stopTimeoutMs ?? 10_000);
    await this.#clearRemnants();
  }

  /**
   * Sends a signal as a crash would; for signals that end a process it resolves once the process is gone.
   * SIGSTOP and SIGCONT freeze and thaw it.
   */
  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const { identity } = this;
    if (!identity) return;
    if (
      signal === 'SIGSTOP' ||
      signal === 'SIGCONT' ||
      signal === 'SIGUSR1' ||
      signal === 'SIGUSR2'
    ) {
      signalProcess(identity, signal);
      return;
    }
    await this.#end(signal, 10_000);
  }

  /** Same program on the same ports; `change` replaces environment or arguments. Stops it first when it runs. */
  async restart(change: Partial<Pick<ProcessSpec, 'env' | 'args'>> = {}): Promise<void> {
    await this.stop();
    this.#spec = { ...this.#spec, ...change };
    await this.start();
  }

  /** For the owner's `exit` event, where nothing can be awaited. */
  signalNow(signal?: NodeJS.Signals): void {
    if (this.#identity) {
      this.#asked = true;
      signalProcess(this.#identity, signal ?? this.spec.stopSignal ?? 'SIGTERM');
    }
  }

  async #end(signal: NodeJS.Signals, limitMs: number): Promise<void> {
    const [child, exit] = [this.#child, this.#exit];
    if (!child || !exit) return;
    this.#asked = true;
    // The child is ours and not reaped yet, so its pid cannot be anyone else's.
    child.kill(signal);
    const limit = new AbortController();
    const inTime = await Promise.race([
      exit.then(() => true),
      sleep(limitMs, false, { signal: limit.signal }).catch(() => true),
    ]);
    limit.abort();
    if (!inTime) child.kill('SIGKILL');
    await exit;
  }

  async #clearRemnants(): Promise<void> {
    const remnants = this.spec.remnants;
    if (!remnants) return;
    const gone = () => remnants().length === 0;
    try {
      await until(gone, { deadlineMs: 5000, what: `helpers of ${this.spec.name} ending` });
    } catch {
      for (const one of remnants()) signalProcess(one, 'SIGKILL');
      await until(gone, { deadlineMs: 5000, what: `helpers of ${this.spec.name} ending` });
    }
  }

  #failure(message: string, reason: string, cause?: unknown): KeysagaError {
    const lastLines = this.output().trimEnd().split('\n').slice(-8).join('\n').slice(-2000);
    return new KeysagaError(
      'PartFailed',
      `${this.spec.name} ${message} (log: ${this.spec.logFile})${lastLines ? `\n${lastLines}` : ''}`,
      { part: this.spec.name, reason, log: this.spec.logFile, lastLines },
      cause === undefined ? {} : { cause },
    );
  }
}

/** Ends processes a dead owner left behind: orderly first, SIGKILL for what is still there after 5 s. */
export async function endProcesses(
  targets: readonly (ProcessIdentity & { readonly stopSignal?: NodeJS.Signals })[],
  graceMs = 5000,
): Promise<void> {
  for (const target of targets) signalProcess(target, target.stopSignal ?? 'SIGTERM');
  const left = () => targets.filter(isAlive);
  try {
    await until(() => left().length === 0, {
      deadlineMs: graceMs,
      what: 'leftover processes ending',
    });
  } catch {
    for (const target of left()) signalProcess(target, 'SIGKILL');
    await until(() => left().length === 0, { deadlineMs: 5000, what: 'leftover processes ending' });
  }
}
