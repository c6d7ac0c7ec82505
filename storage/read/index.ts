/** What the HTTP edge may import of the store: opening it, and reading. */
export { type CoordinatorDatabase, openCoordinatorDatabase } from '../coordinator/database.ts';
export * from './coordinator.ts';
