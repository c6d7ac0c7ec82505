/** `keysaga` as a library. */
export { type AddressCodecs, addressCodecs } from './addresses.ts';
export {
  type ClientOptions,
  createClient,
  type KeysagaClient,
  type StartOptions,
} from './client.ts';
export { clientOptions, readClientConfig } from './config.ts';
export type { KeySummary, TransferFilter, TransferSummary } from './lists.ts';
export type { PartyState } from './parties.ts';
export type { Started } from './start.ts';
export { verifyWallet, type Wallet } from './wallet.ts';
export type { WatchOptions } from './watch.ts';
