/** `npm test`: node modules and parts first, then vitest with the arguments given. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { bootstrap, registerTypeScript, repoRoot } from './bootstrap.mjs';

/** Runs node to its end on our terminal. A Ctrl-C reaches the child by itself (same group); we wait for its orderly end. */
function run(args) {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, args, { cwd: repoRoot, stdio: 'inherit' });
    const forward = (signal) => child.kill(signal);
    const wait = () => {};
    process.on('SIGTERM', forward);
    process.on('SIGINT', wait);
    child.once('exit', (code, signal) => {
      process.off('SIGTERM', forward);
      process.off('SIGINT', wait);
      resolve(code ?? (signal === 'SIGINT' ? 130 : 143));
    });
  });
}

await bootstrap();
await registerTypeScript();
const { installParts } = await import('../dev/parts/install.ts');
if (!(await installParts())) process.exit(1);
process.exit(
  await run([join('node_modules', 'vitest', 'vitest.mjs'), 'run', ...process.argv.slice(2)]),
);
