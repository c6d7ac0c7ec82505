/**
 * The workflow bundle, built once per content and kept under the cache folder: workers start in milliseconds, and
 * every worker of a version runs the very same code.
 */
import { createHash, randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bundleWorkflowCode, DefaultLogger, type WorkflowBundle } from '@temporalio/worker';

const root = fileURLToPath(new URL('../..', import.meta.url));
const require = createRequire(import.meta.url);
/** Everything that can end up in the bundle. */
const SOURCES = ['workflows', 'core', 'schema/contracts', 'wire'];
const PACKAGES = ['@temporalio/worker', 'zod', 'canonicalize', '@noble/curves', '@noble/hashes'];

/** Loaded once per V8 context instead of once per workflow. Relative to the checkout, as it counts in the hash. */
const PRELOAD = 'workflows/preload.ts';
/** What stands between the SDK and every saga. */
const INTERCEPTORS = 'workflows/early-events.ts';
/** Stack traces name files and lines. Each worker parses the map at its start, and the sources were half of the bundle. */
const SOURCE_MAP = 'inline-nosources-source-map';

export type SagasBundle = WorkflowBundle & {
  /** Hash of everything it was built from: the natural build id of a worker deployment. */
  readonly hash: string;
  readonly path: string;
};

export type BundleSagasOptions = {
  /** Module whose exports are the workflows; default `workflows/index.ts`. */
  readonly workflowsPath?: string;
  /** Default `.cache/workflows` in the checkout, or `$KEYSAGA_CACHE/workflows`. */
  readonly cacheDirectory?: string;
};

async function files(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true });
  return entries
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => join(entry.parentPath, entry.name));
}

async function packageVersion(name: string): Promise<string> {
  for (const folder of require.resolve.paths(name) ?? []) {
    try {
      const manifest = await readFile(join(folder, name, 'package.json'), 'utf8');
      return `${name}@${(JSON.parse(manifest) as { version: string }).version}`;
    } catch {}
  }
  return name;
}

/** SHA-256 over the sources, the versions of the packages that are bundled, and the options. */
async function contentHash(workflowsPath: string): Promise<string> {
  const sources = (await Promise.all(SOURCES.map((folder) => files(join(root, folder))))).flat();
  const extra = workflowsPath.startsWith(join(root, 'workflows'))
    ? []
    : await files(dirname(workflowsPath));
  const hash = createHash('sha256');
  for (const path of [...sources, ...extra].sort()) {
    const content = await readFile(path);
    hash.update(`${relative(root, path)}\n${content.length}\n`).update(content);
  }
  for (const name of PACKAGES) hash.update(`${await packageVersion(name)}\n`);
  hash.update(
    JSON.stringify({
      workflows: relative(root, workflowsPath),
      preload: PRELOAD,
      interceptors: INTERCEPTORS,
      sourceMap: SOURCE_MAP,
    }),
  );
  return hash.digest('hex').slice(0, 32);
}

/** The cached bundle of this content, or a new one. Concurrent callers each build; the rename makes one win. */
export async function bundleSagas(options: BundleSagasOptions = {}): Promise<SagasBundle> {
  const workflowsPath = options.workflowsPath ?? join(root, 'workflows', 'index.ts');
  const cache =
    options.cacheDirectory ?? join(process.env.KEYSAGA_CACHE ?? join(root, '.cache'), 'workflows');
  const hash = await contentHash(workflowsPath);
  const path = join(cache, `sagas-${hash}.js`);
  const cached = await readFile(path, 'utf8').catch(() => undefined);
  if (cached !== undefined) return { code: cached, hash, path };
  const { code } = await bundleWorkflowCode({
    workflowsPath,
    // The sources, also when this worker itself runs as a bundle: the sagas' bundle is the same either way.
    payloadConverterPath: join(root, 'wire', 'payload-converter.ts'),
    failureConverterPath: join(root, 'wire', 'failure-converter.ts'),
    preloadModules: [join(root, PRELOAD)],
    workflowInterceptorModules: [join(root, INTERCEPTORS)],
    webpackConfigHook: (config) => ({ ...config, devtool: SOURCE_MAP }),
    logger: new DefaultLogger('WARN'),
  });
  await mkdir(cache, { recursive: true });
  const scratch = `${path}.${randomBytes(6).toString('hex')}`;
  await writeFile(scratch, code);
  await rename(scratch, path);
  return { code, hash, path };
}
