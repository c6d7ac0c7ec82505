/** Digests of its own, rounds played again, envelopes forged and swapped. */
import { randomBytes, randomUUID } from 'node:crypto';
import { hexToBytes } from '@noble/hashes/utils.js';
import { RawPSBTV0 } from '@scure/btc-signer/psbt.js';
import { activationBytes } from '../../../core/activation.ts';
import { createRegistry } from '../../../mpc/index.ts';
import { canonicalJson, signedBytes } from '../../../schema/contracts/canonical.ts';
import type { Envelope, RoundAnswer } from '../../../schema/contracts/party.ts';
import type { PartyId } from '../../../schema/contracts/primitives.ts';
import { identityFromSeed } from '../../../storage/party/identity.ts';
import type { Kit } from '../chains.ts';
import { AttackSucceeded, CaseBroken, type Field } from '../field.ts';
import {
  ceremony,
  denied,
  drive,
  isRefused,
  isSigned,
  keygen,
  meets,
  nextRound,
  payment,
  refused,
  type Talk,
  unheard,
  wallet,
} from '../tools.ts';
import { ALL, BOTH, type Case, OUTPUTS } from './case.ts';

/** Header of a body between parties (36 bytes) and the number of commitments (2). */
const COMMITMENTS_AT = 38;

/** Other commitments that decode as well: hiding and binding change places. */
function exchanged(body: string, kit: Kit): string {
  const bytes = Buffer.from(body, 'hex');
  const [from, size] = [COMMITMENTS_AT, kit.pointBytes];
  const hiding = Buffer.from(bytes.subarray(from, from + size));
  bytes.copy(bytes, from, from + size, from + 2 * size);
  hiding.copy(bytes, from + size);
  return bytes.toString('hex');
}

/** An honest payment, as far as round 1. */
async function begun(field: Field, kit: Kit) {
  const from = await wallet(field, kit);
  const paid = await payment(field, from, kit);
  const { talk, refusals } = await drive(field, paid.request, { until: 1 });
  if (refusals.size > 0) throw new CaseBroken('an honest session did not begin');
  return { from, paid, talk };
}

/** The session goes on as if nothing had been tried. */
async function goesOn(field: Field, { from, paid, talk }: Awaited<ReturnType<typeof begun>>) {
  const { refusals } = await drive(field, paid.request, { from: talk });
  for (const { error } of refusals.values())
    throw new CaseBroken(`the session did not survive: ${error.code}`);
  await isSigned(field, await payment(field, from, paid.kit));
}

/** A key ceremony as far as the private messages of its second round. */
async function ceremonyUntilPrivate(field: Field, kit: Kit): Promise<Talk> {
  const request = keygen(field, kit, `private-${randomBytes(4).toString('hex')}`);
  const { talk, refusals } = await drive(field, request, { until: 2 });
  if (refusals.size > 0) throw new CaseBroken('an honest ceremony did not begin');
  return talk;
}

/** The ceremony goes on to its certificates as if nothing had been tried. */
async function endsWell(field: Field, talk: Talk): Promise<void> {
  const { refusals } = await drive(field, talk.request, { from: talk });
  for (const { error } of refusals.values())
    throw new CaseBroken(`the ceremony did not survive: ${error.code}`);
}

/** The aggregate of the test signature in a ceremony's last two broadcasts, over a message of the adversary's. */
function testSignature(
  { key, talk }: Awaited<ReturnType<typeof ceremony>>,
  message: Uint8Array,
): boolean {
  const protocol = createRegistry().get(key.protocol);
  const { keygen: rounds } = protocol.metadata.rounds;
  const said = (answers: readonly RoundAnswer[]) =>
    new Map(
      answers.map((a) => {
        const broadcast = a.outbox.find((e) => e.to === '*');
        const from = key.parties.indexOf(broadcast?.from as never) + 1;
        return [from, hexToBytes(broadcast?.body ?? '')];
      }),
    );
  try {
    const [signature] = protocol.aggregate({
      threshold: key.threshold,
      parties: key.parties.length,
      publicPackage: hexToBytes(key.publicPackage),
      signers: key.parties.map((_, i) => i + 1),
      messages: [message],
      rounds: [talk.rounds[rounds - 3] ?? [], talk.rounds[rounds - 2] ?? []].map(said),
    });
    return (
      signature !== undefined && protocol.verify(hexToBytes(key.publicKey), message, signature)
    );
  } catch {
    return false;
  }
}

export const messageCases: readonly Case[] = [
  {
    id: 'activation-message',
    title: 'has a message of its own signed as the test of a new key',
    chains: BOTH,
    async run(field, kit) {
      const name = () => `test-${randomBytes(4).toString('hex')}`;
      const honest = await ceremony(field, keygen(field, kit, name()));
      const { keyId, epoch, transcriptHash } = honest.key;
      const own = createRegistry()
        .get(kit.protocol)
        .activationMessage(activationBytes(keyId, epoch, hexToBytes(transcriptHash)));
      if (!testSignature(honest, own)) throw new CaseBroken('the honest test was not signed');
      const message = randomBytes(32);
      const request = { ...keygen(field, kit, name()), message: message.toString('hex') };
      const asked = await drive(field, request);
      if (asked.refusals.size === 0) {
        const key = asked.talk.rounds.at(-1)?.[0]?.keygen?.key;
        const signed = key && testSignature({ ...honest, key, talk: asked.talk }, message);
        throw new AttackSucceeded(signed ? 'a signature of its message' : 'the parties took it');
      }
      for (const { error } of asked.refusals.values()) meets(error, { code: 'InvalidInput' });
      // And as a payment of an active key: the test's bytes are no transaction.
      const from = await wallet(field, kit);
      const paid = await payment(field, from, kit);
      const unsigned = { ...paid.built.unsigned, bytes: Buffer.from(own).toString('hex') };
      await isRefused(
        field,
        { ...paid, request: { ...paid.request, unsigned } as never },
        { code: 'TransactionMalformed' },
      );
    },
  },
  {
    id: 'second-ceremony-of-a-key',
    title: 'has a key made anew under the id of an active one, or for another network',
    chains: BOTH,
    async run(field, kit) {
      const from = await wallet(field, kit);
      await isSigned(field, await payment(field, from, kit));
      const request = keygen(field, kit, from.key.keyId);
      for (const party of field.parties)
        await denied(`${party} began it`, field.ask(party, 'prepare', request), {
          code: 'StateConflict',
        });
      await isSigned(field, await payment(field, from, kit));
    },
  },
  {
    id: 'digest-of-its-choice',
    title: 'has a digest signed that it names itself',
    chains: ALL,
    async run(field, kit) {
      const from = await wallet(field, kit);
      const paid = await payment(field, from, kit);
      await isSigned(field, paid);
      const digest = randomBytes(32);
      const next = await payment(field, from, kit);
      const unsigned = { ...next.built.unsigned, digest: digest.toString('hex') };
      const request = { ...next.request, unsigned };
      await refused(field, from, { ...next.built, messages: [digest] }, request, {
        code: 'InvalidInput',
      });
      const bare = { ...next.built.unsigned, bytes: digest.toString('hex') as never };
      const request2 = { ...next.request, attempt: randomUUID() as never, unsigned: bare };
      await refused(field, from, { unsigned: bare, messages: [digest] }, request2, {
        code: 'TransactionMalformed',
      });
    },
  },
  {
    id: 'digest-that-binds-less',
    title: 'has a digest signed that leaves the outputs open',
    chains: OUTPUTS,
    async run(field, kit) {
      const from = await wallet(field, kit);
      const paid = await payment(field, from, kit);
      await isSigned(field, paid);
      const next = await payment(field, from, kit);
      const psbt = RawPSBTV0.decode(hexToBytes(next.built.unsigned.bytes));
      // PSBT_IN_SIGHASH_TYPE: NONE | ANYONECANPAY.
      for (const input of psbt.inputs) input.sighashType = 0x82;
      const open = Buffer.from(RawPSBTV0.encode(psbt)).toString('hex');
      const unsigned = { ...next.built.unsigned, bytes: open as never };
      await isRefused(
        field,
        { ...next, request: { ...next.request, unsigned } },
        { code: 'TransactionMalformed', field: 'bytes' },
      );
    },
  },
  {
    id: 'changed-inbox',
    title: 'plays a round again with a changed inbox, to see two answers of one nonce',
    chains: BOTH,
    async run(field, kit) {
      const session = await begun(field, kit);
      const [alpha, beta] = session.paid.request.signers as [never, never];
      const answers = new Set<string>();
      const honest = nextRound(alpha, session.talk);
      const ask = async (inbox: readonly Envelope[]) => {
        const answer = await field.ask(alpha, 'round', { ...honest, inbox });
        answers.add(JSON.stringify(answer.outbox));
        if (answers.size > 1) throw new AttackSucceeded('two answers to one round');
      };
      await Promise.all(Array.from({ length: 4 }, () => ask(honest.inbox)));
      const changed: Envelope[][] = [
        [],
        [...honest.inbox, ...honest.inbox],
        honest.inbox.map((e) => ({ ...e, body: exchanged(e.body, kit) as never })),
        honest.inbox.map((e) => ({ ...e, from: alpha })),
      ];
      for (const inbox of changed)
        await ask(inbox).then(
          () => {
            throw new AttackSucceeded('an answer to a changed inbox');
          },
          (error) => meets(error, { code: ['EnvelopeInvalid', 'RoundConflict'] }),
        );
      await ask(honest.inbox);
      const talk: Talk = { ...session.talk };
      const closing = await field.ask(beta, 'round', nextRound(beta, talk));
      if (!closing.done) throw new CaseBroken('the other signer did not finish');
    },
  },
  {
    id: 'rounds-out-of-order',
    title: 'asks for the last round first, or for one that does not exist',
    chains: BOTH,
    async run(field, kit) {
      const session = await begun(field, kit);
      const from = session.from;
      const early = await payment(field, from, kit);
      await drive(field, early.request, { until: 0 });
      const [alpha] = early.request.signers as [never];
      const last = { ...nextRound(alpha, session.talk), attempt: early.request.attempt };
      await denied('a share before the commitments', field.ask(alpha, 'round', last), {
        code: 'RoundOutOfOrder',
      });
      const beyond = { ...nextRound(alpha, session.talk), round: 3 };
      await denied('a round that does not exist', field.ask(alpha, 'round', beyond), {
        code: ['RoundOutOfOrder', 'EnvelopeInvalid'],
      });
      await goesOn(field, session);
    },
  },
  {
    id: 'forged-envelope',
    title: 'speaks in the name of a party',
    chains: BOTH,
    async run(field, kit) {
      const session = await begun(field, kit);
      const [alpha] = session.paid.request.signers as [never];
      const asked = nextRound(alpha, session.talk);
      const own = identityFromSeed(randomBytes(32));
      const forgeries = [
        (e: Envelope) => ({ ...e, body: exchanged(e.body, kit) }),
        (e: Envelope) => {
          const { signature: _, ...body } = { ...e, body: exchanged(e.body, kit) };
          return { ...body, signature: own.sign(signedBytes('envelope', body)) };
        },
      ];
      for (const forge of forgeries)
        await denied(
          'a share for commitments that no party made',
          field.ask(alpha, 'round', { ...asked, inbox: asked.inbox.map(forge) }),
          { code: 'EnvelopeInvalid', field: 'signature' },
        );
      await goesOn(field, session);
    },
  },
  {
    id: 'forged-prepare-answer',
    title: 'puts an encryption key of its own into a party’s answer, to read private messages',
    chains: BOTH,
    async run(field, kit) {
      const id = `read-${randomBytes(4).toString('hex')}`;
      const request = keygen(field, kit, id);
      const { talk } = await drive(field, request, { until: 0 });
      const [alpha] = request.signers as [never];
      const asked = nextRound(alpha, talk);
      const prepared = talk.prepared.map((p) =>
        p.answer.party === alpha
          ? p
          : { ...p, answer: { ...p.answer, hpkePublicKey: randomBytes(32).toString('hex') } },
      );
      await denied(
        'a ceremony under the adversary’s encryption keys',
        field.ask(alpha, 'round', { ...asked, prepared }),
        { code: 'EnvelopeInvalid', field: 'signature' },
      );
      const honest = await drive(field, request, { from: talk });
      if (honest.refusals.size > 0) throw new CaseBroken('the honest ceremony did not end');
    },
  },
  {
    id: 'swapped-envelope',
    title: 'delivers what a party said in another session',
    chains: BOTH,
    async run(field, kit) {
      const one = await begun(field, kit);
      const two = await begun(field, kit);
      const [alpha] = one.paid.request.signers as [never];
      const asked = nextRound(alpha, one.talk);
      const { inbox } = nextRound(alpha, two.talk);
      await denied(
        'a share for the commitments of another session',
        field.ask(alpha, 'round', { ...asked, inbox }),
        { code: 'EnvelopeInvalid', field: 'sessionId' },
      );
      await goesOn(field, one);
      await goesOn(field, two);
    },
  },
  {
    id: 'envelope-for-another',
    title: 'brings a party what another one was told in private',
    chains: BOTH,
    async run(field, kit) {
      const ceremony = await ceremonyUntilPrivate(field, kit);
      const [alpha, beta, gamma] = field.parties as [PartyId, PartyId, PartyId];
      const asked = nextRound(alpha, ceremony);
      const [theirs] = nextRound(gamma, ceremony).inbox.filter(({ from }) => from === beta);
      if (theirs?.enc === undefined) throw new CaseBroken('nothing was said in private');
      const relabelled = { ...theirs, to: alpha };
      for (const [other, name] of [
        [theirs, 'to'],
        [relabelled, 'signature'],
      ] as const) {
        const inbox = asked.inbox.map((e) => (e.from === beta ? other : e));
        await unheard(field.ask(alpha, 'round', { ...asked, inbox }), name);
      }
      await endsWell(field, ceremony);
    },
  },
  {
    id: 'envelope-of-another-round',
    title: 'delivers what a party said in another round',
    chains: BOTH,
    async run(field, kit) {
      const { keygen: last } = createRegistry().get(kit.protocol).metadata.rounds;
      const request = keygen(field, kit, `late-${randomBytes(4).toString('hex')}`);
      const { talk } = await drive(field, request, { until: last - 1 });
      const [alpha, beta] = field.parties as [PartyId, PartyId];
      const asked = nextRound(alpha, talk);
      // The round before the last two was one of broadcasts as well.
      const earlier = talk.rounds[last - 3]?.flatMap(({ outbox }) => outbox) ?? [];
      const inbox = asked.inbox.map((e) =>
        e.from === beta ? (earlier.find(({ from }) => from === beta) ?? e) : e,
      );
      await unheard(field.ask(alpha, 'round', { ...asked, inbox }), 'round');
      await endsWell(field, talk);
    },
  },
  {
    id: 'reordered-inbox',
    title: 'shuffles a round, to see two answers to it or to end an honest ceremony',
    chains: BOTH,
    async run(field, kit) {
      const ceremony = await ceremonyUntilPrivate(field, kit);
      const [alpha] = field.parties as [PartyId];
      const asked = nextRound(alpha, ceremony);
      if (asked.inbox.length < 2) throw new CaseBroken('there is nothing to shuffle');
      const shuffled = { ...asked, inbox: [...asked.inbox].reverse() };
      // At once on both processes, and once more each.
      const answers = await Promise.all(
        [asked, shuffled, asked, shuffled].map((request, instance) =>
          field.ask(alpha, 'round', request, { instance }).catch((error: unknown) => {
            meets(error, { code: 'RoundConflict' });
            throw new AttackSucceeded('the order of delivery ended a ceremony');
          }),
        ),
      );
      if (new Set(answers.map((answer) => canonicalJson(answer))).size > 1)
        throw new AttackSucceeded('two answers to one round');
      const rest = await Promise.all(
        field.parties
          .slice(1)
          .map((party) => field.ask(party, 'round', nextRound(party, ceremony))),
      );
      const [own] = answers as [RoundAnswer];
      await endsWell(field, { ...ceremony, rounds: [...ceremony.rounds, [own, ...rest]] });
    },
  },
  {
    id: 'swapped-prepare-answer',
    title: 'begins a session with what a party answered to another request',
    chains: BOTH,
    async run(field, kit) {
      const from = await wallet(field, kit);
      await isSigned(field, await payment(field, from, kit));
      const prepared = async () => {
        const paid = await payment(field, from, kit);
        return (await drive(field, paid.request, { until: 0 })).talk;
      };
      const [one, two] = [await prepared(), await prepared()];
      const [alpha] = one.request.signers as [never];
      const swapped = [one.prepared[0], two.prepared[1]];
      await denied(
        'a session in which the signers mean different requests',
        field.ask(alpha, 'round', { ...nextRound(alpha, one), prepared: swapped }),
        { code: 'EnvelopeInvalid', field: 'attempt' },
      );
    },
  },
];
