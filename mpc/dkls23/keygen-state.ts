/** What the rounds of one key generation, or one refresh, share. */
import type { Point } from './curve.ts';
import type { Pairing } from './setup.ts';

/** The key that is refreshed; absent in a key generation. */
export type OldKey = {
  /** This party's share of it. Secret. */
  value: bigint;
  /** Its group polynomial. */
  readonly commitments: readonly Point[];
};

export type KeygenContext = {
  readonly version: string;
  readonly index: number;
  readonly threshold: number;
  readonly parties: number;
  /** 1 … n. */
  readonly members: readonly number[];
  readonly sessionId: Uint8Array;
  /** Stands in every message's header. */
  readonly hash: Uint8Array;
};

/** Filled round by round, emptied when the machine ends. */
export type KeygenState = {
  old?: OldKey;
  /** Coefficients of this party's polynomial, the constant first. Secret. */
  polynomial?: bigint[];
  /** Everything that this party's commitment binds: salt ‖ points ‖ proof. */
  opening?: Uint8Array;
  /** This party's tosses for the shares of zero, by peer. Secret. */
  tosses?: Map<number, Uint8Array>;
  /** The peers' commitments to theirs. */
  tossCommitments?: Map<number, Uint8Array>;
  zeroSeeds?: Map<number, Uint8Array>;
  pairings?: Map<number, Pairing>;
  /** By index: commitments of round 1, broadcasts of rounds 1 and 2. */
  commitments?: Map<number, Uint8Array>;
  firstBodies?: Map<number, Uint8Array>;
  secondBodies?: Map<number, Uint8Array>;
  /** Hashes of the round-2 broadcasts as this party saw them, by index − 1. */
  seen?: readonly Uint8Array[];
  value?: bigint;
  publicPackage?: Uint8Array;
  publicKey?: Uint8Array;
  transcriptHash?: Uint8Array;
};
