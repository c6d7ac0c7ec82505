/** SECURITY.md names the tests that show what holds: whatever is renamed or dropped shows here. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { CASES } from '../adversary/cases/index.ts';

const root = join(import.meta.dirname, '..', '..');
const read = (path: string): string => readFileSync(join(root, path), 'utf8');
const security = read('SECURITY.md');
/** Abbreviations that its first paragraph gives. */
const SHORT: Readonly<Record<string, string>> = {
  corrupt: 'test/adversary/corrupt-parties.test.ts',
  lines: 'test/adversary/corrupt-lines.test.ts',
};
const rows = security
  .split('\n')
  .filter((line) => line.startsWith('| ') && line.includes(' › '))
  .map((line) => line.split(' | ').at(-1) ?? '');

/** What stands behind a place's `›`: titles, those in the middle of one left out by `…`, and ranges of them. */
const named = (text: string) =>
  [...text.matchAll(/(`[^`]+`|\w+) › ((?:"[^"]+"(?: to |, | and )?)+)/g)].map(
    ([, place = '', titles = '']) => ({
      place: place.replaceAll('`', ''),
      titles: [...titles.matchAll(/"([^"]+)"( to )?/g)].map(([, title = '', to]) => ({
        title,
        to: to !== undefined,
      })),
    }),
  );
const all = named(security.replaceAll('\n', ' '));
const attacks = all.filter(({ place }) => place === 'adversary').flatMap(({ titles }) => titles);
const beginning = (title: string): string => title.replace(/ ?….*$/, '');
const place = (title: string): number =>
  CASES.findIndex((one) =>
    title.includes('…') ? one.title.startsWith(beginning(title)) : one.title === title,
  );

describe('SECURITY.md', () => {
  it('shows by a test what it says that holds', () => {
    expect(rows.length).toBeGreaterThan(15);
    for (const row of rows) expect(named(row), row).not.toEqual([]);
    expect(attacks.length).toBeGreaterThan(20);
  });

  it('names tests that are there', () => {
    for (const { place: file, titles } of all.filter((one) => one.place !== 'adversary')) {
      const path = SHORT[file] ?? file;
      expect(existsSync(join(root, path)), path).toBe(true);
      const text = read(path);
      for (const { title } of titles) {
        const whole = title.includes('…') ? '' : "'";
        const found = text.includes(`'${beginning(title)}${whole}`);
        expect(found, `${path} › ${title}`).toBe(true);
      }
    }
  });

  it('names files that are there', () => {
    for (const [, path = ''] of security.matchAll(/`(test\/[\w/.-]+)`/g))
      expect(existsSync(join(root, path)), path).toBe(true);
  });

  it('names every attack of the adversary, by itself or between two', () => {
    const covered = new Set<number>();
    attacks.forEach(({ title, to }, i) => {
      const first = place(title);
      expect(first, title).toBeGreaterThanOrEqual(0);
      const last = to ? place(attacks[i + 1]?.title ?? '') : first;
      expect(last, `${title} to ${attacks[i + 1]?.title}`).toBeGreaterThanOrEqual(first);
      for (let at = first; at <= last; at++) covered.add(at);
    });
    expect(CASES.filter((_, i) => !covered.has(i)).map(({ title }) => title)).toEqual([]);
  });
});
