/**
 * One party's own database, as its service sees it. Every method runs inside one transaction; `session` with
 * `lock` and `lockLine` take row locks that last until it ends, so that one instance of the party answers.
 */
import type { SignedApproval } from '../../schema/contracts/approval.ts';
import type { KeyDescriptor, SignedCertificate, SignedNever } from '../../schema/contracts/key.ts';
import type {
  AdministratorOrder,
  SignedOrder,
  SignedOrderReceipt,
} from '../../schema/contracts/order.ts';
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
  readonly kind: 'keygen' | 'sign' | 'presign';
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
  /** Data keys of the presignatures that are bound to it. */
  readonly pooledKeys: readonly string[];
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

/** Failures in a row to open a share, and until when nobody tries; `core/rules/access.ts` judges it. */
export type AccessRecord = { readonly failures: number; readonly lockedUntil: number | null };

export type PackRow = {
  readonly packId: string;
  readonly keyId: string;
  readonly epoch: number;
  readonly signers: readonly string[];
  readonly createdAt: number;
  readonly expiresAt: number;
  /** Why nothing of it is taken any more. */
  readonly dropped: string | null;
};
/**
 * `stocked` → `bound` to a session → `spent` (its share was released) or `burned` (it ended otherwise); or `dropped` from the
 * stock. There is no way back.
 */
export type PresignatureState = 'stocked' | 'bound' | 'spent' | 'burned' | 'dropped';
export type PresignatureRow = {
  readonly packId: string;
  readonly index: number;
  readonly state: PresignatureState;
  readonly sealed: Uint8Array | null;
  readonly dataKeyId: string;
  readonly attempt: string | null;
  readonly messageHash: string | null;
};
/** What is dropped. `stale`: packs past their time, and of shares that are not active any more. */
export type PackChoice =
  | { readonly by: 'all' }
  | { readonly by: 'key'; readonly keyId: string; readonly epoch?: number; readonly peer?: string }
  | { readonly by: 'pack'; readonly packId: string }
  | { readonly by: 'stale' };

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
/** The head's row. */
export type ChainState = {
  readonly head: ReleaseHead;
  readonly fenced: boolean;
  /** Of the last unfence order: intents issued at or before this are paid no more. */
  readonly intentsAfter: number | null;
};
/** What the party as a whole says about a key before anything else is asked. */
export type Standing = ChainState & {
  readonly quarantined: boolean;
  /** Peers barred for the key's epoch. */
  readonly barred: readonly string[];
  /** Since when the day's limit of the key counts as spent. */
  readonly daySpentAt: number | null;
};
/**
 * What cannot be taken back once it has left the party, or must not be forgotten once it has acted on it, and so is a link
 * of its release chain.
 */
export type ChainLink = {
  readonly kind: 'release' | 'certificate' | 'activation' | 'never' | 'policy' | 'order' | 'bar';
  /** Null where it is about no attempt. */
  readonly attempt: string | null;
  readonly sessionId: string;
  /** Hash of what was released or said. */
  readonly outboxHash: string;
};
export type FenceRow = {
  readonly chainEpoch: number;
  readonly reason: string;
  readonly evidence: SignedHead | null;
  readonly fencedAt: number;
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
  /** `epoch` undefined: of every epoch. `lock`: their rows. */
  openSessionsOfKey(
    keyId: string,
    epoch: number | undefined,
    options?: { lock?: boolean },
  ): Promise<readonly SessionRow[]>;
  openSessionsOfPolicy(policyId: string): Promise<readonly SessionRow[]>;
  /**
   * Open sessions past their time, and those that a clock which has been set back since dated into the future; locked,
   * skipping rows that another instance holds.
   */
  expiredSessions(now: number): Promise<readonly SessionRow[]>;
  /**
   * Sessions whose data key may still exist: all open ones, and closed ones until `markDataKeysDestroyed`. `shareless`: of a
   * key ceremony that has ended without a share, and not by a fence, so that it never gets one.
   */
  sessionsWithDataKey(): Promise<
    readonly (Pick<
      SessionRow,
      'kind' | 'keyId' | 'epoch' | 'attempt' | 'dataKeyId' | 'pooledKeys' | 'failureCode'
    > & { open: boolean; shareless: boolean })[]
  >;
  markDataKeysDestroyed(attempts: readonly string[]): Promise<void>;
  /**
   * Those of the attempts whose session is closed, but not by a fence: a restored database may have lost what the session
   * became. An attempt without a session is not among them either.
   */
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

  insertPack(
    pack: Omit<PackRow, 'dropped'>,
    presignatures: readonly { index: number; sealed: Uint8Array; dataKeyId: string }[],
  ): Promise<void>;
  /** Packs and the rows of these presignatures, the latter locked, in an order that no two callers cross. */
  lockPresignatures(
    wanted: readonly { packId: string; index: number }[],
  ): Promise<readonly (PresignatureRow & { pack: PackRow })[]>;
  /** All or none, only from `stocked`; the rows are locked by the caller. Throws `PresignatureUsed`. */
  bindPresignatures(
    wanted: readonly { packId: string; index: number; messageHash: string }[],
    to: { attempt: string; at: number },
  ): Promise<void>;
  presignaturesOf(attempt: string): Promise<readonly PresignatureRow[]>;
  /** What is bound to the session ends with it; the sealed bytes leave the rows. */
  endPresignatures(attempt: string, state: 'spent' | 'burned', at: number): Promise<void>;
  /** Nothing of the chosen packs is taken any more; what is bound stays with its session. Answers how many were in stock. */
  dropPacks(which: PackChoice, reason: string, at: number): Promise<number>;
  stockedPresignatures(keyId: string, epoch: number): Promise<number>;
  /** Data keys of presignatures that may still exist; `live`: stocked or bound. */
  presignatureKeys(): Promise<readonly { dataKeyId: string; live: boolean }[]>;
  markPresignatureKeysDestroyed(dataKeyIds: readonly string[]): Promise<void>;

  /** Creates the line when new and locks its row. */
  lockLine(intentDigest: string, line: number, keyId: string, now: number): Promise<LineRow>;
  setLineState(intentDigest: string, line: number, state: LineRow['state']): Promise<void>;
  lineTransactions(intentDigest: string, line: number): Promise<readonly LineTransaction[]>;
  insertLineTransaction(
    row: LineTransaction & { intentDigest: string; line: number; fee: string; at: number },
  ): Promise<void>;
  setLineTransactionState(attempt: string, state: LineTransaction['state']): Promise<void>;

  /** Fees of the key's voids since then, open and released. */
  voidFeesSince(keyId: string, since: number): Promise<bigint>;
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
  /** Failures in a row to open the share of a key's epoch; undefined: none. Takes no lock. */
  shareAccess(keyId: string, epoch: number): Promise<AccessRecord | undefined>;
  /** Counts one more and answers with the count; its row stays locked, so that those of several instances add up. */
  countOpenFailure(keyId: string, epoch: number, now: number): Promise<number>;
  lockShareAccess(keyId: string, epoch: number, until: number | null): Promise<void>;
  clearOpenFailures(keyId: string, epoch: number): Promise<void>;
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

  /** The last lock of all in every transaction that takes it. */
  chain(options?: { lock?: boolean }): Promise<ChainState>;
  standing(keyId: string, epoch: number): Promise<Standing>;
  advanceHead(link: ChainLink & { at: number; next: ReleaseHead }): Promise<void>;
  /**
   * What this database knows of a head of this party's own: the chain's hash at that place, and whether there is a session
   * of the attempt.
   */
  recall(
    shown: Pick<ReleaseHead, 'chainEpoch' | 'sequence'> & { opened?: string },
  ): Promise<ChainState & { readonly hash: string | null; readonly opened: boolean }>;
  witnessed(): Promise<readonly SignedHead[]>;
  /** Keeps the newest of each peer, and of equally new ones the last; at most one head a party. */
  witness(heads: readonly SignedHead[], at: number): Promise<void>;

  /** Marks the head's row and records why. Call it under the head's lock. */
  insertFence(row: FenceRow): Promise<void>;
  /** The fence that stands. */
  fence(): Promise<FenceRow | undefined>;
  /**
   * Ends the fence: head of a new chain epoch, no payment of older intents, and the day's limit of every key that is
   * held counts as spent from `at`.
   */
  liftFence(row: {
    orderId: string;
    at: number;
    intentsAfter: number;
    link: ChainLink;
    next: ReleaseHead;
  }): Promise<void>;
  /** Some of the open sessions, locked; those that another transaction holds are left out. */
  openSessions(limit: number): Promise<readonly SessionRow[]>;

  order(orderId: string): Promise<{ signed: SignedOrder; receipt: SignedOrderReceipt } | undefined>;
  insertOrder(signed: SignedOrder, receipt: SignedOrderReceipt, at: number): Promise<void>;
  /** `share` for whoever begins something with a key that may have no share yet, `update` for an order about it. */
  lockKey(keyId: string, mode: 'share' | 'update'): Promise<void>;
  /** Certified and active shares of a key, locked against sessions. */
  sharesOfKey(keyId: string): Promise<readonly ShareRow[]>;
  destroyedShare(keyId: string, epoch: number): Promise<ShareRow | undefined>;
  /** Puts this order in the place of an earlier one. */
  quarantine(keyId: string, orderId: string, at: number): Promise<void>;
  /** The order by which the key is under quarantine. */
  quarantineOrder(keyId: string): Promise<AdministratorOrder | undefined>;
  /** Whether there was one. */
  endQuarantine(keyId: string): Promise<boolean>;
  quarantinedKeys(): Promise<readonly string[]>;
  /**
   * Serialises whoever bars a peer (`update`) with whoever answers a round beside one (`share`), until the transaction
   * ends. After the session's row, before the chain.
   */
  lockBars(keyId: string, epoch: number, mode: 'share' | 'update'): Promise<void>;
  /** Repeating it changes nothing. */
  insertBar(row: {
    keyId: string;
    epoch: number;
    peer: string;
    code: string;
    attempt: string;
    at: number;
  }): Promise<void>;

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
