/** What `npm ci` installs is pinned, comes from whichever registry the user has, and may be used. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { projectFiles, repoRoot } from '../support/repo.ts';

interface LockedPackage {
  readonly version: string;
  readonly license?: string;
  readonly integrity?: string;
  readonly resolved?: string;
  readonly os?: readonly string[];
  readonly cpu?: readonly string[];
  readonly libc?: readonly string[];
  readonly optionalDependencies?: Versions;
}
type Versions = Readonly<Record<string, string>>;
interface Lock {
  readonly lockfileVersion: number;
  readonly packages: Readonly<Record<string, LockedPackage>>;
}
interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly license: string;
  readonly dependencies: Versions;
  readonly devDependencies: Versions;
  readonly optionalDependencies: Versions;
}

const read = (file: string): string => readFileSync(`${repoRoot}/${file}`, 'utf8');
const manifest = JSON.parse(read('package.json')) as Manifest;
const lock = JSON.parse(read('package-lock.json')) as Lock;
const direct = Object.entries({
  ...manifest.dependencies,
  ...manifest.devDependencies,
  ...manifest.optionalDependencies,
});

/** Where Node would find `name` from the package at `path`: its own node_modules, then upwards. */
function resolveLocked(path: string, name: string): LockedPackage | undefined {
  const found = lock.packages[`${path === '' ? '' : `${path}/`}node_modules/${name}`];
  if (found || path === '') return found;
  return resolveLocked(path.slice(0, Math.max(0, path.lastIndexOf('/node_modules/'))), name);
}

/** Licences that ask for no more than their notice. */
const permissive = [
  '0BSD',
  'Apache-2.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'ISC',
  'MIT',
  'Unlicense',
];

describe('package-lock.json', () => {
  it('is tracked and of the format that npm 7 and later share', () => {
    expect(projectFiles()).toContain('package-lock.json');
    expect(lock.lockfileVersion).toBe(3);
  });

  it('names no registry host', () => {
    const hosts = read('package-lock.json').match(/"(resolved|integrity)": "[a-z+]+:\/\/[^"]*"/g);
    expect(hosts ?? []).toEqual([]);
    const resolved = Object.entries(lock.packages).filter(([, locked]) => locked.resolved);
    expect(resolved.map(([path]) => path)).toEqual([]);
    expect(read('.npmrc')).toContain('omit-lockfile-registry-resolved=true');
    expect(read('.npmrc')).not.toMatch(/registry\s*=\s*http/);
  });

  it('has an integrity hash for every package that the supported platform installs', () => {
    const installed = Object.entries(lock.packages).filter(
      ([path, locked]) =>
        path !== '' &&
        (locked.os ?? ['linux']).includes('linux') &&
        (locked.cpu ?? ['x64']).includes('x64') &&
        !(locked.libc ?? []).includes('musl'),
    );
    expect(installed.length).toBeGreaterThan(direct.length);
    expect(installed.filter(([, locked]) => !locked.integrity).map(([path]) => path)).toEqual([]);
  });

  it('names the binaries of every platform, or npm ci refuses to start', () => {
    const missing: string[] = [];
    for (const [path, locked] of Object.entries(lock.packages)) {
      for (const name of Object.keys(locked.optionalDependencies ?? {})) {
        if (!resolveLocked(path, name)) missing.push(`${path} → ${name}`);
      }
    }
    expect(missing).toEqual([]);
  });

  it('agrees with package.json', () => {
    const root = lock.packages[''] as unknown as Manifest;
    for (const group of ['dependencies', 'devDependencies', 'optionalDependencies'] as const) {
      expect(root[group]).toEqual(manifest[group]);
    }
  });
});

describe('direct dependencies', () => {
  it.each(direct)('%s is pinned to %s and may be used', (name, wanted) => {
    expect(wanted).toMatch(/^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$/);
    const locked = lock.packages[`node_modules/${name}`];
    expect(locked?.version).toBe(wanted);
    const offered = (locked?.license ?? 'none').replace(/[()]/g, '').split(' OR ');
    expect(
      offered.some((license) => permissive.includes(license)),
      `licence: ${locked?.license}`,
    ).toBe(true);
  });
});
