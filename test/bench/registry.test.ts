/** `npm run bench`: which benchmarks a name means, and the form of what it prints. Most take minutes and are not run here. */
import { describe, expect, it } from 'vitest';
import * as z from 'zod';
import { BENCHMARKS, selected } from '../../bench/registry.ts';
import { repoRoot, run } from '../support/repo.ts';

const names = (...args: string[]) => selected(args).chosen.map(({ name }) => name);
const bench = (...args: string[]) =>
  run('npm', ['run', '--silent', 'bench', '--', ...args], repoRoot);

describe('the benchmarks', () => {
  it('have the names that are promised', () => {
    const short = BENCHMARKS.filter(({ onlyByName }) => onlyByName === undefined);
    expect(names()).toEqual(short.map(({ name }) => name));
    for (const name of [
      ...['frost/keygen', 'frost/sign', 'frost/sign-batch'],
      ...['saga/transfer-latency', 'saga/transfer-throughput'],
    ])
      expect(names(name)).toEqual([name]);
    expect(new Set(BENCHMARKS.map(({ name }) => name)).size).toBe(BENCHMARKS.length);
  });
  it('are chosen whole, by group, and never by a part of a word', () => {
    const saga = names().filter((name) => name.startsWith('saga/'));
    expect(names('saga')).toEqual(saga);
    expect(names('frost/sign', 'saga')).toEqual(['frost/sign', ...saga]);
    expect(selected(['fro', 'frost/', 'x', 'saga'])).toMatchObject({
      chosen: saga.map((name) => ({ name })),
      unknown: ['fro', 'frost/', 'x'],
    });
  });
  it.each([[['saga/transfer-latency', 'nope']], [['--nope']]])(
    '%j ends with 2, the names, and nothing on stdout',
    async (args) => {
      const result = await bench(...args);
      expect(result).toMatchObject({ code: 2, stdout: '' });
      expect(result.stderr).toContain('nope');
      for (const { name } of BENCHMARKS) expect(result.stderr).toContain(name);
    },
  );
  it('print one document with --json: the machine, and each figure beside its yardstick', async () => {
    const result = await bench('frost/sign', '--json');
    expect(result.code, result.stderr).toBe(0);
    const positive = expect.schemaMatching(z.number().positive());
    const { machine, figures } = JSON.parse(result.stdout);
    expect(Object.keys(JSON.parse(result.stdout))).toEqual(['machine', 'figures']);
    expect(machine).toMatchObject({ cores: positive, node: process.version });
    expect(figures.map(({ name }: { name: string }) => name)).toEqual([
      ...['frost/sign(2,3,ed25519)', 'frost/sign(2,3,bip340)'],
      ...['frost/sign(3,5,ed25519)', 'frost/sign(3,5,bip340)'],
    ]);
    for (const figure of figures)
      expect(figure).toStrictEqual({
        name: expect.any(String),
        unit: 'CPU ms',
        ...{ median: positive, p99: positive, ratio: positive },
        yardstick: { name: expect.stringMatching(/^single key, /), median: positive },
      });
  });
});
