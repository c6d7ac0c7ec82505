/**
 * Biome's rules bite, each shown on a fixture that breaks one: several are in `nursery` or set by
 * an override, where a release of Biome or a slip in biome.json would switch them off in silence.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { repoRoot, run, scratchTree } from '../support/repo.ts';

const biome = `${repoRoot}/node_modules/@biomejs/biome/bin/biome`;

const floating = `async function pay(): Promise<void> {
  await Promise.resolve();
}

export function settle(): void {
  pay();
}
`;

/** file, source, part of the rule's name or message. Clean files have no third field. */
const offences: readonly (readonly [string, string, string])[] = [
  ['storage/floating.ts', floating, 'lint/nursery/noFloatingPromises'],
  [
    'storage/floating-across-files.ts',
    `import { pay } from './pay.ts';\n\nexport function settle(): void {\n  pay();\n}\n`,
    'lint/nursery/noFloatingPromises',
  ],
  [
    'storage/misused.ts',
    `import { pay } from './pay.ts';\n\nexport const paid = (): string => {\n  if (pay()) return 'yes';\n  return 'no';\n};\n`,
    'lint/nursery/noMisusedPromises',
  ],
  ['api/any.ts', `export const body: any = 1;\n`, 'lint/suspicious/noExplicitAny'],
  ['api/enum.ts', `export enum Phase {\n  Open = 'open',\n}\n`, 'lint/style/noEnum'],
  [
    'client/random.ts',
    `export const id = (): number => Math.random();\n`,
    'lint/nursery/noJsRestrictedProperties',
  ],
  [
    'core/node.ts',
    `import { readFileSync } from 'node:fs';\n\nexport const read = readFileSync;\n`,
    'lint/style/noRestrictedImports',
  ],
  [
    'core/viem.ts',
    `import { parseEther } from 'viem';\n\nexport const wei = parseEther('1');\n`,
    'lint/style/noRestrictedImports',
  ],
  [
    'core/random-bytes.ts',
    `import { randomBytes } from '@noble/hashes/utils.js';\n\nexport const draw = randomBytes;\n`,
    'lint/style/noRestrictedImports',
  ],
  [
    'core/clock.ts',
    `export const now = (): number => Date.now();\n`,
    'lint/nursery/noJsRestrictedProperties',
  ],
  ['core/new-date.ts', `export const now = (): Date => new Date();\n`, 'plugin'],
  [
    'core/math-random.ts',
    `export const draw = (): number => Math.random();\n`,
    'lint/nursery/noJsRestrictedProperties',
  ],
  [
    'core/get-random-values.ts',
    `export const draw = (): Uint8Array => crypto.getRandomValues(new Uint8Array(32));\n`,
    'lint/nursery/noJsRestrictedProperties',
  ],
  [
    'core/global-this.ts',
    `export const source = globalThis.crypto;\n`,
    'lint/nursery/noJsRestrictedProperties',
  ],
  ['core/fetch.ts', `export const get = fetch;\n`, 'lint/style/noRestrictedGlobals'],
  [
    'schema/contracts/clock.ts',
    `export const now = (): number => Date.now();\n`,
    'lint/nursery/noJsRestrictedProperties',
  ],
  [
    'mpc/draw.ts',
    `import { randomBytes } from '@noble/curves/utils.js';\n\nexport const draw = randomBytes;\n`,
    'lint/style/noRestrictedImports',
  ],
  [
    'workflows/node.ts',
    `import { createHash } from 'node:crypto';\n\nexport const hash = createHash;\n`,
    'lint/style/noRestrictedImports',
  ],
  ...[
    ['viem', 'viem'],
    ['solana', '@solana/web3.js'],
    ['scure', '@scure/btc-signer'],
    ['worker', '@temporalio/worker'],
    ['mpc', '../mpc/registry.ts'],
    ['chains', '../chains/bitcoin/adapter.ts'],
    ['storage', '../storage/events.ts'],
  ].map(
    ([name, specifier]) =>
      [
        `workflows/import-${name}.ts`,
        `import * as outside from '${specifier}';\n\nexport const seen = outside;\n`,
        'lint/style/noRestrictedImports',
      ] as const,
  ),
  [
    'workflows/plain-error.ts',
    `export function fail(): never {\n  throw new Error('retried for ever');\n}\n`,
    'plugin',
  ],
  [
    'workflows/env.ts',
    `export const debug = process.env.DEBUG;\n`,
    'lint/style/noRestrictedGlobals',
  ],
];

const clean: Readonly<Record<string, string>> = {
  'storage/pay.ts': `export async function pay(): Promise<void> {\n  await Promise.resolve();\n}\n`,
  'core/parse.ts': `export const at = (time: string): Date => new Date(time);\n`,
  // The SDK patches both inside the sandbox, so that a replay sees the same values.
  'workflows/patched.ts': `export const jitter = (): number => Date.now() + Math.random();\n`,
};

interface Report {
  readonly diagnostics: readonly {
    readonly category: string;
    readonly severity: string;
    readonly location: { readonly path: string };
  }[];
}

describe('lint rules', () => {
  let tree: ReturnType<typeof scratchTree>;
  let report: Report;
  beforeAll(async () => {
    const files = Object.fromEntries(offences.map(([file, source]) => [file, source]));
    tree = scratchTree({ ...clean, ...files }, [
      '.gitignore',
      'biome.json',
      'tsconfig.json',
      'test/checks/rules',
    ]);
    const result = await run(
      'node',
      [biome, 'ci', '--colors=off', '--reporter=json', '--max-diagnostics=none', '.'],
      tree.path,
    );
    expect(result.code).not.toBe(0);
    report = JSON.parse(result.stdout) as Report;
  });
  afterAll(() => tree.remove());

  const errorsOf = (file: string): string[] =>
    report.diagnostics
      .filter((found) => found.severity === 'error' && found.location.path.endsWith(file))
      .map((found) => found.category);

  it.each(offences)('%s is refused', (file, _source, rule) => {
    expect(errorsOf(file)).toContain(rule);
  });

  it.each(Object.keys(clean))('%s is let through', (file) => {
    expect(errorsOf(file)).toEqual([]);
  });

  it('fail CI on a floating promise alone', async () => {
    const alone = scratchTree({ 'storage/floating.ts': floating }, [
      '.gitignore',
      'biome.json',
      'test/checks/rules',
    ]);
    try {
      const result = await run('node', [biome, 'ci', '--colors=off', 'storage'], alone.path);
      expect(result.stdout + result.stderr).toContain('noFloatingPromises');
      expect(result.stdout + result.stderr).toContain('Found 1 error');
      expect(result.code).not.toBe(0);
    } finally {
      alone.remove();
    }
  });
});

/** name, source, error. Each is a file of its own in one tree, since every run of the compiler reads the libraries anew. */
const mistakes: readonly (readonly [string, string, string])[] = [
  ['an index that may miss', `export const first = (xs: string[]): string => xs[0];`, 'TS2322'],
  ['a parameter property', `export class A {\n  constructor(private x: number) {}\n}`, 'TS1294'],
  [
    'an explicit undefined in an optional field',
    `export const a: { memo?: string } = { memo: undefined };`,
    'TS2375',
  ],
  [
    'a type imported as a value',
    `import { Amount } from './t.ts';\nexport type X = Amount;`,
    'TS1484',
  ],
];

describe('type rules', () => {
  let tree: ReturnType<typeof scratchTree>;
  let result: Awaited<ReturnType<typeof run>>;
  beforeAll(async () => {
    const files = mistakes.map(([, source], i) => [`core/a${i}.ts`, `${source}\n`]);
    tree = scratchTree({ ...Object.fromEntries(files), 'core/t.ts': 'export type Amount = 1;\n' }, [
      'tsconfig.json',
      'node_modules',
    ]);
    const tsc = `${repoRoot}/node_modules/typescript/bin/tsc`;
    result = await run('node', [tsc, '--noEmit', '--pretty', 'false', '-p', '.'], tree.path);
  });
  afterAll(() => tree.remove());

  it.each(mistakes)('refuse %s', (name, _source, code) => {
    const file = `core/a${mistakes.findIndex((one) => one[0] === name)}.ts`;
    const errors = result.stdout.split('\n').filter((line) => line.startsWith(`${file}(`));
    expect(errors).toEqual([expect.stringContaining(`error ${code}: `)]);
  });

  it('refuse nothing else, and fail the command', () => {
    expect(result.stdout).not.toContain('core/t.ts(');
    expect(result.code).not.toBe(0);
  });
});

describe('knip', () => {
  it('refuses an unused file, export and package', async () => {
    const tree = scratchTree(
      {
        'package.json': JSON.stringify({
          name: 'f',
          type: 'module',
          dependencies: { zod: '1.0.0' },
        }),
        'client/index.ts': `import { used } from '../core/a.ts';\n\nexport const x = used;\n`,
        'core/a.ts': `export const used = 1;\nexport const forgotten = 2;\n`,
        'core/orphan.ts': `export const orphan = 1;\n`,
      },
      ['knip.json', 'tsconfig.json', 'node_modules'],
    );
    try {
      const knip = `${repoRoot}/node_modules/knip/bin/knip.js`;
      const result = await run('node', [knip, '--no-progress'], tree.path);
      expect(result.stdout).toMatch(/Unused files \(1\)\s+core\/orphan\.ts/);
      expect(result.stdout).toMatch(/Unused exports \(1\)\s+forgotten/);
      expect(result.stdout).toMatch(/Unused dependencies \(1\)\s+zod/);
      expect(result.code).not.toBe(0);
    } finally {
      tree.remove();
    }
  });
});

describe('the tree itself', () => {
  it.each([
    ['check:types', '--pretty', 'false'],
    ['check:lint', '--colors=off', '--reporter=summary'],
    ['check:unused', '--no-progress'],
  ])(
    'passes npm run %s',
    async (script, ...options) => {
      const result = await run('npm', ['run', '--silent', script, '--', ...options], repoRoot);
      expect(result.code, result.stdout + result.stderr).toBe(0);
      // The whole tree, while other tests run.
    },
    240_000,
  );
});
