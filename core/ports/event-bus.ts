/** Where outbox rows go. The local default is in-process; NATS JetStream comes with its own row. */
import type { StoredEvent } from './ledger.ts';

export interface EventBus {
  publish(events: readonly StoredEvent[]): Promise<void>;
  /** Returns the unsubscribe function. Handlers see each event at least once, in order of position. */
  subscribe(name: string, handler: (event: StoredEvent) => Promise<void>): () => void;
}
