/** What a case is: a name that a mutation can point at, and a script that ends in AttackSucceeded when the attack does. */
import type { Kit } from '../chains.ts';
import type { Field } from '../field.ts';

export type Case = {
  /** Stable; mutations and results name it. */
  readonly id: string;
  /** What the adversary wants. */
  readonly title: string;
  readonly chains: readonly ('bitcoin' | 'solana')[];
  /** Waits for a session's time to run out, so it is run beside the others. */
  readonly slow?: true;
  /** Needs histories of honest sagas, so the whole platform. */
  readonly harvests?: true;
  run(field: Field, kit: Kit): Promise<void>;
};

export const BOTH = ['solana', 'bitcoin'] as const;
export const SOLANA_ONLY = ['solana'] as const;
export const BITCOIN_ONLY = ['bitcoin'] as const;
