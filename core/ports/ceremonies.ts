/** One party's run of a round machine, driven by a seed; what the party service sees of `mpc`. */
import type {
  KeygenOutput,
  KeygenParams,
  ProtocolMessage,
  RoundOutcome,
  SignOutput,
  SignParams,
} from './protocol.ts';

export type LoggedRound = {
  readonly round: number;
  readonly inbox: readonly ProtocolMessage[];
  readonly outboxHash: string;
};

export interface CeremonyRun<Output> {
  /** Pinned in the session. */
  readonly version: string;
  readonly rounds: number;
  /** Rounds computed so far; the next call must be for the one after. */
  readonly completed: number;
  /** Computes a round; `outboxHash` is the hash of the plaintext outbox (hex). Throws `ProtocolFault`. */
  round(r: number, inbox: readonly ProtocolMessage[]): RoundOutcome<Output> & { readonly outboxHash: string };
  /** Computes logged rounds again. Throws `ReplayMismatch` when an outbox differs from its logged hash. */
  replay(log: readonly LoggedRound[]): void;
  /** Wipes what it holds, as far as JavaScript can. */
  dispose(): void;
}

/** Starts runs of registered protocols. */
export interface Ceremonies {
  /** Key generation followed by the activation test signature, as one machine. */
  keygen(
    protocol: string,
    params: KeygenParams & { readonly keyId: string; readonly epoch: number },
    seed: Uint8Array,
  ): CeremonyRun<KeygenOutput>;
  sign(protocol: string, params: SignParams, seed: Uint8Array): CeremonyRun<SignOutput>;
  /** Version string and round count without a run, for the session row. */
  describe(protocol: string, kind: 'keygen' | 'sign'): { readonly version: string; readonly rounds: number };
  /** A labelled key from the seed outside the machine's own draws, e.g. for the session's HPKE pair. 32 bytes. */
  derive(seed: Uint8Array, label: string): Uint8Array;
  list(): readonly string[];
}
