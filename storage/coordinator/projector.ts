/** Keeps the read tables behind the log by less than a second, and makes them anew from nothing. */
import { sql } from 'drizzle-orm';
import type { CoordinatorDatabase } from './database.ts';
import { EVENT_COLUMNS, type EventRow, toStoredEvent } from './event-log.ts';
import { createFollower, type Follower, type FollowerOptions, lockCheckpoint } from './follow.ts';
import { PROJECTED, project } from './projections.ts';

/** Name of the read tables' checkpoint. */
export const PROJECTIONS = 'projections';
const REBUILD_BATCH = 1_000;

export interface Projector extends Follower {
  /**
   * Empties the read tables and fills them from the first event up to where they stood, in one transaction: readers
   * see the old rows until the new ones are complete. Waits for a projector at work.
   */
  rebuild(): Promise<void>;
  /** Events the read tables have not seen, and the age of the oldest of them in milliseconds. */
  lag(): Promise<{ readonly events: number; readonly milliseconds: number }>;
}

export function createProjector(
  database: CoordinatorDatabase,
  options: Pick<FollowerOptions, 'batch' | 'pollMs' | 'onError'> = {},
): Projector {
  const follower = createFollower(database, {
    ...options,
    name: PROJECTIONS,
    apply: async (tx, events) => {
      for (const event of events) await project(tx, event);
    },
  });
  return {
    ...follower,
    rebuild: () =>
      database.db.transaction(async (tx) => {
        await tx.execute(sql`set local lock_timeout = 0`);
        await tx.execute(sql`set local statement_timeout = 0`);
        const until = (await lockCheckpoint(tx, PROJECTIONS, { wait: true })) ?? 0;
        for (const table of PROJECTED) await tx.delete(table);
        // Everything up to the checkpoint is final, so gaps there are decided.
        for (let after = 0; after < until; ) {
          const rows = await tx.execute<EventRow>(sql`
            select ${EVENT_COLUMNS} from events e where e.position > ${after} and e.position <= ${until}
            order by e.position limit ${REBUILD_BATCH}`);
          for (const row of rows) await project(tx, toStoredEvent(row));
          after = rows.length < REBUILD_BATCH ? until : Number(rows.at(-1)?.position);
        }
      }),
    lag: async () => {
      const [row] = await database.db.execute<{ events: number; ms: string | null }>(sql`
        select count(*)::int as events, extract(epoch from now() - min(at)) * 1000 as ms
        from events where position > coalesce((select position from checkpoints where name = ${PROJECTIONS}), 0)`);
      return { events: row?.events ?? 0, milliseconds: Math.max(0, Number(row?.ms ?? 0)) };
    },
  };
}
