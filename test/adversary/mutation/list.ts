/** The checks that are removed, each with its repeats, and the attacks that must then succeed. */
import { approvalMutations } from './list-approvals.ts';
import { bytesMutations } from './list-bytes.ts';
import { ecdsaMutations } from './list-ecdsa.ts';
import { keyMutations } from './list-keys.ts';
import { lineMutations } from './list-line.ts';
import { messageMutations } from './list-messages.ts';
import { poolMutations } from './list-pools.ts';
import { restoreMutations } from './list-restore.ts';
import type { Mutation } from './mutation.ts';

export const MUTATIONS: readonly Mutation[] = [
  ...bytesMutations,
  ...approvalMutations,
  ...lineMutations,
  ...messageMutations,
  ...keyMutations,
  ...ecdsaMutations,
  ...poolMutations,
  ...restoreMutations,
];

/** Cases that no single check stops, and why. */
export const WITHOUT: Readonly<Record<string, string>> = {
  'harvested-payment':
    'a request out of a saga’s history meets the conflict rule, as the same request made by hand does',
  'rounds-out-of-order':
    'an order of rounds is nobody’s check alone: without round 1 there is no nonce to answer round 2 with',
  'presignature-of-others':
    'a presignature names its key and its signers itself, and the machine that signs with it reads that too',
};
