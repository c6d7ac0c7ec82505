/** What the adversary's builders of transactions have in common, one kit for each kind of wallet. */
import type { Anchor } from '../../schema/contracts/intent.ts';
import type { KeyDescriptor } from '../../schema/contracts/key.ts';
import type { UnsignedTransaction } from '../../schema/contracts/transaction.ts';

export type Built = {
  readonly unsigned: UnsignedTransaction;
  /** What a signature must cover to be worth something on chain, computed here. */
  readonly messages: readonly Uint8Array[];
};

/** What only one transaction can consume: a nonce account at a value, outputs of the wallet's, or an account's nonce. */
export type Resource = { readonly anchor: Anchor; readonly id: string };

/** Something beside the payments that no intent names; each kit has its own. */
export type Extra = 'foreign' | 'data' | 'call' | 'token' | 'access-list' | 'creation';

export type Plan = {
  readonly resource: Resource;
  /** Payments in order; the honest plan has one. */
  readonly payments: readonly { readonly to: string; readonly amount: bigint }[];
  /** Smallest unit; default `FEE` units of the kit. */
  readonly fee?: bigint;
  readonly extra?: Extra;
  /** Solana: this blockhash in the nonce's place, with or without the first instruction. */
  readonly blockhash?: { readonly value: Uint8Array; readonly advance: boolean };
};

export type KitName = 'bitcoin' | 'solana' | 'ethereum' | 'segwit';

export type Kit = {
  readonly name: KitName;
  readonly network: string;
  /** Where an intent of this kind would also make sense. */
  readonly elsewhere: string;
  readonly protocol: string;
  /** Smallest units in which the cases count fees: 100,000 of these are the policy's cap for a void. */
  readonly unit: bigint;
  readonly extras: readonly Extra[];
  /** Bytes of a group element in a FROST message. */
  readonly pointBytes: number;
  resource(key: KeyDescriptor): Resource;
  destination(): string;
  build(key: KeyDescriptor, plan: Plan): Built;
};

export const FEE = 10_000n;
/** What every coin of these plans holds, in sats: enough for every amount of the cases. */
export const COIN = 500_000_000n;
