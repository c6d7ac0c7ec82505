/** Brings the coordinator's database to this program's schema. */
import { fileURLToPath } from 'node:url';
import { sql as query } from 'drizzle-orm';
import { drizzle } from 'drizzle-orm/postgres-js';
import { migrate } from 'drizzle-orm/postgres-js/migrator';
import postgres from 'postgres';

const FOLDER = fileURLToPath(new URL('../../schema/db/migrations/coordinator', import.meta.url));
// Any fixed number; it only has to be the same in every process that migrates this database.
const LOCK = 7_310_582_401;

/**
 * Applies the pending migrations. Several processes may call it at once: one migrates, the others wait for its lock
 * (a session's, so a crash gives it back) and find nothing left to do. Throws the driver's error when the database
 * cannot be reached or a migration fails; each migration is a transaction.
 */
export async function migrateCoordinatorDatabase(url: string): Promise<void> {
  // One connection: the lock belongs to the session that also migrates.
  const sql = postgres(url, { max: 1, connect_timeout: 10, onnotice: () => {} });
  try {
    const db = drizzle(sql);
    await db.execute(query`select pg_advisory_lock(${LOCK})`);
    await migrate(db, { migrationsFolder: FOLDER });
    await db.execute(query`select pg_advisory_unlock(${LOCK})`);
  } finally {
    await sql.end({ timeout: 5 });
  }
}
