/** Parties × steps of the present attempt, for board and status. */
import type { PartyId } from '../schema/contracts/primitives.ts';
import type { PartyProgress } from '../schema/contracts/saga.ts';

export type StepState = 'waiting' | 'done' | 'failed';

export const roundName = (round: number): string => `round ${round}`;
export const ceremonySteps = (rounds: number): string[] => [
  'prepare',
  ...Array.from({ length: rounds }, (_, i) => roundName(i + 1)),
];

export class Progress {
  #rows: { party: PartyId; steps: { name: string; state: StepState }[] }[] = [];

  begin(parties: readonly PartyId[], steps: readonly string[]): void {
    this.#rows = parties.map((party) => ({
      party,
      steps: steps.map((name) => ({ name, state: 'waiting' })),
    }));
  }
  set(party: PartyId, step: string, state: StepState): void {
    const row = this.#rows.find((candidate) => candidate.party === party);
    const cell = row?.steps.find(({ name }) => name === step);
    if (cell) cell.state = state;
  }
  /** A copy: answers of a query must not change afterwards. */
  get rows(): PartyProgress[] {
    return this.#rows.map(({ party, steps }) => ({
      party,
      steps: steps.map((step) => ({ ...step })),
    }));
  }
}
