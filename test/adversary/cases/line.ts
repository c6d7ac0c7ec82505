/** A second transaction for a line that was approved once. */
import { AttackSucceeded, CaseBroken } from '../field.ts';
import { again, drive, isRefused, isSigned, pair, payment, signatures, wallet } from '../tools.ts';
import { BOTH, type Case, SOLANA_ONLY } from './case.ts';

/** Races are lost by luck, too: so often. */
const RACES = 5;

export const lineCases: readonly Case[] = [
  {
    id: 'second-after-first',
    title: 'has a line paid a second time over other inputs, one after another',
    chains: BOTH,
    async run(field, kit) {
      const first = await payment(field, await wallet(field, kit), kit);
      await isSigned(field, first);
      // The very same bytes again are no second payment.
      await isSigned(field, again(first));
      const other = () => again(first, {}, kit.resource());
      await isRefused(field, other(), { code: 'ConflictRule' });
      await field.kill(field.parties[0] as never);
      await isRefused(field, other(), { code: 'ConflictRule' });
      // Every other signer set shares a party with the first one, and that party knows.
      const [a, b, c] = field.parties as [never, never, never];
      for (const signers of [
        [a, c],
        [b, c],
      ])
        await isRefused(field, again(first, { signers }, kit.resource()), {
          code: 'ConflictRule',
          by: 'any',
        });
    },
  },
  {
    id: 'another-line-number',
    title: 'has an intent paid again under another line number',
    chains: BOTH,
    async run(field, kit) {
      const first = await payment(field, await wallet(field, kit), kit);
      await isSigned(field, first);
      for (const line of [1, 499])
        await isRefused(field, again(first, { line: line as never }, kit.resource()), {
          code: 'InvalidInput',
          field: 'line',
        });
    },
  },
  {
    id: 'two-racing-sessions',
    title: 'has a line paid twice by sessions that race on two processes of each party',
    chains: BOTH,
    async run(field, kit) {
      const from = await wallet(field, kit);
      for (let race = 0; race < RACES; race++) {
        const first = await payment(field, from, kit);
        // The line is there already, as after an attempt that was given up.
        const given = again(first);
        await drive(field, given.request, { until: 0 });
        for (const party of pair(field)) {
          const { keyId, attempt } = given.request;
          await field.ask(party, 'abort', { keyId, attempt, reason: 'given up' });
        }
        const rivals = [first, again(first, {}, kit.resource())];
        const ends = await Promise.all(
          rivals.map((rival, instance) => drive(field, rival.request, { instance })),
        );
        const signed = ends.filter(
          ({ talk }, i) =>
            signatures(from.key, talk, rivals[i]?.built.messages ?? []) !== undefined,
        );
        if (signed.length > 1) throw new AttackSucceeded('two payments of one line');
        for (const { refusals } of ends)
          for (const { error } of refusals.values())
            if (!['ConflictRule', 'SessionSuperseded', 'SessionUnknown'].includes(error.code))
              throw new CaseBroken(`met ${error.code}: ${error.message}`);
      }
      await isSigned(field, await payment(field, from, kit));
    },
  },
  {
    id: 'payment-after-void',
    title: 'has a line paid after it was voided',
    chains: BOTH,
    async run(field, kit) {
      const from = await wallet(field, kit);
      const paid = await payment(field, from, kit);
      await isSigned(field, paid);
      await isSigned(field, again(paid, { purpose: 'void' }));
      // Over the same inputs, so that nothing but the void itself is in the way.
      await isRefused(field, again(paid), { code: 'LineClosed' });
      const never = await payment(field, from, kit);
      await isSigned(field, again(never, { purpose: 'void' }));
      await isRefused(field, never, { code: 'LineClosed' });
    },
  },
  {
    id: 'void-beside-payment',
    title: 'has a void signed that leaves the payment possible, and the line paid later',
    chains: BOTH,
    async run(field, kit) {
      const from = await wallet(field, kit);
      const paid = await payment(field, from, kit);
      await isSigned(field, paid);
      await isRefused(field, again(paid, { purpose: 'void' }, kit.resource()), {
        code: 'ConflictRule',
      });
      await isSigned(field, again(paid, { purpose: 'void' }));
    },
  },
  {
    id: 'void-that-pays',
    title: 'has somebody paid by what is called a void',
    chains: BOTH,
    async run(field, kit) {
      const from = await wallet(field, kit);
      const paid = await payment(field, from, kit);
      await isSigned(field, paid);
      const built = kit.build(from.key, {
        resource: paid.resource,
        payments: [{ to: kit.destination(), amount: 9_000_000n }],
      });
      const { unsigned } = built;
      const request = { ...again(paid, { purpose: 'void' }).request, unsigned };
      await isRefused(
        field,
        { ...paid, built, request },
        { code: 'TransactionMismatch', field: 'effects' },
      );
      await isSigned(field, again(paid, { purpose: 'void' }));
    },
  },
  {
    id: 'void-never-approved',
    title: 'has a void signed for an intent that nobody approved, to spend the wallet’s fees',
    chains: BOTH,
    async run(field, kit) {
      const from = await wallet(field, kit);
      const approved = await payment(field, from, kit);
      await isSigned(field, again(approved, { purpose: 'void' }));
      const unapproved = await payment(field, from, kit, { change: { approvals: [] } });
      await isRefused(field, again(unapproved, { purpose: 'void' }), { code: 'QuorumMissing' });
    },
  },
  {
    id: 'blockhash-for-nonce',
    title: 'has two payments signed that consume a recent blockhash in place of a nonce',
    chains: SOLANA_ONLY,
    async run(field, kit) {
      const from = await wallet(field, kit);
      await isSigned(field, await payment(field, from, kit));
      for (const advance of [true, false]) {
        const blockhash = { value: await field.recentBlockhash(), advance };
        await isRefused(field, await payment(field, from, kit, { plan: { blockhash } }), {
          code: 'NonceUnproven',
        });
      }
    },
  },
  {
    id: 'unproven-nonce',
    title: 'leaves out the proof, or proves another nonce, where a blockhash stands',
    chains: SOLANA_ONLY,
    async run(field, kit) {
      const from = await wallet(field, kit);
      const honest = await payment(field, from, kit);
      await isSigned(field, honest);
      const value = await field.recentBlockhash();
      const bad = await payment(field, from, kit, {
        plan: { blockhash: { value, advance: true } },
      });
      const { nonceProof: _, ...bare } = bad.built.unsigned;
      const proof = honest.built.unsigned.nonceProof;
      for (const unsigned of [bare, { ...bare, ...(proof ? { nonceProof: proof } : {}) }]) {
        const request = { ...bad.request, attempt: again(bad).request.attempt, unsigned };
        await isRefused(field, { ...bad, request }, { code: 'NonceUnproven' });
      }
    },
  },
  {
    id: 'harvested-payment',
    title: 'has a payment that the sagas made signed once more over other inputs',
    chains: BOTH,
    harvests: true,
    async run(field, kit) {
      if (field.harvest === undefined) throw new CaseBroken('there are no sagas here');
      const { payments, wallets } = await field.harvest();
      const request = payments.find((r) => r.intent.chain === kit.network);
      const made = wallets.find(({ key }) => key.keyId === request?.keyId);
      if (request === undefined || made === undefined)
        throw new CaseBroken('no saga of this chain has signed anything');
      const from = { ...made, attempt: '', policy: field.people.policy };
      await isSigned(field, await payment(field, from, kit));
      const { intent, signers } = request;
      const old = await payment(field, from, kit, { intent, change: { ...request, signers } });
      await isRefused(field, again(old, {}, kit.resource()), { code: 'ConflictRule' });
    },
  },
];
