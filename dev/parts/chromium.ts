/** A Chromium for what runs in a page. Not a part of the stack: only who measures or tests a page asks for it. */
import { missing, onPath, output, type Part } from './part.ts';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome'];

/** The first on PATH. @throws KeysagaError `PartMissing` with the remedy. */
export async function ensureChromium(): Promise<Part> {
  const remedy = 'Install it: `apt-get install chromium`.';
  const path = NAMES.map((name) => onPath(name)).find((found) => found !== undefined);
  if (path === undefined) throw missing('Chromium', `no ${NAMES.join(', ')} on PATH`, remedy);
  const version = /(\d+(?:\.\d+)+)/.exec(await output(path, ['--version']).catch(() => ''))?.[1];
  if (version === undefined) throw missing('Chromium', `${path} does not tell its version`, remedy);
  return { path, version };
}
