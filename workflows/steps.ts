/** Activities as the sagas call them: a profile, a summary for the timeline, the phase's event group. */
import { createEventGroup, type EventGroupMarker, proxyActivities } from '@temporalio/workflow';
import type {
  ChainActivities,
  LedgerActivities,
  PartyActivities,
} from '../schema/contracts/activities.ts';
import type { PartyId } from '../schema/contracts/primitives.ts';
import type { SagaLimits } from '../schema/contracts/saga.ts';
import { type PartyStep, partyProfile, profiles } from './profiles.ts';

type LedgerProfile = 'reserve' | 'ledger' | 'report' | 'undoLedger';
type ChainProfile =
  | 'build'
  | 'lease'
  | 'attach'
  | 'broadcast'
  | 'confirm'
  | 'provision'
  | 'undoChain';

export const ledger = (profile: LedgerProfile, summary: string, group?: EventGroupMarker) =>
  proxyActivities<LedgerActivities>({ ...profiles[profile], summary, ...grouped(group) });

export const chain = (profile: ChainProfile, summary: string, group?: EventGroupMarker) =>
  proxyActivities<ChainActivities>({ ...profiles[profile], summary, ...grouped(group) });

export function party(
  step: PartyStep,
  id: PartyId,
  summary: string,
  options: {
    readonly limits?: SagaLimits;
    readonly group?: EventGroupMarker | undefined;
    /** Overrides the profile's own. */
    readonly scheduleToCloseMs?: number;
  } = {},
) {
  const { limits, group, scheduleToCloseMs } = options;
  return proxyActivities<PartyActivities>({
    ...partyProfile(step, id, limits),
    summary,
    ...grouped(group),
    ...(scheduleToCloseMs === undefined ? {} : { scheduleToCloseTimeout: scheduleToCloseMs }),
  });
}

const grouped = (group: EventGroupMarker | undefined) =>
  group === undefined ? {} : { eventGroups: [group] };

/** One event group a phase, made when the phase is first entered. */
export class PhaseGroups {
  readonly #groups = new Map<string, EventGroupMarker>();
  of(phase: string): EventGroupMarker {
    const known = this.#groups.get(phase);
    if (known) return known;
    const made = createEventGroup(phase, { id: phase });
    this.#groups.set(phase, made);
    return made;
  }
}
