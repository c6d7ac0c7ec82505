/**
 * How the parties are. Each is asked on its own task queue (a standalone activity, no saga involved), so the answer is
 * the party's own and needs no coordinator.
 */
import { randomUUID } from 'node:crypto';
import type { Client } from '@temporalio/client';
import { parseWith } from '../core/parse.ts';
import { PartyHealth } from '../schema/contracts/party.ts';
import type { PartyId } from '../schema/contracts/primitives.ts';
import { partyQueue } from '../schema/contracts/temporal.ts';
import { fromFailure } from '../wire/failures.ts';

export type PartyState = {
  readonly party: PartyId;
  /**
   * `up`: it answered, and its identity key is the pinned one. `wrong-key`: it answered with another. `down`: no answer
   * within the limit. `failed`: it answered with an error.
   */
  readonly state: 'up' | 'wrong-key' | 'down' | 'failed';
  /** The pinned key, hex. */
  readonly publicKey: string;
  readonly answeredInMs?: number;
  readonly health?: PartyHealth;
  readonly reason?: string;
};

export async function partyState(
  client: Client,
  party: PartyId,
  publicKey: string,
  limitMs: number,
): Promise<PartyState> {
  const begun = Date.now();
  try {
    const answer: unknown = await client.activity.execute('health', {
      id: `health/${party}/${randomUUID()}`,
      taskQueue: partyQueue(party),
      args: [],
      scheduleToCloseTimeout: limitMs,
      startToCloseTimeout: limitMs,
      retry: { maximumAttempts: 1 },
    });
    const health = parseWith(PartyHealth, answer, 'health');
    const answeredInMs = Date.now() - begun;
    const state = health.identityKey === publicKey && health.party === party ? 'up' : 'wrong-key';
    return { party, state, publicKey, answeredInMs, health };
  } catch (error) {
    const failure = fromFailure(error);
    const down = failure.code === 'PartyUnavailable';
    return {
      party,
      state: down ? 'down' : 'failed',
      publicKey,
      reason: down ? `no answer within ${limitMs} ms` : `${failure.code}: ${failure.message}`,
    };
  }
}
