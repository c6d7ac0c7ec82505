/**
 * The coordinator's store: an append-only event log with leases and an outbox beside it, all changed in one
 * transaction (`UnitOfWork`). Projections follow the log and can be rebuilt from nothing.
 */

import type { PartyReport } from '../../schema/contracts/activities.ts';
import type { DomainEvent } from '../../schema/contracts/events.ts';
import type {
  DropPoolInput,
  PooledPresignature,
  PoolRef,
  PoolStock,
  StockPackInput,
} from '../../schema/contracts/pool.ts';
import type { LeaseRequest } from './blockchain.ts';
import type { AccountNonces } from './ethereum-nonces.ts';

export type StoredEvent = DomainEvent & {
  readonly stream: string;
  /** From 1, without gaps within the stream. */
  readonly version: number;
  /** Global order. */
  readonly position: number;
  /** ISO time of the append. */
  readonly at: string;
};

export interface EventLog {
  /** Events of a stream; `after`: from version after + 1; `at`: only those appended at or before this ISO time. */
  read(stream: string, options?: { after?: number; at?: string }): Promise<readonly StoredEvent[]>;
  /**
   * Appends with the version the caller saw (0: the stream must be new). Also writes one outbox row per event.
   * Throws `VersionConflict`.
   */
  append(
    stream: string,
    expectedVersion: number,
    events: readonly DomainEvent[],
  ): Promise<readonly StoredEvent[]>;
  /**
   * State of a stream by folding; a snapshot is kept every 100 events and used as the start, unless `at` asks for
   * the state at a past time. `name` and `schemaVersion` guard against folding an old snapshot with new code.
   */
  load<S>(
    stream: string,
    fold: Fold<S>,
    options?: { at?: string },
  ): Promise<{ state: S; version: number }>;
}

export type Fold<S> = {
  readonly name: string;
  readonly schemaVersion: number;
  readonly initial: S;
  /** Pure. S must be JSON. */
  apply(state: S, event: DomainEvent): S;
};

export type LeaseState = 'held' | 'pivoted' | 'released' | 'consumed';
export type Lease = LeaseRequest & {
  readonly network: string;
  readonly walletId: string;
  readonly owner: string;
  readonly state: LeaseState;
};

export interface Leases {
  /** Locks the rows of this owner (FOR UPDATE) and returns them. */
  lockByOwner(owner: string): Promise<readonly Lease[]>;
  /** False when someone else holds it. A released or consumed row of another owner may be taken again if the resource allows. */
  tryTake(
    owner: string,
    walletId: string,
    network: string,
    request: LeaseRequest,
  ): Promise<boolean>;
  /**
   * The nonces of an Ethereum account, under its lock, held until the transaction ends: taken before any of their rows,
   * so that a nonce is taken, and given back, with a view of all others that stays true.
   */
  lockNonces(network: string, address: string): Promise<AccountNonces>;
  /** All of this owner's rows, or only those of `resources`. */
  setState(owner: string, state: LeaseState, resources?: readonly string[]): Promise<void>;
}

/** Names of presignatures that the parties hold, and to whom each is lent: once, for ever. */
export interface Pools {
  /** Repeating it changes nothing, whatever has been lent of the pack since. */
  add(pack: StockPackInput): Promise<void>;
  /** The signer sets that hold any of the key, none that ends within `leastMs`. */
  holding(
    key: Pick<PoolRef, 'keyId' | 'epoch'>,
    leastMs: number,
  ): Promise<readonly PoolRef['signers'][]>;
  /** What an attempt has been lent before. */
  lentTo(owner: string): Promise<
    | {
        readonly signers: PoolRef['signers'];
        readonly presignatures: readonly PooledPresignature[];
      }
    | undefined
  >;
  /**
   * Takes `count` of those that expire first, all or none (empty), none that ends within `leastMs`. Two takers never get
   * one. An owner takes once: see `lentTo`.
   */
  lend(
    pool: PoolRef,
    owner: string,
    count: number,
    leastMs: number,
  ): Promise<readonly PooledPresignature[]>;
  /** The owner's signature is made. */
  spent(owner: string): Promise<void>;
  /** Whatever is past its time is available to nobody, and after a week more its names are forgotten. */
  expire(pool: PoolRef): Promise<void>;
  /** Answers with how many were available. */
  drop(which: DropPoolInput): Promise<number>;
  stock(pool: PoolRef): Promise<PoolStock>;
  /** Every pool that ever was, or those of a key. */
  stocks(keyId?: string): Promise<readonly PoolStock[]>;
}

export interface PartyBoard {
  record(reports: readonly PartyReport[]): Promise<void>;
  /** Those of the names whose latest report is no failure, or an old one. */
  steady(parties: readonly string[]): Promise<readonly string[]>;
  /** Best first: those without recent failures, then by fewest, ties broken by load. */
  ranking(parties: readonly string[], salt: string): Promise<readonly string[]>;
}

export interface Transaction {
  readonly events: EventLog;
  readonly leases: Leases;
  readonly parties: PartyBoard;
  readonly pools: Pools;
  /** Unique rows, e.g. (`request`, id) → body hash. Throws `RequestConflict` when the id stands with another hash. */
  claim(kind: string, id: string, bodyHash: string): Promise<{ fresh: boolean }>;
  /** Serialises writers of one name until the transaction ends (advisory lock). */
  lock(name: string): Promise<void>;
}

export interface UnitOfWork {
  /** One database transaction; rolled back when `work` throws. Serialization failures are retried inside. */
  transaction<T>(work: (tx: Transaction) => Promise<T>): Promise<T>;
  /** Reads outside a transaction. */
  readonly events: EventLog;
}
