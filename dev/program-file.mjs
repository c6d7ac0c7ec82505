/**
 * Where the bundle of a program is, for exactly the present sources. Plain JavaScript on Node's own modules, because a
 * command that finds its bundle does without the TypeScript loader (`cli/keysaga.mjs`); `programs.ts` makes them.
 */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** Everything that a program may be made of. */
const SOURCES = [
  ...['activities', 'api', 'bench', 'chains', 'cli', 'client', 'core', 'dev', 'mpc'],
  ...['schema', 'storage', 'wire', 'workers', 'workflows'],
];
/** Changed with the way programs are made. */
const RECIPE = 3;

/** Code below a folder, relative to the root, in an order that is the same everywhere. */
function codeIn(root, folder) {
  return readdirSync(join(root, folder), { withFileTypes: true })
    .flatMap((entry) => {
      const path = `${folder}/${entry.name}`;
      if (entry.isDirectory()) return codeIn(root, path);
      return entry.isFile() && /\.[cm]?[jt]s$/.test(entry.name) ? [path] : [];
    })
    .sort();
}

/** `<root>/.cache/programs/<hash of all sources>/<script>.cjs`; the file is there when somebody has made it. */
export function programFile(root, script) {
  const hash = createHash('sha256').update(`${RECIPE}\n${root}\n`);
  const folders = [...new Set([...SOURCES, dirname(script)])];
  for (const path of [...folders.flatMap((folder) => codeIn(root, folder)), 'package-lock.json']) {
    const content = readFileSync(join(root, path));
    hash.update(`${path}\n${content.length}\n`).update(content);
  }
  const name = script.replace(/\.ts$/, '').replaceAll(/[^a-z0-9]+/g, '-');
  return join(root, '.cache', 'programs', hash.digest('hex').slice(0, 32), `${name}.cjs`);
}
