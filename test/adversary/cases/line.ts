/** A second transaction for a line that was approved once. */
import type { PartyId } from '../../../schema/contracts/primitives.ts';
import type { Kit } from '../chains.ts';
import { AttackSucceeded, CaseBroken, type Field, type Way } from '../field.ts';
import {
  again,
  besides,
  drive,
  isRefused,
  isSigned,
  type Outcome,
  payment,
  signatures,
  signersOf,
  type Wallet,
  wallet,
} from '../tools.ts';
import { ALL, BOTH, type Case, SOLANA_ONLY } from './case.ts';

/** Races are lost by luck, too: so often, and more until both processes of each signer had a part in one. */
const RACES = 5;
const RACES_MS = 90_000;

/**
 * Two sessions of one line at once, each on a process of its own where one can be chosen; answers with how many were
 * signed. `kill`: a process of each signer that dies between round 1 and round 2 of both.
 */
async function race(
  field: Field,
  kit: Kit,
  from: Wallet,
  { kill, heard }: Pick<Way, 'heard'> & { readonly kill?: number },
): Promise<number> {
  const first = await payment(field, from, kit);
  // The line is there already, as after an attempt that was given up.
  const given = again(first);
  await drive(field, given.request, { until: 0 });
  for (const party of signersOf(field)) {
    const { keyId, attempt } = given.request;
    await field.ask(party, 'abort', { keyId, attempt, reason: 'given up' });
  }
  const rivals = [first, besides(first)];
  const run = (until: { readonly until?: number }, begun: readonly (Outcome | undefined)[] = []) =>
    Promise.all(
      rivals.map(async ({ request }, instance) => {
        const before = begun[instance];
        if (before !== undefined && before.refusals.size > 0) return before;
        const from = before === undefined ? {} : { from: before.talk };
        return drive(field, request, { instance, heard, ...until, ...from });
      }),
    );
  let ends = await run(kill === undefined ? {} : { until: 1 });
  if (kill !== undefined && ends.some(({ refusals }) => refusals.size === 0)) {
    await Promise.all(signersOf(field).map((party) => field.kill(party, kill)));
    ends = await run({}, ends);
  }
  const signed = ends.filter(
    ({ talk }, i) => signatures(from.key, talk, rivals[i]?.built.messages ?? []) !== undefined,
  );
  if (signed.length > 1) throw new AttackSucceeded('two payments of one line');
  for (const { refusals } of ends)
    for (const { error } of refusals.values())
      if (!['ConflictRule', 'SessionSuperseded', 'SessionUnknown'].includes(error.code))
        throw new CaseBroken(`met ${error.code}: ${error.message}`);
  return signed.length;
}

export const lineCases: readonly Case[] = [
  {
    id: 'second-after-first',
    title: 'has a line paid a second time over other inputs, one after another',
    chains: ALL,
    async run(field, kit) {
      const first = await payment(field, await wallet(field, kit), kit);
      await isSigned(field, first);
      // The very same bytes again are no second payment.
      await isSigned(field, again(first));
      await isRefused(field, besides(first), { code: 'ConflictRule' });
      for (const instance of [0, 1]) {
        await field.kill(field.parties[0] as never, instance);
        await isRefused(field, besides(first), { code: 'ConflictRule' });
      }
      // Every other signer set shares a party with the first one, and that party knows.
      const [a, b, c] = field.parties as [never, never, never];
      for (const signers of [
        [a, c],
        [b, c],
      ])
        await isRefused(field, besides(first, { signers }), {
          code: 'ConflictRule',
          by: 'any',
        });
    },
  },
  {
    id: 'another-line-number',
    title: 'has an intent paid again under another line number',
    chains: ALL,
    async run(field, kit) {
      const first = await payment(field, await wallet(field, kit), kit);
      await isSigned(field, first);
      for (const line of [1, 499])
        await isRefused(field, besides(first, { line: line as never }), {
          code: 'InvalidInput',
          field: 'line',
        });
    },
  },
  {
    id: 'two-racing-sessions',
    title: 'has a line paid twice by sessions that race on two processes of each party',
    chains: ALL,
    async run(field, kit) {
      const from = await wallet(field, kit);
      const signers = signersOf(field);
      const deadline = Date.now() + RACES_MS;
      // Who had both processes at work in one race.
      const apart = new Set<PartyId>();
      for (let races = 0; races < RACES || apart.size < signers.length; races++) {
        if (races >= RACES && Date.now() > deadline)
          throw new CaseBroken('one process of a party did all the work');
        const processes = new Map(signers.map((party) => [party, new Set<string>()]));
        await race(field, kit, from, {
          heard: (party, process) => processes.get(party)?.add(process),
        });
        for (const [party, names] of processes) if (names.size > 1) apart.add(party);
      }
      await isSigned(field, await payment(field, from, kit));
    },
  },
  {
    id: 'killed-race',
    title: 'has a line paid twice by sessions that race while processes die between their rounds',
    chains: BOTH,
    async run(field, kit) {
      const from = await wallet(field, kit);
      const deadline = Date.now() + RACES_MS;
      for (const kill of [0, 1]) {
        // Until one of the two got through round 1, lost a process of each signer, and was signed all the same.
        while ((await race(field, kit, from, { kill })) === 0)
          if (Date.now() > deadline) throw new CaseBroken('no session outlived the kill');
      }
    },
  },
  {
    id: 'payment-after-void',
    title: 'has a line paid after it was voided',
    chains: ALL,
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
    chains: ALL,
    async run(field, kit) {
      const from = await wallet(field, kit);
      const paid = await payment(field, from, kit);
      await isSigned(field, paid);
      await isRefused(field, besides(paid, { purpose: 'void' }), {
        code: 'ConflictRule',
      });
      await isSigned(field, again(paid, { purpose: 'void' }));
    },
  },
  {
    id: 'void-that-pays',
    title: 'has somebody paid by what is called a void',
    chains: ALL,
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
    id: 'void-above-its-cap',
    title: 'has the wallet’s money spent on the fee of a void',
    chains: ALL,
    async run(field, kit) {
      const paid = await payment(field, await wallet(field, kit), kit);
      await isSigned(field, paid);
      const voided = (units: bigint) =>
        again(paid, { purpose: 'void' }, paid.resource, units * kit.unit);
      await isRefused(field, voided(101_000n), { code: 'FeeAboveCap', field: 'fee' });
      await isSigned(field, voided(100_000n));
    },
  },
  {
    id: 'void-never-approved',
    title: 'has a void signed for an intent that nobody approved, to spend the wallet’s fees',
    chains: ALL,
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
    needs: 'harvest',
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
      await isRefused(field, besides(old), { code: 'ConflictRule' });
    },
  },
];
