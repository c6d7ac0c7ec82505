/** Fail points end a process only where a test armed them, and never in a production build. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { repoRoot } from '../../dev/paths.ts';
import { armFailPoint, failPointFile } from '../../workers/support/fail-points.ts';
import { run } from '../support/repo.ts';

const POINT = 'party.round:after commit';
const folder = mkdtempSync(join(tmpdir(), 'keysaga-points-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** A process that reaches the point; `passed` when it came past it. */
async function reach(env: Record<string, string>) {
  const module = pathToFileURL(join(repoRoot, 'workers/support/fail-points.ts')).href;
  const script = `import { createFailPoints } from ${JSON.stringify(module)};
await createFailPoints().at(${JSON.stringify(POINT)});
console.log('passed');`;
  const { code, stdout } = await run(
    process.execPath,
    ['--import', 'tsx', '--input-type=module', '--eval', script],
    repoRoot,
    env,
  );
  return { code, passed: stdout === 'passed\n' };
}
const armed = { KEYSAGA_FAIL_POINTS: folder };

describe('an armed fail point', () => {
  it('does nothing in a production build, and nothing without its folder', async () => {
    armFailPoint(folder, POINT);
    const alive = { code: 0, passed: true };
    expect(await reach({ ...armed, NODE_ENV: 'production' })).toEqual(alive);
    expect(await reach({ KEYSAGA_FAIL_POINTS: join(folder, 'other') })).toEqual(alive);
    expect(existsSync(failPointFile(folder, POINT))).toBe(true);
  });

  it('ends the first process that reaches it elsewhere, and no other', async () => {
    armFailPoint(folder, POINT);
    expect(await reach({ ...armed, NODE_ENV: 'test' })).toEqual({ code: 128, passed: false });
    expect(await reach({ ...armed, NODE_ENV: 'test' })).toEqual({ code: 0, passed: true });
  });
});
