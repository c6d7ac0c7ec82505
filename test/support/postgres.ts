/** A PostgreSQL server of a test file's own, and fresh databases on it. */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Stack, startStack } from '../../dev/stack/index.ts';
import {
  type CoordinatorDatabase,
  type DatabaseOptions,
  migrateCoordinatorDatabase,
  openCoordinatorDatabase,
} from '../../storage/coordinator/index.ts';

export type TestPostgres = {
  readonly stack: Stack;
  /** URL of an empty database. */
  create(name?: string): Promise<string>;
  /** A migrated coordinator database, opened; closed by `stop`. */
  coordinator(options?: DatabaseOptions): Promise<CoordinatorDatabase & { readonly url: string }>;
  stop(): Promise<void>;
};

export async function startTestPostgres(): Promise<TestPostgres> {
  const dataDir = mkdtempSync(join(tmpdir(), 'keysaga-pg-test-'));
  const stack = await startStack({ parts: ['postgres'], dataDir });
  const opened: CoordinatorDatabase[] = [];
  const create = (name = 'test') =>
    stack.postgres.createDatabase(`${name}_${randomBytes(4).toString('hex')}`);
  return {
    stack,
    create,
    coordinator: async (options) => {
      const url = await create('coordinator');
      await migrateCoordinatorDatabase(url);
      const database = openCoordinatorDatabase(url, options);
      opened.push(database);
      return { ...database, url };
    },
    stop: async () => {
      await Promise.all(opened.map((database) => database.close()));
      await stack.stop();
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}
