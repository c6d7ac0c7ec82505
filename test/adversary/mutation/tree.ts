/** Copies of the sources in which something can be changed and put back. */
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { repoRoot } from '../../support/repo.ts';
import type { Mutation } from './mutation.ts';

/** What a party, a client and the adversary are made of. */
const PARTS = [
  'activities',
  'chains',
  'client',
  'core',
  'dev',
  'mpc',
  'schema',
  'storage',
  'test/adversary',
  'test/party/restore.ts',
  'test/support',
  'wire',
  'workers',
  'package.json',
  'temporal-dev.yaml',
  'tsconfig.json',
];

export type Tree = {
  readonly path: string;
  /** Applies a mutation; answers with what puts the sources back. Throws when a passage is not there exactly once. */
  apply(mutation: Mutation): () => void;
  remove(): void;
};

export function copyTree(): Tree {
  const path = mkdtempSync(join(tmpdir(), 'keysaga-mutation-'));
  for (const part of PARTS) cpSync(join(repoRoot, part), join(path, part), { recursive: true });
  symlinkSync(join(repoRoot, 'node_modules'), join(path, 'node_modules'));
  return {
    path,
    apply({ name, changes }) {
      const before = new Map<string, string>();
      const restore = () => {
        for (const [file, text] of before) writeFileSync(join(path, file), text);
      };
      try {
        for (const { file, find, put } of changes) {
          const text = readFileSync(join(path, file), 'utf8');
          if (!before.has(file)) before.set(file, text);
          const parts = text.split(find);
          if (parts.length !== 2)
            throw new Error(
              `${name}: ${file} has the passage ${parts.length - 1} times; the sources moved on:\n${find}`,
            );
          writeFileSync(join(path, file), parts.join(put));
        }
      } catch (error) {
        restore();
        throw error;
      }
      return restore;
    },
    remove: () => rmSync(path, { recursive: true, force: true }),
  };
}
