/** The protocols' core for a page, as one script in memory. Nothing stands in for `node:`, so an import of it fails here. */
import { type BuildOptions, build } from 'esbuild';
import { repoRoot } from '../../dev/paths.ts';

export async function browserBundle(
  options: Pick<BuildOptions, 'entryPoints' | 'stdin' | 'globalName'>,
): Promise<string> {
  const { outputFiles } = await build({
    ...options,
    absWorkingDir: repoRoot,
    bundle: true,
    platform: 'browser',
    format: 'iife',
    target: 'es2022',
    logLevel: 'silent',
    write: false,
  });
  const [script] = outputFiles;
  if (script === undefined) throw new Error('esbuild made nothing');
  return script.text;
}
