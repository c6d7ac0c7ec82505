/** What the chains' activities are given beyond the ledger's. */
import type { CoordinatorDeps } from '../ledger/deps.ts';
import type { KeyReader } from '../ledger/state.ts';

export type ChainDeps = CoordinatorDeps & {
  /** Milliseconds between two looks at a waiting transaction; default 500. Shorter notices sooner and asks the node more. */
  readonly confirmPollMs?: number;
  /** Milliseconds for which an unclear answer to a broadcast is looked up; default 3,000. Longer waits before sending again. */
  readonly settleMs?: number;
};

/** Shared by the activities of one worker. */
export type ChainContext = ChainDeps & { readonly keyOf: KeyReader };
