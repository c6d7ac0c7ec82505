import { describe, expect, it } from 'vitest';
import {
  ERROR_CODES,
  type ErrorCode,
  isErrorCode,
  isKeysagaError,
  KeysagaError,
} from '../../schema/contracts/errors.ts';

const codes = Object.keys(ERROR_CODES) as ErrorCode[];

/** docs/errors.md as it must read; `npx vitest run test/contracts -u` writes it anew. */
function page(): string {
  const rows = codes.map((code) => {
    const [retryable, remedy] = ERROR_CODES[code];
    return `| <a id="${code.toLowerCase()}"></a>\`${code}\` | ${retryable ? 'yes' : 'no'} | ${remedy} |`;
  });
  return [
    '# Error codes',
    '',
    'Every failure carries one of these codes: in a Temporal failure’s type, in the API’s problem+json, in the CLI and',
    'in the logs. *Retry* says whether the very same call may succeed later without anyone changing the request.',
    'Details name the offending `field`; `culprit` stands only where a party provably broke the protocol, `party` where',
    'one is merely involved.',
    '',
    'This page is written by `test/contracts/errors.test.ts` from `schema/contracts/errors.ts`; do not edit it by hand.',
    '',
    '| code | retry | what to do |',
    '| --- | --- | --- |',
    ...rows,
    '',
  ].join('\n');
}

describe('error codes', () => {
  it('are a closed list: a code leaves or changes its meaning only on purpose', () => {
    expect(Object.fromEntries(codes.map((c) => [c, ERROR_CODES[c][0]]))).toMatchSnapshot();
  });
  it('have a remedy, and an anchor in docs/errors.md that their error points to', async () => {
    for (const code of codes) {
      expect(ERROR_CODES[code][1].length, code).toBeGreaterThan(10);
      const [file, anchor] = new KeysagaError(code, 'x').docs.split('#');
      expect(file).toBe('docs/errors.md');
      expect(page()).toContain(`<a id="${anchor}"></a>`);
    }
    expect(new Set(codes.map((c) => c.toLowerCase())).size).toBe(codes.length);
    await expect(page()).toMatchFileSnapshot('../../docs/errors.md');
  });
  it('are recognised, and nothing else is', () => {
    for (const code of codes) expect(isErrorCode(code)).toBe(true);
    for (const no of ['', 'toString', '__proto__', 'invalidinput', 5, null])
      expect(isErrorCode(no)).toBe(false);
  });
});

describe('KeysagaError', () => {
  it('carries code, details, cause and whether a retry can help', () => {
    const cause = new KeysagaError('Internal', 'inner');
    const error = new KeysagaError('KeyLocked', 'held', { field: 'x' }, { cause });
    expect(error).toMatchObject({
      code: 'KeyLocked',
      details: { field: 'x' },
      retryable: true,
      cause,
      name: 'KeysagaError',
    });
    expect(new KeysagaError('KeyLocked', 'held', {}, { retryable: false }).retryable).toBe(false);
    expect(error.remedy).toBe(ERROR_CODES.KeyLocked[1]);
    expect(isKeysagaError(error, 'KeyLocked')).toBe(true);
    expect(isKeysagaError(error, 'Internal')).toBe(false);
    expect(isKeysagaError({ code: 'KeyLocked' })).toBe(false);
    expect(new KeysagaError('Internal', 'x')).not.toHaveProperty('cause');
  });
});
