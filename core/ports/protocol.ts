/**
 * `ThresholdProtocol`: one port for FROST, DKLs23, CGGMP21 … An adapter is a set of round machines: one party's
 * side of a ceremony, deterministic given (draws, inbox of each round), with no I/O. The runner in `mpc` gives
 * it draws that come from the session's sealed seed, so a crash is survived by replaying the log, without any
 * serialisation code.
 */
import type { Curve, Scheme } from '../../schema/contracts/key.ts';

/**
 * Labelled draws: PRF(seed, machine version, round, index). The n-th call in a round gets index n, so that a
 * replay sees the same bytes. `bytes(length)` may be any length up to 8,160.
 */
export interface Draws {
  bytes(length: number): Uint8Array;
}

/** `index` is a participant's protocol index, from 1, over the key's full ordered party list. */
export type ProtocolMessage = { readonly from: number; readonly body: Uint8Array };
/** `to`: an index, for a private message, or `all`. */
export type OutgoingMessage = { readonly to: number | 'all'; readonly body: Uint8Array };

export type RoundOutcome<Output> = {
  readonly outbox: readonly OutgoingMessage[];
  /** Present after the machine's last round. */
  readonly output?: Output;
};

/**
 * One party's side. Rounds are called in order 1 … `rounds`, each once; round 1 has an empty inbox, round r
 * gets the messages that the others sent in r − 1 (never one's own), sorted by sender. Broadcast and private
 * messages of one sender arrive as separate entries, the broadcast first.
 * Throws `ProtocolFault` with `culprit` (the sender's index in decimal) for anything malformed or cheating.
 * The machine wipes its secrets as far as JavaScript allows when it ends or `dispose` is called.
 */
export interface RoundMachine<Output> {
  /** Pinned in the session, e.g. `frost-ed25519/keygen/1`; a replay by another version is refused. */
  readonly version: string;
  readonly rounds: number;
  round(r: number, inbox: readonly ProtocolMessage[], draws: Draws): RoundOutcome<Output>;
  dispose(): void;
}

export type KeygenParams = {
  readonly index: number;
  readonly threshold: number;
  readonly parties: number;
  /** Hash that names the session; bound into every transcript. */
  readonly sessionId: Uint8Array;
};

export type KeygenOutput = {
  /** This party's secret share, the protocol's own encoding; sealed at once by the caller. */
  readonly share: Uint8Array;
  /** Same bytes at every party. */
  readonly publicPackage: Uint8Array;
  /** Key the chain sees (see `KeyDescriptor.publicKey`). */
  readonly publicKey: Uint8Array;
  /** SHA-256 over the whole ceremony, confirmed by every party. */
  readonly transcriptHash: Uint8Array;
};

export type SignParams = {
  readonly index: number;
  readonly threshold: number;
  readonly parties: number;
  readonly sessionId: Uint8Array;
  readonly share: Uint8Array;
  readonly publicPackage: Uint8Array;
  /** Indices of the signers, ascending, t ≤ length ≤ n, this party's among them. */
  readonly signers: readonly number[];
  /** What is signed: one entry per signature. 32-byte digests for BIP-340 and ECDSA, whole messages for Ed25519. */
  readonly messages: readonly Uint8Array[];
  /**
   * A scalar (32 bytes, big-endian, below the group order) that is added to the key: the signature is one under
   * key + tweak · G, a non-hardened child of BIP-32. Public. Absent: the key itself. Not every protocol takes one.
   */
  readonly tweak?: Uint8Array;
};
/** The last round's outbox holds the signature shares; nothing else comes out of a party. */
export type SignOutput = { readonly released: true };

export type AggregateParams = {
  readonly threshold: number;
  readonly parties: number;
  readonly publicPackage: Uint8Array;
  readonly signers: readonly number[];
  readonly messages: readonly Uint8Array[];
  /** Broadcast bodies: round (from 1) → sender index → body. */
  readonly rounds: readonly ReadonlyMap<number, Uint8Array>[];
  /** Check every signer's share by itself even when the signature verifies: a key's test signature proves each. */
  readonly proveEachShare?: boolean;
  /** That of `SignParams`. */
  readonly tweak?: Uint8Array;
};

export type RefreshParams = KeygenParams & {
  /** This party's share and the public package of the epoch that ends. */
  readonly share: Uint8Array;
  readonly publicPackage: Uint8Array;
};

/** `count` presignatures at once; no message yet. `signers`: as in `SignParams`. */
export type PresignParams = Omit<SignParams, 'messages' | 'tweak'> & { readonly count: number };
export type PresignOutput = {
  /** This party's secret parts, sealed at once by the caller, one entry each. One is for one message, ever. */
  readonly presignatures: readonly Uint8Array[];
  /** 32 bytes each, the same at every signer: names the presignature in leases and pools. Public. */
  readonly ids: readonly Uint8Array[];
};

/**
 * One presignature a message, in order. The session must be a new one whose id hashes what every signer drew after
 * the messages were fixed: ECDSA's presignatures are re-randomised with it (ePrint 2021/1330).
 */
export type OnlineParams = Omit<SignParams, 'share' | 'tweak'> & {
  readonly presignatures: readonly Uint8Array[];
};

/** Signing in two parts: presignatures ahead of time, then one round with the message. */
export interface Presigning {
  readonly rounds: { readonly presign: number; readonly online: number };
  readonly versions: { readonly presign: string; readonly online: string };
  /** The last round sends nothing. */
  presign(params: PresignParams): RoundMachine<PresignOutput>;
  online(params: OnlineParams): RoundMachine<SignOutput>;
  /** As `ThresholdProtocol.aggregate`, over the online round's broadcasts. */
  aggregate(params: AggregateParams): readonly Uint8Array[];
}

export type ProtocolMetadata = {
  readonly id: string;
  readonly name: string;
  readonly source: string;
  readonly curve: Curve;
  readonly scheme: Scheme;
  readonly rounds: { readonly keygen: number; readonly sign: number };
  /** Versions of the machines, pinned in a session when it begins. */
  readonly versions: {
    readonly keygen: string;
    readonly sign: string;
    /** Present where the protocol can refresh a key. */
    readonly refresh?: string;
  };
  readonly parties: { readonly min: number; readonly max: number };
  readonly presigning: boolean;
  readonly identifiableAbort: boolean;
};

export interface ThresholdProtocol {
  readonly metadata: ProtocolMetadata;
  keygen(params: KeygenParams): RoundMachine<KeygenOutput>;
  sign(params: SignParams): RoundMachine<SignOutput>;
  /**
   * Public: combines the shares of the last round into one signature per message, verified under the public key.
   * Throws `ProtocolFault` naming the culprit's index when a share is bad.
   */
  aggregate(params: AggregateParams): readonly Uint8Array[];
  /** Verifies under the key the chain sees. */
  verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean;
  /** The chain-visible key of a public package. Throws `ProtocolFault` when malformed. */
  publicKey(publicPackage: Uint8Array): Uint8Array;
  /** Same public key, new shares and set-up; all parties take part. As many rounds as the keygen machine. */
  refresh?(params: RefreshParams): RoundMachine<KeygenOutput>;
  /** Present where the metadata says so. */
  readonly presigning?: Presigning;
  /**
   * What the activation test signs, from the bytes 0xff ‖ `keysaga/activation/v1` ‖ key id ‖ epoch ‖ transcript
   * hash: those bytes for EdDSA, their tagged SHA-256 for schemes with 32-byte digests. Never a message from outside.
   */
  activationMessage(bytes: Uint8Array): Uint8Array;
}

/** The registry: metadata and the choice by rule (Schnorr → FROST; ECDSA with two parties → DKLs23; more → CGGMP21). */
export interface ProtocolRegistry {
  get(id: string): ThresholdProtocol;
  list(): readonly ProtocolMetadata[];
  select(scheme: Scheme, curve: Curve, parties: number): ThresholdProtocol;
}
