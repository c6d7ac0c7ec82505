/**
 * ECDSA keys at real parties: generated, activated and used over their databases and envelopes; and a peer that cheats in
 * an oblivious transfer, whom a second try would teach a bit of the other's secret: it is barred for the key.
 */
import { randomBytes } from 'node:crypto';
import { secp256k1 } from '@noble/curves/secp256k1.js';
import { type Hex, verifyMessage, verifyTypedData } from 'viem';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { codecFor } from '../../chains/registry.ts';
import { messageDigest } from '../../core/messages/intent.ts';
import { envelopeBody } from '../../core/session/envelopes.ts';
import { echoOf, sessionId } from '../../core/session/session.ts';
import { bytesToHex, digestHex, hexToBytes } from '../../core/signed.ts';
import { requestBytes } from '../../mpc/dkls23/multiplication.ts';
import { createCeremonies, createRegistry } from '../../mpc/index.ts';
import { erc20Asset } from '../../schema/contracts/asset.ts';
import { canonicalJson } from '../../schema/contracts/canonical.ts';
import type { KeyDescriptor } from '../../schema/contracts/key.ts';
import type { SignableMessage } from '../../schema/contracts/message.ts';
import type {
  Envelope,
  PrepareMessage,
  PrepareSign,
  RoundRequest,
  SignedPrepareAnswer,
} from '../../schema/contracts/party.ts';
import type { Policy } from '../../schema/contracts/policy.ts';
import type { PartyId } from '../../schema/contracts/primitives.ts';
import { createEnvelopeCrypto } from '../../storage/party/hpke.ts';
import { signedBy, stolenShare } from '../adversary/corrupt.ts';
import { etherPayment, someAccount } from '../support/ethereum-plans.ts';
import {
  approve,
  BITCOIN,
  castOf,
  ETHEREUM,
  generateKey,
  intentFor,
  keygenRequest,
  messageIntentFor,
  messageRequest,
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

const freshKey = async (): Promise<KeyDescriptor> =>
  (
    await generateKey(
      rig.table,
      keygenRequest(rig.cast, `ether-${randomBytes(4).toString('hex')}`, ETHEREUM, 'dkls23'),
    )
  ).key;

/** A token of which a permit may let others take something, and a type that moves nothing. */
const TOKEN = '0xde709f2102306220921060314715629080e2fb77';
const TOKEN_ASSET = erc20Asset(ETHEREUM, TOKEN);
const cast = castOf(3, {
  limits: [
    ...castOf(3).policy.limits,
    { network: ETHEREUM, asset: TOKEN_ASSET, perTransfer: '1000', perDay: '1500' },
  ] as Policy['limits'],
  typedData: ['Permit', 'Vote'].map((type) => ({
    network: ETHEREUM,
    contract: TOKEN,
    type,
  })) as Policy['typedData'] & {},
});

beforeAll(async () => {
  // One instance each: what a second one would have to compute again every round takes minutes.
  rig = await startRig({ cast, instances: 1 });
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

/** Routes a request to its end and combines the shares. */
async function combined(
  request: PrepareSign | PrepareMessage,
  messages: readonly Uint8Array[],
  of = key,
): Promise<readonly Uint8Array[]> {
  const { rounds } = await route(rig.table, request);
  return createRegistry()
    .get(of.protocol)
    .aggregate({
      threshold: of.threshold,
      parties: of.parties.length,
      publicPackage: hexToBytes(of.publicPackage),
      signers: request.signers.map(indexOf),
      messages,
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
}
/** The chain's codec verifies the signature of the payment. */
async function signed(request: PrepareSign, of = key): Promise<void> {
  const publicKey = hexToBytes(of.publicKey);
  const messages = codec.messages(request.unsigned, publicKey);
  const signatures = await combined(request, messages, of);
  expect(codec.attach(request.unsigned, publicKey, signatures).id).toMatch(/^0x[0-9a-f]{64}$/);
}
/** The signature of a message, as its verifiers take it. */
async function signedMessage(request: PrepareMessage, of = key): Promise<string> {
  const publicKey = hexToBytes(of.publicKey);
  const chain = codecFor(of.network);
  const digest = messageDigest(request.intent.message, chain, publicKey);
  const [signature] = await combined(request, [digest], of);
  return chain.message?.attach(digest, publicKey, signature ?? new Uint8Array()) ?? '';
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

describe('messages', () => {
  const text = (words: string): SignableMessage => ({ kind: 'eip191', text: words });
  const ask = (message: SignableMessage, change: Partial<PrepareMessage> = {}) =>
    messageRequest(rig.cast, key, message, [alpha, beta], change);
  const typed = (primaryType: string, members: readonly [string, string][], message: object) => ({
    types: { [primaryType]: members.map(([name, type]) => ({ name, type })) },
    primaryType,
    domain: { name: 'Token', chainId: 31337, verifyingContract: TOKEN as Hex },
    message,
  });
  const permit = (value: string) =>
    typed(
      'Permit',
      [
        ['owner', 'address'],
        ['spender', 'address'],
        ['value', 'uint256'],
        ['nonce', 'uint256'],
        ['deadline', 'uint256'],
      ],
      { owner: key.address, spender: someAccount(), value, nonce: '0', deadline: '99999999999' },
    );
  const json = (data: object): SignableMessage => ({ kind: 'eip712', json: JSON.stringify(data) });
  const refused = async (request: PrepareMessage, code: string, field?: string) => {
    for (const party of [alpha, beta])
      await expect(rig.party(party).prepare(request)).rejects.toMatchObject({
        code,
        ...(field === undefined ? {} : { details: { field } }),
      });
  };
  const spent = () =>
    rig.sql<{ amount: string; state: string }>(
      alpha,
      `select amount, state from spent where key_id = '${key.keyId}' and asset = '${TOKEN_ASSET}' order by at`,
    );

  it('are signed as their verifiers take them: EIP-191, EIP-712, BIP-322', async () => {
    const address = key.address as Hex;
    const words = text('Log in\nto the exchange');
    const signature = (await signedMessage(ask(words))) as Hex;
    const message = 'Log in\nto the exchange';
    expect(await verifyMessage({ address, message, signature })).toBe(true);

    const vote = typed('Vote', [['yes', 'bool']], { yes: true });
    const voted = (await signedMessage(ask(json(vote)))) as Hex;
    expect(await verifyTypedData({ address, ...vote, signature: voted } as never)).toBe(true);

    const { key: taproot } = await generateKey(
      rig.table,
      keygenRequest(rig.cast, 'reserves', BITCOIN, 'frost-bip340'),
    );
    const request = messageRequest(rig.cast, taproot, { kind: 'bip322', text: 'reserves' }, [
      alpha,
      beta,
    ]);
    // One witness item of 64 bytes, verified by `attach` under the key of the address.
    expect(Buffer.from(await signedMessage(request, taproot), 'base64')).toHaveLength(66);
    await refused(
      messageRequest(rig.cast, taproot, text('x'), [alpha, beta]),
      'TransactionMismatch',
      'message.kind',
    );
  }, 60_000);

  it('need the quorum’s approvals of this very message, under the policy in force; a rejection binds', async () => {
    const intent = messageIntentFor(key, text('once'));
    await refused(ask(text('once'), { approvals: [] }), 'QuorumMissing', 'approvals');
    const other = rig.cast.approvers
      .slice(0, 2)
      .map((a) => approve(messageIntentFor(key, text('twice')), a));
    await refused(ask(text('once'), { intent, approvals: other }), 'QuorumMissing', 'approvals');
    // The same requests for money and for a message are two things to approve.
    const money = rig.cast.approvers
      .slice(0, 2)
      .map((a) => approve(intentFor(key, someAccount(), '5'), a));
    await refused(ask(text('once'), { intent, approvals: money }), 'QuorumMissing', 'approvals');
    await refused(ask(text('once'), { policyHash: '11'.repeat(32) as never }), 'PolicyUnknown');
    const ended = {
      ...intent,
      expiresAt: new Date(Date.now() + 5_000).toISOString(),
    } as typeof intent;
    await refused(ask(text('once'), { intent: ended }), 'IntentExpired', 'expiresAt');
    await refused(
      ask(text('once'), { intent: { ...intent, walletId: 'other' as never } }),
      'TransactionMismatch',
      'walletId',
    );
    for (const extra of ['digest', 'digests', 'unsigned', 'hash'])
      await refused({ ...ask(text('once')), [extra]: '11'.repeat(32) }, 'InvalidInput');

    const request = ask(text('once'), { intent });
    await rig.party(alpha).prepare(request);
    const [first] = rig.cast.approvers;
    const no = approve(intent, first as NonNullable<typeof first>, 'reject');
    const rejected = ask(text('once'), { intent, approvals: [...request.approvals, no] });
    await expect(rig.party(alpha).prepare(rejected)).rejects.toMatchObject({
      code: 'IntentRejected',
    });
    await expect(rig.party(alpha).prepare(ask(text('once'), { intent }))).rejects.toMatchObject({
      code: 'IntentRejected',
    });
    await expect(rig.party(alpha).prepare(request)).rejects.toMatchObject({
      code: 'SessionSuperseded',
    });
  });

  it('a permit counts as a transfer, once for its intent and from the release on; what is aborted is given back', async () => {
    await refused(ask(json(permit('1001'))), 'LimitExceeded', 'amount');
    await refused(
      ask(json(typed('Order', [['a', 'uint256']], { a: '1' }))),
      'PolicyViolation',
      'type',
    );
    const intent = messageIntentFor(key, json(permit('900')));
    const first = ask(intent.message, { intent });
    await signedMessage(first);
    // Again: another attempt, the same digest, counted once.
    await signedMessage(ask(intent.message, { intent }));
    expect(await spent()).toEqual([{ amount: '900', state: 'spent' }]);
    await refused(ask(json(permit('601'))), 'LimitExceeded', 'amount');

    const held = ask(json(permit('600')));
    await rig.party(alpha).prepare(held);
    expect((await spent()).at(-1)).toEqual({ amount: '600', state: 'reserved' });
    const { keyId, attempt } = held;
    await rig.party(alpha).abort({ keyId, attempt, reason: 'test' });
    expect(await spent()).toHaveLength(1);
  }, 60_000);

  it('are rebuilt from the sealed seed when the process dies between two rounds', async () => {
    const request = ask(text('after a crash'), { signers: [alpha, gamma] });
    const { rounds } = await route(rig.table, request, { until: 1 });
    await rig.seat(alpha).replace(0);
    const said = rounds.flat().flatMap(({ outbox }) => outbox);
    const { keyId, attempt } = request;
    const inbox = said.filter(({ from, to }) => from !== alpha && (to === '*' || to === alpha));
    const answer = await rig.party(alpha).round({ keyId, attempt, round: 2, inbox });
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
