/** `.ci/run` tells the truth: it is run on small projects with real vitest runs, good and bad. */
import { describe, expect, it } from 'vitest';
import { run, scratchTree } from '../support/repo.ts';

const head = `import { beforeAll, describe, expect, it } from 'vitest';\n`;
const passing = `${head}it('adds', () => expect(1 + 1).toBe(2));\n`;
const manifest = (test: string): string =>
  JSON.stringify({ name: 'fixture', private: true, type: 'module', scripts: { test } });
/** A report of a run that went well, but long ago. */
const stale = JSON.stringify({
  startTime: 1,
  success: true,
  numTotalTests: 9,
  numPassedTests: 9,
  numFailedTests: 0,
  testResults: [],
});

async function ci(files: Readonly<Record<string, string>>, script = 'vitest run') {
  const tree = scratchTree({ 'package.json': manifest(script), ...files }, [
    '.ci',
    'scripts/ci-report.mjs',
    'vitest.config.ts',
    'node_modules',
  ]);
  try {
    // The inner vitest must not take the outer one's environment for its own.
    const env = { CI: '', VITEST: '', VITEST_WORKER_ID: '', VITEST_POOL_ID: '', NODE_ENV: '' };
    const result = await run('bash', ['.ci/run'], tree.path, env);
    return { ...result, lastLine: result.stdout.trimEnd().split('\n').at(-1) };
  } finally {
    tree.remove();
  }
}

describe('.ci/run', () => {
  it('passes when all tests pass', async () => {
    const result = await ci({ 'test/a.test.ts': passing });
    expect(result.lastLine).toBe('1 passed, 0 failed');
    expect(result.code, result.stderr).toBe(0);
  });

  it('counts failed, skipped and unloadable tests, and broken hooks', async () => {
    const result = await ci({
      'test/a.test.ts': passing,
      'test/fails.test.ts': `${head}it('fails', () => expect(1).toBe(2));\nit.skip('s', () => {});\nit.todo('t');\n`,
      'test/unloadable.test.ts': `import './gone.ts';\n${passing}`,
      'test/hook.test.ts': `${head}describe('d', () => {\n  beforeAll(() => {\n    throw new Error('no');\n  });\n  it('never runs', () => expect(1).toBe(1));\n});\n`,
    });
    expect(result.lastLine).toBe('1 passed, 3 failed, 3 skipped');
    expect(result.stderr).toContain('fails.test.ts: fails');
    expect(result.stderr).toContain('unloadable.test.ts');
    expect(result.code).not.toBe(0);
  });

  it('names each test that passed only when it was run again, before the last line', async () => {
    const result = await ci({
      'test/a.test.ts': passing,
      'test/shaky.test.ts': `${head}let tries = 0;\nit('is shaky', () => expect(++tries).toBe(2));\n`,
    });
    expect(result.lastLine).toBe('2 passed, 0 failed');
    expect(result.stdout.trimEnd().split('\n').slice(-3, -1)).toEqual([
      '1 run again',
      expect.stringMatching(/^passed when run again: .*test\/shaky\.test\.ts: is shaky$/),
    ]);
    expect(result.code, result.stderr).toBe(0);
  });

  it('fails when a test is left alone with .only', async () => {
    const result = await ci({
      'test/a.test.ts': `${head}it.only('a', () => expect(1).toBe(1));\nit('b', () => {});\n`,
    });
    expect(result.code).not.toBe(0);
  });

  it('fails when a promise is rejected behind the tests', async () => {
    const result = await ci({
      'test/a.test.ts': `${passing}it('leaks', () => {\n  void Promise.reject(new Error('unseen'));\n});\n`,
    });
    expect(result.code).not.toBe(0);
  });

  it('fails when no test ran', async () => {
    const result = await ci({ 'test/a.test.ts': `${head}it.skip('later', () => {});\n` });
    expect(result.lastLine).toBe('0 passed, 0 failed, 1 skipped');
    expect(result.stderr).toContain('no test ran');
    expect(result.code).not.toBe(0);
  });

  it('fails without a report, and does not believe an old one', async () => {
    const result = await ci({ '.cache/vitest-report.json': stale }, 'true');
    expect(result.lastLine).toBe('0 passed, 0 failed');
    expect(result.stderr).toContain('no test report');
    expect(result.code).not.toBe(0);
    const old = await ci(
      { 'old.json': stale },
      'mkdir -p .cache && cp old.json .cache/vitest-report.json',
    );
    expect(old.stderr).toContain('older than this run');
    expect(old.code).not.toBe(0);
  });

  it('fails when npm test does, whatever the report says', async () => {
    const result = await ci({ 'test/a.test.ts': passing }, 'vitest run && exit 3');
    expect(result.lastLine).toBe('1 passed, 0 failed');
    expect(result.stderr).toContain('exit code 3');
    expect(result.code).not.toBe(0);
  });
});
