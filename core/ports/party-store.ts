/**
 * One party's own database, as its service sees it. Every method runs inside one transaction; `session` with
 * `lock` and `lockLine` take row locks that last until it ends, so that one instance of the party answers.
 */
import type { SignedApproval } from '../../schema/contracts/approval.ts';
import type { KeyDescriptor, SignedCertificate, SignedNever } from '../../schema/contracts/key.ts';
import type {
  Envelope,
  KeygenResult,
  PrepareRequest,
  SessionState,
  SignedHead,
  SignedPrepareAnswer,
} from '../../schema/contracts/party.ts';
import type { SignedPolicy } from '../../schema/contracts/policy.ts';

export type { SessionState };
export const isOpen = (state: SessionState): boolean => state === 'prepared' || state === 'running';

export type SessionRow = {
  readonly attempt: string;
  readonly kind: 'keygen' | 'sign';
  readonly keyId: string;
  readonly epoch: number;
  readonly requestId: string;
  readonly requestHash: string;
  readonly request: PrepareRequest;
  readonly answer: SignedPrepareAnswer;
  readonly policyId: string;
  readonly policyHash: string;
  readonly state: SessionState;
  readonly sessionId: string | null;
  readonly prepared: SignedPrepareAnswer[] | null;
  /** The key's full ordered party list: protocol indices are positions in it, from 1. */
  readonly members: readonly string[];
  readonly machineVersion: string;
  readonly rounds: number;
  readonly intentDigest: string | null;
  readonly line: number | null;
  readonly sealedSeed: Uint8Array | null;
  readonly dataKeyId: string;
  readonly dataKeyDestroyed: boolean;
  readonly failureCode: string | null;
  readonly failureMessage: string | null;
  readonly failureCulprit: string | null;
  /** Milliseconds of the party's own clock, as everywhere below. */
  readonly createdAt: number;
  readonly expiresAt: number;
  readonly closedAt: number | null;
};

export type RoundRow = {
  readonly round: number;
  readonly inboxHash: string;
  readonly inbox: Envelope[];
  readonly outboxHash: string | null;
  readonly outbox: Envelope[] | null;
  readonly keygen: KeygenResult | null;
};

export type ShareRow = {
  readonly keyId: string;
  readonly epoch: number;
  readonly attempt: string;
  readonly state: 'certified' | 'active' | 'revoked' | 'destroyed';
  readonly descriptor: KeyDescriptor;
  readonly index: number;
  readonly sealed: Uint8Array | null;
  readonly dataKeyId: string;
};

export type LineRow = { readonly state: 'open' | 'released' | 'void'; readonly keyId: string };
export type LineTransaction = {
  readonly attempt: string;
  readonly purpose: 'payment' | 'void';
  readonly state: 'open' | 'released' | 'closed';
  readonly unsignedHash: string;
  readonly conflictKeys: readonly string[];
};
export type SpentRow = {
  readonly amount: string;
  readonly at: number;
  readonly state: 'reserved' | 'spent';
};
export type ReleaseHead = {
  readonly chainEpoch: number;
  readonly sequence: number;
  readonly hash: string;
};
export type CeremonyWord = {
  readonly kind: 'certificate' | 'never';
  readonly certificate: SignedCertificate | null;
  readonly never: SignedNever | null;
};

export interface PartyTransaction {
  /**
   * Serialises everything that may create rows of an attempt until the transaction ends: two instances that meet the
   * same new attempt would both find no row to lock. Taken before any other lock.
   */
  lockAttempt(attempt: string): Promise<void>;
  session(attempt: string, options?: { lock?: boolean }): Promise<SessionRow | undefined>;
  insertSession(row: SessionRow): Promise<void>;
  updateSession(attempt: string, patch: Partial<Omit<SessionRow, 'attempt'>>): Promise<void>;
  /** Open sessions of a line, locked. */
  openSessionsOfLine(intentDigest: string, line: number): Promise<readonly SessionRow[]>;
  openSessionsOfKey(keyId: string, epoch: number): Promise<readonly SessionRow[]>;
  openSessionsOfPolicy(policyId: string): Promise<readonly SessionRow[]>;
  /**
   * Open sessions past their time, and those that a clock which has been set back since dated into the future; locked,
   * skipping rows that another instance holds.
   */
  expiredSessions(now: number): Promise<readonly SessionRow[]>;
  /** Sessions whose data key may still exist: all open ones, and closed ones until `markDataKeysDestroyed`. */
  sessionsWithDataKey(): Promise<readonly { attempt: string; dataKeyId: string; open: boolean }[]>;
  markDataKeysDestroyed(attempts: readonly string[]): Promise<void>;
  /** Those of the attempts whose session is closed. An attempt without a session is not among them. */
  closedAttempts(attempts: readonly string[]): Promise<readonly string[]>;

  rounds(attempt: string): Promise<readonly RoundRow[]>;
  insertInbox(
    attempt: string,
    row: { round: number; inboxHash: string; inbox: Envelope[]; at: number },
  ): Promise<void>;
  setOutbox(
    attempt: string,
    round: number,
    row: { outboxHash: string; outbox: Envelope[]; keygen: KeygenResult | null; at: number },
  ): Promise<void>;

  /** Creates the line when new and locks its row. */
  lockLine(intentDigest: string, line: number, keyId: string, now: number): Promise<LineRow>;
  setLineState(intentDigest: string, line: number, state: LineRow['state']): Promise<void>;
  lineTransactions(intentDigest: string, line: number): Promise<readonly LineTransaction[]>;
  insertLineTransaction(
    row: LineTransaction & { intentDigest: string; line: number; fee: string; at: number },
  ): Promise<void>;
  setLineTransactionState(attempt: string, state: LineTransaction['state']): Promise<void>;

  /** Serialises limit accounting of one asset of one key until the transaction ends. */
  lockLimit(keyId: string, asset: string): Promise<void>;
  /** Reservations of any age, what was spent at or after `since`, and the line's own entry of any age. */
  spentSince(
    keyId: string,
    asset: string,
    since: number,
    own: { intentDigest: string; line: number },
  ): Promise<readonly (SpentRow & { intentDigest: string; line: number })[]>;
  reserveSpend(row: {
    intentDigest: string;
    line: number;
    keyId: string;
    asset: string;
    amount: string;
    at: number;
  }): Promise<void>;
  markSpent(intentDigest: string, line: number, at: number): Promise<void>;
  /** Gives a reservation back; a spent row stays. */
  releaseSpend(intentDigest: string, line: number): Promise<void>;

  /** The certified or active share of a key's epoch. `lock`: `share` for sessions, `update` for whoever changes or destroys it. */
  liveShare(keyId: string, epoch: number, lock?: 'share' | 'update'): Promise<ShareRow | undefined>;
  shareOfAttempt(keyId: string, attempt: string): Promise<ShareRow | undefined>;
  /** Throws `StateConflict` when another ceremony's share of the key and epoch is certified. */
  insertShare(row: ShareRow & { createdAt: number }): Promise<void>;
  setShareState(
    keyId: string,
    attempt: string,
    state: ShareRow['state'],
    at: number,
  ): Promise<void>;
  shareDataKeys(): Promise<readonly { dataKeyId: string; state: ShareRow['state'] }[]>;
  activeKeys(): Promise<number>;
  openSessionCount(): Promise<number>;

  word(keyId: string, attempt: string): Promise<CeremonyWord | undefined>;
  /** Throws `StateConflict` when a word stands already. */
  insertWord(keyId: string, attempt: string, word: CeremonyWord & { at: number }): Promise<void>;

  /** `share` for a session that binds the version in force, `update` for whoever brings the next: neither overtakes the other. */
  lockPolicy(policyId: string, mode: 'share' | 'update'): Promise<void>;
  policy(
    policyId: string,
  ): Promise<{ document: SignedPolicy; hash: string; version: number } | undefined>;
  /** All versions held, newest first. */
  policyVersions(
    policyId: string,
  ): Promise<readonly { document: SignedPolicy; hash: string; version: number }[]>;
  policies(): Promise<readonly { policyId: string; version: number; hash: string }[]>;
  insertPolicy(row: {
    policyId: string;
    version: number;
    hash: string;
    document: SignedPolicy;
    at: number;
  }): Promise<void>;

  rejectionsOf(intentDigest: string): Promise<readonly SignedApproval[]>;
  insertRejection(signed: SignedApproval, at: number): Promise<void>;

  head(options?: { lock?: boolean }): Promise<ReleaseHead>;
  advanceHead(entry: {
    attempt: string;
    sessionId: string;
    outboxHash: string;
    at: number;
    next: ReleaseHead;
  }): Promise<void>;
  witnessed(): Promise<readonly SignedHead[]>;
  /** Keeps the newest of each peer. */
  witness(heads: readonly SignedHead[], at: number): Promise<void>;

  audit(entry: {
    kind: string;
    keyId?: string;
    attempt?: string;
    detail?: Record<string, string>;
    at: number;
  }): Promise<void>;
}

export interface PartyStore {
  /**
   * Committed with `synchronous_commit = on` when it returns. A lost connection, a failed serialisation and a lock that
   * is not to be had surface as retryable `PartyUnavailable`; after the first the commit may have happened, so only
   * idempotent work may be repeated.
   */
  transaction<T>(work: (tx: PartyTransaction) => Promise<T>): Promise<T>;
}
