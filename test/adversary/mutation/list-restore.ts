/** Fences and witnesses. */
import type { Mutation } from './mutation.ts';

export const restoreMutations: readonly Mutation[] = [
  {
    name: 'a database that is behind the head file is fenced: at every look, before the head moves, in the file',
    cases: ['restored-database'],
    changes: [
      {
        file: 'core/rules/head.ts',
        find: "return admits(record, head) ? { kind: 'in-step' } : { kind: 'restored', reason: 'head-mismatch' };",
        put: "return { kind: 'in-step' };",
      },
      {
        file: 'core/rules/head.ts',
        find: 'if (!admits(record, base) || compareHeads(next, base) <= 0)',
        put: 'if (compareHeads(next, base) <= 0)',
      },
      {
        file: 'storage/party/head-file.ts',
        find: 'if (newer(before.last, last))',
        put: 'if (before === null)',
      },
    ],
  },
  {
    name: 'an unfenced party pays nothing issued before its order, and nothing for a day',
    cases: ['restored-database'],
    changes: [
      {
        file: 'core/rules/time.ts',
        find: 'if (fencedBefore !== undefined && issuedAt <= fencedBefore)',
        put: 'if (fencedBefore === -1)',
      },
      {
        file: 'activities/party/prepare-sign.ts',
        find: 'if (daySpentAt !== null && daySpentAt > now - DAY_MS)',
        put: 'if (daySpentAt === -1)',
      },
    ],
  },
  {
    name: 'a peer’s witness fences',
    cases: ['rolled-back-machine'],
    changes: [
      {
        file: 'activities/party/round.ts',
        find: '    await requireUnwitnessed(deps, tx, prepared);\n',
        put: '    void requireUnwitnessed;\n',
      },
    ],
  },
];
