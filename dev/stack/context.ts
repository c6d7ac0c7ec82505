/** What every part of a running stack shares. */
import { join } from 'node:path';
import { isKeysagaError } from '../../schema/contracts/errors.ts';
import { ownsListener } from '../process/identity.ts';
import { type ExitInfo, ManagedProcess, type ProcessSpec } from '../process/managed.ts';
import { accepts, freePort, releasePorts } from '../process/ports.ts';
import type { Progress } from '../progress.ts';
import type { LocalTopology } from '../topology.ts';

export interface StackContext extends LocalTopology {
  readonly stackId: string;
  readonly progress: Progress;
  /** Keeps the pid in stack.json in step. */
  readonly onChange: (process: ManagedProcess, exit?: ExitInfo) => void;
}

export const stackIdVariable = 'KEYSAGA_STACK_ID';

export const logFile = (context: StackContext, name: string): string =>
  join(context.dataDir, 'logs', `${name}.log`);

/** Marks a child as one of this stack's, so that a later start finds it even when its pid was never written down. */
export const mark = (context: StackContext, name: string): Record<string, string> => ({
  [stackIdVariable]: context.stackId,
  KEYSAGA_PART: name,
});

/** Environment of a third party's server: nothing of the user's configuration reaches it. */
export const serverEnv = (context: StackContext, name: string): Record<string, string> => ({
  PATH: process.env.PATH ?? '/usr/bin:/bin',
  HOME: context.dataDir,
  // Temporal gives up when neither it nor the user database names the user (containers with any uid).
  USER: process.env.USER ?? 'keysaga',
  TZ: 'UTC',
  ...mark(context, name),
});

/** Does this very child listen there? Where the system cannot tell, any listener counts. */
export const listens = async (pid: number, port: number): Promise<boolean> =>
  ownsListener(pid, port) ?? (await accepts(port));

const portTaken =
  /address already in use|EADDRINUSE|could not bind|unable to bind|can't bind|port.*in use/i;

/** Starts a server on the wished ports, or on free ones when they are, or meanwhile become, taken. */
export async function startOnPorts<P extends Readonly<Record<string, number>>>(
  context: StackContext,
  wished: P,
  make: (ports: P) => ProcessSpec,
): Promise<{ process: ManagedProcess; ports: P }> {
  for (let attempt = 1; ; attempt++) {
    const entries: [string, number][] = [];
    for (const [name, port] of Object.entries(wished)) {
      entries.push([name, await freePort(attempt === 1 ? port : 0)]);
    }
    const ports = Object.fromEntries(entries) as P;
    const process = new ManagedProcess(make(ports), context.onChange);
    try {
      await process.start();
      return { process, ports };
    } catch (error) {
      releasePorts(...Object.values(ports));
      const text = isKeysagaError(error, 'PartFailed') ? process.output() : '';
      if (attempt >= 4 || !portTaken.test(text)) throw error;
    }
  }
}
