/** The `Transfer` aggregate: one request to pay, from its reservation to its end. */
export * as decideTransfer from './decide.ts';
export * from './life-cycle.ts';
export * from './limits.ts';
export * from './machine.ts';
export * from './state.ts';
