/** Which t parties sign next. Pure. */
import type { PartyId } from '../schema/contracts/primitives.ts';

/** What a failure costs a party when the next signer set is chosen. */
export const DEMERIT = {
  failed: 1,
  /** It blamed another party: one of the two lies. */
  accuser: 2,
  accused: 4,
  /** The coordinator verified the fault itself. */
  proven: 64,
} as const;

/** Ways to choose `size` of `items`, in lexicographic order of positions. */
export function* combinations<T>(items: readonly T[], size: number): Generator<T[]> {
  if (size > items.length || size < 0) return;
  const at = Array.from({ length: size }, (_, i) => i);
  for (;;) {
    yield at.map((i) => items[i] as T);
    let k = size - 1;
    while (k >= 0 && at[k] === items.length - size + k) k--;
    if (k < 0) return;
    at[k] = (at[k] as number) + 1;
    for (let j = k + 1; j < size; j++) at[j] = (at[j - 1] as number) + 1;
  }
}

/**
 * Signer sets of one transfer. `next` gives the untried set of the best parties (ranking, demerits first), in the
 * key's own order; undefined when no set is left: fewer than t parties are there, or every set of them has failed.
 */
export class Quorum {
  readonly #parties: readonly PartyId[];
  readonly #threshold: number;
  #ranking: readonly PartyId[];
  readonly #demerits = new Map<PartyId, number>();
  readonly #away = new Set<PartyId>();
  readonly #tried = new Set<string>();

  constructor(parties: readonly PartyId[], threshold: number, ranking: readonly PartyId[]) {
    this.#parties = parties;
    this.#threshold = threshold;
    this.#ranking = ranking;
  }

  rank(ranking: readonly PartyId[]): void {
    this.#ranking = ranking;
  }
  blame(party: PartyId, demerit: number): void {
    this.#demerits.set(party, (this.#demerits.get(party) ?? 0) + demerit);
  }
  /** It did not answer: not chosen again until `back`. */
  lost(party: PartyId): void {
    this.#away.add(party);
  }
  back(party: PartyId): void {
    this.#away.delete(party);
  }
  get away(): readonly PartyId[] {
    return this.#parties.filter((party) => this.#away.has(party));
  }
  /** Begins anew: sets that failed may be tried again, and so may parties that did not answer. */
  retryAll(): void {
    this.#tried.clear();
    this.#away.clear();
  }
  /** The sets may be tried again, the absent stay absent. */
  retrySets(): void {
    this.#tried.clear();
  }

  next(): readonly PartyId[] | undefined {
    const position = new Map(this.#ranking.map((party, i) => [party, i]));
    const last = this.#ranking.length;
    const candidates = this.#parties
      .filter((party) => !this.#away.has(party))
      .map((party, i) => ({
        party,
        demerit: this.#demerits.get(party) ?? 0,
        rank: position.get(party) ?? last + i,
      }))
      .sort((a, b) => a.demerit - b.demerit || a.rank - b.rank)
      .map(({ party }) => party);
    for (const choice of combinations(candidates, this.#threshold)) {
      const chosen = new Set(choice);
      const signers = this.#parties.filter((party) => chosen.has(party));
      const name = signers.join(',');
      if (this.#tried.has(name)) continue;
      this.#tried.add(name);
      return signers;
    }
    return undefined;
  }
}
