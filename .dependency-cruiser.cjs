// The import table of ARCHITECTURE.md ("Folders, and who may import whom") as rules.
// test/checks/import-table.test.ts proves every cell of it on a fixture tree.

/** Folders that hold code. A new top-level folder must be added here and to the table below. */
const folders = [
  'schema/contracts',
  'schema/db',
  'core',
  'mpc',
  'chains',
  'storage',
  'workflows',
  'activities',
  'workers',
  'wire',
  'client',
  'api',
  'cli',
  'dev',
  'scripts',
  'test',
  'bench',
  'deploy',
  'docs',
  'examples',
];

/** What may import anything at all: nothing that ships. */
const free = ['test', 'bench', 'deploy', 'docs', 'examples'];

/** Product folders, in the order of the table. */
const product = folders.filter((folder) => !free.includes(folder) && folder !== 'scripts');

/**
 * folder → what it may import besides itself. Every folder may import `schema/contracts`.
 * `core/ports` is the part of core that adapters see; `storage/read` is storage's read side.
 */
const table = {
  'schema/contracts': [],
  'schema/db': [],
  core: [],
  mpc: ['core/ports'],
  chains: ['core/ports'],
  storage: ['core/ports', 'schema/db'],
  // `activities` for types only: see workflows-see-types-of-activities-only.
  workflows: ['core', 'activities'],
  activities: ['core', 'schema/db', 'wire'],
  workers: product.filter((folder) => !['workers', 'api', 'cli'].includes(folder)),
  wire: [],
  client: ['core', 'wire'],
  api: ['client', 'wire', 'schema/db', 'storage/read'],
  cli: ['client', 'core', 'dev'],
  dev: [],
  // Not in the table: what npm runs before node_modules is sure to be there.
  scripts: ['cli', 'dev'],
};

const inside = (paths) => `^(${paths.join('|')})/`;

const tableRules = Object.entries(table).map(([folder, allowed]) => ({
  name: `table-${folder.replace('/', '-')}`,
  comment: `${folder} may import only: ${['schema/contracts', ...allowed].join(', ')}`,
  severity: 'error',
  from: { path: inside([folder]) },
  to: {
    path: inside(folders),
    pathNot: inside([...new Set([folder, 'schema/contracts', ...allowed])]),
  },
}));

/** npm packages that the pure folders may use; everything else is somebody's I/O. */
const npm = (names) => `node_modules/(${names.join('|')})/`;
const purePackages = ['zod', 'canonicalize', '@noble/[^/]+', '@scure/base'];
const npmRule = (name, folder, names) => ({
  name,
  comment: `${folder} may use only these packages: ${names.join(', ')}`,
  severity: 'error',
  from: { path: inside([folder]) },
  to: { path: 'node_modules/', pathNot: npm(names) },
});

/** @type {import('dependency-cruiser').IConfiguration} */
module.exports = {
  forbidden: [
    ...tableRules,
    {
      name: 'nothing-imports-workers',
      comment: 'Workers are composition roots: they are started, never imported.',
      severity: 'error',
      from: { pathNot: inside(['workers', ...free]) },
      to: { path: '^workers/' },
    },
    {
      name: 'workflows-see-types-of-activities-only',
      comment: 'Workflows `import type` from activities: the code would enter the sandbox bundle.',
      severity: 'error',
      from: { path: '^workflows/' },
      to: { path: '^activities/', dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'no-builtins-in-the-sandbox',
      comment: 'These folders are bundled into the workflow sandbox: no node: built-ins.',
      severity: 'error',
      from: { path: inside(['core', 'schema/contracts', 'workflows']) },
      to: { dependencyTypes: ['core'] },
    },
    {
      name: 'no-builtins-in-the-failure-converter',
      comment:
        'The failure converter is bundled into the workflow sandbox, though it lives in wire.',
      severity: 'error',
      from: { path: '^wire/.*failure' },
      to: { dependencyTypes: ['core'] },
    },
    npmRule('npm-core', 'core', purePackages),
    npmRule('npm-contracts', 'schema/contracts', [
      ...purePackages,
      '@temporalio/common',
      '@temporalio/workflow',
    ]),
    npmRule('npm-workflows', 'workflows', [
      'zod',
      'canonicalize',
      '@noble/hashes',
      '@temporalio/common',
      '@temporalio/workflow',
    ]),
    {
      name: 'no-cycle',
      comment: 'A cycle of values makes the order of initialisation a matter of luck.',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    {
      name: 'not-to-unresolvable',
      comment: 'The import leads nowhere.',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true },
    },
    {
      name: 'no-undeclared-package',
      comment: 'Imported, but not in package.json.',
      severity: 'error',
      from: {},
      to: { dependencyTypes: ['npm-no-pkg', 'npm-unknown'] },
    },
    {
      name: 'no-dev-package-in-product',
      comment: 'A devDependency is absent in production (dev is never there).',
      severity: 'error',
      from: { path: inside(product.filter((folder) => folder !== 'dev')) },
      to: { dependencyTypes: ['npm-dev'], dependencyTypesNot: ['npm', 'type-only'] },
    },
  ],
  options: {
    // Sees type-only imports, and tells them from the others. 'specify' would transpile each file besides, for the same result:
    // with verbatimModuleSyntax an import that does not say `type` stays.
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    doNotFollow: { path: '(^|/)node_modules/' },
    exclude: { path: '^(\\.cache|\\.keysaga|coverage|dist)/' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default', 'types'],
      extensions: ['.ts', '.mts', '.mjs', '.cjs', '.js', '.json', '.d.ts'],
    },
  },
};
