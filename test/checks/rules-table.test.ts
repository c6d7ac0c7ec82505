/** docs/rules.md names tests and code: whatever is renamed or dropped shows here. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const root = join(import.meta.dirname, '..', '..');
const rows = readFileSync(join(root, 'docs/rules.md'), 'utf8')
  .split('\n')
  .filter(
    (line) => line.startsWith('| ') && !line.startsWith('| ---') && !line.startsWith('| rule'),
  )
  .map((line) => line.split(' | ').map((cell) => cell.replace(/^\| | \|$/g, '')));

/** `file` › "title", "title"; … */
const shown = rows.flatMap(([, , tests = '']) =>
  tests.split('; `').map((part) => {
    const [file = '', titles = ''] = part.replace(/^`/, '').split('` › ');
    return { file, titles: [...titles.matchAll(/"([^"]+)"/g)].map(([, title]) => title ?? '') };
  }),
);

describe('docs/rules.md', () => {
  it('has a test for every rule', () => {
    expect(rows.length).toBeGreaterThan(40);
    for (const [rule, , tests] of rows) expect(tests, rule).toMatch(/^`test\/.+\.test\.ts` › "/);
  });

  it('names tests that are there', () => {
    for (const { file, titles } of shown) {
      expect(existsSync(join(root, file)), file).toBe(true);
      const text = readFileSync(join(root, file), 'utf8');
      expect(titles.length, file).toBeGreaterThan(0);
      for (const title of titles) expect(text, `${file} › ${title}`).toContain(`'${title}'`);
    }
  });

  it('names code that is there', () => {
    for (const [rule, code = ''] of rows)
      for (const [, path = ''] of code.matchAll(/`((?:\w+\/)+[\w-]+\.ts)`/g))
        expect(existsSync(join(root, path)), `${rule}: ${path}`).toBe(true);
  });
});
