/**
 * The coordinator's record of Ethereum accounts and the nonces it lent. Who holds a nonce is in the ledger's leases
 * (`ethereum:<network>:<address>:<nonce>`), and only that makes a nonce somebody's; this record finds the lowest free one,
 * remembers what was ever lent, and keeps the chain's own counts.
 */

import type { LeaseState } from './ledger.ts';

/** As a node gave them: the account's next nonce by what is final, in blocks, and in blocks and mempool. */
export type NonceCounts = {
  readonly final: bigint;
  readonly latest: bigint;
  readonly pending: bigint;
};

export type EthereumAccount = {
  readonly network: string;
  readonly walletId: string;
  /** EIP-55. */
  readonly address: string;
  /** As last read; `final` never falls. */
  readonly counts: NonceCounts;
  /** Milliseconds since the epoch: when `counts` was read. */
  readonly readAt: number;
};

/** A nonce below a used one that nobody holds: nothing above it is mined before it is filled. */
export type NonceGap = {
  readonly nonce: bigint;
  /** Who gave it back; its void may fill the gap. Null when the lease was never recorded. */
  readonly lastOwner: string | null;
};

export interface EthereumNonces {
  /** Of the network. */
  accounts(network: string): Promise<readonly EthereumAccount[]>;
  /** Idempotent. */
  open(account: {
    readonly network: string;
    readonly walletId: string;
    readonly address: string;
    readonly at: number;
  }): Promise<void>;
  /** Stores counts; `final` only rises, since a node may lag. False when the account is not open. */
  record(network: string, address: string, counts: NonceCounts, at: number): Promise<boolean>;
  /**
   * Offers the lowest free nonce to `take`, looking again after each refusal, until it accepts one: not below what the chain
   * has used, not leased, not in the mempool. Takers of one process come one after another. `only`: no other than this one.
   * Undefined when `take` refused `only`, or it is not free. Throws `WalletUnknown` when the account is not open.
   */
  lend(
    network: string,
    address: string,
    counts: NonceCounts,
    at: number,
    take: (nonce: bigint) => Promise<boolean>,
    only?: bigint,
  ): Promise<bigint | undefined>;
  /** Lowest first. */
  gaps(network: string, address: string): Promise<readonly NonceGap[]>;
}

/** A nonce of an account that was lent once and is not final on chain. */
export type LentNonce = {
  readonly nonce: bigint;
  readonly owner: string;
  readonly state: LeaseState;
};

/** What the ledger and the last look at the chain say of an account's nonces. */
export type AccountNonces = {
  /** Everything below is used on chain. */
  readonly floor: bigint;
  /** Lowest first. */
  readonly lent: readonly LentNonce[];
};

/** The states in which a nonce is somebody's, or was used. */
export const isTaken = (state: LeaseState | null): boolean =>
  state === 'held' || state === 'pivoted' || state === 'consumed';

/** A lower one that was given back: it is lent first, or what is signed on this one waits for it. */
export const freeBelow = ({ floor, lent }: AccountNonces, nonce: bigint): boolean =>
  lent.some((one) => one.state === 'released' && one.nonce >= floor && one.nonce < nonce);

/** Were it given back, others would wait for it. */
export const wouldLeaveGap = ({ floor, lent }: AccountNonces, nonce: bigint): boolean =>
  nonce >= floor && lent.some((one) => one.nonce > nonce && isTaken(one.state));

export type AccountNonce = {
  readonly network: string;
  /** EIP-55. */
  readonly address: string;
  readonly nonce: bigint;
};
/** What `nonceResource` names; undefined for a lease of anything else. */
export function nonceOfResource(resource: string): AccountNonce | undefined {
  const [, network, address, nonce] =
    /^ethereum:(eip155:\d{1,32}):(0x[0-9a-fA-F]{40}):(\d{1,20})$/.exec(resource) ?? [];
  if (network === undefined || address === undefined || nonce === undefined) return undefined;
  return { network, address, nonce: BigInt(nonce) };
}

/** The ledger's name of a nonce. */
export const nonceResource = (network: string, address: string, nonce: bigint): string =>
  `ethereum:${network}:${address}:${nonce}`;
