/** What a case is: a name that a mutation can point at, and a script that ends in AttackSucceeded when the attack does. */
import type { Kit } from '../chains.ts';
import type { Field } from '../field.ts';
import type { KitName } from '../kit.ts';

export type Case = {
  /** Stable; mutations and results name it. */
  readonly id: string;
  /** What the adversary wants. */
  readonly title: string;
  readonly chains: readonly KitName[];
  /** Waits for a session's time to run out, so it is run beside the others. */
  readonly slow?: true;
  /** `harvest`: histories of honest sagas, so the whole platform. `aside`: machines of parties, so parties in this process. */
  readonly needs?: 'harvest' | 'aside';
  run(field: Field, kit: Kit): Promise<void>;
};

export const BOTH = ['solana', 'bitcoin'] as const;
/** Those of ECDSA wallets as well. */
export const ALL = [...BOTH, 'ethereum', 'segwit'] as const;
export const SOLANA_ONLY = ['solana'] as const;
export const OUTPUTS = ['bitcoin', 'segwit'] as const;
export const ETHEREUM_ONLY = ['ethereum'] as const;
export const SEGWIT_ONLY = ['segwit'] as const;
