/**
 * `npm run mutation`: removes each check with its repeats from a copy of the sources, runs the attacks that it stops, and
 * prints which of them noticed. Exit code 1 when a removed check goes unnoticed, or an attack succeeds on the sources as
 * they are. `--only <text>`, once or more, picks mutations by name or case; `--write` puts the table into
 * docs/mutation.md; `--server <url>` uses a PostgreSQL that runs already; `--jobs <n>` tries so many at once.
 */
import { writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { startTestPostgres } from '../../support/postgres.ts';
import { repoRoot, run } from '../../support/repo.ts';
import { runAdversary, tryAll, type Verdict } from './engine.ts';
import { MUTATIONS, WITHOUT } from './list.ts';
import { copyTree } from './tree.ts';

const { values } = parseArgs({
  options: {
    only: { type: 'string', multiple: true },
    write: { type: 'boolean' },
    baseline: { type: 'boolean' },
    server: { type: 'string' },
    jobs: { type: 'string' },
  },
});
const only = values.only;
const chosen = MUTATIONS.filter(
  ({ name, cases }) =>
    only === undefined || only.some((text) => name.includes(text) || cases.includes(text)),
);

const print = (line: string): void => {
  process.stdout.write(`${line}\n`);
};
const noticedBy = ({ results }: Verdict): string =>
  results
    .map(({ id, chain, outcome, detail }) =>
      outcome === 'succeeded'
        ? `${id} (${chain})`
        : `${id} (${chain}) did not: ${outcome}, ${detail ?? ''}`,
    )
    .join('; ');

const begun = Date.now();
const postgres = values.server === undefined ? await startTestPostgres() : undefined;
const adminUrl = values.server ?? postgres?.stack.postgres.adminUrl ?? '';
const jobs = Number(values.jobs ?? Math.min(3, cpus().length));
const trees = Array.from({ length: jobs }, copyTree);
let failed = false;
const unchanged: string[] = [];
let verdicts: Verdict[] = [];
try {
  const [first] = trees;
  if (first !== undefined) {
    const cases = [...new Set(chosen.flatMap((m) => m.cases))];
    const { results, stderr } = await runAdversary(first, adminUrl, cases);
    const bad = results.filter((r) => r.outcome !== 'held');
    if (results.length === 0) print(stderr);
    for (const r of bad) print(`unchanged sources: ${r.id} (${r.chain}) ${r.outcome}: ${r.detail}`);
    unchanged.push(`${results.length - bad.length} of ${results.length} attacks refused`);
    print(`unchanged sources: ${unchanged[0]}`);
    failed = bad.length > 0 || results.length === 0;
  }
  if (!failed && values.baseline !== true)
    verdicts = await tryAll(trees, adminUrl, chosen, (v) => {
      print(
        `${v.verdict === 'noticed' ? '✔' : '✘'} ${v.mutation.name}: ${noticedBy(v) || v.detail}  ${v.ms} ms`,
      );
    });
  failed ||= verdicts.some((v) => v.verdict === 'survived');
} finally {
  for (const tree of trees) tree.remove();
  await postgres?.stop();
}

if (values.write === true && verdicts.length > 0) {
  const { stdout: commit } = await run('git', ['rev-parse', '--short', 'HEAD'], repoRoot);
  const { stdout: changed } = await run('git', ['status', '--porcelain'], repoRoot);
  const also = changed === '' ? '' : ' with changes not committed yet';
  const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ');
  const lines = [
    '# Removed checks, and who noticed',
    '',
    'Written by `npm run mutation -- --write`. Each row takes one check with all its repeats out of a copy of the sources and',
    'runs the attacks of `test/adversary` that it stops against parties built from that copy. A row counts as noticed only',
    'when the adversary then gets what it wants; another refusal does not count.',
    '',
    'The parties of a mutated copy run in one process, two instances of each on a real PostgreSQL (`in-process.ts`): the same',
    'party service, without Temporal and without processes of their own. On the platform the attacks run against the sources as',
    'they are (`coordinator.test.ts`). A row without chains of its own is tried on the wallets of FROST keys; where a check is',
    'about the bytes of an ECDSA wallet, on that.',
    '',
    'Without a row, since no single check stops them:',
    '',
    ...Object.entries(WITHOUT).map(([id, why]) => `- ${id}: ${why}.`),
    '',
    'Nor has the binding of a private message to its header (HPKE’s associated data) a row: the envelope’s signature covers the',
    'header, so it stops only a party that signs another’s ciphertext as its own (`corrupt-parties.test.ts`).',
    '',
    `${new Date().toISOString().slice(0, 10)}, commit ${commit.trim()}${also}; unchanged sources: ${unchanged[0]}.`,
    '',
    '| removed check | places | noticed by |',
    '| --- | --- | --- |',
    ...verdicts.map(
      (v) =>
        `| ${cell(v.mutation.name)} | ${[...new Set(v.mutation.changes.map((c) => `\`${c.file}\``))].join(', ')} | ${v.verdict === 'noticed' ? '' : '**not noticed:** '}${cell(noticedBy(v) || (v.detail ?? ''))} |`,
    ),
    '',
  ];
  writeFileSync(join(repoRoot, 'docs/mutation.md'), lines.join('\n'));
}
const survived = verdicts.filter((v) => v.verdict === 'survived').length;
print(
  `${verdicts.length - survived} of ${verdicts.length} removed checks noticed, ${Math.round((Date.now() - begun) / 1000)} s`,
);
process.exit(failed ? 1 : 0);
