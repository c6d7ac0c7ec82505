// Sums up a test run for CI: node scripts/ci-report.mjs REPORT STARTED CODE
//   REPORT   vitest's JSON report; STARTED when the run began, ms since 1970; CODE of `npm test`.
// Prints "N passed, N failed[, N skipped]" as the last line of stdout, reasons on stderr. Before it, which tests passed
// only when they were run again: a test that needs that is to be looked into, not to be believed.
// Plain JavaScript without packages: it also has to speak when the installation failed.
import { readFileSync } from 'node:fs';

/** Test files that broke outside of any test (an import, a hook): vitest counts no test for them. */
const brokenFiles = (report) =>
  report.testResults.filter(
    (file) =>
      file.status === 'failed' && !file.assertionResults.some((test) => test.status === 'failed'),
  );

function read(path, started) {
  let report;
  try {
    report = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new Error(`no test report (${error.message})`);
  }
  if (!Number.isFinite(started) || !(report.startTime >= started)) {
    throw new Error(`the test report at ${path} is older than this run`);
  }
  return report;
}

const [path, started, code] = process.argv.slice(2);
let passed = 0;
let failed = 0;
let skipped = 0;
const reasons = [];
const again = [];

try {
  const report = read(path, Number(started));
  passed = report.numPassedTests;
  const broken = brokenFiles(report);
  failed = report.numFailedTests + broken.length;
  skipped = report.numTotalTests - report.numPassedTests - report.numFailedTests;
  for (const file of report.testResults) {
    for (const test of file.assertionResults) {
      if (test.status === 'failed') reasons.push(`failed: ${file.name}: ${test.fullName}`);
      // A failure that a later try made good is left in the messages of a test that passed.
      else if (test.status === 'passed' && test.failureMessages?.length > 0)
        again.push(`passed when run again: ${file.name}: ${test.fullName}`);
    }
  }
  for (const file of broken) reasons.push(`failed outside of a test: ${file.name}`);
  if (passed + failed === 0) reasons.push('no test ran');
  if (failed === 0 && report.success !== true) reasons.push('vitest calls the run a failure');
} catch (error) {
  reasons.push(error.message);
}
if (code !== '0') reasons.push(`npm test ended with exit code ${code}`);

for (const reason of reasons) console.error(reason);
if (again.length > 0) console.log([`${again.length} run again`, ...again].join('\n'));
console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
process.exitCode = reasons.length === 0 ? 0 : 1;
