import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

const ci = process.env.CI === 'true' || process.env.CI === '1';

/** What takes minutes begins first, so that no core is left with one long file at the end of the run. */
const LONGEST_FIRST = [
  ...['test/crash/', 'test/integration/', 'test/e2e/', 'test/adversary/coordinator'],
  ...['test/workflows/', 'test/'],
];

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification): number =>
      LONGEST_FIRST.findIndex((part) => moduleId.includes(part));
    return (await super.sort(files)).sort((a, b) => rank(a) - rank(b));
  }
}

export default defineConfig({
  test: {
    sequence: { sequencer: LongestFirst },
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
