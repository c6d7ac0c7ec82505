/** Transactions that are not what was approved. */
import {
  intentOf,
  isRefused,
  isSigned,
  newWallet,
  payment,
  underPolicy,
  wallet,
} from '../tools.ts';
import { BOTH, type Case } from './case.ts';

const AMOUNT = 1_000_000n;

export const bytesCases: readonly Case[] = [
  {
    id: 'another-destination',
    title: 'has another destination paid than was approved',
    chains: BOTH,
    async run(field, kit) {
      const from = await wallet(field, kit);
      await isSigned(field, await payment(field, from, kit));
      const payments = [{ to: kit.destination(), amount: AMOUNT }];
      await isRefused(field, await payment(field, from, kit, { plan: { payments } }), {
        code: 'TransactionMismatch',
        field: 'destination',
      });
    },
  },
  {
    id: 'larger-amount',
    title: 'has a larger amount paid than was approved',
    chains: BOTH,
    async run(field, kit) {
      const from = await wallet(field, kit);
      await isSigned(field, await payment(field, from, kit));
      const intent = intentOf(from, kit);
      const payments = [{ to: intent.destination, amount: AMOUNT + 1n }];
      await isRefused(field, await payment(field, from, kit, { intent, plan: { payments } }), {
        code: 'TransactionMismatch',
        field: 'amount',
      });
    },
  },
  {
    id: 'higher-fee',
    title: 'has a higher fee paid than was approved',
    chains: BOTH,
    async run(field, kit) {
      const from = await wallet(field, kit);
      await isSigned(field, await payment(field, from, kit, { plan: { fee: 50_000n } }));
      await isRefused(field, await payment(field, from, kit, { plan: { fee: 60_000n } }), {
        code: 'FeeAboveCap',
        field: 'fee',
      });
    },
  },
  {
    id: 'fee-beyond-a-void',
    title: 'has a fee paid that no void could outbid',
    chains: BOTH,
    async run(field, kit) {
      const from = await wallet(field, kit);
      const intent = intentOf(from, kit, { feeCap: '1000000' });
      await isSigned(field, await payment(field, from, kit, { intent, plan: { fee: 80_000n } }));
      const another = intentOf(from, kit, { feeCap: '1000000' });
      await isRefused(
        field,
        await payment(field, from, kit, { intent: another, plan: { fee: 81_000n } }),
        { code: 'FeeAboveCap', field: 'fee' },
      );
    },
  },
  {
    id: 'extra-payment',
    title: 'has a second payment added to the approved one',
    chains: BOTH,
    async run(field, kit) {
      const from = await wallet(field, kit);
      await isSigned(field, await payment(field, from, kit));
      const intent = intentOf(from, kit);
      const approved = { to: intent.destination, amount: AMOUNT };
      const payments = [approved, { to: kit.destination(), amount: 5_000n }];
      for (const order of [payments, [...payments].reverse()])
        await isRefused(
          field,
          await payment(field, from, kit, { intent, plan: { payments: order } }),
          { code: 'TransactionMismatch', field: 'effects' },
        );
    },
  },
  {
    id: 'extra-instruction',
    title: 'has an instruction or output added that no intent can name',
    chains: BOTH,
    async run(field, kit) {
      const from = await wallet(field, kit);
      await isSigned(field, await payment(field, from, kit));
      const extra = kit.name === 'solana' ? 'foreign' : 'data';
      await isRefused(field, await payment(field, from, kit, { plan: { extra } }), {
        code: 'TransactionMismatch',
        field: 'effects',
      });
    },
  },
  {
    id: 'another-wallets-intent',
    title: 'has one wallet pay what was approved for another',
    chains: BOTH,
    async run(field, kit) {
      const from = await wallet(field, kit);
      const other = await wallet(field, kit, 'other');
      await isSigned(field, await payment(field, other, kit));
      const intent = intentOf(other, kit);
      const asked = await payment(field, from, kit, { intent });
      await isRefused(field, asked, { code: 'TransactionMismatch', field: 'walletId' });
    },
  },
  {
    id: 'another-networks-intent',
    title: 'has a key of one network sign what was approved for another network',
    chains: BOTH,
    async run(field, kit) {
      const from = await wallet(field, kit);
      await isSigned(field, await payment(field, from, kit));
      const elsewhere =
        kit.name === 'solana'
          ? 'solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp'
          : 'bip122:000000000019d6689c085ae165831e93';
      const intent = intentOf(from, kit, { chain: elsewhere as never });
      await isRefused(field, await payment(field, from, kit, { intent }), {
        code: 'TransactionMismatch',
        field: 'chain',
      });
    },
  },
  {
    id: 'above-the-limit',
    title: 'has more paid than the policy allows, at once or in a day',
    chains: BOTH,
    async run(field, kit) {
      const { policy } = await underPolicy(field, `limited-${kit.name}`, {
        limits: field.people.policy.limits.map((limit) => ({
          ...limit,
          perTransfer: '1000000' as never,
          perDay: '1500000' as never,
        })),
      });
      const from = await newWallet(field, kit, `limited-${kit.name}`, policy);
      await isSigned(field, await payment(field, from, kit));
      const large = intentOf(from, kit, { amount: '1000001' as never });
      await isRefused(field, await payment(field, from, kit, { intent: large }), {
        code: 'LimitExceeded',
      });
      await isRefused(field, await payment(field, from, kit), { code: 'LimitExceeded' });
    },
  },
  {
    id: 'beside-the-anchor',
    title: 'has an anchored intent paid without its anchor',
    chains: BOTH,
    async run(field, kit) {
      const from = await wallet(field, kit);
      const anchored = async () => {
        const resource = kit.resource();
        return { resource, intent: intentOf(from, kit, { anchor: resource.anchor }) };
      };
      const { intent, resource } = await anchored();
      await isSigned(field, await payment(field, from, kit, { intent, plan: { resource } }));
      await isRefused(
        field,
        await payment(field, from, kit, { intent: (await anchored()).intent }),
        {
          code: 'TransactionMismatch',
          field: 'anchor',
        },
      );
    },
  },
  {
    id: 'without-the-demanded-anchor',
    title: 'has a large amount paid without the anchor that the policy demands',
    chains: BOTH,
    async run(field, kit) {
      const { policy } = await underPolicy(field, `anchored-${kit.name}`, {
        limits: field.people.policy.limits.map((limit) => ({
          ...limit,
          anchorFrom: '1000000' as never,
        })),
      });
      const from = await newWallet(field, kit, `anchored-${kit.name}`, policy);
      const resource = kit.resource();
      const intent = intentOf(from, kit, { anchor: resource.anchor });
      await isSigned(field, await payment(field, from, kit, { intent, plan: { resource } }));
      await isRefused(field, await payment(field, from, kit), {
        code: 'PolicyViolation',
        field: 'anchor',
      });
    },
  },
  {
    id: 'outside-the-allow-list',
    title: 'has somebody paid whom the policy does not allow',
    chains: BOTH,
    async run(field, kit) {
      const allowed = kit.destination();
      const { policy } = await underPolicy(field, `listed-${kit.name}`, {
        allowList: [{ network: kit.network, destination: allowed }] as never,
      });
      const from = await newWallet(field, kit, `listed-${kit.name}`, policy);
      const intent = intentOf(from, kit, { destination: allowed });
      await isSigned(field, await payment(field, from, kit, { intent }));
      await isRefused(field, await payment(field, from, kit), {
        code: 'PolicyViolation',
        field: 'destination',
      });
    },
  },
  {
    id: 'before-the-start-delay',
    title: 'has an intent paid before the delay that the policy leaves for objections',
    chains: BOTH,
    async run(field, kit) {
      const { policy } = await underPolicy(field, `delayed-${kit.name}`, {
        startDelaySeconds: 600,
      });
      const from = await newWallet(field, kit, `delayed-${kit.name}`, policy);
      const approvers = field.people.approvers.slice(0, 2);
      const approvedAt = async (at: number) => {
        const intent = intentOf(from, kit);
        const approvals = await field.people.decide(intent, approvers, { at });
        return payment(field, from, kit, { intent, change: { approvals } });
      };
      await isSigned(field, await approvedAt(Date.now() - 660_000));
      await isRefused(field, await approvedAt(Date.now() - 500_000), {
        code: 'PolicyViolation',
        field: 'startDelaySeconds',
      });
    },
  },
];
