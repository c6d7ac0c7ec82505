/**
 * ECDSA keys at real parties: generated, activated and used over their databases and envelopes; and a peer that cheats in
 * an oblivious transfer, whom a second try would teach a bit of the other's secret: it is barred for the key.
 */
import { randomBytes } from 'node:crypto';
import { secp256k1 } from '@noble/curves/secp256k1.js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { codecFor } from '../../chains/registry.ts';
import { envelopeBody } from '../../core/session/envelopes.ts';
import { echoOf, sessionId } from '../../core/session/session.ts';
import { bytesToHex, digestHex, hexToBytes } from '../../core/signed.ts';
import { requestBytes } from '../../mpc/dkls23/multiplication.ts';
import { createCeremonies, createRegistry } from '../../mpc/index.ts';
import { canonicalJson } from '../../schema/contracts/canonical.ts';
import type { KeyDescriptor } from '../../schema/contracts/key.ts';
import type {
  Envelope,
  PrepareSign,
  RoundRequest,
  SignedPrepareAnswer,
} from '../../schema/contracts/party.ts';
import type { PartyId } from '../../schema/contracts/primitives.ts';
import { createEnvelopeCrypto } from '../../storage/party/hpke.ts';
import { signedBy, stolenShare } from '../adversary/corrupt.ts';
import { etherPayment, someAccount } from '../support/ethereum-plans.ts';
import {
  ETHEREUM,
  generateKey,
  intentFor,
  keygenRequest,
  route,
  signRequest,
} from '../support/parties.ts';
import { type Rig, startRig } from './rig.ts';

let rig: Rig;
let alpha: PartyId;
let beta: PartyId;
let gamma: PartyId;
let key: KeyDescriptor;
const codec = codecFor(ETHEREUM);
const ceremonies = createCeremonies(createRegistry());
const protocol = createRegistry().get('dkls23');

const freshKey = async (): Promise<KeyDescriptor> =>
  (
    await generateKey(
      rig.table,
      keygenRequest(rig.cast, `ether-${randomBytes(4).toString('hex')}`, ETHEREUM, 'dkls23'),
    )
  ).key;

beforeAll(async () => {
  rig = await startRig();
  [alpha, beta, gamma] = rig.parties;
  key = await freshKey();
}, 120_000);
afterAll(() => rig?.stop());

let nonce = 0n;
const pay = (signers: readonly PartyId[], of = key): PrepareSign => {
  const destination = someAccount();
  const intent = intentFor(of, destination, '1000');
  return signRequest(rig.cast, of, intent, etherPayment(of, nonce++, destination, 1_000n), signers);
};
const indexOf = (party: string): number => key.parties.indexOf(party as PartyId) + 1;

/** Routes a payment to its end, combines the shares and has the chain's codec verify the signature. */
async function signed(request: PrepareSign, of = key): Promise<void> {
  const { rounds } = await route(rig.table, request);
  expect(rounds).toHaveLength(3);
  const publicKey = hexToBytes(of.publicKey);
  const signatures = protocol.aggregate({
    threshold: of.threshold,
    parties: of.parties.length,
    publicPackage: hexToBytes(of.publicPackage),
    signers: request.signers.map(indexOf),
    messages: codec.messages(request.unsigned, publicKey),
    rounds: rounds.map(
      (answers) =>
        new Map(
          answers
            .flatMap((answer) => answer.outbox)
            .filter(({ to }) => to === '*')
            .map((envelope) => [indexOf(envelope.from), hexToBytes(envelope.body)]),
        ),
    ),
  });
  expect(codec.attach(request.unsigned, publicKey, signatures).id).toMatch(/^0x[0-9a-f]{64}$/);
}

/** What beta says in round 1 when it runs a machine of its own on its share; `change` spoils its private message to alpha. */
async function saidByBeta(
  request: PrepareSign,
  prepared: readonly SignedPrepareAnswer[],
  change: (body: Uint8Array) => void,
): Promise<Envelope[]> {
  const seat = rig.seat(beta);
  const id = sessionId({
    requestHash: digestHex('prepare-request', request),
    attempt: request.attempt,
    signers: request.signers,
    prepared,
  });
  const machine = ceremonies.sign(
    'dkls23',
    {
      index: indexOf(beta),
      threshold: key.threshold,
      parties: key.parties.length,
      sessionId: hexToBytes(id),
      share: await stolenShare(seat, key.keyId),
      publicPackage: hexToBytes(key.publicPackage),
      signers: request.signers.map(indexOf),
      messages: codec.messages(request.unsigned, hexToBytes(key.publicKey)),
    },
    randomBytes(32),
    { version: ceremonies.describe('dkls23', 'sign').version, entries: [] },
  );
  const receiver = prepared.find(({ answer }) => answer.party === alpha)?.answer.hpkePublicKey;
  const { outbox } = machine.round(1, []);
  machine.dispose();
  return Promise.all(
    outbox.map(async ({ to, body }) => {
      const header = {
        sessionId: id,
        keyId: key.keyId,
        epoch: key.epoch,
        round: 1,
        from: beta,
        to: to === 'all' ? ('*' as const) : alpha,
      };
      const echo = echoOf([]);
      if (to === 'all') return resign({ ...header, body: bytesToHex(body), echo });
      const spoilt = body.slice();
      change(spoilt);
      const encode = (text: string) => new TextEncoder().encode(text);
      const sealed = await createEnvelopeCrypto().seal(
        hexToBytes(receiver ?? ''),
        spoilt,
        encode('keysaga/private-envelope/v1'),
        encode(canonicalJson(header)),
      );
      return resign({
        ...header,
        enc: bytesToHex(sealed.enc),
        body: bytesToHex(sealed.ciphertext),
        echo,
      });
    }),
  );
}
const resign = (unsigned: Omit<Envelope, 'signature'>): Envelope => ({
  ...unsigned,
  signature: signedBy(
    rig.seat(beta),
    'envelope',
    envelopeBody({ ...unsigned, signature: '' } as Envelope),
  ) as never,
});

/** Alpha's second round after beta said the above in the first. */
async function secondRound(
  request: PrepareSign,
  change: (body: Uint8Array) => void,
): Promise<RoundRequest> {
  const { keyId, attempt } = request;
  const prepared = await Promise.all(request.signers.map((p) => rig.party(p).prepare(request)));
  await rig.party(alpha).round({ keyId, attempt, round: 1, prepared, inbox: [] });
  return { keyId, attempt, round: 2, inbox: await saidByBeta(request, prepared, change) };
}

const HEADER = 4 + 32;
const bars = () =>
  rig.sql(alpha, `select peer, epoch, attempt::text from bars where key_id = '${key.keyId}'`);

describe('an ECDSA key at three parties', () => {
  it('has the address of its key, the test signature of the ceremony, and signs with each pair', async () => {
    expect(key.protocol).toBe('dkls23');
    expect(secp256k1.Point.fromHex(key.publicKey).toBytes(true)).toHaveLength(33);
    expect(codec.address(hexToBytes(key.publicKey))).toBe(key.address);
    for (const signers of [
      [alpha, beta],
      [alpha, gamma],
      [beta, gamma],
    ])
      await signed(pay(signers));
  }, 60_000);

  it('is rebuilt from the sealed seed when the process dies between two rounds', async () => {
    const request = pay([alpha, gamma]);
    const { rounds } = await route(rig.table, request, { until: 1 });
    await rig.seat(alpha).replace(0);
    const before = rounds.flat().flatMap(({ outbox }) => outbox);
    const { keyId, attempt } = request;
    const answer = await rig.party(alpha).round({
      keyId,
      attempt,
      round: 2,
      inbox: before.filter(({ from, to }) => from !== alpha && (to === '*' || to === alpha)),
    });
    expect(answer.outbox.map(({ to }) => to)).toEqual(['*', gamma]);
  }, 60_000);
});

// Last: alpha signs no more with beta for this key.
describe('a peer that cheats in the oblivious transfers', () => {
  it('is barred in the commit that records the failure: no further try with it, others go on', async () => {
    // The control: the same machine, unspoilt, is taken.
    const fair = await rig.party(alpha).round(await secondRound(pay([alpha, beta]), () => {}));
    expect(fair.outbox).toHaveLength(2);
    expect(await bars()).toEqual([]);

    const request = pay([alpha, beta]);
    const cheat = await secondRound(request, (body) => {
      // The last column of the extension's check: a guess of one of alpha's secret bits, wrong half of the time; this
      // one is wrong in every row.
      for (let at = HEADER + requestBytes(1) - 16; at < HEADER + requestBytes(1); at++)
        body[at] = ~(body[at] ?? 0) & 0xff;
    });
    await expect(rig.party(alpha).round(cheat)).rejects.toMatchObject({
      code: 'ProtocolFault',
      details: { culprit: beta },
    });
    expect(await bars()).toEqual([{ peer: beta, epoch: 0, attempt: request.attempt }]);
    // The answer is final: the same request, and another one in its place, meet a closed session.
    await expect(rig.party(alpha).round(cheat)).rejects.toMatchObject({ code: 'ProtocolFault' });

    await expect(rig.party(alpha).prepare(pay([alpha, beta]))).rejects.toMatchObject({
      code: 'PeerBarred',
      details: { culprit: beta, field: 'signers' },
    });
    await rig.seat(alpha).replace(0);
    await expect(rig.party(alpha).prepare(pay([alpha, beta]))).rejects.toMatchObject({
      code: 'PeerBarred',
    });
    await signed(pay([alpha, gamma]));
    await signed(pay([beta, gamma]));
    const other = await freshKey();
    await signed(pay([alpha, beta], other), other);
  }, 120_000);
});
