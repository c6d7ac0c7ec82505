/**
 * What the Bitcoin follower remembers: the blocks it read, the wallets' scripts, and the outputs that pay them. Every
 * row but a script's can be read again from a node. Ids and hashes in display order, scripts in lower-case hex, amounts
 * in sats.
 */
export type WatchedOutput = {
  readonly txid: string;
  readonly vout: number;
  readonly script: string;
  readonly amount: bigint;
  readonly coinbase: boolean;
  readonly blockHeight: number;
  readonly blockHash: string;
  /** Mined transaction that spent it; both null while it is unspent. */
  readonly spentBy: string | null;
  readonly spentHeight: number | null;
};

export type WatchedScript = {
  readonly script: string;
  readonly walletId: string;
  /** Birth: blocks below it hold nothing for this script. */
  readonly fromHeight: number;
};

export type FollowedBlock = { readonly height: number; readonly hash: string };

export type BitcoinBlock = {
  readonly hash: string;
  readonly previous: string;
  readonly transactions: readonly {
    readonly txid: string;
    readonly coinbase: boolean;
    /** Outpoints, none for a coinbase. */
    readonly spends: readonly { readonly txid: string; readonly vout: number }[];
    readonly outputs: readonly { readonly amount: bigint; readonly script: Uint8Array }[];
  }[];
};

export interface BitcoinOutputsReader {
  /** Highest followed block, or the highest at or below a height. */
  followed(atOrBelow?: number): Promise<FollowedBlock | undefined>;
  /** Lowest block that some script has not been read for; undefined when no script is watched. */
  nextHeight(): Promise<number | undefined>;
}

/** Works inside one database transaction. */
export interface BitcoinOutputsWriter extends BitcoinOutputsReader {
  /** Forgets everything above a height. */
  rollBack(height: number): Promise<void>;
  /** Records block `height` for the scripts that were read up to the block before it, and its spends of known outputs. */
  apply(height: number, block: BitcoinBlock): Promise<void>;
}

/** The rows of one CAIP-2 network. */
export interface BitcoinOutputs extends BitcoinOutputsReader {
  /** Unspent outputs of a script, largest first, then by outpoint. */
  unspent(script: string): Promise<readonly WatchedOutput[]>;
  /** One output, spent or not. */
  at(outpoint: {
    readonly txid: string;
    readonly vout: number;
  }): Promise<WatchedOutput | undefined>;
  /** A script's birth height; undefined for one that is not watched. */
  watchedFrom(script: string): Promise<number | undefined>;
  /** Idempotent; an earlier birth than the known one leads to a new scan from there. */
  watch(script: WatchedScript): Promise<void>;
  /**
   * Runs `work` in one transaction while nobody else follows this network; undefined, at once, when somebody does.
   * A throw rolls everything back.
   */
  exclusively<T>(
    work: (writer: BitcoinOutputsWriter) => Promise<T>,
  ): Promise<{ readonly result: T } | undefined>;
}
