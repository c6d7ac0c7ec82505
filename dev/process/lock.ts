/** A lock file that names its holder, so that a dead holder's lock is taken over. Across processes, same machine. */
import { randomBytes } from 'node:crypto';
import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import { identify, isAlive, type ProcessIdentity } from './identity.ts';

type Holder = ProcessIdentity & { readonly token: string };

const read = (path: string): Holder | undefined => {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Holder;
  } catch {
    return undefined;
  }
};

/** One try. Returns the function that gives the lock back, or the holder that is in the way. */
function tryLock(path: string): (() => void) | { holder: Holder | undefined } {
  const token = randomBytes(8).toString('hex');
  const self = identify(process.pid);
  const mine = `${path}.${token}`;
  writeFileSync(mine, JSON.stringify({ ...self, pid: process.pid, token }), { mode: 0o600 });
  try {
    // link(2) fails when the name exists, and the content is whole from the first moment on.
    linkSync(mine, path);
    return () => {
      if (read(path)?.token === token) rmSync(path, { force: true });
    };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    rmSync(mine, { force: true });
  }
  const holder = read(path);
  if (holder === undefined || isAlive(holder)) return { holder };
  // Only one of several finders wins the rename; it checks that it moved the dead holder's file and not a newer one.
  const moved = `${path}.dead.${token}`;
  try {
    renameSync(path, moved);
    if (read(moved)?.token !== holder.token) linkSync(moved, path);
  } catch {
    // another finder was first
  } finally {
    rmSync(moved, { force: true });
  }
  return { holder: undefined };
}

/**
 * Runs `work` while holding `path`. Waits up to `deadlineMs` for a live holder.
 * @throws KeysagaError `PartFailed` (details: `path`, `holder` pid) when the deadline passes first.
 */
export async function withLock<T>(
  path: string,
  work: () => Promise<T>,
  {
    deadlineMs = 600_000,
    onWait = () => {},
  }: { deadlineMs?: number; onWait?: (pid: number) => void } = {},
): Promise<T> {
  mkdirSync(dirname(path), { recursive: true });
  const deadline = Date.now() + deadlineMs;
  let announced = false;
  for (;;) {
    const outcome = tryLock(path);
    if (typeof outcome === 'function') {
      try {
        return await work();
      } finally {
        outcome();
      }
    }
    if (Date.now() >= deadline) {
      throw new KeysagaError(
        'PartFailed',
        `another process (${outcome.holder?.pid}) holds ${path}`,
        {
          path,
          ...(outcome.holder ? { holder: outcome.holder.pid } : {}),
        },
      );
    }
    if (!announced && outcome.holder) {
      announced = true;
      onWait(outcome.holder.pid);
    }
    await sleep(outcome.holder ? 50 : 5);
  }
}
