import { migrateDatabase } from '../migrate.ts';

/** `migrateDatabase` for the coordinator's schema. */
export const migrateCoordinatorDatabase = (url: string): Promise<void> =>
  migrateDatabase(url, 'coordinator');
