/** Runs cases on a field, as many at once as it bears; those that wait for a session's end beside the others, or last. */

import { CASES, type Case } from './cases/index.ts';
import { KITS } from './chains.ts';
import { AttackSucceeded, CaseBroken, type Field } from './field.ts';
import type { KitName } from './kit.ts';

export type CaseResult = {
  readonly id: string;
  readonly chain: string;
  readonly title: string;
  /** `held`: refused as expected. `succeeded`: the adversary got it. `broken`: the case itself failed. */
  readonly outcome: 'held' | 'succeeded' | 'broken';
  readonly detail?: string;
  readonly ms: number;
};

export type Selection = {
  /** Ids; all when absent. */
  readonly cases?: readonly string[];
  readonly chains?: readonly string[];
  onResult?(result: CaseResult): void;
};

const casesFor = (field: Field, only?: readonly string[]): Case[] =>
  CASES.filter(
    ({ id, needs }) =>
      (only === undefined || only.includes(id)) &&
      (needs === undefined || field[needs] !== undefined),
  );

export async function runCases(field: Field, selection: Selection = {}): Promise<CaseResult[]> {
  const results: CaseResult[] = [];
  const one = async (entry: Case, chain: KitName) => {
    const begun = performance.now();
    const { id, title } = entry;
    const end = (outcome: CaseResult['outcome'], detail?: string) => {
      const ms = Math.round(performance.now() - begun);
      const result = { id, chain, title, outcome, ...(detail ? { detail } : {}), ms };
      results.push(result);
      selection.onResult?.(result);
    };
    await entry.run(field, KITS[chain]).then(
      () => end('held'),
      (error: unknown) => {
        if (error instanceof AttackSucceeded) end('succeeded', error.message);
        else if (error instanceof CaseBroken) end('broken', error.message);
        else end('broken', error instanceof Error ? `${error.stack}` : String(error));
      },
    );
  };
  const work = casesFor(field, selection.cases).flatMap((entry) =>
    entry.chains
      .filter((chain) => selection.chains?.includes(chain) ?? true)
      .map((chain) => ({ entry, chain })),
  );
  const slow = work.filter(({ entry }) => entry.slow);
  const rest = work.filter(({ entry }) => !entry.slow);
  const beside = field.ownTime ? [] : slow.map((w) => one(w.entry, w.chain));
  const queue = [...rest, ...(field.ownTime ? slow : [])];
  const worker = async () => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift())
      await one(next.entry, next.chain);
  };
  await Promise.all([...beside, ...Array.from({ length: field.atOnce }, worker)]);
  return results;
}
