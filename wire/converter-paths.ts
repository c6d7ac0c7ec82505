/**
 * Where the converters are that Temporal's SDK loads by path, with `require`. Bundled programs (`dev/programs.ts`) have
 * made them into JavaScript beside themselves, and this module is another one there.
 */
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

/** Absolute paths, because worker and bundler load these modules by path. */
export const failureConverterPath = fileURLToPath(
  new URL('./failure-converter.ts', import.meta.url),
);
export const payloadConverterPath = fileURLToPath(
  new URL('./payload-converter.ts', import.meta.url),
);

/** `require` reads TypeScript only when tsx's CommonJS hook is there. */
const { extensions } = createRequire(import.meta.url);
if (extensions === undefined || !Object.hasOwn(extensions, '.ts')) {
  const { register } = await import('tsx/cjs/api');
  register();
}
