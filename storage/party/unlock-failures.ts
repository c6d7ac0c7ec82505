/**
 * Wrong passphrases in a row, a line each, in a file beside the unlock file. Appending keeps every one of them when two
 * processes fail at once. It slows down whoever may type passphrases but not write here; whoever may write here, or take
 * the files elsewhere, is slowed down by scrypt alone.
 */
import { appendFile, type FileHandle, open, readFile, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import { syncDirectory } from './key-store.ts';

export type UnlockFailures = {
  readonly count: number;
  /** Of the last one, milliseconds. 0: none. */
  readonly lastAt: number;
};

const isMissing = (e: unknown) => (e as NodeJS.ErrnoException).code === 'ENOENT';

export const failuresFile = (unlockFile: string): string => `${unlockFile}.failures`;

export async function readUnlockFailures(unlockFile: string): Promise<UnlockFailures> {
  let text: string;
  try {
    text = await readFile(failuresFile(unlockFile), 'utf8');
  } catch (error) {
    if (isMissing(error)) return { count: 0, lastAt: 0 };
    throw error;
  }
  const lines = text.split('\n').filter((line) => line !== '');
  const times = lines.map((line) => Date.parse(line)).filter((time) => !Number.isNaN(time));
  return { count: lines.length, lastAt: Math.max(0, ...times) };
}

/** Durable when it returns. */
export async function addUnlockFailure(unlockFile: string, now: number): Promise<void> {
  const path = failuresFile(unlockFile);
  await appendFile(path, `${new Date(now).toISOString()}\n`, { mode: 0o600 });
  let handle: FileHandle | undefined;
  try {
    handle = await open(path, 'r');
    await handle.sync();
  } finally {
    await handle?.close();
  }
  await syncDirectory(dirname(path));
}

export async function clearUnlockFailures(unlockFile: string): Promise<void> {
  try {
    await unlink(failuresFile(unlockFile));
  } catch (error) {
    if (!isMissing(error)) throw error;
  }
}
