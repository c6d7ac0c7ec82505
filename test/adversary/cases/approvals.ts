/** Approvals that are none, none any more, or of somebody else; policies that are not in force. */
import { signApproval } from '../../../core/approvals.ts';
import { intentDigest } from '../../../core/intent.ts';
import { policyHash } from '../../../core/policy.ts';
import type { SignedApproval } from '../../../schema/contracts/approval.ts';
import type { TransferIntent } from '../../../schema/contracts/intent.ts';
import type { Policy, SignedPolicy } from '../../../schema/contracts/policy.ts';
import { person, signPolicy } from '../../support/parties.ts';
import type { Kit } from '../chains.ts';
import type { Decision, Field } from '../field.ts';
import type { AdministratorSignature } from '../people.ts';
import {
  deliver,
  denied,
  drive,
  type Expected,
  intentOf,
  isRefused,
  isSigned,
  newWallet,
  nextRound,
  payment,
  signersOf,
  successor,
  underPolicy,
  type Wallet,
  wallet,
} from '../tools.ts';
import { BOTH, type Case } from './case.ts';

/** The adversary's own approvals, under names of its choice. */
const forge = (intent: TransferIntent, names: readonly string[]): SignedApproval[] =>
  names.map((name) =>
    signApproval(
      {
        intentDigest: intentDigest(intent),
        approver: name as never,
        decision: 'approve',
        at: new Date(Date.now() - 1_000).toISOString(),
        validUntil: new Date(Date.now() + 3_000_000).toISOString(),
      },
      person(name).secretKey,
    ),
  );

/** Pinned keys beside signatures of one's own. */
const underPinnedKeys = (
  { policy, signatures }: SignedPolicy,
  pinned: readonly AdministratorSignature[],
): SignedPolicy => ({
  policy,
  signatures: signatures.map((s, i) => ({ ...s, publicKey: pinned[i]?.publicKey ?? s.publicKey })),
});

/** A request with exactly these approvals. */
const withApprovals = (
  field: Field,
  from: Wallet,
  kit: Kit,
  intent: TransferIntent,
  approvals: SignedApproval[],
) => payment(field, from, kit, { intent, change: { approvals } });

const firstTwo = (field: Field): readonly string[] => field.people.approvers.slice(0, 2);

export const approvalCases: readonly Case[] = [
  {
    id: 'expired-intent',
    title: 'has an intent paid after its end, or by a session that outlives it',
    chains: BOTH,
    async run(field, kit) {
      const from = await wallet(field, kit);
      await isSigned(field, await payment(field, from, kit));
      const ends = (ms: number) =>
        intentOf(from, kit, {
          issuedAt: new Date(Date.now() - 600_000).toISOString() as never,
          expiresAt: new Date(Date.now() + ms).toISOString() as never,
        });
      for (const intent of [ends(-1_000), ends(20_000)])
        await isRefused(field, await payment(field, from, kit, { intent }), {
          code: 'IntentExpired',
          field: 'expiresAt',
        });
    },
  },
  {
    id: 'intent-dated-ahead',
    title: 'has an intent paid before its date',
    chains: BOTH,
    async run(field, kit) {
      const from = await wallet(field, kit);
      const dated = (ms: number) =>
        intentOf(from, kit, { issuedAt: new Date(Date.now() + ms).toISOString() as never });
      await isSigned(field, await payment(field, from, kit, { intent: dated(100_000) }));
      await isRefused(field, await payment(field, from, kit, { intent: dated(600_000) }), {
        code: 'InvalidInput',
        field: 'issuedAt',
      });
    },
  },
  {
    id: 'expired-approvals',
    title: 'uses approvals after their end, or in a session that outlives them',
    chains: BOTH,
    async run(field, kit) {
      const from = await wallet(field, kit);
      await isSigned(field, await payment(field, from, kit));
      const at = Date.now() - 600_000;
      for (const validUntil of [Date.now() - 1_000, Date.now() + 20_000]) {
        const intent = intentOf(from, kit);
        const how: Decision = { at, validUntil };
        const approvals = await field.people.decide(intent, firstTwo(field), how);
        await isRefused(field, await withApprovals(field, from, kit, intent, approvals), {
          code: 'QuorumMissing',
        });
      }
    },
  },
  {
    id: 'withdrawn-approvals',
    title: 'uses approvals although an approver has rejected since',
    chains: BOTH,
    async run(field, kit) {
      const from = await wallet(field, kit);
      const [first, second] = firstTwo(field) as [string, string];
      for (const who of [field.people.approvers[2] as string, second]) {
        await isSigned(field, await payment(field, from, kit));
        const intent = intentOf(from, kit);
        const approvals = await field.people.decide(intent, [first, second]);
        const rejection = await field.people.decide(intent, [who], { decision: 'reject' });
        const shown = await withApprovals(field, from, kit, intent, [...approvals, ...rejection]);
        await isRefused(field, shown, { code: 'IntentRejected' });
      }
    },
  },
  {
    id: 'withheld-rejection',
    title: 'leaves a rejection out that the parties have seen before',
    chains: BOTH,
    async run(field, kit) {
      const from = await wallet(field, kit);
      await isSigned(field, await payment(field, from, kit));
      const intent = intentOf(from, kit);
      const approvals = await field.people.decide(intent, firstTwo(field));
      const rejection = await field.people.decide(intent, [field.people.approvers[2] as string], {
        decision: 'reject',
      });
      const shown = await withApprovals(field, from, kit, intent, [...approvals, ...rejection]);
      // Whatever becomes of this one: the parties have seen the rejection.
      await drive(field, shown.request, { until: 0 });
      // Over the same inputs, so that nothing but the rejection is in the way.
      const withheld = await payment(field, from, kit, {
        intent,
        plan: { resource: shown.resource },
        change: { approvals },
      });
      await isRefused(field, withheld, { code: 'IntentRejected' });
    },
  },
  {
    id: 'replayed-approvals',
    title: 'uses approvals of another intent',
    chains: BOTH,
    async run(field, kit) {
      const from = await wallet(field, kit);
      const honest = await payment(field, from, kit);
      await isSigned(field, honest);
      const intent = { ...honest.intent, destination: kit.destination() };
      const replayed = await withApprovals(field, from, kit, intent, honest.request.approvals);
      await isRefused(field, replayed, { code: 'QuorumMissing' });
    },
  },
  {
    id: 'strangers-approvals',
    title: 'uses approvals of people whom the policy does not name',
    chains: BOTH,
    async run(field, kit) {
      const from = await wallet(field, kit);
      await isSigned(field, await payment(field, from, kit));
      const intent = intentOf(from, kit);
      const strangers = forge(intent, ['mallory', 'trudy']);
      await isRefused(field, await withApprovals(field, from, kit, intent, strangers), {
        code: 'QuorumMissing',
      });
    },
  },
  {
    id: 'impostors-approvals',
    title: 'signs by itself in the names of approvers',
    chains: BOTH,
    async run(field, kit) {
      const from = await wallet(field, kit);
      await isSigned(field, await payment(field, from, kit));
      const intent = intentOf(from, kit);
      const own = forge(intent, firstTwo(field));
      await isRefused(field, await withApprovals(field, from, kit, intent, own), {
        code: 'QuorumMissing',
      });
    },
  },
  {
    id: 'forged-approvals',
    title: 'puts an approver’s name and key beside a signature of its own',
    chains: BOTH,
    async run(field, kit) {
      const from = await wallet(field, kit);
      await isSigned(field, await payment(field, from, kit));
      const intent = intentOf(from, kit);
      const named = forge(intent, firstTwo(field)).map((signed) => {
        const { approver } = signed.approval;
        const key = field.people.policy.approvers.find((a) => a.name === approver)?.publicKey;
        return { ...signed, publicKey: key ?? signed.publicKey };
      });
      await isRefused(field, await withApprovals(field, from, kit, intent, named), {
        code: 'QuorumMissing',
      });
    },
  },
  {
    id: 'approver-counted-twice',
    title: 'has one approver counted twice',
    chains: BOTH,
    async run(field, kit) {
      const from = await wallet(field, kit);
      await isSigned(field, await payment(field, from, kit));
      const intent = intentOf(from, kit);
      const [only] = firstTwo(field) as [string];
      const once = await field.people.decide(intent, [only]);
      const later = await field.people.decide(intent, [only], { at: Date.now() - 5_000 });
      for (const approvals of [
        [...once, ...once],
        [...once, ...later],
      ])
        await isRefused(field, await withApprovals(field, from, kit, intent, approvals), {
          code: 'QuorumMissing',
        });
    },
  },
  {
    id: 'older-policy',
    title: 'counts approvals under an older version of the policy',
    chains: BOTH,
    async run(field, kit) {
      const { policy } = await underPolicy(field, `sunset-${kit.name}`, {});
      const from = await newWallet(field, kit, `sunset-${kit.name}`, policy);
      await isSigned(field, await payment(field, from, kit));
      const [gone, ...left] = policy.approvers;
      const next = successor(policy, { approvers: left });
      await deliver(field, next);
      // The one who approves here has left since.
      await isRefused(field, await payment(field, from, kit), {
        code: 'PolicyUnknown',
        field: 'policyHash',
      });
      const intent = intentOf(from, kit);
      const names = next.approvers.map((a) => a.name);
      if (names.includes(gone?.name as never)) throw new Error('the policy did not change');
      const approvals = await field.people.decide(intent, names);
      const now = { policyHash: policyHash(next) as never, approvals };
      await isSigned(field, await payment(field, from, kit, { intent, change: now }));
    },
  },
  {
    id: 'session-of-an-older-policy',
    title: 'ends a session under the policy of its beginning after another came in force',
    chains: BOTH,
    async run(field, kit) {
      const { policy } = await underPolicy(field, `passing-${kit.name}`, {});
      const from = await newWallet(field, kit, `passing-${kit.name}`, policy);
      await isSigned(field, await payment(field, from, kit));
      const begun = await payment(field, from, kit);
      const { talk } = await drive(field, begun.request, { until: 1 });
      await deliver(field, successor(policy, { quorum: 3 }));
      for (const party of signersOf(field))
        await denied(
          `${party} released its share under a policy that is no longer in force`,
          field.ask(party, 'round', nextRound(party, talk)),
          { code: 'SessionSuperseded' },
        );
    },
  },
  {
    id: 'policy-of-its-own',
    title: 'brings a policy that the administrators did not sign',
    chains: BOTH,
    async run(field, kit) {
      const { policy } = await underPolicy(field, `seized-${kit.name}`, {});
      const from = await newWallet(field, kit, `seized-${kit.name}`, policy);
      await isSigned(field, await payment(field, from, kit));
      const own = ['mallory', 'trudy'].map(person);
      const next = successor(policy, {
        approvers: own.map(({ name, publicKey }) => ({ name, publicKey })) as never,
      });
      const [once] = (await field.people.signPolicy(next)).signatures as [AdministratorSignature];
      const pinned = field.people.signedPolicy.signatures;
      const impostors = signPolicy(
        { administrators: pinned.map(({ administrator }) => person(administrator)) },
        next,
      );
      const attacks: [SignedPolicy, Expected][] = [
        [signPolicy({ administrators: own }, next), { code: 'QuorumMissing', field: 'signatures' }],
        // One administrator's word twice.
        [
          { policy: next, signatures: [once, once] },
          { code: 'QuorumMissing', field: 'signatures' },
        ],
        // Pinned names, with keys of its own and with theirs.
        [impostors, { code: 'ApprovalInvalid' }],
        [underPinnedKeys(impostors, pinned), { code: 'ApprovalInvalid' }],
      ];
      for (const party of signersOf(field))
        for (const [signed, expected] of attacks)
          await denied(
            `${party} took the adversary's policy`,
            field.ask(party, 'receivePolicy', { signed }),
            expected,
          );
    },
  },
  {
    id: 'policy-out-of-its-chain',
    title: 'has a policy taken out of its chain: with one left out, or beside the one that is held',
    chains: BOTH,
    async run(field, kit) {
      const { policy } = await underPolicy(field, `chained-${kit.name}`, {});
      const from = await newWallet(field, kit, `chained-${kit.name}`, policy);
      await isSigned(field, await payment(field, from, kit));
      const second = successor(policy, { quorum: 3 });
      const [, ...left] = policy.approvers;
      const third = successor(second, { approvers: left, quorum: 2 });
      const astray = { ...second, previous: policyHash(third) };
      const beside = { ...second, quorum: 1 };
      const isDenied = async (document: Policy, name: string) => {
        const signed = await field.people.signPolicy(document);
        for (const party of field.parties)
          await denied(
            `${party} took a policy out of its chain`,
            field.ask(party, 'receivePolicy', { signed }),
            { code: 'PolicyViolation', field: name },
          );
      };
      // What the administrators took away by the second version would live on.
      await isDenied(third, 'version');
      await isDenied(astray, 'previous');
      await deliver(field, second);
      await isDenied(beside, 'document');
      await deliver(field, third);
    },
  },
];
