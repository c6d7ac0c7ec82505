/** A program runs as the bundle of exactly the present sources, whoever made it and however many do at the same time. */
import { appendFileSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { repoRoot } from '../../dev/paths.ts';
import { programFile } from '../../dev/program-file.mjs';
import { listSourceFolders, run, scratchTree } from '../support/repo.ts';

/** Says on stderr when the TypeScript loader was there. */
const WITNESS = `process.on('exit', () => {
  if (Object.hasOwn(require.extensions, '.ts')) process.stderr.write('by the TypeScript loader\\n');
});
`;
const leftOut = ['test', 'scripts', 'docs', 'examples'];

let tree: ReturnType<typeof scratchTree>;
const keysaga = (...args: string[]) =>
  run(join(tree.path, 'cli/keysaga'), args, tree.path, {
    NODE_OPTIONS: `--require ${join(tree.path, 'witness.cjs')}`,
    KEYSAGA_DATA: join(tree.path, 'none'),
  });
const current = () => programFile(tree.path, 'cli/main.ts');

beforeAll(() => {
  tree = scratchTree({ 'witness.cjs': WITNESS }, [
    ...listSourceFolders(repoRoot).filter((name) => !leftOut.includes(name)),
    ...['package.json', 'package-lock.json', 'node_modules', 'tsconfig.json', 'temporal-dev.yaml'],
  ]);
});
afterAll(() => tree.remove());

describe('the file of a program', () => {
  it('is another one after each change of the sources, and only then', () => {
    const first = current();
    writeFileSync(join(tree.path, 'cli/notes.md'), 'no code');
    expect(current()).toBe(first);
    const seen = new Set([first]);
    for (const change of [
      () => appendFileSync(join(tree.path, 'core/parse.ts'), '// '),
      () => writeFileSync(join(tree.path, 'wire/new.ts'), ''),
      () => writeFileSync(join(tree.path, 'dev/solana/new.mjs'), ''),
      () => rmSync(join(tree.path, 'wire/new.ts')),
      () => appendFileSync(join(tree.path, 'package-lock.json'), '\n'),
    ]) {
      change();
      seen.add(current());
    }
    expect(seen.size).toBe(6);
  });
});

describe('the command line', () => {
  it('is made by its first callers side by side, and then starts without the TypeScript loader', async () => {
    const first = await Promise.all([keysaga('--version'), keysaga('stop')]);
    expect(first.map(({ code }) => code)).toEqual([0, 0]);
    expect(readdirSync(join(current(), '..')).sort()).toEqual([
      'cli-main.cjs',
      'cli-main.js',
      `cli-main.js.${process.version}.cache`,
      'failure-converter.cjs',
      'payload-converter.cjs',
      'saga-thread.cjs',
      'saga-thread.js',
    ]);
    const again = await keysaga('--help');
    expect(again).toMatchObject({ code: 0, stderr: '' });
    expect(again.stdout).toContain('Exit codes:');
    // Errors and their exit code are the same by either way.
    const refused = await keysaga('wallet', 'list');
    expect(refused).toMatchObject({ code: 6, stdout: '' });
    expect(refused.stderr).toMatch(/^error PartMissing: /);
    expect(refused.stderr).not.toContain('loader');
  });

  it('runs with the code cache that is right for its engine, and makes another in place of one that is not', async () => {
    const cache = current().replace(/\.cjs$/, `.js.${process.version}.cache`);
    const good = readFileSync(cache);
    expect((await keysaga('--version')).code).toBe(0);
    expect(readFileSync(cache).equals(good)).toBe(true);
    for (const bad of [Buffer.alloc(0), good.subarray(0, 1000), Buffer.alloc(good.length, 7)]) {
      writeFileSync(cache, bad);
      expect(await keysaga('--version')).toMatchObject({ code: 0, stderr: '' });
      expect(readFileSync(cache).length).toBeGreaterThan(good.length / 2);
    }
  });

  it('runs from its sources where no bundle can be made', async () => {
    rmSync(join(tree.path, '.cache'), { recursive: true });
    writeFileSync(join(tree.path, '.cache'), 'in the way');
    const refused = await keysaga('wallet', 'list');
    expect(refused).toMatchObject({ code: 6, stdout: '' });
    expect(refused.stderr).toMatch(/error PartMissing: [\s\S]*by the TypeScript loader/);
  });
});
