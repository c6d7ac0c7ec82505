/** What a mutation is: a check with its repeats, taken out of a copy of the sources by exact replacements. */

import type { KitName } from '../kit.ts';

export type Change = {
  readonly file: string;
  /** Exactly as it stands in the file, once. */
  readonly find: string;
  readonly put: string;
};

export type Mutation = {
  /** The check that is removed, in words. */
  readonly name: string;
  /** All places where it stands. With one of them left, the attack would still meet it. */
  readonly changes: readonly Change[];
  /** Cases that must notice. */
  readonly cases: readonly string[];
  /** Where the check is one chain's. Default: those of FROST wallets, whose keys are made in no time. */
  readonly chains?: readonly KitName[];
};
