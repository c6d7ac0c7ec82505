/** Installers: concurrent ones do not harm each other, and what is missing is one line with a remedy. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { cached, compareVersions } from '../../dev/parts/part.ts';
import { withLock } from '../../dev/process/lock.ts';
import { silent } from '../../dev/progress.ts';
import { repoRoot, run } from '../support/repo.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'keysaga-parts-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const evaluate = (code: string, env: Record<string, string>) =>
  run(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', code], repoRoot, env);

const installer = (file: string, name: string) => `
  import { ${name} } from '${repoRoot}/dev/parts/${file}.ts';
  try {
    console.log(JSON.stringify(await ${name}(() => {})));
  } catch (error) {
    console.log(JSON.stringify({ code: error.code, message: error.message, remedy: error.details?.remedy }));
  }`;

describe('the cache', () => {
  it('is filled once by three processes that start at the same moment', async () => {
    const cache = join(folder, 'cache');
    const results = await Promise.all(
      [1, 2, 3].map(() =>
        evaluate(installer('postgres', 'ensurePostgres'), { KEYSAGA_CACHE: cache }),
      ),
    );
    for (const result of results) {
      const part = JSON.parse(result.stdout) as { path: string; version: string };
      const { stdout } = await run(join(part.path, 'postgres'), ['--version'], '/');
      expect(stdout).toContain(part.version.split('-')[0]?.replace(/\.0$/, ''));
    }
    // The folder itself and nothing half-made; symlinks of its libraries are there.
    const [entry, ...others] = readdirSync(cache);
    expect(others).toEqual([]);
    expect(existsSync(join(cache, entry ?? '', 'lib', 'libpq.so.5'))).toBe(true);
  });

  it('keeps nothing of an installation that failed or was killed', async () => {
    const root = join(folder, 'failing');
    mkdirSync(join(root, 'thing-1.dead.partial'), { recursive: true });
    const options = { root, progress: silent, part: 'thing' };
    await expect(
      cached(
        'thing-1',
        async (target) => {
          writeFileSync(join(target, 'half'), '');
          throw new Error('network gone');
        },
        options,
      ),
    ).rejects.toThrow('network gone');
    expect(readdirSync(root)).toEqual([]);
    const path = await cached(
      'thing-1',
      async (target) => writeFileSync(join(target, 'whole'), ''),
      options,
    );
    expect(readdirSync(path)).toEqual(['whole']);
  });
});

describe('what cannot be installed', () => {
  it.each([
    ['temporal', 'ensureTemporal', 'TEMPORAL_ADDRESS'],
    ['temporal', 'ensureTemporalTestServer', 'temporal-test-server on PATH'],
    ['bitcoin', 'ensureBitcoin', 'BITCOIN_RPC_URL'],
    ['chromium', 'ensureChromium', 'apt-get install chromium'],
  ])('%s.%s without tools is one line with the remedy', async (file, name, remedy) => {
    const result = await evaluate(installer(file, name), {
      KEYSAGA_CACHE: join(folder, 'empty'),
      PATH: '/nowhere',
    });
    const error = JSON.parse(result.stdout) as { code: string; message: string; remedy: string };
    expect(error.code).toBe('PartMissing');
    expect(error.remedy).toContain(remedy);
    expect(error.message.split('\n')).toHaveLength(1);
    expect(result.stderr).toBe('');
  });

  it('compares versions by number', () => {
    expect(compareVersions('1.10.0', '1.9.1')).toBeGreaterThan(0);
    expect(compareVersions('1.9.0', '1.9.1')).toBeLessThan(0);
    expect(compareVersions('28.1', '28.1.0')).toBe(0);
  });
});

describe('a lock', () => {
  it('is taken over from a holder that was killed, by one of many', async () => {
    const path = join(folder, 'lock');
    const holder = `
      import { withLock } from '${repoRoot}/dev/process/lock.ts';
      await withLock('${path}', async () => process.kill(process.pid, 'SIGKILL'));`;
    await evaluate(holder, {});
    expect(existsSync(path)).toBe(true);
    let inside = 0;
    let most = 0;
    let entered = 0;
    await Promise.all(
      Array.from({ length: 8 }, () =>
        withLock(path, async () => {
          most = Math.max(most, ++inside);
          entered++;
          await new Promise((resolve) => setImmediate(resolve));
          inside--;
        }),
      ),
    );
    expect({ most, entered }).toEqual({ most: 1, entered: 8 });
    expect(existsSync(path)).toBe(false);
  });

  it('names the live holder when it does not give way in time', async () => {
    const path = join(folder, 'held');
    await withLock(path, async () => {
      await expect(withLock(path, async () => {}, { deadlineMs: 100 })).rejects.toMatchObject({
        code: 'PartFailed',
        details: { path, holder: process.pid },
      });
    });
  });
});
