/** The honest people in the process that holds their keys, and their mouthpiece in the adversary's process. */
import { signObject } from '../../core/signed.ts';
import type { SignedApproval } from '../../schema/contracts/approval.ts';
import type { TransferIntent } from '../../schema/contracts/intent.ts';
import type { AdministratorOrder, SignedOrder } from '../../schema/contracts/order.ts';
import type { PayoutIntent } from '../../schema/contracts/payout.ts';
import type { Policy, SignedPolicy } from '../../schema/contracts/policy.ts';
import { approve, type Cast, type Person, signPolicy } from '../support/parties.ts';
import type { Decision, People } from './field.ts';

export function peopleOf(cast: Cast): People {
  return {
    approvers: cast.approvers.map((a) => a.name),
    policy: cast.policy,
    signedPolicy: cast.signedPolicy,
    decide: async (intent, who, { decision = 'approve', ...when } = {}) =>
      who.map((name) => {
        const person = cast.approvers.find((a) => a.name === name);
        if (person === undefined) throw new Error(`no approver ${name}`);
        return approve(intent, person, decision, when);
      }),
    signPolicy: async (policy) => signPolicy(cast, policy),
    signOrder: async (order) => ordered(order, cast.administrators.slice(0, 2)),
  };
}

export type AdministratorSignature = SignedPolicy['signatures'][number];

/** An order under the signatures of these. */
export const ordered = (order: AdministratorOrder, by: readonly Person[]): SignedOrder =>
  ({
    order,
    signatures: by.map(({ name, publicKey, secretKey }) => ({
      administrator: name,
      publicKey,
      signature: signObject('order', order, secretKey),
    })),
  }) as SignedOrder;

/** What the adversary's process may ask of the honest one. */
export type Ask =
  | {
      readonly ask: 'decide';
      readonly intent: TransferIntent | PayoutIntent;
      readonly who: readonly string[];
      readonly how: Decision;
    }
  | { readonly ask: 'sign-policy'; readonly policy: Policy }
  | { readonly ask: 'sign-order'; readonly order: AdministratorOrder }
  | { readonly ask: 'kill'; readonly party: string; readonly instance: number }
  | { readonly ask: 'show'; readonly walletId: string };

/** The first line to the adversary's process: what people know in public. */
export type Greeting = Pick<People, 'approvers' | 'policy' | 'signedPolicy'>;

export const peopleOver = (
  greeting: Greeting,
  ask: (question: Ask) => Promise<unknown>,
): People => ({
  ...greeting,
  decide: async (intent, who, how = {}) =>
    (await ask({ ask: 'decide', intent, who, how })) as SignedApproval[],
  signPolicy: async (policy) => (await ask({ ask: 'sign-policy', policy })) as SignedPolicy,
  signOrder: async (order) => (await ask({ ask: 'sign-order', order })) as SignedOrder,
});
