/** Time and randomness enter the core only through these. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
}
/** The system's cryptographic generator. */
export interface Random {
  bytes(length: number): Uint8Array;
}
/** Named points at which a test may end the process; a production build passes the one that does nothing. */
export interface FailPoints {
  at(name: string): Promise<void> | void;
}
export const noFailPoints: FailPoints = { at: () => {} };
