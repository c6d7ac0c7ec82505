/**
 * `npm run bench [-- NAME… --json]`. A NAME is a benchmark or a group of them (`frost`, `frost/sign`); without one
 * all run but the long ones. A table, or with `--json` one document on stdout: `{ machine, figures }`. A benchmark that fails
 * says why on stderr and takes nothing away from the others. Exit codes: 0 done, 1 a benchmark failed, 2 a name or option
 * that means nothing.
 */
import { arch, cpus, platform, release, totalmem } from 'node:os';
import { parseArgs } from 'node:util';
import Table from 'cli-table3';
import { isKeysagaError } from '../schema/contracts/errors.ts';
import type { Figure } from './figures.ts';
import { BENCHMARKS, selected } from './registry.ts';

const machine = () => ({
  cpu: cpus()[0]?.model ?? 'unknown',
  cores: cpus().length,
  memoryGiB: Math.round((totalmem() / 2 ** 30) * 10) / 10,
  platform: `${platform()} ${release()} ${arch()}`,
  node: process.version,
});

/** Three significant digits, enough for anything that was measured. */
const round = (value: number): number => Number(value.toPrecision(3));
const tidy = (f: Figure): Figure => ({
  ...f,
  median: round(f.median),
  p99: round(f.p99),
  yardstick: { ...f.yardstick, median: round(f.yardstick.median) },
  ratio: round(f.ratio),
});

/** A part that is missing is one line with its remedy; anything else is ours to find. */
function reason(error: unknown): string {
  if (isKeysagaError(error) && error.code === 'PartMissing') return error.message;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

const usage = (why: string): number => {
  process.stderr.write(
    `${why}\nusage: npm run bench [-- NAME… --json]\nnames: ${BENCHMARKS.map((b) => b.name).join(', ')}\n`,
  );
  return 2;
};

async function main(): Promise<number> {
  let names: string[];
  let json: boolean;
  try {
    const parsed = parseArgs({
      allowPositionals: true,
      options: { json: { type: 'boolean', default: false } },
    });
    names = parsed.positionals;
    json = parsed.values.json;
  } catch (error) {
    return usage(error instanceof Error ? error.message : 'bad arguments');
  }
  const { chosen, unknown } = selected(names);
  if (unknown.length > 0) return usage(`no such benchmark: ${unknown.join(', ')}`);

  const figures: Figure[] = [];
  let failed = 0;
  for (const { name, load } of chosen) {
    process.stderr.write(`${name} …\n`);
    try {
      figures.push(...(await (await load()).figures()).map(tidy));
    } catch (error) {
      failed += 1;
      process.stderr.write(`${name}: ${reason(error)}\n`);
    }
  }
  const code = failed === 0 ? 0 : 1;
  const where = machine();
  if (json) {
    process.stdout.write(`${JSON.stringify({ machine: where, figures }, null, 2)}\n`);
    return code;
  }
  const plain = process.env.NO_COLOR !== undefined || !process.stdout.isTTY;
  const table = new Table({
    head: ['figure', 'unit', 'median', 'p99', 'yardstick', 'its median', 'ratio'],
    colAligns: ['left', 'left', 'right', 'right', 'left', 'right', 'right'],
    ...(plain ? { style: { head: [], border: [] } } : {}),
  });
  for (const f of figures)
    table.push([f.name, f.unit, f.median, f.p99, f.yardstick.name, f.yardstick.median, f.ratio]);
  process.stdout.write(
    `${where.cpu}, ${where.cores} cores, ${where.memoryGiB} GiB, ${where.platform}, Node ${where.node}\n${table.toString()}\n`,
  );
  return code;
}

process.exitCode = await main().catch((error: unknown) => {
  process.stderr.write(`${reason(error)}\n`);
  return 1;
});
