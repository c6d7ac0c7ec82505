/** One party's run of a round machine, driven by a seed; what the party service sees of `mpc`. */
import type {
  KeygenOutput,
  KeygenParams,
  OnlineParams,
  PresignOutput,
  PresignParams,
  ProtocolMessage,
  ProtocolMetadata,
  RefreshParams,
  RoundOutcome,
  SignOutput,
  SignParams,
} from './protocol.ts';

/** A session's past: the machine version it began with and every answered round. `outboxHash` in hex. */
export type CeremonyLog = {
  readonly version: string;
  readonly entries: readonly {
    readonly round: number;
    readonly inbox: readonly ProtocolMessage[];
    readonly outboxHash: string;
  }[];
};

export interface CeremonyRun<Output> {
  readonly version: string;
  readonly rounds: number;
  /** The round that is expected next. */
  readonly next: number;
  /** Computes a round; `outboxHash` is the hash of the plaintext outbox (hex). Throws `ProtocolFault`. */
  round(
    r: number,
    inbox: readonly ProtocolMessage[],
  ): RoundOutcome<Output> & { readonly outboxHash: string };
  /** Wipes what it holds, as far as JavaScript can. */
  dispose(): void;
}

/** Runs of registered protocols. With a log the run is rebuilt; `ReplayMismatch` when it says anything else than before. */
export interface Ceremonies {
  /** Key generation followed by the activation test signature, as one machine. */
  keygen(
    protocol: string,
    params: KeygenParams & { readonly keyId: string; readonly epoch: number },
    seed: Uint8Array,
    log: CeremonyLog,
  ): CeremonyRun<KeygenOutput>;
  sign(
    protocol: string,
    params: SignParams,
    seed: Uint8Array,
    log: CeremonyLog,
  ): CeremonyRun<SignOutput>;
  /** Refresh followed by the test signature. Throws `ProtocolUnsupported` where the protocol has none. */
  refresh(
    protocol: string,
    params: RefreshParams & { readonly keyId: string; readonly epoch: number },
    seed: Uint8Array,
    log: CeremonyLog,
  ): CeremonyRun<KeygenOutput>;
  /** Presignatures ahead of time. Throws `ProtocolUnsupported` where the metadata says no to presigning. */
  presign(
    protocol: string,
    params: PresignParams,
    seed: Uint8Array,
    log: CeremonyLog,
  ): CeremonyRun<PresignOutput>;
  /** The online round over presignatures. Throws `ProtocolUnsupported`. */
  online(
    protocol: string,
    params: OnlineParams,
    seed: Uint8Array,
    log: CeremonyLog,
  ): CeremonyRun<SignOutput>;
  /** Version and round count of the machine that a new session would run, for its row. Throws `ProtocolUnsupported`. */
  describe(
    protocol: string,
    kind: 'keygen' | 'refresh' | 'presign' | 'online' | 'sign',
  ): { readonly version: string; readonly rounds: number };
  /** A key from the seed outside the machine's own draws, e.g. for the session's HPKE pair. 32 bytes. */
  derive(seed: Uint8Array, label: string): Uint8Array;
  /** Throws `ProtocolUnsupported`. */
  metadata(protocol: string): ProtocolMetadata;
  list(): readonly string[];
}
