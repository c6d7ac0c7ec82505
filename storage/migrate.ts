/** Applies the generated migrations; safe when several processes start at once. */
import { fileURLToPath } from 'node:url';
import { drizzle } from 'drizzle-orm/postgres-js';
import { migrate } from 'drizzle-orm/postgres-js/migrator';
import type { Sql } from 'postgres';

const folders = {
  party: fileURLToPath(new URL('../schema/db/migrations/party', import.meta.url)),
  coordinator: fileURLToPath(new URL('../schema/db/migrations/coordinator', import.meta.url)),
} as const;

/** One process at a time holds the session lock; the others wait and then find nothing to do. */
export async function migrateDatabase(client: Sql, which: keyof typeof folders): Promise<void> {
  const connection = await client.reserve();
  try {
    await connection`select pg_advisory_lock(hashtextextended(${`keysaga migrate ${which}`}, 0))`;
    try {
      await migrate(drizzle(client), { migrationsFolder: folders[which] });
    } finally {
      await connection`select pg_advisory_unlock(hashtextextended(${`keysaga migrate ${which}`}, 0))`;
    }
  } finally {
    connection.release();
  }
}
