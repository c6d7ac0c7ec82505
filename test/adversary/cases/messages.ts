/** Digests of its own, rounds played again, envelopes forged and swapped. */
import { randomBytes, randomUUID } from 'node:crypto';
import { hexToBytes } from '@noble/hashes/utils.js';
import { activationBytes } from '../../../core/activation.ts';
import { createRegistry } from '../../../mpc/index.ts';
import { signedBytes } from '../../../schema/contracts/canonical.ts';
import type { Envelope, RoundAnswer } from '../../../schema/contracts/party.ts';
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
  wallet,
} from '../tools.ts';
import { BITCOIN_ONLY, BOTH, type Case } from './case.ts';

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
    chains: BOTH,
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
    chains: BITCOIN_ONLY,
    async run(field, kit) {
      const from = await wallet(field, kit);
      const paid = await payment(field, from, kit);
      await isSigned(field, paid);
      const next = await payment(field, from, kit);
      // PSBT_IN_SIGHASH_TYPE (key 0x03): NONE | ANYONECANPAY, after the input's witness UTXO.
      const utxo = '01012b';
      const { bytes } = next.built.unsigned;
      const at = bytes.indexOf(utxo) + utxo.length + 2 * 0x2b;
      const open = `${bytes.slice(0, at)}01030482000000${bytes.slice(at)}`;
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
    title: 'delivers what a party said in another session, or to another party',
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
