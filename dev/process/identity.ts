/**
 * Which process is which. A pid alone is reused by the system, so a process is named by its pid and start time,
 * and nothing is ever signalled on a pid alone.
 */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

export interface ProcessIdentity {
  readonly pid: number;
  /** Linux: clock ticks since boot (field 22 of `/proc/<pid>/stat`) and the boot id; elsewhere what `ps` prints. */
  readonly startTime: string;
}

const linux = process.platform === 'linux';

const bootId = (() => {
  if (!linux) return '';
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim().slice(0, 8);
  } catch {
    return '';
  }
})();

/** Identity of a live process; `undefined` when there is none, or only a zombie. */
export function identify(pid: number): ProcessIdentity | undefined {
  if (linux) {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
      // The name (field 2) may contain blanks and brackets; the fields after the last ')' do not.
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      const [state, startTicks] = [fields[0], fields[19]];
      if (startTicks === undefined || state === 'Z' || state === 'X') return undefined;
      return { pid, startTime: `${bootId}:${startTicks}` };
    } catch {
      return undefined;
    }
  }
  try {
    const text = execFileSync('ps', ['-o', 'stat=,lstart=', '-p', String(pid)], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
    return text === '' || text.startsWith('Z')
      ? undefined
      : { pid, startTime: text.replace(/^\S+\s+/, '') };
  } catch {
    return undefined;
  }
}

export const isAlive = ({ pid, startTime }: ProcessIdentity): boolean =>
  identify(pid)?.startTime === startTime;

/** Sends a signal to exactly this process; false when it is gone. */
export function signalProcess(target: ProcessIdentity, signal: NodeJS.Signals): boolean {
  if (!isAlive(target)) return false;
  try {
    return process.kill(target.pid, signal);
  } catch {
    return false;
  }
}

const allPids = (): number[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number);

/**
 * Live processes whose environment holds `NAME=value` (set by the supervisor on every child). Linux only; elsewhere
 * the list is empty and only the recorded identities are known.
 */
export function processesWithEnv(name: string, value: string): ProcessIdentity[] {
  if (!linux) return [];
  const needle = Buffer.from(`\0${name}=${value}\0`);
  return allPids().flatMap((pid) => {
    if (pid === process.pid) return [];
    try {
      const environment = readFileSync(`/proc/${pid}/environ`);
      if (!Buffer.concat([Buffer.from('\0'), environment]).includes(needle)) return [];
    } catch {
      return []; // gone meanwhile, or another user's
    }
    return identify(pid) ?? [];
  });
}

/** Live processes whose working folder is `folder`: PostgreSQL's servers overwrite their environment with their title. */
export function processesIn(folder: string): ProcessIdentity[] {
  if (!linux) return [];
  return allPids().flatMap((pid) => {
    if (pid === process.pid) return [];
    try {
      if (readlinkSync(`/proc/${pid}/cwd`) !== folder) return [];
    } catch {
      return [];
    }
    return identify(pid) ?? [];
  });
}

/**
 * Does `pid` hold the listening TCP socket on `port`? Two stacks may race for one free port; the loser would
 * otherwise take the winner's answer for its own child's. `undefined` where /proc cannot tell.
 */
export function ownsListener(pid: number, port: number): boolean | undefined {
  if (!linux) return undefined;
  try {
    const suffix = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
    const inodes = new Set(
      ['/proc/net/tcp', '/proc/net/tcp6']
        .flatMap((table) => {
          try {
            return readFileSync(table, 'utf8').split('\n').slice(1);
          } catch {
            return []; // no IPv6
          }
        })
        .map((line) => line.trim().split(/\s+/))
        .filter((column) => column[1]?.endsWith(suffix) && column[3] === '0A')
        .map((column) => `socket:[${column[9]}]`),
    );
    return readdirSync(`/proc/${pid}/fd`).some((fd) => {
      try {
        return inodes.has(readlinkSync(`/proc/${pid}/fd/${fd}`));
      } catch {
        return false;
      }
    });
  } catch {
    return undefined;
  }
}
