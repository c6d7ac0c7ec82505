/** The two ways in which a machine refuses: a peer's fault, or a caller's. */
import { KeysagaError } from '../schema/contracts/errors.ts';

export type FaultDetails = {
  /** The part of the message that is wrong. */
  readonly field: string;
  /** Index of the party proven to have broken the protocol. */
  readonly culprit?: number;
  /** Where the evidence fits more than one: the indices among which the culprit is. */
  readonly suspects?: readonly number[];
  /**
   * The culprit failed a check of an oblivious transfer or of a multiplication. Each such failure may have told it a
   * few bits of this party's set-up, so it is barred for (key, epoch) until refresh.
   */
  readonly barring?: true;
};

/**
 * `ProtocolFault`, with `culprit` (decimal index) only where this party has the proof; otherwise `suspects`.
 * Messages name fields and indices, never values.
 */
export function protocolFault(message: string, details: FaultDetails): KeysagaError {
  return new KeysagaError('ProtocolFault', message, {
    field: details.field,
    ...(details.culprit === undefined ? {} : { culprit: String(details.culprit) }),
    ...(details.suspects === undefined ? {} : { suspects: details.suspects.map(String) }),
    ...(details.barring === undefined ? {} : { barring: true }),
  });
}

/** `InvalidInput`: the parameters of a ceremony make no sense; no peer is to blame. */
export const invalidInput = (message: string, field: string): KeysagaError =>
  new KeysagaError('InvalidInput', message, { field });

/** What an earlier step left or a check has proven to be there; its absence is a defect of this code. */
export function held<T>(value: T | undefined): T {
  if (value === undefined)
    throw new KeysagaError(
      'Internal',
      'a value that must be there is absent',
      {},
      { retryable: false },
    );
  return value;
}
