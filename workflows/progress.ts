/** Parties × steps of the present attempt, for board and status. */
import type { PartyId } from '../schema/contracts/primitives.ts';
import type { PartyProgress } from '../schema/contracts/saga.ts';

export type StepState = 'waiting' | 'done' | 'failed';

export const roundName = (round: number): string => `round ${round}`;
export const ceremonySteps = (rounds: number): string[] => [
  'prepare',
  ...Array.from({ length: rounds }, (_, i) => roundName(i + 1)),
];

/** Answers that come this long after the first one of their step are alerts on the board. */
export const QUORUM_LAG_ALERT_MS = 5_000;

export class Progress {
  #rows: { party: PartyId; steps: { name: string; state: StepState; lagMs?: number }[] }[] = [];
  #first = new Map<string, number>();

  begin(parties: readonly PartyId[], steps: readonly string[]): void {
    this.#first.clear();
    this.#rows = parties.map((party) => ({
      party,
      steps: steps.map((name) => ({ name, state: 'waiting' })),
    }));
  }
  /** `at`: workflow time, ms. */
  set(party: PartyId, step: string, state: StepState, at: number): void {
    const row = this.#rows.find((candidate) => candidate.party === party);
    const cell = row?.steps.find(({ name }) => name === step);
    if (cell === undefined) return;
    const first = this.#first.get(step) ?? at;
    this.#first.set(step, first);
    cell.state = state;
    cell.lagMs = Math.max(0, at - first);
  }
  /** A copy: answers of a query must not change afterwards. */
  get rows(): PartyProgress[] {
    return this.#rows.map(({ party, steps }) => ({
      party,
      steps: steps.map((step) => ({ ...step })),
    }));
  }
}
