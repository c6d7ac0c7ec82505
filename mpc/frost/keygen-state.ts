/** What the rounds of one key generation share. */
import type { DKG_Round1, DKG_Secret } from '@noble/curves/abstract/frost.js';
import type { KeygenCommitment } from './messages.ts';
import { type FrostSuite, identifierOf } from './suite.ts';

export type KeygenContext = {
  readonly suite: FrostSuite;
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
  /** The library's state: polynomial, own commitments. Secret. */
  secret?: DKG_Secret;
  /** Own round-1 body, then everyone's, by index. */
  bodies?: Map<number, Uint8Array>;
  /** The others' commitments and proofs, checked. */
  commitments?: Map<number, KeygenCommitment>;
  /** Hashes of the round-1 bodies as this party saw them, by index − 1. */
  seen?: readonly Uint8Array[];
  /** Encoded share. Secret; the output is a copy. */
  share?: Uint8Array;
  publicPackage?: Uint8Array;
  publicKey?: Uint8Array;
  transcriptHash?: Uint8Array;
};

/** The others' round 1 in the library's form, by ascending index. */
export const packagesOf = (
  { suite }: KeygenContext,
  commitments: ReadonlyMap<number, KeygenCommitment>,
): DKG_Round1[] =>
  [...commitments].map(([from, { commitments: points, proof }]) => ({
    identifier: identifierOf(suite, from),
    commitment: [...points],
    proofOfKnowledge: proof,
  }));
