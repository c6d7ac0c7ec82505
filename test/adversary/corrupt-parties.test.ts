/**
 * Up to t − 1 corrupted parties together with the coordinator: the adversary has their shares, identity keys and code.
 * Threshold 2 of 3, so one of them; the honest ones are real parties on real databases.
 */
import { randomBytes } from 'node:crypto';
import { ed25519 } from '@noble/curves/ed25519.js';
import { secp256k1 } from '@noble/curves/secp256k1.js';
import { hexToBytes } from '@noble/hashes/utils.js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { equivocator } from '../../core/session/session.ts';
import { verifySigned } from '../../core/signed.ts';
import { createRegistry } from '../../mpc/index.ts';
import type { Envelope, PrepareSign } from '../../schema/contracts/party.ts';
import type { PartyId } from '../../schema/contracts/primitives.ts';
import { createEnvelopeCrypto } from '../../storage/party/hpke.ts';
import { startTestPostgres, type TestPostgres } from '../support/postgres.ts';
import { type Built, KITS, type Kit, type Resource } from './chains.ts';
import { corruptAnswer, openedBy, resigned, sealedTo, signedBy, stolenShare } from './corrupt.ts';
import { signBeside } from './corrupt-signing.ts';
import type { Field } from './field.ts';
import { type InProcess, startInProcess } from './in-process.ts';
import {
  again,
  ceremony,
  drive,
  intentOf,
  isRefused,
  isSigned,
  keygen,
  newWallet,
  nextRound,
  type Payment,
  payment,
  signatures,
  type Talk,
  type Wallet,
} from './tools.ts';

let server: TestPostgres;
let place: InProcess;
let field: Field;
let alpha: PartyId;
let beta: PartyId;
let gamma: PartyId;
beforeAll(async () => {
  server = await startTestPostgres();
  place = await startInProcess(server.stack.postgres.adminUrl);
  field = place.field;
  [alpha, beta, gamma] = field.parties as [PartyId, PartyId, PartyId];
}, 120_000);
afterAll(async () => {
  await place?.close();
  await server?.stop();
});

const seat = (party: PartyId) => place.seat(party);

/** An honest party and a corrupted one sign what the honest one takes for an honest request. */
const signWith = (
  honest: PartyId,
  corrupt: PartyId,
  wallet: Wallet,
  request: PrepareSign,
  built: Built,
) => signBeside(place, [honest], [corrupt], wallet, request, built);

describe.each([KITS.solana, KITS.bitcoin])('one corrupted party of 2-of-3 on $name', (kit: Kit) => {
  let wallet: Wallet;
  beforeAll(async () => {
    wallet = await newWallet(field, kit, `corrupt-${kit.name}`);
  });

  it('signs with an honest party what was approved, and nothing else', async () => {
    const signers = [alpha, gamma];
    const paid = await payment(field, wallet, kit, { change: { signers } });
    expect(await signWith(alpha, gamma, wallet, paid.request, paid.built)).toHaveLength(1);
    const stolen = await payment(field, wallet, kit, {
      change: { signers },
      plan: { payments: [{ to: kit.destination(), amount: 1_000_000n }] },
    });
    await expect(
      signWith(alpha, gamma, wallet, stolen.request, stolen.built),
    ).rejects.toMatchObject({ code: 'TransactionMismatch', details: { field: 'destination' } });
  });

  it('turns no share for an approved message into one for another', async () => {
    const signers = [alpha, gamma];
    const paid = await payment(field, wallet, kit, { change: { signers } });
    const other = kit.build(wallet.key, {
      resource: kit.resource(wallet.key),
      payments: [{ to: kit.destination(), amount: 2_000_000n }],
    });
    // Its own half is made for another message: the honest one stops at the first thing that says so.
    await expect(signWith(alpha, gamma, wallet, paid.request, other)).rejects.toMatchObject({
      code: 'ProtocolFault',
      details: { culprit: gamma },
    });
    // Both halves for the approved message, put together for the other one.
    const next = await payment(field, wallet, kit, { change: { signers } });
    const { talk } = await drive(field, next.request);
    expect(signatures(wallet.key, talk, next.built.messages)).toBeDefined();
    expect(signatures(wallet.key, talk, other.messages)).toBeUndefined();
  });

  it('does not make the key out of its share, nor open what others said in private', async () => {
    const made = await ceremony(field, keygen(field, kit, `read-${kit.name}`));
    const share = async (party: PartyId) =>
      (await stolenShare(seat(party), made.key.keyId)).slice(-32);
    const { Point } = kit.name === 'solana' ? ed25519 : secp256k1;
    const publicOf = (secret: bigint): string => {
      const bytes = Point.BASE.multiply(secret).toBytes(true);
      return Buffer.from(kit.name === 'solana' ? bytes : bytes.slice(1)).toString('hex');
    };
    const { Fn } = Point;
    const scalar = async (party: PartyId) => Fn.fromBytes(await share(party));
    // The control: with t shares the very same arithmetic gives the key (Lagrange at 0 for indices 1 and 2).
    const both = Fn.sub(Fn.mul(2n, await scalar(alpha)), await scalar(beta));
    expect(publicOf(both)).toBe(made.key.publicKey);
    for (const guess of [await scalar(gamma), Fn.mul(3n, await scalar(gamma))])
      expect(publicOf(guess)).not.toBe(made.key.publicKey);

    const between = made.talk.rounds
      .flat()
      .flatMap((a) => a.outbox)
      .filter((e) => e.enc !== undefined && e.from === alpha && e.to === beta);
    expect(between.length).toBeGreaterThan(0);
    const crypto = createEnvelopeCrypto();
    // Whatever the corrupted party's keys derive to: its identity, its key store's key, its share.
    const keys = [seat(gamma).identitySeed, seat(gamma).keyStoreMasterKey, await share(gamma)];
    for (const secret of keys) {
      const pair = await crypto.deriveKeyPair(secret);
      for (const e of between)
        await expect(openedBy(pair, e)).rejects.toMatchObject({ code: 'EnvelopeInvalid' });
    }
    // What is sent in the clear holds no party's share.
    const said = JSON.stringify(made.talk);
    for (const party of [alpha, beta])
      expect(said).not.toContain(Buffer.from(await share(party)).toString('hex'));
  });

  describe('spoils no key without being named', () => {
    const begin = async (until: number) => {
      const request = keygen(field, kit, `spoilt-${kit.name}-${randomBytes(4).toString('hex')}`);
      const { talk, refusals } = await drive(field, request, { until });
      expect(refusals.size).toBe(0);
      return { request, talk };
    };
    const asked = (party: PartyId, talk: Talk, change: (e: Envelope) => Envelope) => {
      const next = nextRound(party, talk);
      return { ...next, inbox: next.inbox.map((e) => (e.from === gamma ? change(e) : e)) };
    };

    it('by a share that its commitments do not give', async () => {
      const { talk } = await begin(2);
      const next = nextRound(alpha, talk);
      const inbox = await Promise.all(
        next.inbox.map(async (e) => {
          if (e.from !== gamma || e.enc === undefined) return e;
          const first = talk.rounds[0]?.flatMap((a) => a.outbox).find((o) => o.from === gamma);
          const context = (first?.body ?? '').slice(8, 72);
          // Format 1, kind 2 (keygen share), from 3 to 1, the ceremony's context, and a scalar of its own.
          const body = hexToBytes(`01020301${context}${'01'.repeat(32)}`);
          return resigned(seat(gamma), e, await sealedTo(talk.prepared, e, body));
        }),
      );
      await expect(field.ask(alpha, 'round', { ...next, inbox })).rejects.toMatchObject({
        code: 'ProtocolFault',
        details: { culprit: gamma },
      });
    });

    it('by a private message that does not open', async () => {
      const { talk } = await begin(2);
      const garbage = (e: Envelope) =>
        e.enc === undefined ? e : resigned(seat(gamma), e, { body: 'ab'.repeat(80) as never });
      await expect(field.ask(alpha, 'round', asked(alpha, talk, garbage))).rejects.toMatchObject({
        code: 'ProtocolFault',
        details: { culprit: gamma },
      });
    });

    it('by passing on as its own what another one said in private', async () => {
      const { talk } = await begin(2);
      const { inbox } = nextRound(alpha, talk);
      const theirs = inbox.find(({ from, enc }) => from === beta && enc !== undefined);
      const copied = (e: Envelope) =>
        e.enc === undefined
          ? e
          : resigned(seat(gamma), e, { enc: theirs?.enc as never, body: theirs?.body as never });
      await expect(field.ask(alpha, 'round', asked(alpha, talk, copied))).rejects.toMatchObject({
        code: 'ProtocolFault',
        details: { culprit: gamma, field: 'body' },
      });
    });

    it('by telling two parties two stories', async () => {
      const { request, talk } = await begin(1);
      const one = asked(alpha, talk, (e) => e);
      // Another commitment of the same shape, from another ceremony of the same party.
      const second = await begin(1);
      const body = nextRound(beta, second.talk).inbox.find((e) => e.from === gamma)?.body ?? '';
      const original = one.inbox.find((e) => e.from === gamma) as Envelope;
      const context = original.body.slice(0, 72);
      const told = (e: Envelope) =>
        resigned(seat(gamma), e, { body: `${context}${body.slice(72)}` as never });
      const two = asked(beta, talk, told);
      const toAlpha = await field.ask(alpha, 'round', one);
      const outcome = await field.ask(beta, 'round', two).then(
        (answer) => ({ answer }),
        (error: unknown) => ({ error }),
      );
      if ('error' in outcome)
        expect(outcome.error).toMatchObject({ code: 'ProtocolFault', details: { culprit: gamma } });
      else {
        const rounds = [...talk.rounds, [toAlpha, outcome.answer]];
        const next = nextRound(alpha, { request, prepared: talk.prepared, rounds });
        await expect(field.ask(alpha, 'round', next)).rejects.toMatchObject({
          code: 'EnvelopeInvalid',
        });
      }
      // Two signed broadcasts of one round: whoever sees both has the proof.
      expect(equivocator(one.inbox, two.inbox)).toBe(gamma);
    });

    it('by a wrong share of the test signature', async () => {
      const { talk } = await begin(5);
      const wrong = (e: Envelope) => resigned(seat(gamma), e, { body: flipped(e.body) as never });
      await expect(field.ask(alpha, 'round', asked(alpha, talk, wrong))).rejects.toMatchObject({
        code: 'ProtocolFault',
        details: { culprit: gamma },
      });
    });

    it('by a wrong share of a payment, which the aggregate names', async () => {
      const signers = [alpha, gamma];
      const paid = await payment(field, wallet, kit, { change: { signers } });
      const { talk } = await drive(field, paid.request);
      const rounds = talk.rounds.map(
        (answers, i) =>
          new Map(
            answers
              .flatMap((a) => a.outbox)
              .map((e): [number, Uint8Array] => [
                wallet.key.parties.indexOf(e.from) + 1,
                hexToBytes(i === 1 && e.from === gamma ? flipped(e.body) : e.body),
              ]),
          ),
      );
      const combine = () =>
        createRegistry()
          .get(kit.protocol)
          .aggregate({
            threshold: 2,
            parties: 3,
            publicPackage: hexToBytes(wallet.key.publicPackage),
            signers: [1, 3],
            messages: paid.built.messages,
            rounds,
          });
      expect(combine).toThrow(
        expect.objectContaining({
          code: 'ProtocolFault',
          details: expect.objectContaining({ culprit: '3' }),
        }),
      );
    });

    it('by a certificate of another key', async () => {
      const made = await ceremony(field, keygen(field, kit, `sworn-${kit.name}`));
      const certificates = made.certificates.map((signed) => {
        if (signed.certificate.party !== gamma) return signed;
        const certificate = { ...signed.certificate, address: kit.destination() };
        return { certificate, signature: signedBy(seat(gamma), 'certificate', certificate) };
      });
      const { attempt } = made;
      const { keyId } = made.key;
      await expect(
        field.ask(alpha, 'activate', { keyId, attempt, certificates }),
      ).rejects.toMatchObject({
        code: 'CertificateInvalid',
        details: { culprit: gamma, field: 'address' },
      });
    });

    it('by swearing never after its certificate: an active share stays, and both words bear its signature', async () => {
      const { key, attempt, certificates } = wallet;
      const body = { party: gamma, attempt, keyId: key.keyId, at: new Date().toISOString() };
      const never = { never: body, signature: signedBy(seat(gamma), 'never', body) };
      for (const party of [alpha, beta])
        expect(
          await field.ask(party, 'destroy', { keyId: key.keyId, attempt, never }),
        ).toMatchObject({ outcome: 'kept' });
      expect(certificates.map((c) => c.certificate.party)).toContain(gamma);
      await isSigned(field, await payment(field, wallet, kit));
    });
  });

  it('undoes a share before its activation by swearing never after its certificate, and is convicted by its two words', async () => {
    const made = await ceremony(field, keygen(field, kit, `undone-${kit.name}`));
    const { keyId } = made.key;
    const { attempt, certificates } = made;
    const body = { party: gamma, attempt, keyId, at: new Date().toISOString() };
    const never = { never: body, signature: signedBy(seat(gamma), 'never', body) };
    await field.ask(beta, 'activate', { keyId, attempt, certificates });
    expect(await field.ask(alpha, 'destroy', { keyId, attempt, never })).toMatchObject({
      outcome: 'destroyed',
    });
    expect(await field.ask(beta, 'destroy', { keyId, attempt, never })).toMatchObject({
      outcome: 'kept',
    });
    const identity = field.directory.get(gamma) ?? '';
    const sworn = certificates.find((c) => c.certificate.party === gamma);
    expect(sworn?.certificate.attempt).toBe(never.never.attempt);
    expect(verifySigned('certificate', sworn?.certificate, identity, sworn?.signature ?? '')).toBe(
      true,
    );
    expect(verifySigned('never', never.never, identity, never.signature)).toBe(true);
  });

  it('fences no honest party with a head that this one never signed', async () => {
    const signers = [alpha, gamma];
    const paid = await payment(field, wallet, kit, { change: { signers } });
    const own = await field.ask(alpha, 'prepare', paid.request);
    const other = await corruptAnswer(seat(gamma), paid.request, own.answer);
    const head = { ...own.answer.head.head, sequence: own.answer.head.head.sequence + 1_000 };
    const forged = { head, signature: signedBy(seat(gamma), 'head', head) };
    const answer = { ...other.answer, witnessed: [forged] } as typeof other.answer;
    const told = { answer, signature: signedBy(seat(gamma), 'prepare-answer', answer) };
    const { keyId, attempt } = paid.request;
    const begin = { keyId, attempt, round: 1, prepared: [own, told], inbox: [] };
    await expect(field.ask(alpha, 'round', begin)).rejects.toMatchObject({
      code: 'EnvelopeInvalid',
      details: { culprit: gamma, field: 'witnessed' },
    });
    expect(await field.ask(alpha, 'health', undefined)).toMatchObject({ fenced: false });
    await isSigned(field, await payment(field, wallet, kit));
  });

  describe('an approved line', () => {
    /** The same line over another resource, by the signers given. */
    const rival = (
      of: Payment,
      signers: PartyId[],
      resource: Resource = kit.resource(wallet.key),
    ) => again(of, { signers }, resource);

    it('is paid at most once while fewer than 2t − n parties are corrupted: here none', async () => {
      for (const first of [
        [alpha, beta],
        [alpha, gamma],
        [beta, gamma],
      ]) {
        const paid = await payment(field, wallet, kit, { change: { signers: first } });
        await isSigned(field, paid);
        for (const second of [
          [alpha, beta],
          [alpha, gamma],
          [beta, gamma],
        ])
          await isRefused(field, rival(paid, second), { code: 'ConflictRule', by: 'any' });
      }
    });

    it('is paid twice when 2t − n are corrupted: beta signs with alpha, then with gamma, who know nothing of each other', async () => {
      const paid = await payment(field, wallet, kit, { change: { signers: [alpha, beta] } });
      const one = await signWith(alpha, beta, wallet, paid.request, paid.built);
      const twin = rival(paid, [beta, gamma]);
      const two = await signWith(gamma, beta, wallet, twin.request, twin.built);
      // Two valid transactions that do not conflict. This is what SECURITY.md says is not prevented without an anchor.
      expect(one).toHaveLength(1);
      expect(two).toHaveLength(1);
    });

    it('of an anchored intent is paid at most once, whoever is corrupted below t', async () => {
      const resource = kit.resource(wallet.key);
      const intent = intentOf(wallet, kit, { anchor: resource.anchor });
      const paid = await payment(field, wallet, kit, {
        intent,
        plan: { resource },
        change: { signers: [alpha, beta] },
      });
      expect(await signWith(alpha, beta, wallet, paid.request, paid.built)).toHaveLength(1);
      const twin = rival(paid, [beta, gamma]);
      await expect(signWith(gamma, beta, wallet, twin.request, twin.built)).rejects.toMatchObject({
        code: 'TransactionMismatch',
        details: { field: 'anchor' },
      });
      // Over the anchor gamma signs as well: that transaction and the first exclude each other on chain.
      const same = rival(paid, [beta, gamma], resource);
      expect(await signWith(gamma, beta, wallet, same.request, same.built)).toHaveLength(1);
    });
  });
});

/** Another share that still decodes: its lowest bit. Ed25519 scalars are little-endian, BIP-340's big-endian. */
const flipped = (body: string): string => {
  const bytes = Buffer.from(body, 'hex');
  const at = bytes.length - 16;
  bytes[at] = (bytes[at] ?? 0) ^ 1;
  return bytes.toString('hex');
};
