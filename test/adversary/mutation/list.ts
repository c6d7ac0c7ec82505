/** The checks that are removed, each with its repeats, and the attacks that must then succeed. */
import { approvalMutations } from './list-approvals.ts';
import { bytesMutations } from './list-bytes.ts';
import { keyMutations } from './list-keys.ts';
import { lineMutations } from './list-line.ts';
import { messageMutations } from './list-messages.ts';
import type { Mutation } from './mutation.ts';

export const MUTATIONS: readonly Mutation[] = [
  ...bytesMutations,
  ...approvalMutations,
  ...lineMutations,
  ...messageMutations,
  ...keyMutations,
];
