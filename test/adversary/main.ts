/**
 * The dishonest coordinator as a program of its own.
 *
 *   node --import tsx test/adversary/main.ts --in-process <postgres url> [--cases a,b] [--chains solana]
 *   node --import tsx test/adversary/main.ts --target <file> [--cases a,b]      (started with an IPC channel)
 *
 * The target file holds what a compromised operator has. Prints one JSON line a result; exit code 1 unless every attack
 * was refused.
 */
import { parseArgs } from 'node:util';
import { runCases } from './run.ts';

const { values } = parseArgs({
  options: {
    'in-process': { type: 'string' },
    target: { type: 'string' },
    cases: { type: 'string' },
    chains: { type: 'string' },
  },
});
const list = (value: string | undefined) =>
  value === undefined ? undefined : value.split(',').filter((part) => part !== '');

// Each loads only what it needs: a mutated copy of the sources is tried in seconds.
const place = values['in-process']
  ? await (await import('./in-process.ts')).startInProcess(values['in-process'])
  : await (await import('./over-temporal.ts')).startOverTemporal(values.target ?? '');
try {
  const cases = list(values.cases);
  const chains = list(values.chains);
  const results = await runCases(place.field, {
    ...(cases === undefined ? {} : { cases }),
    ...(chains === undefined ? {} : { chains }),
    onResult: (result) => process.stdout.write(`${JSON.stringify({ result })}\n`),
  });
  process.exitCode = results.length > 0 && results.every((r) => r.outcome === 'held') ? 0 : 1;
} finally {
  await place.close();
}
// Temporal's runtime and the channel would keep the process alive.
process.exit();
