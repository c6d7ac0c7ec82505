/** The benchmarks that the folder's README lists are those that there are, and names mean what it says. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { BENCHMARKS, selected } from '../../bench/registry.ts';
import { repoRoot } from '../support/repo.ts';

const names = BENCHMARKS.map(({ name }) => name);
const chosen = (...asked: string[]) => selected(asked).chosen.map(({ name }) => name);

describe('benchmarks', () => {
  it('are the rows of bench/README.md', () => {
    const rows = readFileSync(join(repoRoot, 'bench', 'README.md'), 'utf8')
      .split('\n')
      .filter((line) => line.startsWith('|'))
      .map((line) => line.split('|')[1] ?? '');
    const listed = rows.flatMap((cell) => [...cell.matchAll(/`([^`]+)`/g)].map(([, name]) => name));
    expect(listed).toEqual(names);
  });

  it('are chosen by name or group, the long ones by name only', () => {
    expect(chosen('dkls23')).toEqual(names.filter((name) => name.startsWith('dkls23/')));
    expect(chosen('browser/dkls23-sign')).toEqual(['browser/dkls23-sign']);
    const long = BENCHMARKS.filter(({ onlyByName }) => onlyByName).map(({ name }) => name);
    expect(chosen()).toEqual(names.filter((name) => !long.includes(name)));
    expect(chosen(...long)).toEqual(long);
    expect(selected(['dkls', 'frost/sig']).unknown).toEqual(['dkls', 'frost/sig']);
  });
});
