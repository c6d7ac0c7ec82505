/**
 * The coordinator's record of Solana nonce accounts: which account belongs to which wallet, the nonce value last
 * read at `finalized`, and the preimage that proves it to be a durable nonce. The chain is the truth; the record
 * exists since a preimage cannot be had from the account alone and must be looked for while it can be found.
 */

/**
 * `pending`: recorded, not on chain (yet, or any more). `proven`: may be lent. `unproven`: on chain, but no
 * preimage of its value is known; it is never lent in this state. `retired`: never used again.
 */
export type NonceAccountState = 'pending' | 'proven' | 'unproven' | 'retired';

export type NonceAccount = {
  readonly network: string;
  readonly walletId: string;
  /** Base58 address of the account. */
  readonly account: string;
  /** Base58 address of the wallet, the account's authority. */
  readonly authority: string;
  /** Position in the wallet's sequence of accounts, from 0; a replaced account's index is never given again. */
  readonly index: number;
  readonly state: NonceAccountState;
  /** Hex, as last read. */
  readonly value: string | null;
  /** Hex; SHA-256(`DURABLE_NONCE` ‖ preimage) = value. */
  readonly preimage: string | null;
  /** Hex: blockhashes that may turn out to be the preimage. */
  readonly hints: readonly string[];
  /** Slot of the read that `value` comes from; an older read never overwrites a newer one. */
  readonly slot: number;
  /** Milliseconds since the epoch: the last change of `state` or `value`. */
  readonly changedAt: number;
};

export type NonceReading = Pick<NonceAccount, 'state' | 'value' | 'preimage' | 'slot'> & {
  readonly at: number;
};

export interface NonceAccounts {
  /** Of one wallet, or of all wallets of the network; ordered by wallet and index. */
  list(network: string, walletId?: string): Promise<readonly NonceAccount[]>;
  /** Does nothing when the account is recorded already. */
  add(
    account: Pick<NonceAccount, 'network' | 'walletId' | 'account' | 'authority' | 'index'> & {
      readonly at: number;
    },
  ): Promise<void>;
  /** Remembers a blockhash that may become the preimage; the newest 16 are kept. */
  hint(network: string, account: string, blockhash: string): Promise<void>;
  /** Stores a reading unless a newer one stands or the account is retired. False when nothing was stored. */
  record(network: string, account: string, reading: NonceReading): Promise<boolean>;
  /** The account is gone from the chain (a local runtime was restarted): back to `pending`, whatever the slot was. */
  lost(network: string, account: string, at: number): Promise<void>;
  retire(network: string, account: string, at: number): Promise<void>;
}
