/** Presignatures are for one message. */
import type { Mutation } from './mutation.ts';

const POOL = 'activities/party/pool.ts';
const QUERIES = 'storage/party/pool-queries.ts';

/** What it takes: the row, its state, the update, the sealed bytes and their key each say it by themselves. */
export const poolMutations: readonly Mutation[] = [
  {
    name: 'a presignature that was shown a message is shown no other',
    cases: ['presignature-twice', 'presignature-after-abort'],
    chains: ['solana', 'bitcoin'],
    changes: [
      {
        file: POOL,
        find: 'if (row.attempt !== null)',
        put: "if (row.attempt === '')",
      },
      {
        file: POOL,
        find: "if (pack.dropped !== null || row.state !== 'stocked' || row.sealed === null)",
        put: 'if (pack.dropped !== null)',
      },
      {
        file: QUERIES,
        find: "and(these(wanted), eq(t.presignatures.state, 'stocked'))",
        put: 'these(wanted)',
      },
      {
        file: QUERIES,
        find: '.set({ state, sealed: null, changedAt: at })',
        put: '.set({ state, changedAt: at })',
      },
      {
        file: 'activities/party/sessions.ts',
        find: '[dataKeyId, ...pooledKeys]',
        put: '[dataKeyId, ...pooledKeys.slice(pooledKeys.length)]',
      },
    ],
  },
];
