/** Brings a database to this program's schema. */
import { fileURLToPath } from 'node:url';
import { sql as query } from 'drizzle-orm';
import { drizzle } from 'drizzle-orm/postgres-js';
import { migrate } from 'drizzle-orm/postgres-js/migrator';
import postgres from 'postgres';

/**
 * Applies the pending migrations of `schema/db/migrations/<folder>`. Several processes may call it at once: one
 * migrates, the others wait for its lock (a session's, so a crash gives it back) and find nothing left to do. Throws the
 * driver's error when the database cannot be reached or a migration fails; each migration is a transaction.
 */
export async function migrateDatabase(url: string, folder: 'coordinator' | 'party'): Promise<void> {
  const migrationsFolder = fileURLToPath(
    new URL(`../schema/db/migrations/${folder}`, import.meta.url),
  );
  // One connection: the lock belongs to the session that also migrates.
  const sql = postgres(url, { max: 1, connect_timeout: 10, onnotice: () => {} });
  try {
    const db = drizzle(sql);
    const lock = query`hashtextextended(${`keysaga migrate ${folder}`}, 0)`;
    await db.execute(query`select pg_advisory_lock(${lock})`);
    await migrate(db, { migrationsFolder });
    await db.execute(query`select pg_advisory_unlock(${lock})`);
  } finally {
    await sql.end({ timeout: 5 });
  }
}
