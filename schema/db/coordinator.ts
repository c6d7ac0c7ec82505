/**
 * The coordinator's database: the event log, what changes with it in one transaction (snapshots, outbox, leases,
 * claims), how parties did, and the projections that follow the log. Nothing here is secret, and nothing here lets
 * anyone sign. Triggers (append-only, position order) stand in the custom migration `0001_append_only`.
 */
import { sql } from 'drizzle-orm';
import {
  bigint,
  bigserial,
  boolean,
  customType,
  index,
  integer,
  jsonb,
  numeric,
  pgTable,
  primaryKey,
  text,
  uniqueIndex,
} from 'drizzle-orm/pg-core';
import type { SignedApproval } from '../contracts/approval.ts';
import type { TransferIntent } from '../contracts/intent.ts';
import type { KeyDescriptor, SignedCertificate } from '../contracts/key.ts';
import type { PayoutIntent } from '../contracts/payout.ts';
import type { SignedPolicy } from '../contracts/policy.ts';
import type { StockState } from '../contracts/pool.ts';
import type { FailureInfo } from '../contracts/saga.ts';
import type { SignedTransaction } from '../contracts/transaction.ts';

/** timestamptz with milliseconds in the table, the one ISO form of `IsoTime` in the program. */
const isoTime = customType<{ data: string; driverData: string }>({
  dataType: () => 'timestamp (3) with time zone',
  toDriver: (iso) => iso,
  fromDriver: (value) =>
    new Date(value.replace(' ', 'T').replace(/([+-]\d\d)$/, '$1:00')).toISOString(),
});
/** Amounts up to 2^256 in the smallest unit. */
const amount = (name: string) => numeric(name, { precision: 78, scale: 0 });

/** Append-only. `position` is the global order in which events became final; see storage/coordinator/follow.ts. */
export const events = pgTable(
  'events',
  {
    position: bigserial('position', { mode: 'number' }).primaryKey(),
    stream: text('stream').notNull(),
    version: integer('version').notNull(),
    type: text('type').notNull(),
    data: jsonb('data').$type<Record<string, unknown>>().notNull(),
    at: isoTime('at').notNull(),
  },
  (t) => [uniqueIndex('events_stream_version').on(t.stream, t.version)],
);

/** Folded state of a stream at `version`; a cache that may be deleted at any time. */
export const snapshots = pgTable(
  'snapshots',
  {
    stream: text('stream').notNull(),
    fold: text('fold').notNull(),
    schemaVersion: integer('schema_version').notNull(),
    version: integer('version').notNull(),
    state: jsonb('state').$type<unknown>().notNull(),
  },
  (t) => [primaryKey({ columns: [t.stream, t.fold, t.schemaVersion] })],
);

/** One row per event until the publisher has handed it to the event bus. */
export const outbox = pgTable('outbox', {
  position: bigint('position', { mode: 'number' }).primaryKey(),
});

/** Nonces and outputs that a transfer holds. `consumed` rows stay: their resource is gone from the chain for good. */
export const leases = pgTable(
  'leases',
  {
    resource: text('resource').primaryKey(),
    network: text('network').notNull(),
    walletId: text('wallet_id').notNull(),
    owner: text('owner').notNull(),
    state: text('state').$type<'held' | 'pivoted' | 'released' | 'consumed'>().notNull(),
    detail: jsonb('detail').$type<Record<string, string>>().notNull(),
    changedAt: isoTime('changed_at').notNull(),
  },
  (t) => [
    index('leases_owner').on(t.owner),
    index('leases_wallet_live').on(t.walletId).where(sql`${t.state} in ('held', 'pivoted')`),
  ],
);

/**
 * Presignatures that the parties hold, by pool. Only names: what they are never leaves the parties. One that is not
 * `available` never is again.
 */
export const poolStock = pgTable(
  'pool_stock',
  {
    packId: text('pack_id').notNull(),
    index: integer('index').notNull(),
    keyId: text('key_id').notNull(),
    epoch: integer('epoch').notNull(),
    /** Party ids in the key's order, with commas. */
    signers: text('signers').notNull(),
    state: text('state').$type<StockState>().notNull(),
    /** The attempt that it is lent to. */
    owner: text('owner'),
    expiresAt: isoTime('expires_at').notNull(),
    changedAt: isoTime('changed_at').notNull(),
  },
  (t) => [
    primaryKey({ columns: [t.packId, t.index] }),
    index('pool_stock_pool').on(t.keyId, t.epoch, t.signers),
    index('pool_stock_available')
      .on(t.keyId, t.epoch, t.signers, t.expiresAt)
      .where(sql`${t.state} = 'available'`),
    index('pool_stock_owner').on(t.owner).where(sql`${t.owner} is not null`),
  ],
);

/** What an id was used for, for ever: the same id with another body is a conflict. */
export const claims = pgTable(
  'claims',
  {
    kind: text('kind').notNull(),
    id: text('id').notNull(),
    bodyHash: text('body_hash').notNull(),
    at: isoTime('at').notNull(),
  },
  (t) => [primaryKey({ columns: [t.kind, t.id] })],
);

/** Failures of parties, kept for reputation and for the operator. */
export const partyReports = pgTable(
  'party_reports',
  {
    id: bigserial('id', { mode: 'number' }).primaryKey(),
    party: text('party').notNull(),
    step: text('step').notNull(),
    code: text('code'),
    milliseconds: integer('milliseconds'),
    at: isoTime('at').notNull(),
  },
  (t) => [index('party_reports_party_at').on(t.party, t.at)],
);

/** Running figures of a party; `lastOkAt` is exact to a second, so that success costs no hot row. */
export const partyStats = pgTable('party_stats', {
  party: text('party').primaryKey(),
  failures: bigint('failures', { mode: 'number' }).notNull(),
  consecutiveFailures: integer('consecutive_failures').notNull(),
  lastFailureAt: isoTime('last_failure_at'),
  lastFailureCode: text('last_failure_code'),
  lastOkAt: isoTime('last_ok_at'),
  /** Milliseconds of the last sampled success. */
  lastMilliseconds: integer('last_milliseconds'),
});

/** How far each follower of the log has come. Its row lock makes one process at a time follow under a name. */
export const checkpoints = pgTable('checkpoints', {
  name: text('name').primaryKey(),
  position: bigint('position', { mode: 'number' }).notNull(),
});

// Projections: only the projector writes them, and `rebuild` makes them from nothing.

export const wallets = pgTable(
  'wallets',
  {
    walletId: text('wallet_id').primaryKey(),
    workflowId: text('workflow_id').notNull(),
    status: text('status').$type<'requested' | 'certified' | 'active' | 'failed'>().notNull(),
    network: text('network').notNull(),
    protocol: text('protocol').notNull(),
    threshold: integer('threshold').notNull(),
    parties: jsonb('parties').$type<string[]>().notNull(),
    policyId: text('policy_id').notNull(),
    policyHash: text('policy_hash').notNull(),
    publicKey: text('public_key'),
    address: text('address'),
    key: jsonb('key').$type<KeyDescriptor>(),
    certificates: jsonb('certificates').$type<SignedCertificate[]>().notNull(),
    activated: jsonb('activated').$type<string[]>().notNull(),
    failure: jsonb('failure').$type<FailureInfo>(),
    createdAt: isoTime('created_at').notNull(),
    updatedAt: isoTime('updated_at').notNull(),
  },
  (t) => [index('wallets_network').on(t.network), index('wallets_address').on(t.address)],
);

export const transfers = pgTable(
  'transfers',
  {
    requestId: text('request_id').primaryKey(),
    /** Position of its first event: newest first, and a cursor that never shifts. */
    position: bigint('position', { mode: 'number' }).notNull(),
    workflowId: text('workflow_id').notNull(),
    walletId: text('wallet_id').notNull(),
    network: text('network').notNull(),
    asset: text('asset').notNull(),
    amount: amount('amount').notNull(),
    feeCap: amount('fee_cap').notNull(),
    destination: text('destination').notNull(),
    intent: jsonb('intent').$type<TransferIntent | PayoutIntent>().notNull(),
    intentDigest: text('intent_digest').notNull(),
    policyHash: text('policy_hash').notNull(),
    phase: text('phase').notNull(),
    phaseReason: text('phase_reason'),
    reservation: text('reservation').$type<'open' | 'released' | 'spent'>().notNull(),
    pivotPassed: boolean('pivot_passed').notNull(),
    fee: amount('fee'),
    signers: jsonb('signers').$type<string[]>(),
    payment: jsonb('payment').$type<SignedTransaction>(),
    void: jsonb('void').$type<SignedTransaction>(),
    transactionId: text('transaction_id'),
    confirmations: integer('confirmations').notNull(),
    undoOwed: integer('undo_owed').notNull(),
    failure: jsonb('failure').$type<FailureInfo>(),
    createdAt: isoTime('created_at').notNull(),
    updatedAt: isoTime('updated_at').notNull(),
    endedAt: isoTime('ended_at'),
  },
  (t) => [
    uniqueIndex('transfers_position').on(t.position),
    index('transfers_wallet').on(t.walletId, t.position),
    index('transfers_phase').on(t.phase, t.position),
    index('transfers_transaction').on(t.transactionId),
  ],
);

/** One row per transfer and approver of its policy; `waiting` until the approver decides. */
export const approvals = pgTable(
  'approvals',
  {
    requestId: text('request_id').notNull(),
    approver: text('approver').notNull(),
    status: text('status').$type<'waiting' | 'approve' | 'reject'>().notNull(),
    signed: jsonb('signed').$type<SignedApproval>(),
    updatedAt: isoTime('updated_at').notNull(),
  },
  (t) => [
    primaryKey({ columns: [t.requestId, t.approver] }),
    index('approvals_approver_waiting').on(t.approver).where(sql`${t.status} = 'waiting'`),
  ],
);

export const parties = pgTable('parties', {
  party: text('party').primaryKey(),
  wallets: integer('wallets').notNull(),
  activations: integer('activations').notNull(),
  signatures: integer('signatures').notNull(),
  lastSignedAt: isoTime('last_signed_at'),
  undosOwed: integer('undos_owed').notNull(),
});

/** Adopted policies by hash, newest version per id in force. */
export const policies = pgTable(
  'policies',
  {
    policyHash: text('policy_hash').primaryKey(),
    policyId: text('policy_id').notNull(),
    version: integer('version').notNull(),
    signed: jsonb('signed').$type<SignedPolicy>().notNull(),
    adoptedAt: isoTime('adopted_at').notNull(),
  },
  (t) => [uniqueIndex('policies_id_version').on(t.policyId, t.version)],
);
