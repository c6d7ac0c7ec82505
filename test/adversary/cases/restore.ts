/** A party whose machine was put back to an older state, by whoever runs it or by the adversary. */
import { randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import type { AdministratorOrder } from '../../../schema/contracts/order.ts';
import type { PartyId } from '../../../schema/contracts/primitives.ts';
import { copyDatabase, copyMachine, putBack, putBackMachine } from '../../party/restore.ts';
import { again, besides, isRefused, isSigned, newWallet, payment, withAside } from '../tools.ts';
import { type Case, SOLANA_ONLY } from './case.ts';

export const restoreCases: readonly Case[] = [
  {
    id: 'restored-database',
    title:
      'has a line paid again by a party whose database was put back, before or after the order that lifts its fence',
    chains: SOLANA_ONLY,
    needs: 'aside',
    run: (field, kit) =>
      withAside(field, async ({ field: own, seat }) => {
        const [alpha, , gamma] = own.parties as [PartyId, PartyId, PartyId];
        const from = await newWallet(own, kit, 'restored');
        const { databaseUrl } = seat(alpha);
        const copy = await copyDatabase(databaseUrl);
        const paid = await payment(own, from, kit);
        await isSigned(own, paid);
        await seat(alpha).restart(() => putBack(databaseUrl, copy));
        // Alpha has forgotten the payment, and gamma never heard of it.
        const rival = besides(paid, { signers: [alpha, gamma] });
        await isRefused(own, rival, { code: 'PartyFenced', field: 'head', by: 'any' });
        const { fence } = await own.ask(alpha, 'health', undefined);
        const order = {
          kind: 'unfence',
          orderId: `order-${randomBytes(6).toString('hex')}`,
          party: alpha,
          issuedAt: new Date(Date.now() - 1_000).toISOString(),
          validUntil: new Date(Date.now() + 600_000).toISOString(),
          reason: 'the disk was replaced',
          chainEpoch: fence?.chainEpoch ?? 0,
        } as AdministratorOrder;
        await own.ask(alpha, 'order', { signed: await own.people.signOrder(order) });
        await isRefused(own, again(rival), { code: 'PartyFenced', field: 'issuedAt', by: 'any' });
        // What it may have signed can be made undone.
        await isSigned(own, again(paid, { purpose: 'void' }));
      }),
  },
  {
    id: 'rolled-back-machine',
    title:
      'goes on with a party whose whole machine was rolled back, beside one that saw what it has forgotten',
    chains: SOLANA_ONLY,
    needs: 'aside',
    run: (field, kit) =>
      withAside(field, async ({ field: own, seat }) => {
        const [alpha] = own.parties as [PartyId];
        const from = await newWallet(own, kit, 'rolled-back');
        const copy = await copyMachine(seat(alpha));
        try {
          await isSigned(own, await payment(own, from, kit));
          await seat(alpha).restart(() => putBackMachine(seat(alpha), copy));
        } finally {
          await rm(copy.folder, { recursive: true, force: true });
        }
        await isRefused(own, await payment(own, from, kit), {
          code: 'PartyFenced',
          field: 'head',
          by: 'any',
        });
      }),
  },
];
