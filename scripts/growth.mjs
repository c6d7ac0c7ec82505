/**
 * `node scripts/growth.mjs FILE`, FILE from `npm run bench -- growth --json`: writes the table of docs/performance.md, between
 * its marks, and the plot beside it.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { plot } from './growth-plot.mjs';

const PAGE = new URL('../docs/performance.md', import.meta.url);
const PICTURE = new URL('../docs/images/dkls23-growth.svg', import.meta.url);
const [BEGIN, END] = ['<!-- growth -->', '<!-- /growth -->'];

const [file] = process.argv.slice(2);
if (file === undefined) {
  process.stderr.write(
    'usage: node scripts/growth.mjs FILE (of `npm run bench -- growth --json`)\n',
  );
  process.exit(2);
}
const { figures } = JSON.parse(readFileSync(file, 'utf8'));

/** `growth/dkls23(batch of 4,2,3)` → what is timed, t and n. */
const measured = figures.flatMap(({ name, median }) => {
  const [, what, t, n] = /^growth\/dkls23\((.+),(\d+),(\d+)\)$/.exec(name) ?? [];
  return what === undefined ? [] : [{ what, shape: `${t} of ${n}`, t: Number(t), median }];
});
const shapes = [...new Set(measured.map(({ shape }) => shape))];
const batches = [...new Set(measured.map(({ what }) => /^batch of (\d+)$/.exec(what)?.[1]))].filter(
  (size) => size !== undefined,
);
/** Undefined for a batch that was too large to be measured. */
const value = (what, shape) => measured.find((m) => m.what === what && m.shape === shape)?.median;

function table() {
  const columns = ['keygen', 'online', ...batches.map((size) => `batch of ${size}`)];
  const head = [
    'CPU ms, all parties',
    'key generation',
    'online round',
    ...batches.map((size) => (size === '1' ? 'one signature' : `each of ${size}`)),
  ];
  const rows = shapes.map((shape) => [
    shape,
    ...columns.map((what) => value(what, shape)?.toLocaleString('en') ?? '–'),
  ]);
  const widths = head.map((cell, i) => Math.max(cell.length, ...rows.map((row) => row[i].length)));
  const line = (cells) =>
    `| ${cells.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join(' | ')} |`;
  const rule = `| ${widths.map((width, i) => (i === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`)).join(' | ')} |`;
  return [line(head), rule, ...rows.map(line)].join('\n');
}

function picture() {
  const over = (what) => shapes.map((shape) => value(what, shape));
  // A signature costs what its signers cost: of two shapes with one t the larger stands for both.
  const byThreshold = new Map(measured.map(({ t, shape }) => [t, shape]));
  return plot(
    [
      {
        title: 'By threshold and parties',
        about: 'signers of parties (t of n)',
        ticks: shapes,
        lines: [
          { name: 'key generation', values: over('keygen') },
          { name: 'one signature', values: over('batch of 1') },
          { name: 'online round', values: over('online') },
        ],
      },
      {
        title: 'Each signature of a batch',
        about: 'signatures in one session',
        ticks: batches,
        lines: [...byThreshold].map(([t, shape]) => ({
          name: `${t} signers`,
          values: batches.map((size) => value(`batch of ${size}`, shape)),
        })),
      },
    ],
    {
      note: 'DKLs23, CPU time of all parties together, medians, logarithmic',
      label:
        'How DKLs23 grows with threshold, parties and batch size; the table beside has the numbers',
    },
  );
}

const page = readFileSync(PAGE, 'utf8');
const [from, to] = [page.indexOf(BEGIN), page.indexOf(END)];
if (from < 0 || to < from) throw new Error(`docs/performance.md has no ${BEGIN} … ${END}`);
writeFileSync(PAGE, `${page.slice(0, from)}${BEGIN}\n\n${table()}\n\n${page.slice(to)}`);
writeFileSync(PICTURE, picture());
