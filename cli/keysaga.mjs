#!/usr/bin/env node
// Runs the command line: the bundle of the present sources, which starts in a third of the time, made when there is none
// yet. Where it cannot be made (a checkout that only its owner writes), the sources run through the TypeScript loader.
import { existsSync } from 'node:fs';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { programFile } from '../dev/program-file.mjs';

const root = fileURLToPath(new URL('..', import.meta.url)).replace(/\/$/, '');
if (!existsSync(`${root}/node_modules/tsx`)) {
  process.stderr.write(
    'error PartMissing: the node modules are not installed\n  Run `npm ci` in the checkout.\n',
  );
  process.exit(6);
}

async function bundled() {
  const path = programFile(root, 'cli/main.ts');
  if (existsSync(path)) return path;
  const { tsImport } = await import('tsx/esm/api');
  const { program } = await tsImport('../dev/programs.ts', import.meta.url);
  return program('cli/main.ts');
}

const path = await bundled().catch(() => undefined);
if (path === undefined) {
  const [{ register }, cjs] = await Promise.all([import('tsx/esm/api'), import('tsx/cjs/api')]);
  cjs.register(); // Temporal's SDK loads converters with require()
  register();
  await import('./main.ts');
} else await import(pathToFileURL(path).href);
