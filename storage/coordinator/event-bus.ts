/** The in-process `EventBus`, and the publisher that brings outbox rows to a bus. */
import { sql } from 'drizzle-orm';
import type { EventBus } from '../../core/ports/event-bus.ts';
import type { StoredEvent } from '../../core/ports/ledger.ts';
import type { CoordinatorDatabase } from './database.ts';
import { createFollower, type Follower, type FollowerOptions } from './follow.ts';

/**
 * Delivers within this process. `publish` rejects when a handler does, and the publisher brings the events again;
 * handlers that had seen them are not called a second time in this process.
 */
export function createInProcessBus(): EventBus {
  type Subscription = {
    readonly name: string;
    readonly handler: (event: StoredEvent) => Promise<void>;
    seen: number;
  };
  const subscriptions = new Set<Subscription>();
  return {
    publish: async (events) => {
      const results = await Promise.allSettled(
        [...subscriptions].map(async (subscription) => {
          for (const event of events) {
            if (!subscriptions.has(subscription)) return;
            if (event.position <= subscription.seen) continue;
            await subscription.handler(event);
            subscription.seen = event.position;
          }
        }),
      );
      const failed = results.find((result) => result.status === 'rejected');
      if (failed !== undefined) throw failed.reason;
    },
    subscribe: (name, handler) => {
      const subscription: Subscription = { name, handler, seen: 0 };
      subscriptions.add(subscription);
      return () => {
        subscriptions.delete(subscription);
      };
    },
  };
}

/**
 * Publishes outbox rows in order of position and deletes them once the bus has taken them: at least once, never out
 * of order. One process at a time publishes.
 */
export const createOutboxPublisher = (
  database: CoordinatorDatabase,
  bus: EventBus,
  options: Pick<FollowerOptions, 'batch' | 'pollMs' | 'onError'> = {},
): Follower =>
  createFollower(database, {
    ...options,
    name: 'outbox',
    apply: async (tx, events) => {
      await bus.publish(events);
      await tx.execute(sql`delete from outbox where position <= ${events.at(-1)?.position ?? 0}`);
    },
  });
