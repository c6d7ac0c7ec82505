/**
 * The closed list of failures. The same code stands in a Temporal failure's `type`, in the API's problem+json,
 * in the CLI and in the logs, so that one word can be followed everywhere.
 */

/** code → [may the same call succeed later without anyone changing the request?, what to do about it]. */
export const ERROR_CODES = {
  // at the edge
  InvalidInput: [false, 'Correct the named field.'],
  NotFound: [false, 'Check the id.'],
  RequestConflict: [false, 'This request id was used with another body; choose a new id.'],
  // approvals and policy
  ApprovalInvalid: [
    false,
    'The approval does not verify for this intent and policy; sign it again.',
  ],
  ApproverUnknown: [false, 'The policy in force does not name this approver.'],
  ApprovalDuplicate: [false, 'This approver has already decided.'],
  ApprovalExpired: [false, 'The approval is past its valid-until time; sign it again.'],
  QuorumMissing: [false, 'More approvals are needed.'],
  IntentExpired: [false, 'Start a new transfer.'],
  IntentRejected: [false, 'An approver rejected it; start a new transfer if it is still wanted.'],
  PolicyUnknown: [false, 'The party holds no such policy version.'],
  PolicyViolation: [false, 'The policy forbids it: see the rule in details.'],
  LimitExceeded: [false, 'Above the policy limit for this asset; wait or lower the amount.'],
  // wallets and ledger
  WalletUnknown: [false, 'Generate the wallet first.'],
  WalletNotActive: [false, 'The wallet is not active.'],
  InsufficientFunds: [false, 'Fund the wallet or lower amount and fee cap.'],
  VersionConflict: [true, 'Another writer was first; the command is tried again.'],
  StateConflict: [false, 'The state machine does not allow this command now.'],
  LeaseUnavailable: [true, 'Every nonce or output is leased; wait for a running transfer.'],
  PivotPassed: [
    false,
    'Signature shares may be out: only a conflicting transaction can undo it now.',
  ],
  PivotRefused: [false, 'The lease is gone; the attempt cannot go on.'],
  // parties
  PartyUnavailable: [true, 'The party did not answer in time; another is chosen.'],
  PartyRefused: [false, 'The party refuses the request: see details.'],
  RoundConflict: [false, 'The round was answered for another inbox; the session is closed.'],
  RoundOutOfOrder: [false, 'The session does not expect this round.'],
  SessionUnknown: [false, 'The party has no such session.'],
  SessionSuperseded: [false, 'The attempt is closed; start a new one.'],
  SessionExpired: [false, 'The session outlived its time; start a new one.'],
  SessionFailed: [false, 'The session failed for good; start a new one.'],
  EnvelopeInvalid: [false, 'A message between parties does not verify.'],
  ProtocolFault: [false, 'A party broke the protocol: see culprit.'],
  ReplayMismatch: [false, 'The replay differs from the log; the session is closed.'],
  KeyUnknown: [false, 'The party has no share of this key.'],
  KeyNotActive: [false, 'The key share is not active at this party.'],
  KeyLocked: [true, 'Sessions hold the key share, or opening it failed too often: see retryAt.'],
  CertificateInvalid: [
    false,
    'An activation certificate does not verify against the pinned party keys.',
  ],
  ConflictRule: [false, 'Another transaction of this line could be on chain as well.'],
  PresignatureUsed: [false, 'The presignature was shown a message before; sign without it.'],
  PresignatureStale: [
    false,
    'The party does not hold the presignature, or no longer: the pool is filled anew.',
  ],
  LineClosed: [false, 'The line is void or done and is never signed again.'],
  SealBroken: [false, 'A sealed secret does not open; restore the key store from its backup.'],
  PartyFenced: [
    false,
    'The party was restored from an older state; administrators must release it.',
  ],
  KeyQuarantined: [
    false,
    'Administrators quarantined the key at this party; their release order ends it.',
  ],
  PeerBarred: [
    false,
    'A signer broke the protocol before this party’s eyes; choose others until the key is refreshed.',
  ],
  OrderRefused: [false, 'The order is not for this party, not for now, or not needed: see field.'],
  // transactions and chains
  TransactionMalformed: [false, 'The transaction bytes do not decode.'],
  TransactionMismatch: [false, 'The transaction is not what the intent says: see field.'],
  NonceUnproven: [false, 'The durable nonce lacks its preimage.'],
  FeeAboveCap: [false, 'The current fee is above the approved cap.'],
  SignatureInvalid: [false, 'The signature does not verify; the failure is investigated.'],
  BroadcastRejected: [false, 'The node refuses the transaction: see reason.'],
  ChainUnavailable: [true, 'No provider answered; tried again.'],
  ChainMismatch: [false, 'The provider serves another network.'],
  TransactionVanished: [true, 'The transaction left the chain; it is sent again.'],
  ChainUnsupported: [false, 'No strategy is registered for this network.'],
  ProtocolUnsupported: [false, 'No protocol is registered for this curve and party count.'],
  // the rest
  Cancelled: [false, 'Cancelled on request.'],
  TimeLimit: [false, 'The time limit of the phase ran out.'],
  PartMissing: [false, 'Something this needs is not installed: see remedy.'],
  PartFailed: [true, 'A part of the local stack did not start, or stopped: see its log.'],
  Internal: [true, 'A defect; the log has the rest.'],
} as const satisfies Record<string, readonly [retryable: boolean, remedy: string]>;

export type ErrorCode = keyof typeof ERROR_CODES;
export const isErrorCode = (s: unknown): s is ErrorCode =>
  typeof s === 'string' && Object.hasOwn(ERROR_CODES, s);

/** JSON-safe details. `field` names the offending field, `culprit` the party proven to have misbehaved. */
export type ErrorDetails = {
  readonly field?: string;
  readonly culprit?: string;
  readonly [key: string]: string | number | boolean | readonly string[] | undefined;
};

/**
 * The one error of the system. `message` is for people and must hold no secret; `details` is for programs.
 * `retryable` defaults to the code's own and may only be narrowed by the thrower.
 */
export class KeysagaError extends Error {
  readonly code: ErrorCode;
  readonly details: ErrorDetails;
  readonly retryable: boolean;
  constructor(
    code: ErrorCode,
    message: string,
    details: ErrorDetails = {},
    options: { cause?: unknown; retryable?: boolean } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'KeysagaError';
    this.code = code;
    this.details = details;
    this.retryable = options.retryable ?? ERROR_CODES[code][0];
  }
  /** What the reader should do. */
  get remedy(): string {
    return ERROR_CODES[this.code][1];
  }
  /** Where the documentation speaks of this code. */
  get docs(): string {
    return `docs/errors.md#${this.code.toLowerCase()}`;
  }
}

export const isKeysagaError = (e: unknown, code?: ErrorCode): e is KeysagaError =>
  e instanceof KeysagaError && (code === undefined || e.code === code);
