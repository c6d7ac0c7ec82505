/** Lists as people keep them: what is read, and errors that name line, field and place in the file. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { type PayoutFile, readPayoutFile } from '../../cli/payout-file.ts';
import { parsePayout, sumOf } from '../../core/payout.ts';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import { BITCOIN } from '../support/parties.ts';

const home = mkdtempSync(join(tmpdir(), 'keysaga-payout-'));
afterAll(() => rmSync(home, { recursive: true, force: true }));

let files = 0;
const read = (content: unknown, ending = 'csv'): PayoutFile => {
  const path = join(home, `${++files}.${ending}`);
  writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content));
  return readPayoutFile(path, BITCOIN);
};
const refusal = (work: () => unknown): { code: string; field?: string; message: string } => {
  try {
    work();
  } catch (error) {
    if (!(error instanceof KeysagaError)) throw error;
    const { field } = error.details;
    return { code: error.code, message: error.message, ...(field === undefined ? {} : { field }) };
  }
  throw new Error('it was not refused');
};
const ADDRESS = 'bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080';

describe('a file of payments', () => {
  it('is CSV with its columns in any order, quoted fields, and amounts as people type them', () => {
    const { lines } = read(
      `\ufeffReference, Amount ,destination\r\n"rent, ""May""\n2nd",0.001btc,${ADDRESS}\r\n\r\n,1500,${ADDRESS}`,
    );
    expect(lines).toEqual([
      { destination: ADDRESS, amount: '100000', reference: 'rent, "May"\n2nd' },
      { destination: ADDRESS, amount: '1500' },
    ]);
  });

  it('is JSON by its name', () => {
    const list = [{ destination: ADDRESS, amount: '20 sats', reference: 'a' }];
    expect(read(list, 'json').lines).toEqual([{ ...list[0], amount: '20' }]);
  });

  it('comes back as it was written, whatever stands in the fields', () => {
    const text = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 30 }).map((s) => `x${s}x`);
    const quoted = (field: string) => `"${field.replaceAll('"', '""')}"`;
    void fc.assert(
      fc.property(fc.array(fc.tuple(text, text), { minLength: 1, maxLength: 20 }), (rows) => {
        const csv = rows.map(([to, why]) => [to, '7', why].map(quoted).join(','));
        const { lines } = read(['destination,amount,reference', ...csv].join('\n'));
        expect(lines).toEqual(
          rows.map(([destination, reference]) => ({ destination, amount: '7', reference })),
        );
      }),
      { numRuns: 50 },
    );
  });

  const HEAD = 'destination,amount,reference\n';
  const good = `${ADDRESS},1,a\n`;
  it.each<[string, string, string, RegExp]>([
    [
      'an amount that is none',
      `${HEAD}${good}\n${ADDRESS},ten,b\n`,
      'lines[1].amount',
      /\(line 4 of/,
    ],
    ['a fraction without its unit', `${HEAD}${ADDRESS},0.5,b\n`, 'lines[0].amount', /say the unit/],
    ['another chain’s unit', `${HEAD}${ADDRESS},1eth,b\n`, 'lines[0].amount', /no unit/],
    ['nothing to pay', `${HEAD}${good}${ADDRESS},0,b\n`, 'lines[1].amount', /more than nothing/],
    ['a field too many', `${HEAD}${good}${ADDRESS},1,b,c\n`, 'lines[1]', /4 fields.*line 3 of/],
    ['a field too few', `${HEAD}${ADDRESS},1\n`, 'lines[0]', /2 fields for 3 columns/],
    ['an unknown column', 'destination,amount,iban\n', 'file', /no such column: iban/],
    ['a column twice', 'destination,amount,amount\n', 'file', /stands twice/],
    ['no column of amounts', 'destination\n', 'file', /lacks amount/],
    ['no line', HEAD, 'lines', /none/],
    ['nothing at all', '', 'file', /./],
    ['a quote left open', `${HEAD}"${ADDRESS},1,b\n`, 'file', /Quote Not Closed.*at line 2/],
    ['a stray quote', `${HEAD}x"y",1,b\n`, 'file', /Invalid Opening Quote.*at line 2/],
    [
      '501 lines',
      HEAD + Array.from({ length: 501 }, (_, i) => `${ADDRESS},1,n${i}\n`).join(''),
      'lines',
      /501.*at most 500/,
    ],
  ])('is refused with %s', (_name, text, field, message) => {
    const refused = refusal(() => read(text));
    expect(refused).toMatchObject({ code: 'InvalidInput', field });
    expect(refused.message).toMatch(message);
  });

  it.each<[string, unknown, string, RegExp]>([
    ['no list', {}, 'file', /not a list/],
    ['no JSON', '[', 'file', /not JSON/],
    [
      'an amount that is a number',
      [{ destination: ADDRESS, amount: 1 }],
      'lines[0].amount',
      /entry 1/,
    ],
    ['an entry without destination', [{ amount: '1' }], 'lines[0].destination', /entry 1/],
    [
      'an unknown field',
      [{ destination: ADDRESS, amount: '1', memo: 'x' }],
      'lines[0].memo',
      /unknown field/,
    ],
    ['an entry that is none', ['x'], 'lines[0]', /entry 1 of the file/],
  ])('in JSON is refused with %s', (_name, content, field, message) => {
    const refused = refusal(() => read(content, 'json'));
    expect(refused).toMatchObject({ code: 'InvalidInput', field });
    expect(refused.message).toMatch(message);
  });

  it('says where a line stands that the payout refuses, and when it is not there', () => {
    const { lines, located } = read(`${HEAD}${good}"${ADDRESS}",1,"b\nb"\n${ADDRESS},1,a\n`);
    const payout = {
      requestId: 'p',
      walletId: 'w',
      chain: BITCOIN,
      asset: 'native',
      total: sumOf(lines),
      feeCap: '1',
      issuedAt: '2025-06-01T12:00:00.000Z',
      expiresAt: '2025-06-02T12:00:00.000Z',
    };
    const twice = refusal(() =>
      located(() =>
        parsePayout({
          ...payout,
          lines: lines.toSpliced(1, 1, { ...lines[0], reference: 'b' } as never),
        }),
      ),
    );
    expect(twice).toMatchObject({ code: 'InvalidInput', field: 'lines[2]' });
    expect(twice.message).toMatch(/the same as lines\[0\].*\(line 5 of the file\)/);
    const hidden = refusal(() => located(() => parsePayout({ ...payout, lines })));
    expect(hidden.field).toBe('lines[1].reference');
    expect(refusal(() => readPayoutFile(join(home, 'none.csv'), BITCOIN)).code).toBe('NotFound');
  });
});
