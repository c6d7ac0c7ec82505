/** Lists of payments as people keep them: CSV or JSON. */
import { readFileSync } from 'node:fs';
import { CsvError, parse } from 'csv-parse/sync';
import * as z from 'zod';
import { parseWith } from '../core/parse.ts';
import { isKeysagaError, KeysagaError } from '../schema/contracts/errors.ts';
import { MAX_PAYOUT_LINES, type PayoutLine } from '../schema/contracts/payout.ts';
import { parseAmount } from './amounts.ts';

const Row = z.strictObject({
  destination: z.string(),
  amount: z.string(),
  reference: z.string().exactOptional(),
});

/** What `csv-parse` gives: the types of its options do not say it. */
const Parsed = z.array(
  z.object({ record: z.array(z.string()), info: z.object({ lines: z.number() }) }),
);

/** A record of the file, and where people find it there. */
type Found = { readonly row: unknown; readonly place: string };

export type PayoutFile = {
  readonly lines: readonly PayoutLine[];
  /** Runs what judges the lines; its errors about one of them also say where in the file it stands. */
  located<T>(work: () => T): T;
};

const wrong = (field: string, message: string): never => {
  throw new KeysagaError('InvalidInput', `${field}: ${message}`, { field });
};

/**
 * The lines of a file, amounts as `--amount` takes them. `.json`: an array of `{ destination, amount, reference? }`;
 * anything else is CSV (RFC 4180) with a head line that names these columns. Throws `NotFound` (`file`) and `InvalidInput`
 * (`file`, `lines`, `lines[17].amount`), which also says where in the file that is.
 */
export function readPayoutFile(path: string, network: string): PayoutFile {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    throw new KeysagaError('NotFound', `${path} cannot be read.`, { field: 'file' }, { cause });
  }
  const found = path.endsWith('.json') ? json(text) : csv(text);
  if (found.length === 0) wrong('lines', 'the file has none');
  if (found.length > MAX_PAYOUT_LINES)
    wrong('lines', `${found.length}, and a payout has at most ${MAX_PAYOUT_LINES}`);
  const located = <T>(work: () => T): T => {
    try {
      return work();
    } catch (error) {
      if (!isKeysagaError(error)) throw error;
      const line = /^lines\[(\d+)\]/.exec(error.details.field ?? '')?.[1];
      const place = line === undefined ? undefined : found[Number(line)]?.place;
      if (place === undefined) throw error;
      throw new KeysagaError(error.code, `${error.message} (${place})`, error.details);
    }
  };
  return {
    lines: found.map(({ row }, i) => located(() => readRow(row, network, `lines[${i}]`))),
    located,
  };
}

function readRow(row: unknown, network: string, name: string): PayoutLine {
  try {
    const { amount, ...rest } = parseWith(Row, row, name);
    return { ...rest, amount: parseAmount(amount, network, 'amount') };
  } catch (error) {
    if (!isKeysagaError(error, 'InvalidInput')) throw error;
    const { field = '' } = error.details;
    const full = field === name ? name : `${name}.${field}`;
    const why = error.message.slice(error.message.lastIndexOf(`${field}: `) + field.length + 2);
    return wrong(full, why);
  }
}

function json(text: string): Found[] {
  let list: unknown;
  try {
    list = JSON.parse(text);
  } catch {
    return wrong('file', 'not JSON');
  }
  if (!Array.isArray(list)) return wrong('file', 'not a list');
  return list.map((row, i) => ({ row, place: `entry ${i + 1} of the file` }));
}

function csv(text: string): Found[] {
  const [first, ...records] = recordsOf(text);
  const head = first?.fields ?? [];
  const names = head.map((name) => name.trim().toLowerCase());
  for (const [i, name] of names.entries()) {
    if (!(name in Row.shape)) wrong('file', `no such column: ${name.slice(0, 40)}`);
    if (names.indexOf(name) !== i) wrong('file', `column ${name} stands twice`);
  }
  for (const name of ['destination', 'amount'])
    if (!names.includes(name)) wrong('file', `the head line lacks ${name}`);
  return records.map(({ fields, at }, i) => {
    const place = `line ${at} of the file`;
    if (fields.length !== names.length)
      wrong(`lines[${i}]`, `${fields.length} fields for ${names.length} columns (${place})`);
    const row = Object.fromEntries(
      names
        .map((name, column) => [name, (fields[column] ?? '').trim()] as const)
        // An empty cell says nothing.
        .filter(([name, value]) => name !== 'reference' || value !== ''),
    );
    return { row, place };
  });
}

type Record4180 = { readonly fields: readonly string[]; readonly at: number };

/** Records of fields, quotes resolved, with the line of the text that each ends on, from 1; empty lines are none. */
function recordsOf(text: string): Record4180[] {
  try {
    const options = { bom: true, info: true, relax_column_count: true, skip_empty_lines: true };
    const found: unknown = parse(text, { ...options, trim: true });
    return Parsed.parse(found).map(({ record, info }) => ({ fields: record, at: info.lines }));
  } catch (error) {
    if (!(error instanceof CsvError)) throw error;
    return wrong('file', error.message);
  }
}
