/**
 * What a dishonest coordinator has in its hands, whatever carries its words: over Temporal to real processes
 * (`over-temporal.ts`), or in one process on a real PostgreSQL (`in-process.ts`), where mutated builds are tried.
 */

import type { PartyActivities } from '../../schema/contracts/activities.ts';
import type { SignedApproval } from '../../schema/contracts/approval.ts';
import type { TransferIntent } from '../../schema/contracts/intent.ts';
import type { KeyDescriptor, SignedCertificate } from '../../schema/contracts/key.ts';
import type { AdministratorOrder, SignedOrder } from '../../schema/contracts/order.ts';
import type { PrepareSign } from '../../schema/contracts/party.ts';
import type { PayoutIntent } from '../../schema/contracts/payout.ts';
import type { Policy, SignedPolicy } from '../../schema/contracts/policy.ts';
import type { PartyId } from '../../schema/contracts/primitives.ts';
import type { Seat } from '../support/parties.ts';

export type Activity = keyof PartyActivities;
export type Answer<A extends Activity> = Awaited<ReturnType<PartyActivities[A]>>;

export type Decision = {
  readonly decision?: 'approve' | 'reject';
  /** Milliseconds since the epoch. */
  readonly at?: number;
  readonly validUntil?: number;
};

/** The honest people. They sign what they are asked to, each with a key that the adversary never sees. */
export type People = {
  readonly approvers: readonly string[];
  readonly policy: Policy;
  readonly signedPolicy: SignedPolicy;
  decide(
    intent: TransferIntent | PayoutIntent,
    who: readonly string[],
    how?: Decision,
  ): Promise<SignedApproval[]>;
  /** Signed by as many administrators as it takes. */
  signPolicy(policy: Policy): Promise<SignedPolicy>;
  signOrder(order: AdministratorOrder): Promise<SignedOrder>;
};

/** How a question is carried. */
export type Way = {
  /** Which of the party's processes, where the carrier lets one choose. */
  readonly instance?: number | undefined;
  /** Told the name of the process that answered or refused. */
  readonly heard?: ((party: PartyId, process: string) => void) | undefined;
};

export interface Field {
  readonly parties: readonly PartyId[];
  /** Identity keys by party: public, but pinned by everyone else. */
  readonly directory: ReadonlyMap<PartyId, string>;
  readonly people: People;
  /** Any activity of any party with any input. What the party refuses is thrown as a `KeysagaError`. */
  ask<A extends Activity>(
    party: PartyId,
    activity: A,
    input: unknown,
    way?: Way,
  ): Promise<Answer<A>>;
  /** This one of a party's two processes dies without a warning, and another takes its place. */
  kill(party: PartyId, instance: number): Promise<void>;
  /** Cases that may run at once. */
  readonly atOnce: number;
  /** `outlast` moves the parties' clock, so nothing else may run meanwhile. */
  readonly ownTime: boolean;
  /** Waits until `condition` holds, at most a little longer than a signing session lives. */
  outlast(condition: () => Promise<boolean>): Promise<boolean>;
  /** A blockhash of the chain's last seconds. */
  recentBlockhash(): Promise<Uint8Array>;
  /** What a user is shown who asks for a wallet while the ledger answers `outcome`; throws what the user is told. */
  show(walletId: string, outcome: unknown): Promise<readonly { readonly address: string }[]>;
  /** What honest sagas asked of the parties and got, as the histories tell whoever has the payload key. */
  harvest?(): Promise<Harvest>;
  /** Parties of their own whose machines the adversary has as well: to put one back to a copy, or to speak as one. */
  aside?(): Promise<Aside>;
}

export type Aside = {
  readonly field: Field;
  seat(party: PartyId): Seat;
  close(): Promise<void>;
};

export type Harvest = {
  readonly payments: readonly PrepareSign[];
  readonly wallets: readonly {
    readonly key: KeyDescriptor;
    readonly certificates: readonly SignedCertificate[];
  }[];
};

/** The adversary has what it must not get. Nothing else counts as a removed check being noticed. */
export class AttackSucceeded extends Error {
  override readonly name = 'AttackSucceeded';
}

/** The case itself does not work: the honest variant failed, or another check than the expected one met the attack. */
export class CaseBroken extends Error {
  override readonly name = 'CaseBroken';
}
