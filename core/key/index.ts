/** The coordinator's `Key` aggregate. */
export * as decideKey from './key.ts';
export { type Key, KEY_MACHINE, type KeyPhase, type KeyState, keyFold } from './key.ts';
