/** A fresh clone installs its node modules by itself, and says in one line why it cannot. */
import { cpSync, existsSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { repoRoot, run, scratchTree } from '../support/repo.ts';

const trees: { remove(): void }[] = [];
afterEach(() => {
  for (const tree of trees.splice(0)) tree.remove();
});

/** A clone with one dependency, a folder inside it, so that no registry is needed. */
function clone(): string {
  const manifest = {
    name: 'clone',
    version: '1.0.0',
    type: 'module',
    dependencies: { one: 'file:one-1.0.0.tgz' },
  };
  const tree = scratchTree({
    'package.json': JSON.stringify(manifest),
    'one/package.json': JSON.stringify({ name: 'one', version: '1.0.0' }),
    'go.mjs':
      "import { bootstrap } from './scripts/bootstrap.mjs';\nawait bootstrap();\nconsole.log('up');\n",
  });
  trees.push(tree);
  cpSync(join(repoRoot, 'scripts'), join(tree.path, 'scripts'), { recursive: true });
  return tree.path;
}
const npm = async (cwd: string, ...args: string[]) => {
  const result = await run('npm', [...args, '--offline', '--silent'], cwd);
  expect(result.code, result.stderr).toBe(0);
};

it('installs when the modules are missing, incomplete or of another version, and only then', async () => {
  const path = clone();
  await npm(path, 'pack', './one');
  await npm(path, 'install', '--package-lock-only');
  const go = () => run('node', ['go.mjs'], path);

  const first = await go();
  expect(first).toMatchObject({ code: 0, stdout: 'up\n' });
  expect(first.stderr).toContain('node_modules is missing');
  expect(existsSync(join(path, 'node_modules', 'one', 'package.json'))).toBe(true);

  expect(await go()).toEqual({ code: 0, stdout: 'up\n', stderr: '' });

  rmSync(join(path, 'node_modules', 'one'), { recursive: true });
  expect((await go()).stderr).toContain('node_modules/one is missing');

  const lock = join(path, 'node_modules', '.package-lock.json');
  writeFileSync(lock, JSON.stringify({ packages: { 'node_modules/one': { version: '0.9.0' } } }));
  expect((await go()).stderr).toContain('node_modules/one is 0.9.0, not 1.0.0');
  expect((await go()).stderr).toBe('');

  // Two at once: one installs, both come up.
  rmSync(join(path, 'node_modules'), { recursive: true });
  const both = await Promise.all([go(), go()]);
  expect(both.map(({ code, stdout }) => [code, stdout])).toEqual([
    [0, 'up\n'],
    [0, 'up\n'],
  ]);
  expect(both.filter(({ stderr }) => stderr.includes('node modules installed'))).toHaveLength(1);
});

it('says why it cannot and what to do, and exits with 1', async () => {
  const path = clone();
  const result = await run('node', ['go.mjs'], path); // no lock file: npm ci refuses
  expect(result).toMatchObject({ code: 1, stdout: '' });
  const last = result.stderr.trimEnd().split('\n').at(-1);
  expect(last).toMatch(
    /^keysaga: the node modules could not be installed .* run `npm ci` and try again\.$/,
  );
  expect(result.stderr).not.toContain('    at ');
});
