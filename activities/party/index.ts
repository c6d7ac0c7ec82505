/** A party's activities. One factory; `workers/party.ts` serves them on queue `party-<id>`. */
import type { PartyActivities } from '../../schema/contracts/activities.ts';
import type { PartyHealth } from '../../schema/contracts/party.ts';
import type { KeyId } from '../../schema/contracts/primitives.ts';
import { activate } from './activate.ts';
import type { PartyDeps } from './deps.ts';
import { checkChain } from './fence.ts';
import { createLiveRuns, type LiveRuns } from './live-runs.ts';
import { order } from './orders.ts';
import { receivePolicy } from './policy.ts';
import { prepare } from './prepare.ts';
import { round } from './round.ts';
import { createSweep, type SweepOptions } from './sweep.ts';
import { abort, destroy } from './undo.ts';

export { PARTY_FAIL_POINTS, type PartyDeps, type PartySettings } from './deps.ts';
export type { SweepOptions } from './sweep.ts';

export type PartyCore = {
  readonly activities: PartyActivities;
  /** Closes expired sessions, finishes erasures. Call it at start, before anything is served, and every few seconds; one at a time. */
  readonly sweep: () => Promise<void>;
};

export function createParty(deps: PartyDeps, sweeping: SweepOptions): PartyCore {
  const live = createLiveRuns();
  const activities: PartyActivities = {
    prepare: (request) => prepare(deps, live, request),
    round: (request) => round(deps, live, request),
    abort: (request) => abort(deps, live, request),
    activate: (request) => activate(deps, live, request),
    destroy: (request) => destroy(deps, live, request),
    receivePolicy: (delivery) => receivePolicy(deps, live, delivery),
    order: (delivery) => order(deps, live, delivery),
    health: () => health(deps, live),
  };
  return { activities, sweep: createSweep(deps, live, sweeping) };
}

async function health(deps: PartyDeps, live: LiveRuns): Promise<PartyHealth> {
  const { settings, store, ceremonies, codecs, identity, clock } = deps;
  // Asked before work is given out, so it looks for itself instead of waiting for a session to find out.
  const fenced = (await checkChain(deps, live)) === 'fenced';
  const reading = await deps.headFile.read();
  const fence = reading.kind === 'whole' ? reading.record.fenced : undefined;
  const state = await store.transaction(async (tx) => ({
    chain: await tx.chain(),
    quarantined: await tx.quarantinedKeys(),
    activeKeys: await tx.activeKeys(),
    openSessions: await tx.openSessionCount(),
    policies: await tx.policies(),
  }));
  return {
    party: settings.party,
    identityKey: identity.publicKey,
    version: settings.version,
    protocols: [...ceremonies.list()],
    networks: codecs.list().map((c) => c.network),
    activeKeys: state.activeKeys,
    openSessions: state.openSessions,
    policies: state.policies.map((p) => ({ ...p, policyId: p.policyId as never })),
    fenced,
    ...(fenced && fence !== undefined
      ? {
          fence: {
            reason: fence.reason,
            since: new Date(fence.at).toISOString(),
            chainEpoch: fence.chainEpoch,
          },
        }
      : {}),
    chainEpoch: state.chain.head.chainEpoch,
    headSequence: state.chain.head.sequence,
    quarantined: state.quarantined.map((keyId) => keyId as KeyId),
    clock: new Date(clock.now()).toISOString(),
  };
}
