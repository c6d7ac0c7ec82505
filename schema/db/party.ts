/**
 * One party's database. It holds sealed bytes, hashes, signed documents and public data; the keys that open the
 * sealed bytes live in the party's key store, outside PostgreSQL. Times are the party's own clock. What is answered again
 * is `json`, which keeps its bytes; `jsonb` would sort the fields.
 */
import { sql } from 'drizzle-orm';
import {
  bigint,
  bigserial,
  boolean,
  customType,
  index,
  integer,
  json,
  jsonb,
  pgTable,
  primaryKey,
  text,
  uniqueIndex,
  uuid,
} from 'drizzle-orm/pg-core';
import type { SignedApproval } from '../contracts/approval.ts';
import type { KeyDescriptor, SignedCertificate, SignedNever } from '../contracts/key.ts';
import type { SignedOrder, SignedOrderReceipt } from '../contracts/order.ts';
import type {
  Envelope,
  KeygenResult,
  PrepareRequest,
  SessionState,
  SignedHead,
  SignedPrepareAnswer,
} from '../contracts/party.ts';
import type { SignedPolicy } from '../contracts/policy.ts';

/** Links of the release chain. */
type ChainLinkKind =
  | 'release'
  | 'certificate'
  | 'activation'
  | 'never'
  | 'policy'
  | 'order'
  | 'bar';

type PresignatureState = 'stocked' | 'bound' | 'spent' | 'burned' | 'dropped';

const bytea = customType<{ data: Uint8Array; driverData: Buffer }>({
  dataType: () => 'bytea',
  toDriver: (value) => Buffer.from(value.buffer, value.byteOffset, value.byteLength),
  fromDriver: (value) => new Uint8Array(value),
});
/** timestamptz in the table, milliseconds since the epoch in the program (connections run with TimeZone=UTC). */
const instant = customType<{ data: number; driverData: string }>({
  dataType: () => 'timestamp (3) with time zone',
  toDriver: (milliseconds) => new Date(milliseconds).toISOString(),
  fromDriver: (value) => Date.parse(value.replace(' ', 'T').replace(/\+00$/, 'Z')),
});
const at = (name: string) => instant(name);

/** Shares by ceremony. `certified` and `active` exclude every other ceremony of the same key and epoch. */
export const shares = pgTable(
  'shares',
  {
    keyId: text('key_id').notNull(),
    epoch: integer('epoch').notNull(),
    attempt: uuid('attempt').notNull(),
    /** certified → active → (revoked); destroyed. */
    state: text('state').$type<'certified' | 'active' | 'revoked' | 'destroyed'>().notNull(),
    descriptor: json('descriptor').$type<KeyDescriptor>().notNull(),
    index: integer('index').notNull(),
    /** Null once destroyed. */
    sealed: bytea('sealed'),
    dataKeyId: text('data_key_id').notNull(),
    createdAt: at('created_at').notNull(),
    activatedAt: at('activated_at'),
  },
  (t) => [
    primaryKey({ columns: [t.keyId, t.epoch, t.attempt] }),
    uniqueIndex('one_live_share')
      .on(t.keyId, t.epoch)
      .where(sql`${t.state} in ('certified', 'active')`),
  ],
);

/** A party's word on a ceremony: a certificate or a never; one row, so never both. */
export const ceremonyWords = pgTable(
  'ceremony_words',
  {
    keyId: text('key_id').notNull(),
    attempt: uuid('attempt').notNull(),
    kind: text('kind').$type<'certificate' | 'never'>().notNull(),
    certificate: json('certificate').$type<SignedCertificate>(),
    never: json('never').$type<SignedNever>(),
    at: at('at').notNull(),
  },
  (t) => [primaryKey({ columns: [t.keyId, t.attempt] })],
);

/** One attempt at a ceremony. The row's lock makes one instance of the party answer. */
export const sessions = pgTable(
  'sessions',
  {
    attempt: uuid('attempt').primaryKey(),
    kind: text('kind').$type<'keygen' | 'sign' | 'presign'>().notNull(),
    keyId: text('key_id').notNull(),
    epoch: integer('epoch').notNull(),
    requestId: text('request_id').notNull(),
    requestHash: text('request_hash').notNull(),
    request: json('request').$type<PrepareRequest>().notNull(),
    answer: json('answer').$type<SignedPrepareAnswer>().notNull(),
    policyId: text('policy_id').notNull(),
    policyHash: text('policy_hash').notNull(),
    state: text('state').$type<SessionState>().notNull(),
    /** Set by round 1, computed from the signers' answers. */
    sessionId: text('session_id'),
    prepared: json('prepared').$type<SignedPrepareAnswer[]>(),
    /** The key's full ordered party list. */
    members: jsonb('members').$type<readonly string[]>().notNull(),
    machineVersion: text('machine_version').notNull(),
    rounds: integer('rounds').notNull(),
    intentDigest: text('intent_digest'),
    line: integer('line'),
    /** Null after the tombstone; the data key is destroyed right after. */
    sealedSeed: bytea('sealed_seed'),
    dataKeyId: text('data_key_id').notNull(),
    /** Data keys of the presignatures that are bound to it; they go with its own. */
    pooledKeys: jsonb('pooled_keys').$type<readonly string[]>().notNull().default([]),
    dataKeyDestroyed: boolean('data_key_destroyed').notNull().default(false),
    failureCode: text('failure_code'),
    failureMessage: text('failure_message'),
    failureCulprit: text('failure_culprit'),
    createdAt: at('created_at').notNull(),
    expiresAt: at('expires_at').notNull(),
    closedAt: at('closed_at'),
  },
  (t) => [
    uniqueIndex('one_open_session_per_line')
      .on(t.intentDigest, t.line)
      .where(sql`${t.state} in ('prepared', 'running') and ${t.intentDigest} is not null`),
    index('open_sessions_by_key')
      .on(t.keyId, t.epoch)
      .where(sql`${t.state} in ('prepared', 'running')`),
    index('keys_to_destroy').on(t.attempt).where(sql`not ${t.dataKeyDestroyed}`),
  ],
);

/** Round log: the inbox is committed before the outbox is computed; private bodies stay encrypted in their envelopes. */
export const rounds = pgTable(
  'rounds',
  {
    attempt: uuid('attempt').notNull(),
    round: integer('round').notNull(),
    inboxHash: text('inbox_hash').notNull(),
    inbox: json('inbox').$type<Envelope[]>().notNull(),
    /** Hash of the machine's plaintext outbox: a replay must reproduce it. Null until answered. */
    outboxHash: text('outbox_hash'),
    /** Sealed and signed once; repeats answer with these very envelopes. */
    outbox: json('outbox').$type<Envelope[]>(),
    keygen: json('keygen').$type<KeygenResult>(),
    committedAt: at('committed_at').notNull(),
    answeredAt: at('answered_at'),
  },
  (t) => [primaryKey({ columns: [t.attempt, t.round] })],
);

/** Packs of presignatures, by the session that made each. */
export const presignaturePacks = pgTable(
  'presignature_packs',
  {
    /** The session's id, the same at all its signers. */
    packId: text('pack_id').primaryKey(),
    keyId: text('key_id').notNull(),
    epoch: integer('epoch').notNull(),
    signers: jsonb('signers').$type<readonly string[]>().notNull(),
    createdAt: at('created_at').notNull(),
    expiresAt: at('expires_at').notNull(),
    /** Why nothing of it is taken any more; null: it is in stock. */
    dropped: text('dropped'),
  },
  (t) => [index('packs_in_stock').on(t.keyId, t.epoch).where(sql`${t.dropped} is null`)],
);

/**
 * Presignatures. One that a message has been shown to names its session for ever. `sealed` only while `stocked` or
 * `bound`; the data key of each is its own and goes with it.
 */
export const presignatures = pgTable(
  'presignatures',
  {
    packId: text('pack_id').notNull(),
    index: integer('index').notNull(),
    state: text('state').$type<PresignatureState>().notNull(),
    sealed: bytea('sealed'),
    dataKeyId: text('data_key_id').notNull(),
    /** Found gone from the key store after its end. */
    dataKeyDestroyed: boolean('data_key_destroyed').notNull().default(false),
    /** The session that took it. */
    attempt: uuid('attempt'),
    /** Of the one message that it was shown. */
    messageHash: text('message_hash'),
    changedAt: at('changed_at').notNull(),
  },
  (t) => [
    primaryKey({ columns: [t.packId, t.index] }),
    index('presignatures_of_session').on(t.attempt).where(sql`${t.attempt} is not null`),
    index('presignature_keys').on(t.dataKeyId).where(sql`not ${t.dataKeyDestroyed}`),
  ],
);

/** (intent digest, line) is the identity of a payment for ever. The row is the lock under which conflicts are judged. */
export const lines = pgTable(
  'lines',
  {
    intentDigest: text('intent_digest').notNull(),
    line: integer('line').notNull(),
    keyId: text('key_id').notNull(),
    /** `void`: a void was released, the payment is never signed again. */
    state: text('state').$type<'open' | 'released' | 'void'>().notNull(),
    createdAt: at('created_at').notNull(),
  },
  (t) => [primaryKey({ columns: [t.intentDigest, t.line] })],
);

/** Every transaction of a line that a session was opened for; `released` ones are kept for ever. */
export const lineTransactions = pgTable(
  'line_transactions',
  {
    attempt: uuid('attempt').primaryKey(),
    intentDigest: text('intent_digest').notNull(),
    line: integer('line').notNull(),
    purpose: text('purpose').$type<'payment' | 'void'>().notNull(),
    state: text('state').$type<'open' | 'released' | 'closed'>().notNull(),
    unsignedHash: text('unsigned_hash').notNull(),
    conflictKeys: jsonb('conflict_keys').$type<string[]>().notNull(),
    fee: text('fee').notNull(),
    at: at('at').notNull(),
  },
  (t) => [index('transactions_of_line').on(t.intentDigest, t.line)],
);

/** Limits: reserved at prepare, spent from release on, once per line. */
export const spent = pgTable(
  'spent',
  {
    intentDigest: text('intent_digest').notNull(),
    line: integer('line').notNull(),
    keyId: text('key_id').notNull(),
    asset: text('asset').notNull(),
    amount: text('amount').notNull(),
    state: text('state').$type<'reserved' | 'spent'>().notNull(),
    at: at('at').notNull(),
  },
  (t) => [
    primaryKey({ columns: [t.intentDigest, t.line] }),
    index('spent_window').on(t.keyId, t.asset, t.at),
    index('spent_reserved').on(t.keyId, t.asset).where(sql`${t.state} = 'reserved'`),
  ],
);

/** Policy documents this party verified, by version. */
export const policies = pgTable(
  'policies',
  {
    policyId: text('policy_id').notNull(),
    version: integer('version').notNull(),
    hash: text('hash').notNull(),
    document: json('document').$type<SignedPolicy>().notNull(),
    receivedAt: at('received_at').notNull(),
  },
  (t) => [primaryKey({ columns: [t.policyId, t.version] })],
);

/** Rejections bind the party that received them, whatever a coordinator shows later. */
export const rejections = pgTable(
  'rejections',
  {
    intentDigest: text('intent_digest').notNull(),
    approver: text('approver').notNull(),
    signed: json('signed').$type<SignedApproval>().notNull(),
    receivedAt: at('received_at').notNull(),
  },
  (t) => [primaryKey({ columns: [t.intentDigest, t.approver] })],
);

/** The head of this party's release chain: one row. */
export const releaseHead = pgTable('release_head', {
  only: boolean('only').primaryKey().default(true),
  chainEpoch: integer('chain_epoch').notNull(),
  sequence: bigint('sequence', { mode: 'number' }).notNull(),
  hash: text('hash').notNull(),
  /** In the head's own row, so that whoever waited for its lock sees it. */
  fenced: boolean('fenced').notNull().default(false),
  /** Of the last unfence order: intents issued at or before this are paid no more. */
  intentsAfter: at('intents_after'),
});

/** The chain itself: what each head commits to. */
export const releases = pgTable(
  'releases',
  {
    chainEpoch: integer('chain_epoch').notNull(),
    sequence: bigint('sequence', { mode: 'number' }).notNull(),
    /** What cannot be taken back once it has left the party: shares, a word on a ceremony, an order's effect; a bar, an activation. */
    kind: text('kind').$type<ChainLinkKind>().notNull().default('release'),
    /** Null where it is about no attempt. */
    attempt: uuid('attempt'),
    sessionId: text('session_id').notNull(),
    /** Hash of what was released or said. */
    outboxHash: text('outbox_hash').notNull(),
    hash: text('hash').notNull(),
    at: at('at').notNull(),
  },
  (t) => [primaryKey({ columns: [t.chainEpoch, t.sequence] })],
);

/** Each time this party was fenced: why, on what evidence, and which order ended it. */
export const fences = pgTable('fences', {
  id: bigserial('id', { mode: 'number' }).primaryKey(),
  /** Newest chain epoch known to have begun. */
  chainEpoch: integer('chain_epoch').notNull(),
  reason: text('reason').notNull(),
  /** A head of this party that its database did not know, as a peer showed it. */
  evidence: json('evidence').$type<SignedHead>(),
  fencedAt: at('fenced_at').notNull(),
  orderId: text('order_id'),
  unfencedAt: at('unfenced_at'),
});

/** The day's limit of a key counts as spent for 24 hours from here: what was spent before a restore is not known. */
export const spentDays = pgTable('spent_days', {
  keyId: text('key_id').primaryKey(),
  at: at('at').notNull(),
});

/** Administrators' orders that this party carried out, for ever: each works once. */
export const orders = pgTable('orders', {
  orderId: text('order_id').primaryKey(),
  signed: json('signed').$type<SignedOrder>().notNull(),
  receipt: json('receipt').$type<SignedOrderReceipt>().notNull(),
  at: at('at').notNull(),
});

/** Keys that take part in nothing until a release order. */
export const quarantines = pgTable('quarantines', {
  keyId: text('key_id').primaryKey(),
  /** The newest one: no release order issued before it ends the quarantine. */
  orderId: text('order_id').notNull(),
  at: at('at').notNull(),
});

/** Peers with which this party signs no more for a key's epoch, on evidence that it checked itself. */
export const bars = pgTable(
  'bars',
  {
    keyId: text('key_id').notNull(),
    epoch: integer('epoch').notNull(),
    peer: text('peer').notNull(),
    code: text('code').notNull(),
    attempt: uuid('attempt').notNull(),
    at: at('at').notNull(),
  },
  (t) => [primaryKey({ columns: [t.keyId, t.epoch, t.peer] })],
);

/** The newest head seen of each peer, under that peer's signature. */
export const witnessedHeads = pgTable('witnessed_heads', {
  party: text('party').primaryKey(),
  signed: json('signed').$type<SignedHead>().notNull(),
  seenAt: at('seen_at').notNull(),
});

/** Failures in a row to open a share; no row: none. The key is locked until `locked_until`, for all instances. */
export const shareAccess = pgTable(
  'share_access',
  {
    keyId: text('key_id').notNull(),
    epoch: integer('epoch').notNull(),
    failures: integer('failures').notNull(),
    lockedUntil: at('locked_until'),
    failedAt: at('failed_at').notNull(),
  },
  (t) => [primaryKey({ columns: [t.keyId, t.epoch] })],
);

/** What happened to keys and sessions, for auditors. Never a secret. */
export const auditEntries = pgTable('audit_entries', {
  position: bigserial('position', { mode: 'number' }).primaryKey(),
  at: at('at').notNull(),
  kind: text('kind').notNull(),
  keyId: text('key_id'),
  attempt: uuid('attempt'),
  detail: jsonb('detail').$type<Record<string, string>>().notNull(),
});
