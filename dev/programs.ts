/**
 * Our own programs as one file each: bundled by esbuild once per content and kept under the checkout's cache folder.
 * Loading hundreds of modules through a TypeScript loader costs a worker more than two seconds of CPU at every start. A
 * bundle of everything, Temporal's SDK included, with the engine's code cache beside it (`program-loader.cjs`), costs a
 * fifth of that, and a killed worker is back so much sooner. Native libraries, and packages that a program rarely
 * needs, stay outside. A program is CommonJS, so it has no top-level `await`.
 */
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { build, type Plugin } from 'esbuild';
import { repoRoot } from './paths.ts';
import { programFile } from './program-file.mjs';

const EXTERNAL = ['tsx', 'esbuild', 'bufferutil', 'utf-8-validate', '@temporalio/testing'];
/** Temporal's SDK loads these by path with `require`, so each is a file of its own beside the program. */
const CONVERTERS = ['payload-converter', 'failure-converter'] as const;
/** Put together, since this module is part of a program too. */
const HERE = ['import', 'meta', 'url'].join('.');
/** The thread in which the SDK runs sagas: it too is loaded by path, and is a program of its own. */
const SAGA_THREAD = '@temporalio/worker/lib/workflow/workflow-worker-thread.js';
/** It loads webpack, which only the first worker after a change of the sagas needs. */
const SAGA_BUNDLER = '@temporalio/worker/lib/workflow/bundler.js';

const modules = createRequire(import.meta.url);
const SAGA_THREAD_FILE = modules.resolve(SAGA_THREAD);

/** Undefined for what is only an example in a comment. */
function resolved(name: string, from: string): string | undefined {
  try {
    return createRequire(from).resolve(name);
  } catch {
    return undefined;
  }
}

/** The converters are part of the program; the SDK finds their files, and those find them here. */
const converterPaths = (home: string): string =>
  `globalThis[Symbol.for('keysaga.converters')] = {${CONVERTERS.map(
    (name) =>
      `${JSON.stringify(name)}: () => require(${JSON.stringify(join(repoRoot, 'wire', `${name}.ts`))})`,
  ).join(',')}};\n${CONVERTERS.map(
    (name) =>
      `export const ${name.replace(/-c/, 'C')}Path = ${JSON.stringify(join(home, `${name}.cjs`))};`,
  ).join('\n')}`;

const converterFile = (name: string): string =>
  `module.exports = globalThis[Symbol.for('keysaga.converters')][${JSON.stringify(name)}]();\n`;

/** The SDK's bundler, loaded from its package when one of its exports is first used. */
const lazily = (path: string): string => {
  const { defaultWorkflowInterceptorModules, ...rest } = modules(path) as Record<string, unknown>;
  return `const bundler = ${JSON.stringify(path)};
exports.defaultWorkflowInterceptorModules = ${JSON.stringify(defaultWorkflowInterceptorModules)};
for (const name of ${JSON.stringify(Object.keys(rest))})
  Object.defineProperty(exports, name, { enumerable: true, get: () => require(bundler)[name] });`;
};

/** A module finds the files beside its source (migrations, the workflows) from its source's place, not the bundle's. */
const atHome = (home: string): Plugin => ({
  name: 'keysaga-at-home',
  setup({ onLoad }) {
    onLoad({ filter: /\.ts$/ }, async ({ path }) => {
      if (path.includes('node_modules')) return undefined;
      const source = await readFile(path, 'utf8');
      const contents =
        relative(repoRoot, path) === join('wire', 'converter-paths.ts')
          ? converterPaths(home)
          : source.replaceAll(HERE, JSON.stringify(pathToFileURL(path).href));
      return { contents, loader: 'ts' };
    });
    onLoad({ filter: /[\\/]node_modules[\\/].*\.c?js$/ }, async ({ path }) => {
      if (path === modules.resolve(SAGA_BUNDLER)) return { contents: lazily(path), loader: 'js' };
      const source = await readFile(path, 'utf8');
      if (!/\b(__dirname|__filename|require\.resolve)\b/.test(source)) return undefined;
      const contents = source
        .replace(/\b__dirname\b/g, JSON.stringify(dirname(path)))
        .replace(/\b__filename\b/g, JSON.stringify(path))
        .replace(
          /\brequire\.resolve\((['"])(\.[^'"]*)\1\)/g,
          (call: string, _quote, name: string) => {
            const file = resolved(name, path);
            if (file === undefined) return call;
            return JSON.stringify(file === SAGA_THREAD_FILE ? join(home, 'saga-thread.cjs') : file);
          },
        );
      return { contents, loader: 'js' };
    });
  },
});

async function bundle(path: string, home: string): Promise<Uint8Array> {
  const { outputFiles } = await build({
    entryPoints: [path],
    bundle: true,
    format: 'cjs',
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
async function put(path: string, content: Uint8Array | string): Promise<void> {
  const scratch = `${path}.${randomBytes(6).toString('hex')}`;
  await writeFile(scratch, content);
  await rename(scratch, path);
}

/** The loader stands under the program's name, with the code beside it. */
async function putProgram(source: string, path: string): Promise<void> {
  const home = dirname(path);
  await put(path.replace(/\.cjs$/, '.js'), await bundle(source, home));
  await put(path, await readFile(join(repoRoot, 'dev', 'program-loader.cjs')));
}

async function make(script: string, path: string): Promise<void> {
  const home = dirname(path);
  await mkdir(home, { recursive: true });
  for (const name of CONVERTERS) await put(join(home, `${name}.cjs`), converterFile(name));
  await putProgram(SAGA_THREAD_FILE, join(home, 'saga-thread.cjs'));
  await putProgram(resolve(repoRoot, script), path);
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
 * @returns the absolute path of a CommonJS module for plain `node`.
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
