/**
 * Our own programs as one file each: bundled by esbuild once per content and kept under the checkout's cache folder.
 * Loading hundreds of modules through a TypeScript loader costs a worker more than two seconds of CPU at every start; a
 * bundle costs a third, and a killed worker is back so much sooner. Packages with native parts, or that load
 * files by path, stay outside.
 */
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type BuildOptions, build, type Plugin } from 'esbuild';
import { repoRoot } from './paths.ts';
import { programFile } from './program-file.mjs';

const EXTERNAL = ['@temporalio/*', 'pino', 'tsx', 'esbuild', 'bufferutil', 'utf-8-validate'];
/** Temporal's SDK loads these by path with `require`, so each is a file of its own beside the program. */
const CONVERTERS = ['payload-converter', 'failure-converter'] as const;
/** Put together, since this module is part of a program too. */
const HERE = ['import', 'meta', 'url'].join('.');

/** A module finds the files beside its source (migrations, the workflows) from its source's place, not the bundle's. */
const atHome = (converters: string): Plugin => ({
  name: 'keysaga-at-home',
  setup({ onLoad }) {
    onLoad({ filter: /\.ts$/ }, async ({ path }) => {
      if (path.includes('node_modules')) return undefined;
      const source = await readFile(path, 'utf8');
      const contents =
        relative(repoRoot, path) === join('wire', 'converter-paths.ts')
          ? CONVERTERS.map(
              (name) =>
                `export const ${name.replace(/-c/, 'C')}Path = ${JSON.stringify(join(converters, `${name}.cjs`))};`,
            ).join('\n')
          : source.replaceAll(HERE, JSON.stringify(pathToFileURL(path).href));
      return { contents, loader: 'ts' };
    });
  },
});

async function bundle(path: string, home: string, options: BuildOptions): Promise<Uint8Array> {
  const { outputFiles } = await build({
    ...options,
    entryPoints: [path],
    bundle: true,
    platform: 'node',
    target: 'node20',
    external: EXTERNAL,
    plugins: [atHome(home)],
    keepNames: true,
    logLevel: 'silent',
    write: false,
  });
  const [file] = outputFiles;
  if (file === undefined) throw new Error(`esbuild made nothing of ${path}`);
  return file.contents;
}

/** Whole or not at all, so that a second maker, or a start in the meantime, never reads half a file. */
async function put(path: string, content: Uint8Array): Promise<void> {
  const scratch = `${path}.${randomBytes(6).toString('hex')}`;
  await writeFile(scratch, content);
  await rename(scratch, path);
}

async function make(script: string, path: string): Promise<void> {
  const home = dirname(path);
  await mkdir(home, { recursive: true });
  for (const name of CONVERTERS) {
    const source = join(repoRoot, 'wire', `${name}.ts`);
    await put(join(home, `${name}.cjs`), await bundle(source, home, { format: 'cjs' }));
  }
  const code = await bundle(resolve(repoRoot, script), home, {
    format: 'esm',
    // CommonJS packages inside the bundle ask for Node's own modules by `require`.
    banner: {
      js: `import { createRequire as keysagaRequire } from 'node:module';\nconst require = keysagaRequire(${HERE});`,
    },
  });
  await put(path, code);
}

/** Programs of long ago. Another stack may still restart its workers from one that is a few contents old. */
async function sweep(current: string): Promise<void> {
  const KEEP = 16;
  const folder = dirname(current);
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  const old = await Promise.all(
    entries
      .filter((entry) => entry.isDirectory() && entry.name !== basename(current))
      .map(async ({ name }) => {
        const path = join(folder, name);
        // Another sweep may have been faster.
        return {
          path,
          made: await stat(path).then(
            ({ mtimeMs }) => mtimeMs,
            () => 0,
          ),
        };
      }),
  );
  for (const { path } of old.sort((a, b) => b.made - a.made).slice(KEEP))
    await rm(path, { recursive: true, force: true });
}

const made = new Map<string, Promise<string>>();

/**
 * The bundle of a TypeScript program, made when there is none of the present sources.
 * @param script - relative to the checkout.
 * @returns the absolute path of an ES module for plain `node`.
 */
export function program(script: string): Promise<string> {
  const known = made.get(script);
  if (known !== undefined) return known;
  const making = (async () => {
    const path = programFile(repoRoot, script);
    if (!existsSync(path)) {
      await make(script, path);
      await sweep(dirname(path));
    }
    return path;
  })();
  made.set(script, making);
  making.catch(() => made.delete(script));
  return making;
}
