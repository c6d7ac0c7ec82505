/**
 * `Blockchain`, in two halves. `TransactionCodec` is pure: parties use it to judge bytes alone and clients to
 * derive addresses. `Blockchain` talks to nodes and belongs to the coordinator.
 */

import type { Anchor } from '../../schema/contracts/intent.ts';
import type { Curve, KeyDescriptor, Scheme } from '../../schema/contracts/key.ts';
import type {
  BroadcastOutcome,
  SignedTransaction,
  TransactionStatus,
  UnsignedTransaction,
} from '../../schema/contracts/transaction.ts';
import type { PaymentIntent } from './payment.ts';

/**
 * Everything a transaction does. A party signs only when it can account for each entry; whatever a codec cannot
 * name is `other`, which is refused. Amounts in the asset's smallest unit.
 */
export type TransactionEffect =
  | {
      readonly kind: 'pay';
      readonly destination: string;
      readonly asset: string;
      readonly amount: bigint;
    }
  /** An output to the wallet's own script. */
  | { readonly kind: 'change'; readonly address: string; readonly amount: bigint }
  /** Solana: AdvanceNonceAccount as first instruction. */
  | {
      readonly kind: 'advance-nonce';
      readonly account: string;
      readonly authority: string;
      readonly value: string;
    }
  | { readonly kind: 'other'; readonly description: string };

export type DecodedTransaction = {
  readonly network: string;
  /** The wallet that pays: its address. */
  readonly from: string;
  readonly effects: readonly TransactionEffect[];
  /** The most that miners or validators can take, in the fee asset's smallest unit. */
  readonly fee: bigint;
  /**
   * What it consumes: `bitcoin:<txid>:<vout>`, `solana:<nonce account>:<value hex>`, `ethereum:<address>:<nonce>`.
   * Two transactions of one wallet exclude each other on chain exactly when they share an entry.
   */
  readonly conflictKeys: readonly string[];
};

/** What a chain adds to the digests of `core/messages`. */
export interface MessageCodec {
  /** The script of the wallet's own address, where messages are signed for a script (BIP-322). */
  script?(publicKey: Uint8Array): Uint8Array;
  /** The signature as verifiers of messages take it. Throws `SignatureInvalid` when it does not verify under the key. */
  attach(digest: Uint8Array, publicKey: Uint8Array, signature: Uint8Array): string;
}

export interface TransactionCodec {
  readonly network: string;
  readonly family: 'bitcoin' | 'solana' | 'ethereum';
  readonly curve: Curve;
  readonly scheme: Scheme;
  /** Every scheme whose keys it takes, `scheme` (a new key's default) among them; absent: that alone. */
  readonly schemes?: readonly Scheme[];
  /** The address of a chain-visible public key. Throws `InvalidInput` (`publicKey`). */
  address(publicKey: Uint8Array): string;
  /** Throws `InvalidInput` (`destination`) for a malformed address or one of another network. */
  checkAddress(address: string): void;
  /**
   * Decodes for the wallet with this public key. Throws `TransactionMalformed`, `ChainMismatch`, `NonceUnproven`;
   * refuses ambiguous encodings (trailing bytes, unknown PSBT fields that change meaning, other sighash types, lookup tables).
   */
  decode(unsigned: UnsignedTransaction, publicKey: Uint8Array): DecodedTransaction;
  /** What is to be signed, in order: one per signature, computed from the bytes alone. */
  messages(unsigned: UnsignedTransaction, publicKey: Uint8Array): readonly Uint8Array[];
  /** Puts signatures in (in `messages` order), verifies each, serialises. Throws `SignatureInvalid`. */
  attach(
    unsigned: UnsignedTransaction,
    publicKey: Uint8Array,
    signatures: readonly Uint8Array[],
  ): SignedTransaction;
  /** Absent where no messages are signed. */
  readonly message?: MessageCodec;
}

/** A resource that a transfer holds while it runs; the ledger stores it beside the events. */
export type LeaseRequest = {
  /** Globally unique, e.g. `bitcoin:<network>:<txid>:<vout>`, `solana:<network>:<nonce account>`. */
  readonly resource: string;
  readonly detail: Readonly<Record<string, string>>;
};

export type BuildResult = {
  readonly unsigned: UnsignedTransaction;
  readonly fee: bigint;
  readonly leases: readonly LeaseRequest[];
};

/** Lends leases inside the building transaction: returns false when another transfer holds the resource. */
export interface Leaser {
  tryTake(resource: string, detail: Readonly<Record<string, string>>): Promise<boolean>;
  /** What this transfer holds already (a repeat). */
  readonly held: readonly LeaseRequest[];
}

/** Something that a transfer may be bound to, and the lease that holds it. */
export type AnchorCandidate = { readonly anchor: Anchor; readonly lease: LeaseRequest };

/** How one provider of a chain has behaved, as this process saw it. It is named by its place in the configuration, from 1. */
export type ProviderHealth = {
  readonly provider: number;
  /** `left-out`: it failed several times in a row; `wrong-network`: it answered for another chain. */
  readonly state: 'up' | 'left-out' | 'wrong-network';
  /** Since the process began. */
  readonly failures: number;
  /** The last one; holds no address. */
  readonly reason?: string;
};

/** Where a `key` is taken, the account that is meant has its own public key and address in it. */
export interface Blockchain {
  readonly codec: TransactionCodec;
  /** Blocks after which a transaction is final here. */
  readonly finality: number;
  /** Spendable balance as the chain shows it, leases not counted. `ChainUnavailable` when nobody answers. */
  balance(address: string, asset: string): Promise<bigint>;
  /** For a payout one transaction that pays every line, in order, where `core/payout` lets any in. Takes what it needs through `leaser`, estimates the fee within `intent.feeCap` (`FeeAboveCap`), builds. `LeaseUnavailable`, `InsufficientFunds`. */
  build(intent: PaymentIntent, key: KeyDescriptor, leaser: Leaser): Promise<BuildResult>;
  /**
   * A transaction that conflicts with each of `released` and pays only the wallet; fee at most `feeCap`. With an anchor it
   * consumes that as well: parties sign nothing else for an anchored intent.
   */
  buildVoid(
    key: KeyDescriptor,
    released: readonly UnsignedTransaction[],
    feeCap: bigint,
    anchor?: Anchor,
  ): Promise<BuildResult>;
  /**
   * Where transactions of a wallet wait for one another: the void of a nonce that nothing was signed for. `resource`: its
   * lease. Throws `FeeAboveCap`, `InvalidInput` (`resource`).
   */
  fillGap?(key: KeyDescriptor, resource: string, feeCap: bigint): Promise<BuildResult>;
  /**
   * What a payment of this size could be anchored to, best first; leases are not looked at. Nothing that is not final
   * enough to be spent. `InsufficientFunds` (`anchor`) when there is nothing of the kind, `ChainUnavailable`.
   */
  anchors(
    key: KeyDescriptor,
    payment: { readonly amount: bigint; readonly feeCap: bigint },
  ): Promise<readonly AnchorCandidate[]>;
  broadcast(signed: SignedTransaction): Promise<BroadcastOutcome>;
  /** Looks an id up; `conflictKeys` lets it see that another transaction took the input or nonce. */
  lookup(
    id: string,
    unsigned: UnsignedTransaction,
    publicKey: Uint8Array,
  ): Promise<TransactionStatus>;
  /**
   * Set-up of a new wallet: nonce accounts paid by the sponsor, script watched. Idempotent. With `wallet`, `key` is a child
   * account of that provisioned wallet (`core/account.ts`) that is about to pay.
   */
  provision(key: KeyDescriptor, wallet?: KeyDescriptor): Promise<void>;
  /**
   * Present where `balance` knows only what is followed: follows child accounts of a provisioned wallet. `history` says how
   * far back for those that are not followed yet: as far as the wallet itself (absent), since an address may be paid before
   * anybody asks about it, or not at all (`none`); `all` also reads anew for those that are.
   */
  follow?(
    children: readonly KeyDescriptor[],
    wallet: KeyDescriptor,
    history?: 'none' | 'all',
  ): Promise<void>;
  /** Absent where there is only one way to ask. */
  providers?(): readonly ProviderHealth[];
  /** Id of the tip, for `doctor`. */
  tip(): Promise<{ height: number; id: string }>;
}

export interface Chains {
  get(network: string): Blockchain;
  list(): readonly Blockchain[];
}
export interface Codecs {
  get(network: string): TransactionCodec;
  list(): readonly TransactionCodec[];
}
