/** What the shell is told. README.md and `keysaga --help` list the same codes. */
import { CommanderError } from 'commander';
import { type ErrorCode, isKeysagaError } from '../schema/contracts/errors.ts';

export const EXIT = {
  ok: 0,
  failed: 1,
  usage: 2,
  notFound: 3,
  refused: 4,
  timeout: 5,
  partMissing: 6,
} as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

export const EXIT_CODE_HELP = `Exit codes:
  0  done
  1  failed
  2  wrong usage or invalid input
  3  no such wallet or transfer
  4  refused: by the policy, an approver, a party, a wrong passphrase
  5  a time limit ran out, or nobody answered
  6  a part is missing or not running (try \`keysaga doctor\`)`;

const BY_CODE: Partial<Record<ErrorCode, ExitCode>> = {
  InvalidInput: EXIT.usage,
  RequestConflict: EXIT.usage,
  TransactionMalformed: EXIT.usage,
  ChainUnsupported: EXIT.usage,
  ProtocolUnsupported: EXIT.usage,
  NotFound: EXIT.notFound,
  WalletUnknown: EXIT.notFound,
  KeyUnknown: EXIT.notFound,
  SessionUnknown: EXIT.notFound,
  PolicyUnknown: EXIT.notFound,
  ApprovalInvalid: EXIT.refused,
  ApproverUnknown: EXIT.refused,
  ApprovalDuplicate: EXIT.refused,
  ApprovalExpired: EXIT.refused,
  QuorumMissing: EXIT.refused,
  IntentExpired: EXIT.refused,
  IntentRejected: EXIT.refused,
  PolicyViolation: EXIT.refused,
  LimitExceeded: EXIT.refused,
  WalletNotActive: EXIT.refused,
  InsufficientFunds: EXIT.refused,
  StateConflict: EXIT.refused,
  PivotPassed: EXIT.refused,
  PivotRefused: EXIT.refused,
  PartyRefused: EXIT.refused,
  PartyFenced: EXIT.refused,
  KeyQuarantined: EXIT.refused,
  PeerBarred: EXIT.refused,
  OrderRefused: EXIT.refused,
  CertificateInvalid: EXIT.refused,
  ConflictRule: EXIT.refused,
  LineClosed: EXIT.refused,
  SealBroken: EXIT.refused,
  FeeAboveCap: EXIT.refused,
  BroadcastRejected: EXIT.refused,
  Cancelled: EXIT.refused,
  TimeLimit: EXIT.timeout,
  PartyUnavailable: EXIT.timeout,
  ChainUnavailable: EXIT.timeout,
  PartMissing: EXIT.partMissing,
  PartFailed: EXIT.partMissing,
};

export function exitCodeOf(error: unknown): ExitCode {
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  return isKeysagaError(error) ? (BY_CODE[error.code] ?? EXIT.failed) : EXIT.failed;
}
