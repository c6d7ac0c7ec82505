/** Presignatures: made ahead of time, each for one message. Whoever gets two answers with one has the key. */
import { randomUUID } from 'node:crypto';
import { AttackSucceeded, CaseBroken, type Field } from '../field.ts';
import {
  denied,
  drive,
  isRefused,
  isSigned,
  meets,
  nextRound,
  type Payment,
  payment,
  signersOf,
  type Wallet,
  wallet,
} from '../tools.ts';
import { ALL, type Case } from './case.ts';

/** A pack of the usual signers, as an honest coordinator has it made. */
async function pack(field: Field, { key }: Wallet, count = 3): Promise<string> {
  const attempt = randomUUID();
  const { talk, refusals } = await drive(field, {
    kind: 'presign',
    requestId: attempt,
    attempt,
    keyId: key.keyId,
    epoch: key.epoch,
    signers: signersOf(field),
    count,
    packExpiresAt: new Date(Date.now() + 3_600_000).toISOString(),
    policyHash: key.policyHash,
  } as never);
  const packId = talk.rounds.at(-1)?.[0]?.sessionId;
  if (refusals.size > 0 || packId === undefined) throw new CaseBroken('no pack was made');
  return packId;
}

/** As many of the pack as the payment has digests, from `index` on. */
const pooled = (of: Payment, packId: string, index: number): Payment => ({
  ...of,
  request: {
    ...of.request,
    pooled: of.built.messages.map((_, i) => ({ packId, index: index + i })),
  },
});

export const poolCases: readonly Case[] = [
  {
    id: 'presignature-twice',
    title: 'has two messages signed with one presignature',
    chains: ALL,
    async run(field, kit) {
      const from = await wallet(field, kit);
      const packId = await pack(field, from);
      await isSigned(field, pooled(await payment(field, from, kit), packId, 0));
      await isRefused(field, pooled(await payment(field, from, kit), packId, 0), {
        code: 'PresignatureUsed',
        field: 'pooled',
      });
    },
  },
  {
    id: 'presignature-after-abort',
    title: 'has a message signed with a presignature that an aborted session was shown',
    chains: ALL,
    async run(field, kit) {
      const from = await wallet(field, kit);
      const packId = await pack(field, from);
      await isSigned(field, pooled(await payment(field, from, kit), packId, 1));
      const begun = pooled(await payment(field, from, kit), packId, 0);
      await drive(field, begun.request, { until: 0 });
      const { keyId, attempt, signers } = begun.request;
      for (const party of signers)
        await field.ask(party, 'abort', { keyId, attempt, reason: 'given up' });
      for (const next of [begun, pooled(await payment(field, from, kit), packId, 0)])
        await isRefused(
          field,
          { ...next, request: { ...next.request, attempt: randomUUID() as never } },
          { code: 'PresignatureUsed', field: 'pooled' },
        );
    },
  },
  {
    id: 'presignatures-crossed',
    title: 'has each signer use another presignature for the same message',
    chains: ALL,
    async run(field, kit) {
      const from = await wallet(field, kit);
      const packId = await pack(field, from);
      await isSigned(field, pooled(await payment(field, from, kit), packId, 2));
      const paid = await payment(field, from, kit);
      const [first, second] = [pooled(paid, packId, 0), pooled(paid, packId, 1)];
      const [one, ...others] = signersOf(field);
      if (one === undefined) throw new Error('no signers');
      const prepared = [
        await field.ask(one, 'prepare', first.request),
        ...(await Promise.all(others.map((p) => field.ask(p, 'prepare', second.request)))),
      ];
      const talk = { request: first.request, prepared, rounds: [] };
      for (const party of [one, ...others])
        await denied('a share', field.ask(party, 'round', nextRound(party, talk)), {
          code: 'EnvelopeInvalid',
        });
    },
  },
  {
    id: 'presignature-of-others',
    title: 'has a presignature used by a signer set or for a key that it is not of',
    chains: ALL,
    async run(field, kit) {
      const from = await wallet(field, kit);
      const packId = await pack(field, from);
      await isSigned(field, pooled(await payment(field, from, kit), packId, 0));
      const signers = field.parties.slice(-signersOf(field).length);
      const by = await payment(field, from, kit, { change: { signers } });
      const outcome = await drive(field, pooled(by, packId, 1).request);
      if (outcome.refusals.size < signers.length) throw new AttackSucceeded('a signer took part');
      for (const { error } of outcome.refusals.values())
        meets(error, { code: 'PresignatureStale', field: 'pooled' });
    },
  },
];
