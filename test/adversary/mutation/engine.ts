/** Tries mutations: the matching cases run against a mutated copy, and the adversary must get what it wants there. */
import { run } from '../../support/repo.ts';
import { BOTH } from '../cases/case.ts';
import type { CaseResult } from '../run.ts';
import type { Mutation } from './mutation.ts';
import type { Tree } from './tree.ts';

export type Verdict = {
  readonly mutation: Mutation;
  /** `noticed`: each case, on each of its chains, ended in the adversary's success. */
  readonly verdict: 'noticed' | 'survived';
  readonly results: readonly CaseResult[];
  readonly detail?: string;
  readonly ms: number;
};

/** The adversary's program of a copy, with the parties of that copy, in a process of its own. */
export async function runAdversary(
  tree: Tree,
  adminUrl: string,
  cases?: readonly string[],
  chains?: readonly string[],
): Promise<{ results: CaseResult[]; stderr: string }> {
  const { stdout, stderr } = await run(
    process.execPath,
    [
      '--import',
      'tsx',
      'test/adversary/main.ts',
      '--in-process',
      adminUrl,
      ...(cases === undefined ? [] : ['--cases', cases.join(',')]),
      ...(chains === undefined ? [] : ['--chains', chains.join(',')]),
    ],
    tree.path,
  );
  const results = stdout
    .split('\n')
    .filter((line) => line.startsWith('{"result"'))
    .map((line) => (JSON.parse(line) as { result: CaseResult }).result);
  return { results, stderr };
}

export async function tryMutation(
  tree: Tree,
  adminUrl: string,
  mutation: Mutation,
): Promise<Verdict> {
  const begun = performance.now();
  let restore = () => {};
  try {
    restore = tree.apply(mutation);
    const { results, stderr } = await runAdversary(
      tree,
      adminUrl,
      mutation.cases,
      mutation.chains ?? BOTH,
    );
    // Another refusal, or a crash, is no notice: then a repeat of the check is left, or the mutant does not live.
    const noticed =
      results.length > 0 &&
      mutation.cases.every((id) => results.some((r) => r.id === id)) &&
      results.every((r) => r.outcome === 'succeeded');
    const detail = results.length === 0 ? stderr.slice(-2_000) : undefined;
    return {
      mutation,
      verdict: noticed ? 'noticed' : 'survived',
      results,
      ...(detail === undefined ? {} : { detail }),
      ms: Math.round(performance.now() - begun),
    };
  } catch (error) {
    // It could not even be taken out.
    const ms = Math.round(performance.now() - begun);
    return { mutation, verdict: 'survived', results: [], detail: `${error}`, ms };
  } finally {
    restore();
  }
}

/** Several trees at once, each trying one mutation at a time. */
export async function tryAll(
  trees: readonly Tree[],
  adminUrl: string,
  mutations: readonly Mutation[],
  onVerdict: (verdict: Verdict) => void = () => {},
): Promise<Verdict[]> {
  const queue = [...mutations];
  const verdicts: Verdict[] = [];
  await Promise.all(
    trees.map(async (tree) => {
      for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
        const verdict = await tryMutation(tree, adminUrl, next);
        verdicts.push(verdict);
        onVerdict(verdict);
      }
    }),
  );
  return verdicts.sort((a, b) => mutations.indexOf(a.mutation) - mutations.indexOf(b.mutation));
}
