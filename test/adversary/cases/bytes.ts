/** Transactions that are not what was approved. */
import {
  type Expected,
  intentOf,
  isRefused,
  isSigned,
  newWallet,
  payment,
  underPolicy,
  wallet,
} from '../tools.ts';
import { ALL, BOTH, type Case } from './case.ts';

const AMOUNT = 1_000_000n;

export const bytesCases: readonly Case[] = [
  {
    id: 'another-destination',
    title: 'has another destination paid than was approved',
    chains: ALL,
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
    chains: ALL,
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
    chains: ALL,
    async run(field, kit) {
      const from = await wallet(field, kit);
      const fee = (units: bigint) => ({ plan: { fee: units * kit.unit } });
      await isSigned(field, await payment(field, from, kit, fee(50_000n)));
      await isRefused(field, await payment(field, from, kit, fee(60_000n)), {
        code: 'FeeAboveCap',
        field: 'fee',
      });
    },
  },
  {
    id: 'fee-beyond-a-void',
    title: 'has a fee paid that no void could outbid',
    chains: ALL,
    async run(field, kit) {
      const from = await wallet(field, kit);
      const withFee = (units: bigint) =>
        payment(field, from, kit, {
          intent: intentOf(from, kit, { feeCap: `${1_000_000n * kit.unit}` }),
          plan: { fee: units * kit.unit },
        });
      await isSigned(field, await withFee(80_000n));
      await isRefused(field, await withFee(81_000n), { code: 'FeeAboveCap', field: 'fee' });
    },
  },
  {
    id: 'extra-payment',
    title: 'has a second payment added to the approved one',
    chains: [...BOTH, 'segwit'],
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
    title: 'has an instruction, output, call or access list added that no intent can name',
    chains: ALL,
    async run(field, kit) {
      const from = await wallet(field, kit);
      await isSigned(field, await payment(field, from, kit));
      // What an Ethereum transaction does beside paying is refused before it is called an effect.
      const expected: Expected =
        kit.name === 'ethereum'
          ? { code: 'TransactionMalformed', field: 'bytes' }
          : { code: 'TransactionMismatch', field: 'effects' };
      for (const extra of kit.extras)
        await isRefused(field, await payment(field, from, kit, { plan: { extra } }), expected);
    },
  },
  {
    id: 'another-wallets-intent',
    title: 'has one wallet pay what was approved for another',
    chains: ALL,
    async run(field, kit) {
      const from = await wallet(field, kit);
      // A second DKLs23 key takes its time, and the other wallet's name is all that matters.
      const other =
        kit.protocol === 'dkls23'
          ? { ...from, key: { ...from.key, walletId: 'another' as never } }
          : await wallet(field, kit, 'other');
      await isSigned(field, await payment(field, kit.protocol === 'dkls23' ? from : other, kit));
      const intent = intentOf(other, kit);
      const asked = await payment(field, from, kit, { intent });
      await isRefused(field, asked, { code: 'TransactionMismatch', field: 'walletId' });
    },
  },
  {
    id: 'another-networks-intent',
    title: 'has a key of one network sign what was approved for another network',
    chains: ALL,
    async run(field, kit) {
      const from = await wallet(field, kit);
      await isSigned(field, await payment(field, from, kit));
      const intent = intentOf(from, kit, { chain: kit.elsewhere as never });
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
    chains: ALL,
    async run(field, kit) {
      const from = await wallet(field, kit);
      const anchored = async () => {
        const resource = kit.resource(from.key);
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
      const resource = kit.resource(from.key);
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
