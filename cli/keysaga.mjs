#!/usr/bin/env node
// Lets this process load TypeScript, then runs the command line.
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

if (!existsSync(fileURLToPath(new URL('../node_modules/tsx', import.meta.url)))) {
  process.stderr.write(
    'error PartMissing: the node modules are not installed\n  Run `npm ci` in the checkout.\n',
  );
  process.exit(6);
}
const [{ register }, cjs] = await Promise.all([import('tsx/esm/api'), import('tsx/cjs/api')]);
cjs.register(); // Temporal's SDK loads converters with require()
register();
await import('./main.ts');
