/** What a killed owner left behind: found by the record and by the stack's id, and ended. */
import { join } from 'node:path';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import {
  isAlive,
  type ProcessIdentity,
  processesIn,
  processesWithEnv,
} from '../process/identity.ts';
import { endProcesses } from '../process/managed.ts';
import type { Progress } from '../progress.ts';
import { stackIdVariable } from './context.ts';
import { postgresFolder } from './postgres.ts';
import { lastRecord, readStack, removeRecord } from './record.ts';

/** Live processes of a stack, whoever owns it now. */
export function processesOf(
  dataDir: string,
  stackId: string,
): (ProcessIdentity & { stopSignal?: NodeJS.Signals })[] {
  const postgres = processesIn(join(postgresFolder(dataDir, stackId), 'data'));
  const found = new Map<number, ProcessIdentity & { stopSignal?: NodeJS.Signals }>();
  for (const one of processesWithEnv(stackIdVariable, stackId)) found.set(one.pid, one);
  for (const one of postgres) found.set(one.pid, { ...one, stopSignal: 'SIGINT' });
  const record = lastRecord(dataDir);
  if (record?.stackId === stackId) {
    for (const one of record.processes) if (isAlive(one)) found.set(one.pid, one);
  }
  return [...found.values()];
}

/**
 * Clears the way for a start on this data folder. Returns how many processes it ended.
 * @throws KeysagaError `StateConflict` (details: `owner` pid) when a live stack has the folder.
 */
export async function recover(
  dataDir: string,
  stackId: string,
  progress: Progress,
): Promise<number> {
  const running = readStack(dataDir);
  if (running) {
    throw new KeysagaError(
      'StateConflict',
      `a stack already runs on ${dataDir} (process ${running.owner.pid}); stop it, or set KEYSAGA_DATA to another folder`,
      { field: 'KEYSAGA_DATA', owner: running.owner.pid },
    );
  }
  const leftover = processesOf(dataDir, stackId);
  if (leftover.length > 0) {
    progress({
      part: 'stack',
      phase: 'warning',
      message: `ending ${leftover.length} processes that an interrupted stack left behind`,
    });
    await endProcesses(leftover);
  }
  removeRecord(dataDir);
  return leftover.length;
}
