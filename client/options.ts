/** What a client is made with. */
import type { PartyId } from '../schema/contracts/primitives.ts';
import type { PayloadKeys } from '../wire/codec.ts';
import type { TemporalConnection } from '../wire/connection.ts';
import type { FileStorageOptions } from '../wire/external-storage.ts';
import type { AddressCodecs } from './addresses.ts';
import type { PinnedAdministrators } from './policies.ts';
import type { Committees } from './wallet.ts';

export type ClientOptions = {
  /** Where Temporal is; `connectionFromEnv()` of `wire` reads it from the environment. */
  readonly temporal: TemporalConnection;
  /** The namespace's payload keys; without the right one nothing can be read. */
  readonly payloadKeys: PayloadKeys;
  /**
   * Identity keys (hex) of the parties, from a source that the operator of the coordinator cannot change. Addresses are
   * believed only as far as these keys certify them.
   */
  readonly directory: readonly { readonly party: PartyId; readonly publicKey: string }[];
  /** Other member lists than the whole directory that a wallet may have. */
  readonly committees?: Committees['committees'];
  /** Pinned administrators and how many of them must sign; without them policies are shown as unverified. */
  readonly administrators?: PinnedAdministrators;
  /** How addresses follow from public keys; default: `addressCodecs`. */
  readonly codecs?: AddressCodecs;
  /** The folder for large payloads, when workers use one. */
  readonly externalStorage?: FileStorageOptions;
  /** Limit of one call in milliseconds, default 15,000. Longer waits for a coordinator that is about to come back. */
  readonly timeoutMs?: number;
};
