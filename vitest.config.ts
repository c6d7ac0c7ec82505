import { defineConfig } from 'vitest/config';

const ci = process.env.CI === 'true' || process.env.CI === '1';

export default defineConfig({
  test: {
    environment: 'node',
    include: ['test/**/*.test.ts'],
    exclude: ['**/node_modules/**', '.cache/**', '.keysaga/**'],
    // Tests run on real servers and real cryptography, on as few as two cores.
    testTimeout: 60_000,
    hookTimeout: 120_000,
    teardownTimeout: 60_000,
    // A process for each file: workers of the Temporal SDK install one native runtime per process.
    pool: 'forks',
    maxWorkers: 2,
    // Whole stacks on a machine shared with others: a stall of seconds there fails a deadline here. Vitest reports a retry.
    retry: ci ? 1 : 0,
    // A forgotten .only would turn a suite green by leaving most of it out.
    allowOnly: !ci,
    passWithNoTests: false,
    reporters: ci ? ['default', 'json'] : ['default'],
    outputFile: { json: '.cache/vitest-report.json' },
  },
});
