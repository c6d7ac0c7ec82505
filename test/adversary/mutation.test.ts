/**
 * That the adversary would notice: a sample of `npm run mutation`, and the state of its whole list, which must not fall
 * behind the sources.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestPostgres, type TestPostgres } from '../support/postgres.ts';
import { CASES } from './cases/index.ts';
import { tryMutation } from './mutation/engine.ts';
import { MUTATIONS, WITHOUT } from './mutation/list.ts';
import { copyTree, type Tree } from './mutation/tree.ts';

/** One from each subject, by a case of its own; on one chain, to be done within a minute. */
const SAMPLE = [
  'the destination is the approved one',
  'an approval’s signature verifies',
  'the conflict rule, at prepare and at the release',
  'an envelope is signed by its sender’s pinned key',
  'an active share goes on an order alone',
];

let server: TestPostgres;
let tree: Tree;
beforeAll(async () => {
  tree = copyTree();
  server = await startTestPostgres();
});
afterAll(async () => {
  await server?.stop();
  tree?.remove();
});

describe('the list of mutations', () => {
  it.each(MUTATIONS.map((m) => [m.name, m] as const))('finds its places: %s', (_, mutation) => {
    tree.apply(mutation)();
  });

  it('has one for every attack', () => {
    const removed = new Set(MUTATIONS.flatMap((m) => m.cases));
    const left = CASES.map((c) => c.id).filter((id) => !removed.has(id));
    expect(left.sort()).toEqual(Object.keys(WITHOUT).sort());
    expect([...removed].filter((id) => !CASES.some((c) => c.id === id))).toEqual([]);
    expect(new Set(MUTATIONS.map((m) => m.name)).size).toBe(MUTATIONS.length);
  });

  it('refuses a passage that is not there, and leaves the sources as they were', () => {
    const gone = { file: 'core/rules/line.ts', find: 'no such passage', put: '' };
    const first = MUTATIONS[0]?.changes ?? [];
    expect(() => tree.apply({ name: 'x', cases: [], changes: [...first, gone] })).toThrow(
      /moved on/,
    );
    tree.apply(MUTATIONS[0] as (typeof MUTATIONS)[0])();
  });
});

describe('a removed check is noticed', () => {
  it.each(SAMPLE)('%s', { timeout: 180_000 }, async (name) => {
    const mutation = MUTATIONS.find((m) => m.name === name);
    if (mutation === undefined) throw new Error(`no mutation ${name}`);
    const { adminUrl } = server.stack.postgres;
    const cases = mutation.cases.slice(0, 1);
    const verdict = await tryMutation(tree, adminUrl, { ...mutation, cases, chains: ['solana'] });
    expect(verdict).toMatchObject({ verdict: 'noticed' });
  });
});
