/**
 * The import table ("Folders, and who may import whom") holds, and its rules bite: a fixture tree
 * with one import for every pair of folders is cruised with the project's own configuration, and
 * the pairs that are refused must be exactly the ones that the table below refuses.
 */
import { existsSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { listSourceFolders, repoRoot, run, scratchTree } from '../support/repo.ts';

/** Written out by hand, so that it does not repeat a mistake of the configuration. */
const mayImport: Record<string, readonly string[]> = {
  'schema/contracts': [],
  'schema/db': ['schema/contracts'],
  core: ['schema/contracts'],
  mpc: ['schema/contracts', 'core/ports'],
  chains: ['schema/contracts', 'core/ports'],
  storage: ['schema/contracts', 'core/ports', 'schema/db'],
  workflows: ['schema/contracts', 'core', 'core/ports'],
  activities: ['schema/contracts', 'schema/db', 'core', 'core/ports', 'wire'],
  workers: [
    'schema/contracts',
    'schema/db',
    'core',
    'core/ports',
    'mpc',
    'chains',
    'storage',
    'storage/read',
    'workflows',
    'activities',
    'wire',
    'client',
    'dev',
  ],
  wire: ['schema/contracts'],
  client: ['schema/contracts', 'core', 'core/ports', 'wire'],
  api: ['schema/contracts', 'schema/db', 'client', 'wire', 'storage/read'],
  cli: ['schema/contracts', 'client', 'core', 'core/ports', 'dev'],
  dev: ['schema/contracts'],
  scripts: ['schema/contracts', 'cli', 'dev'],
};
/** May import whatever they like; nothing that ships may import them. */
const free = ['test', 'bench', 'deploy', 'docs', 'examples'];

/** The part of a folder that has rules of its own counts as its parent when it imports. */
const targets = [...Object.keys(mayImport), 'core/ports', 'storage/read', ...free];
const sources = [...Object.keys(mayImport), ...free];

/** Folders of one owner: an import inside them is never a crossing. */
const within = (from: string, to: string): boolean => to === from || to.startsWith(`${from}/`);

const slug = (folder: string): string => folder.replace('/', '-');
const up = (folder: string): string => '../'.repeat(folder.split('/').length);

interface Violation {
  readonly rule: { readonly name: string };
  readonly from: string;
  readonly to: string;
}
interface CruiseReport {
  readonly summary: { readonly violations: readonly Violation[]; readonly totalCruised: number };
}

const bin = `${repoRoot}/node_modules/dependency-cruiser/bin/dependency-cruise.mjs`;

async function cruise(cwd: string): Promise<readonly Violation[]> {
  const result = await run(
    'node',
    [bin, '--config', '.dependency-cruiser.cjs', '--output-type', 'json', '.'],
    cwd,
  );
  // The json reporter prints the violations, and leaves the exit code to `err`.
  const report = JSON.parse(result.stdout) as CruiseReport;
  expect(report.summary.totalCruised).toBeGreaterThan(0);
  return report.summary.violations;
}

function fixture(): Record<string, string> {
  const files: Record<string, string> = {};
  for (const target of targets) {
    files[`${target}/target.ts`] = `export const value = 1;\nexport type Shape = number;\n`;
  }
  for (const from of sources) {
    for (const to of targets) {
      const path = `${up(from)}${to}/target.ts`;
      files[`${from}/value-${slug(to)}.ts`] =
        `import { value } from '${path}';\nexport const seen = value;\n`;
      files[`${from}/type-${slug(to)}.ts`] =
        `import type { Shape } from '${path}';\nexport type Seen = Shape;\n`;
    }
  }
  return files;
}

describe('import table', () => {
  let tree: ReturnType<typeof scratchTree>;
  let violations: readonly Violation[] = [];
  beforeAll(async () => {
    tree = scratchTree(fixture(), ['.dependency-cruiser.cjs', 'tsconfig.json', 'package.json']);
    violations = await cruise(tree.path);
  });
  afterAll(() => tree.remove());

  const refused = (file: string): string[] =>
    violations
      .filter((violation) => violation.from === file)
      .map((violation) => violation.rule.name);

  it.each(sources)('%s imports what its row says, and nothing else', (from) => {
    const expected: Record<string, string> = {};
    const found: Record<string, string> = {};
    for (const to of targets) {
      const allowed =
        free.includes(from) || within(from, to) || (mayImport[from] ?? []).includes(to);
      // Types of activities are the one thing that a workflow sees of them.
      const typeOnly = from === 'workflows' && to === 'activities';
      expected[to] = allowed ? 'value, type' : typeOnly ? 'type' : '';
      found[to] = ['value', 'type']
        .filter((kind) => refused(`${from}/${kind}-${slug(to)}.ts`).length === 0)
        .join(', ');
    }
    expect(found).toEqual(expected);
    // No row allows everything: were the fixture not seen at all, the rows above would not show it.
    if (!free.includes(from)) expect(Object.values(found)).toContain('');
  });
});

/** file, offending source, rule. The number in the file's name keeps the cases apart. */
const offences = [
  ['core/a1.ts', `import 'node:fs';`, 'no-builtins-in-the-sandbox'],
  ['workflows/a2.ts', `import { readFileSync } from 'fs';`, 'no-builtins-in-the-sandbox'],
  ['schema/contracts/a3.ts', `import 'node:crypto';`, 'no-builtins-in-the-sandbox'],
  ['wire/failure-a17.ts', `import 'node:crypto';`, 'no-builtins-in-the-failure-converter'],
  ['core/a4.ts', `import 'postgres';`, 'npm-core'],
  ['core/a5.ts', `import '@solana/web3.js';`, 'npm-core'],
  ['schema/contracts/a6.ts', `import 'viem';`, 'npm-contracts'],
  ['workflows/a7.ts', `import '@scure/btc-signer';`, 'npm-workflows'],
  ['workflows/a8.ts', `import 'viem';`, 'npm-workflows'],
  ['workflows/a9.ts', `import '@noble/curves/ed25519.js';`, 'npm-workflows'],
  [
    'workflows/a10.ts',
    `export { b } from '../activities/b.ts';`,
    'workflows-see-types-of-activities-only',
  ],
  [
    'workflows/a11.ts',
    `void import('../activities/b.ts');`,
    'workflows-see-types-of-activities-only',
  ],
  ['cli/a12.ts', `void import('../workers/b.ts');`, 'nothing-imports-workers'],
  ['chains/a13.ts', `import 'no-such-package-at-all';`, 'not-to-unresolvable'],
  ['chains/a14.ts', `import './gone.ts';`, 'not-to-unresolvable'],
  ['chains/a15.ts', `import 'fast-check';`, 'no-dev-package-in-product'],
  ['chains/a16.ts', `import './back-to-a16.ts';`, 'no-cycle'],
] as const;

describe('import rules beyond the table', () => {
  let tree: ReturnType<typeof scratchTree>;
  let violations: readonly Violation[] = [];
  beforeAll(async () => {
    tree = scratchTree(
      {
        'activities/b.ts': 'export const b = 1;\n',
        'workers/b.ts': 'export const b = 1;\n',
        'chains/back-to-a16.ts': `import './a16.ts';\n`,
        ...Object.fromEntries(
          offences.map(([file, source]) => [file, `${source}\nexport const end = 1;\n`]),
        ),
      },
      ['.dependency-cruiser.cjs', 'tsconfig.json', 'package.json', 'node_modules'],
    );
    violations = await cruise(tree.path);
  });
  afterAll(() => tree.remove());

  it.each(offences)('%s with `%s` breaks %s', (file, _source, rule) => {
    const broken = violations.filter((violation) => violation.from === file);
    expect(broken.map((violation) => violation.rule.name)).toContain(rule);
  });

  it('fails the command that CI runs', async () => {
    const result = await run('node', [bin, '.'], tree.path);
    expect(result.code).not.toBe(0);
    expect(result.stdout).toContain('npm-core');
  });
});

describe('the tree itself', () => {
  it('keeps the import table', async () => {
    const result = await run('npm', ['run', '--silent', 'check:imports'], repoRoot);
    expect(result.stdout + result.stderr).toContain('no dependency violations found');
    expect(result.code).toBe(0);
  });

  it('has no folder of code that the table does not name', () => {
    const known = new Set(sources.map((folder) => folder.split('/')[0]));
    expect(listSourceFolders(repoRoot).filter((folder) => !known.has(folder))).toEqual([]);
    if (existsSync(`${repoRoot}/schema`)) {
      expect(
        listSourceFolders(`${repoRoot}/schema`).filter(
          (folder) => !['contracts', 'db'].includes(folder),
        ),
      ).toEqual([]);
    }
  });
});
