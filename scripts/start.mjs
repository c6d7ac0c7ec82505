/**
 * `npm start`: node modules first, then `keysaga start …`. The command line runs in this very process, so signals reach it
 * directly and its exit code is ours; a wrapper between npm and it would have to forward both.
 */
import { join } from 'node:path';
import { bootstrap, registerTypeScript, repoRoot } from './bootstrap.mjs';

await bootstrap();
await registerTypeScript();
process.argv = [
  process.execPath,
  join(repoRoot, 'cli', 'main.ts'),
  'start',
  ...process.argv.slice(2),
];
await import('../cli/main.ts');
