/** The coordinator's `Key` aggregate. */
export * as decideKey from './key.ts';
export { KEY_MACHINE, type KeyState, keyFold } from './key.ts';
