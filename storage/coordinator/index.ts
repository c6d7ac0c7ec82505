/** What the composition root wires: the coordinator's store. */
export { type CoordinatorReads, createCoordinatorReads } from '../read/coordinator.ts';
export {
  type CoordinatorDatabase,
  type DatabaseOptions,
  openCoordinatorDatabase,
} from './database.ts';
export { createInProcessBus, createOutboxPublisher } from './event-bus.ts';
export { migrateCoordinatorDatabase } from './migrate.ts';
export { createPolicySubjects } from './policy-subjects.ts';
export { createProjector, type Projector } from './projector.ts';
export { createUnitOfWork } from './unit-of-work.ts';
