/** What reviewers would otherwise have to look for by hand in every change. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { listSourceFolders, projectFiles, repoRoot } from '../support/repo.ts';

const files = projectFiles();
const binary = /\.(png|jpe?g|gif|ico|woff2?|wasm|gz|zip)$/;
const generated = /(^|\/)(migrations|vectors|histories|__snapshots__)\/|^package-lock\.json$/;
const text = (file: string): string => readFileSync(`${repoRoot}/${file}`, 'utf8');
const lines = (file: string): number => text(file).replace(/\n$/, '').split('\n').length;

/** file → why it may be longer than the rest. */
const longFiles: Readonly<Record<string, string>> = {};
const maxSourceLines = 400;
/** A test file holds one subject's cases, which are read one by one. */
const maxTestLines = 800;
const maxReadmeLines = 45;

describe('tracked files', () => {
  it('name no path of somebody’s machine', () => {
    // Written in pieces, so that this file does not find itself.
    const machinePath = new RegExp(
      `(^|[^\\w.~$})-])/(${['work', 'root', 'home'].join('|')})/`,
      'm',
    );
    for (const example of ['work', 'root', 'home']) {
      expect(`see ["/${example}/x"]`).toMatch(machinePath);
    }
    const found = files
      .filter((file) => !binary.test(file))
      .filter((file) => machinePath.test(text(file)));
    expect(found).toEqual([]);
  });

  it('hold no build output, database or secret', () => {
    const unwanted =
      /(^|\/)(node_modules|\.cache|\.keysaga|coverage|dist)\/|\.(log|sqlite|db|pem|key)$|(^|\/)\.env$/;
    expect(files.filter((file) => unwanted.test(file))).toEqual([]);
    const privateKey = new RegExp(`-----BEGIN ${'[A-Z ]*'}PRIVATE ${'KEY'}-----`);
    const found = files.filter((file) => !binary.test(file) && privateKey.test(text(file)));
    expect(found).toEqual([]);
  });

  it(`are at most ${maxSourceLines} lines long where they are source`, () => {
    const source = files.filter(
      (file) => /\.([mc]?[jt]s|grit)$/.test(file) && !generated.test(file),
    );
    expect(source.length).toBeGreaterThan(10);
    const long = source.filter(
      (file) => lines(file) > (file.startsWith('test/') ? maxTestLines : maxSourceLines),
    );
    expect(
      long.filter((file) => !(file in longFiles)).map((file) => `${file}: ${lines(file)}`),
    ).toEqual([]);
    // An entry that is no longer needed would let the file grow again.
    expect(Object.keys(longFiles).filter((file) => !long.includes(file))).toEqual([]);
  });
});

describe('folder READMEs', () => {
  const readmes = files.filter((file) => /.\/README\.md$/.test(file));

  it('are there for every folder of code', () => {
    const folders = listSourceFolders(repoRoot);
    expect(folders.length).toBeGreaterThan(0);
    expect(folders.filter((folder) => !readmes.includes(`${folder}/README.md`))).toEqual([]);
  });

  it('are at most a screen', () => {
    const long = readmes.filter((file) => lines(file) > maxReadmeLines);
    expect(long.map((file) => `${file}: ${lines(file)}`)).toEqual([]);
  });
});

describe('project files', () => {
  it.each([
    'LICENSE',
    'README.md',
    'ARCHITECTURE.md',
    'SECURITY.md',
    'CONTRIBUTING.md',
    'CHANGELOG.md',
  ])('%s is there', (file) => {
    expect(files).toContain(file);
    expect(text(file).trim().length).toBeGreaterThan(200);
  });

  it('links in Markdown lead somewhere', () => {
    const broken: string[] = [];
    for (const file of files.filter((name) => name.endsWith('.md'))) {
      const folder = file.includes('/') ? file.slice(0, file.lastIndexOf('/') + 1) : '';
      const prose = text(file).replace(/```[\s\S]*?```/g, '');
      for (const [, target = ''] of prose.matchAll(/\]\(([^)\s#]+)(?:#[^)]*)?\)/g)) {
        if (/^[a-z]+:/.test(target)) continue;
        const path = new URL(target, `file:///${folder}`).pathname.slice(1).replace(/\/$/, '');
        if (!files.some((name) => name === path || name.startsWith(`${path}/`))) {
          broken.push(`${file} → ${target}`);
        }
      }
    }
    expect(broken).toEqual([]);
  });
});
