/** Transactions that do not pay the list that was approved. */
import { randomUUID } from 'node:crypto';
import { sumOf } from '../../../core/payout.ts';
import { policyHash } from '../../../core/policy.ts';
import type { PreparePayout } from '../../../schema/contracts/party.ts';
import type { PayoutIntent, PayoutLine } from '../../../schema/contracts/payout.ts';
import type { Built, Kit } from '../chains.ts';
import type { Field } from '../field.ts';
import { intentOf, refused, signersOf, signs, type Wallet, wallet } from '../tools.ts';
import { type Case, OUTPUTS } from './case.ts';

const list = (kit: Kit): PayoutLine[] =>
  ['300000', '300000', '400000'].map((amount) => ({ destination: kit.destination(), amount }));

/** An approved list, and a transaction that pays `paid`; the list itself by default. */
async function payout(
  field: Field,
  from: Wallet,
  kit: Kit,
  alter: (lines: readonly PayoutLine[]) => readonly PayoutLine[] = (lines) => lines,
): Promise<{ readonly built: Built; readonly request: PreparePayout }> {
  const { destination: _, amount: __, ...frame } = intentOf(from, kit);
  const lines = list(kit);
  const intent = { ...frame, lines, total: sumOf(lines) } as PayoutIntent;
  const { key } = from;
  const built = kit.build(key, {
    resource: kit.resource(key),
    payments: alter(lines).map(({ destination, amount }) => ({
      to: destination,
      amount: BigInt(amount),
    })),
  });
  const request = {
    kind: 'payout',
    requestId: intent.requestId,
    attempt: randomUUID(),
    keyId: key.keyId,
    epoch: key.epoch,
    purpose: 'payment',
    signers: signersOf(field),
    intent,
    approvals: await field.people.decide(intent, field.people.approvers.slice(0, 2)),
    policyHash: policyHash(from.policy),
    unsigned: built.unsigned,
  } as PreparePayout;
  return { built, request };
}

/** The list is paid as approved; altered it is not. */
async function attack(
  field: Field,
  kit: Kit,
  alter: (lines: readonly PayoutLine[]) => readonly PayoutLine[],
  name: string,
): Promise<void> {
  const from = await wallet(field, kit);
  const honest = await payout(field, from, kit);
  await signs(field, from, honest.built, honest.request);
  const altered = await payout(field, from, kit, alter);
  await refused(field, from, altered.built, altered.request, {
    code: 'TransactionMismatch',
    field: name,
  });
}

const change = (line: PayoutLine | undefined, patch: Partial<PayoutLine>): PayoutLine =>
  ({ ...line, ...patch }) as PayoutLine;

export const payoutCases: readonly Case[] = [
  {
    id: 'payout-line-elsewhere',
    title: 'has one line of a payout paid to somebody else, or to another line’s payee',
    chains: OUTPUTS,
    async run(field, kit) {
      const stranger = kit.destination();
      for (const to of [() => stranger, (lines: readonly PayoutLine[]) => lines[0]?.destination])
        await attack(
          field,
          kit,
          (lines) => lines.with(1, change(lines[1], { destination: to(lines) as string })),
          'lines[1].destination',
        );
    },
  },
  {
    id: 'payout-amounts-moved',
    title: 'has one line of a payout paid more at another’s expense',
    chains: OUTPUTS,
    run: (field, kit) =>
      attack(
        field,
        kit,
        (lines) => [
          change(lines[0], { amount: '200000' }),
          change(lines[1], { amount: '400000' }),
          ...lines.slice(2),
        ],
        'lines[0].amount',
      ),
  },
  {
    id: 'payout-line-left-out',
    title: 'has a line of a payout left out, or somebody paid beside the list',
    chains: OUTPUTS,
    async run(field, kit) {
      await attack(field, kit, (lines) => lines.slice(0, -1), 'effects');
      const more = { destination: kit.destination(), amount: '5000' };
      await attack(field, kit, (lines) => [...lines, more], 'effects');
    },
  },
];
