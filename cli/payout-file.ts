/** Lists of payments as people keep them: CSV or JSON. */
import { readFileSync } from 'node:fs';
import * as z from 'zod';
import { parseWith } from '../core/parse.ts';
import { KeysagaError } from '../schema/contracts/errors.ts';
import { MAX_PAYOUT_LINES, type PayoutLine } from '../schema/contracts/payout.ts';
import { parseAmount } from './amounts.ts';

const Row = z.strictObject({
  destination: z.string(),
  amount: z.string(),
  reference: z.string().exactOptional(),
});
const Rows = z.array(Row).min(1).max(MAX_PAYOUT_LINES);

const wrong = (field: string, message: string): never => {
  throw new KeysagaError('InvalidInput', `${field}: ${message}`, { field });
};

/**
 * The lines of a file, amounts as `--amount` takes them. `.json`: an array of `{ destination, amount, reference? }`;
 * anything else is CSV (RFC 4180) with a head line that names these columns. Throws `NotFound` (`file`) and `InvalidInput`
 * (`file`, `lines[17].amount`).
 */
export function readPayoutFile(path: string, network: string): PayoutLine[] {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    throw new KeysagaError('NotFound', `${path} cannot be read.`, { field: 'file' }, { cause });
  }
  const rows = parseWith(Rows, path.endsWith('.json') ? json(text) : csv(text), 'lines');
  return rows.map(({ amount, ...row }, i) => ({
    ...row,
    amount: parseAmount(amount, network, `lines[${i}].amount`),
  }));
}

function json(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return wrong('file', 'not JSON');
  }
}

function csv(text: string): unknown[] {
  const [head = [], ...records] = records4180(text.replace(/^\ufeff/, ''));
  const names = head.map((name) => name.trim().toLowerCase());
  for (const [i, name] of names.entries()) {
    if (!(name in Row.shape)) wrong('file', `no such column: ${name.slice(0, 40)}`);
    if (names.indexOf(name) !== i) wrong('file', `column ${name} stands twice`);
  }
  for (const name of ['destination', 'amount'])
    if (!names.includes(name)) wrong('file', `the head line lacks ${name}`);
  return records.map((fields, i) => {
    if (fields.length !== names.length)
      wrong(`lines[${i}]`, `${fields.length} fields for ${names.length} columns`);
    return Object.fromEntries(
      names
        .map((name, column) => [name, (fields[column] ?? '').trim()] as const)
        // An empty cell says nothing.
        .filter(([name, value]) => name !== 'reference' || value !== ''),
    );
  });
}

/** Records of fields, quotes resolved; empty lines are none. */
function records4180(text: string): string[][] {
  const records: string[][] = [];
  let fields: string[] = [];
  let field = '';
  let quoted = false;
  let wasQuoted = false;
  const endField = () => {
    fields.push(field);
    field = '';
    wasQuoted = false;
  };
  const endRecord = () => {
    const empty = fields.length === 0 && field.trim() === '' && !wasQuoted;
    endField();
    if (!empty) records.push(fields);
    fields = [];
  };
  for (let i = 0; i < text.length; i++) {
    const c = text.charAt(i);
    if (quoted) {
      if (c !== '"') field += c;
      else if (text[i + 1] === '"') field += text[++i];
      else quoted = false;
    } else if (c === '"') {
      if (field.trim() !== '' || wasQuoted)
        wrong('file', `a stray quote in record ${records.length}`);
      field = '';
      quoted = true;
      wasQuoted = true;
    } else if (c === ',') endField();
    else if (c === '\n') endRecord();
    else if (c !== '\r') field += c;
  }
  if (quoted) wrong('file', 'a quote is not closed');
  endRecord();
  return records;
}
