/** A party's activities. One factory; `workers/party.ts` serves them on queue `party-<id>`. */
import type { PartyActivities } from '../../schema/contracts/activities.ts';
import type { PartyHealth } from '../../schema/contracts/party.ts';
import { activate } from './activate.ts';
import type { PartyDeps } from './deps.ts';
import { createLiveRuns } from './live-runs.ts';
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
    prepare: (request) => prepare(deps, request),
    round: (request) => round(deps, live, request),
    abort: (request) => abort(deps, live, request),
    activate: (request) => activate(deps, request),
    destroy: (request) => destroy(deps, live, request),
    receivePolicy: (delivery) => receivePolicy(deps, delivery),
    health: () => health(deps),
  };
  return { activities, sweep: createSweep(deps, live, sweeping) };
}

async function health(deps: PartyDeps): Promise<PartyHealth> {
  const { settings, store, ceremonies, codecs, identity, clock } = deps;
  const state = await store.transaction(async (tx) => ({
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
    fenced: false,
    clock: new Date(clock.now()).toISOString(),
  };
}
