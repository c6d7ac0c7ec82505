/**
 * Fail points for crash tests. `KEYSAGA_FAIL_POINTS` names a directory; a file `<point>` in it arms that point for
 * one process, once: whoever reaches it removes the file, which only one can, and ends itself by SIGKILL, so that
 * nothing after the point happens. Without the variable, and always under NODE_ENV=production, they do nothing.
 */
import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type FailPoints, noFailPoints } from '../../core/ports/clock.ts';

/** A point's name as a file name. */
export const failPointFile = (directory: string, point: string): string =>
  join(directory, encodeURIComponent(point));

/** Arms a point for the next process that reaches it. */
export const armFailPoint = (directory: string, point: string): void =>
  writeFileSync(failPointFile(directory, point), '');

export function createFailPoints(env: NodeJS.ProcessEnv = process.env): FailPoints {
  const directory = env.KEYSAGA_FAIL_POINTS;
  if (directory === undefined || env.NODE_ENV === 'production') return noFailPoints;
  return {
    async at(point) {
      const file = failPointFile(directory, point);
      try {
        // The rename is the claim: of several processes at the point one succeeds.
        renameSync(file, `${file}.fired.${process.pid}`);
      } catch {
        return;
      }
      process.kill(process.pid, 'SIGKILL');
      // The signal may take a moment; nothing after the point may run meanwhile.
      await new Promise(() => {});
    },
  };
}
