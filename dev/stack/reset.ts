/** Deletes a stack's state. */
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import { readIfThere } from '../files.ts';
import { type Progress, silent } from '../progress.ts';
import { postgresFolder, sweepOpenFolder } from './postgres.ts';
import { recover } from './recover.ts';

/**
 * Ends what an interrupted stack left running and deletes the data folder, PostgreSQL's files with it.
 * Returns whether there was anything. @throws KeysagaError `StateConflict` while a stack runs there, `InvalidInput` when
 * the folder is none that a stack made.
 */
export async function resetStack(dataDir: string, progress: Progress = silent): Promise<boolean> {
  if (!existsSync(dataDir)) return false;
  const stackId = readIfThere(join(dataDir, 'stack-id'))?.trim();
  if (stackId === undefined || !/^[0-9a-f]{16}$/.test(stackId)) {
    // KEYSAGA_DATA may have been mistyped: nothing is deleted that does not look like ours.
    throw new KeysagaError(
      'InvalidInput',
      `${dataDir} is not a stack's data folder; nothing was deleted`,
      {
        field: 'KEYSAGA_DATA',
      },
    );
  }
  await recover(dataDir, stackId, progress);
  rmSync(postgresFolder(dataDir, stackId), { recursive: true, force: true });
  rmSync(dataDir, { recursive: true, force: true });
  sweepOpenFolder();
  return true;
}
