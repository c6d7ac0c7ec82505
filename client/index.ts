/** `keysaga` as a library. */
export {
  type AccountBalance,
  type DepositAddress,
  depositAddress,
  xpubOf,
} from './accounts.ts';
export { type AddressCodecs, addressCodecs } from './addresses.ts';
export { anchorDemandedBy, anchoredOn, anchorRequestFor } from './anchors.ts';
export {
  createClient,
  type KeysagaClient,
  type StartOptions,
} from './client.ts';
export { clientOptions, readClientConfig } from './config.ts';
export type {
  KeySummary,
  MessageSummary,
  PayoutSummary,
  TransferFilter,
  TransferSummary,
} from './lists.ts';
export type { ClientOptions } from './options.ts';
export type { PartyState } from './parties.ts';
export type {
  PinnedAdministrators,
  PolicyInfo,
  PolicyStatus,
  PolicyVersionView,
} from './policies.ts';
export type { Started } from './start.ts';
export {
  type CertifiedWallet,
  type Committees,
  requireAsRequested,
  verifyWallet,
  type Wallet,
} from './wallet.ts';
export {
  pinnedCommittees,
  pinnedKeys,
  type VerifiedWallet,
  verifyWalletFile,
  type WalletCheck,
  WalletFile,
  walletFile,
} from './wallet-file.ts';
export type { WatchOptions } from './watch.ts';
