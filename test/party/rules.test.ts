/**
 * "Rules that a party enforces by itself" and "The round contract" (ARCHITECTURE.md), each at a real party: two instances
 * on one database, a real key, real bytes. docs/rules.md says which rule is shown where.
 */
import { randomUUID } from 'node:crypto';
import { base58 } from '@scure/base';
import { PublicKey, SystemProgram } from '@solana/web3.js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { envelopeBody } from '../../core/session/session.ts';
import { signedBytes } from '../../schema/contracts/canonical.ts';
import type { TransferIntent } from '../../schema/contracts/intent.ts';
import type { PrepareSign, RoundAnswer } from '../../schema/contracts/party.ts';
import type { PartyId } from '../../schema/contracts/primitives.ts';
import { identityFromSeed } from '../../storage/party/identity.ts';
import { compileWithWeb3, instructions, unhex, unsignedOf } from '../chains/solana/support.ts';
import {
  approve,
  BITCOIN,
  intentFor,
  keygenRequest,
  route,
  SOLANA,
  signPolicy,
  signRequest,
} from '../support/parties.ts';
import { payment, provenNonce, someAddress, voidOf } from '../support/solana-plans.ts';
import { nextRound, type Payment, type Rig, startRig } from './rig.ts';

const HOUR = 3_600_000;
/** Bytes of every FROST message before its content: see `mpc`. */
const HEADER = 36;
let rig: Rig;
let alpha: PartyId;
let beta: PartyId;
let gamma: PartyId;
let ahead = 0;
beforeAll(async () => {
  rig = await startRig({ instances: 2, now: () => Date.now() + ahead });
  [alpha, beta, gamma] = rig.parties;
});
afterAll(() => rig?.stop());

const now = () => Date.now() + ahead;
/** Both instances of the party refuse alike. */
const refused = async (
  request: PrepareSign,
  code: string,
  details: Record<string, unknown> = {},
  party: PartyId = alpha,
): Promise<void> => {
  for (const instance of [0, 1])
    await expect(
      rig.party(party, instance).prepare({ ...request, attempt: randomUUID() as never }),
    ).rejects.toMatchObject({ code, details });
};
/** An intent and approvals that outlive the clock's jumps. */
function lasting(change: Partial<TransferIntent> = {}, amount = 1_000n): Payment {
  const until = Date.now() + 80 * 24 * HOUR;
  const destination = someAddress();
  const nonce = provenNonce();
  const intent = intentFor(rig.key, destination, `${amount}`, {
    issuedAt: new Date(now() - 1_000).toISOString(),
    expiresAt: new Date(until).toISOString(),
    ...change,
  });
  const approvals = rig.cast.approvers
    .slice(0, 2)
    .map((a) => approve(intent, a, 'approve', { at: now(), validUntil: until }));
  const unsigned = payment(rig.key, nonce, destination, amount);
  const request = signRequest(rig.cast, rig.key, intent, unsigned, [alpha, beta], { approvals });
  return { intent, nonce, request };
}
const open = async (party: PartyId): Promise<number> =>
  (await rig.party(party).health()).openSessions;

describe('lock', () => {
  it('many sessions of different intents hold the share at once, and it is kept while they do', async () => {
    const before = await open(alpha);
    const payments = Array.from({ length: 5 }, () => lasting());
    const rounds = await Promise.all(
      payments.map((p) => route(rig.table, p.request, { until: 1 })),
    );
    expect(await open(alpha)).toBe(before + 5);
    const [share] = await rig.sql<{ attempt: string }>(
      alpha,
      `select attempt from shares where key_id = '${rig.key.keyId}'`,
    );
    for (const instance of [0, 1])
      expect(
        await rig.party(alpha, instance).destroy({
          keyId: rig.key.keyId,
          attempt: share?.attempt as never,
        }),
      ).toMatchObject({ outcome: 'kept' });
    for (const [i, p] of payments.entries()) {
      const asked = nextRound(alpha, p.request, rounds[i]?.rounds[0] ?? []);
      expect((await rig.party(alpha, i % 2).round(asked)).done).toBe(true);
    }
    expect(await open(alpha)).toBe(before);
  });

  it('is never held for ever: no request says how long, and no repeat prolongs it', async () => {
    const p = lasting();
    const first = await rig.party(alpha, 0).prepare(p.request);
    const end = Date.parse(first.answer.expiresAt);
    expect(end - now()).toBeLessThanOrEqual(60_000);
    ahead += 50_000;
    expect(await rig.party(alpha, 1).prepare(p.request)).toEqual(first);
    const held = await open(alpha);
    ahead += 11_000;
    await rig.seat(alpha).instances[1]?.sweepOnce();
    expect(await open(alpha)).toBeLessThan(held);
    await expect(rig.party(alpha).prepare(p.request)).rejects.toMatchObject({
      code: 'SessionExpired',
    });
  });
});

describe('once per line', () => {
  it('the line is paid once for ever: days later another transaction is refused, the same one is not paid again', async () => {
    const p = lasting();
    await route(rig.table, p.request);
    ahead += 3 * 24 * HOUR;
    const rival = { ...rig.besides(p), approvals: p.request.approvals };
    await refused(rival, 'ConflictRule');
    await route(rig.table, rig.again(p));
    const spent = await rig.sql(
      alpha,
      `select 1 from spent where intent_digest = (select intent_digest from sessions where attempt = '${p.request.attempt}')`,
    );
    expect(spent).toHaveLength(1);
  });

  it('one open session per line: a newer one closes the older with a tombstone, on whichever instance', async () => {
    const p = lasting();
    const { rounds } = await route(rig.table, p.request, { until: 1 });
    const newer = rig.again(p);
    await rig.party(alpha, 1).prepare(newer);
    for (const instance of [0, 1])
      await expect(
        rig.party(alpha, instance).round(nextRound(alpha, p.request, rounds[0] ?? [])),
      ).rejects.toMatchObject({ code: 'SessionSuperseded' });
    const rows = await rig.sql(
      alpha,
      `select attempt, state, sealed_seed as seed from sessions where attempt in ('${p.request.attempt}', '${newer.attempt}') order by created_at`,
    );
    expect(rows).toMatchObject([
      { attempt: p.request.attempt, state: 'superseded', seed: null },
      { attempt: newer.attempt, state: 'prepared' },
    ]);
  });
});

describe('conflict rule', () => {
  it('of two racing rivals on two instances at most one is opened, and only that one releases', async () => {
    for (let i = 0; i < 6; i++) {
      const p = lasting();
      const rival = { ...rig.besides(p), approvals: p.request.approvals };
      const requests = [p.request, rival];
      const answers = await Promise.allSettled(
        requests.map((request, instance) => rig.party(alpha, instance).prepare(request)),
      );
      const lost = answers.flatMap((a) => (a.status === 'rejected' ? [a.reason] : []));
      expect(lost).toHaveLength(1);
      expect(lost[0]).toMatchObject({ code: 'ConflictRule' });
    }
  });
});

describe('proven nonce', () => {
  const web3 = (message: Uint8Array, p: Payment, change: Partial<Payment['nonce']> = {}) => ({
    ...p.request,
    unsigned: unsignedOf(message, { ...p.nonce, ...change }),
  });
  const own = () => new PublicKey(unhex(rig.key.publicKey));

  it('a recent blockhash in its place is refused, whatever proof is shown with it', async () => {
    const p = lasting();
    const blockhash = someAddress();
    const to = new PublicKey(p.intent.destination);
    const advance = instructions.advance(new PublicKey(p.nonce.account), own());
    const pay = instructions.pay(own(), to, 1_000n);
    const value = Buffer.from(base58.decode(blockhash)).toString('hex');
    const message = compileWithWeb3(own(), blockhash, [advance, pay]);
    await refused(web3(message, p), 'NonceUnproven');
    await refused(web3(message, p, { value }), 'NonceUnproven');
    await refused(web3(message, p, { value, preimage: value }), 'NonceUnproven');
    await refused({ ...p.request, unsigned: unsignedOf(message) }, 'NonceUnproven');
  });

  it('without its preimage nothing is signed, not even a message that was signed before', async () => {
    const p = lasting();
    await route(rig.table, p.request);
    const { nonceProof: _, ...bare } = p.request.unsigned;
    await refused({ ...p.request, unsigned: bare }, 'NonceUnproven');
    await route(rig.table, rig.again(p));
  });

  it('AdvanceNonce comes first, once, for the wallet; lookup tables and versioned messages are refused', async () => {
    const p = lasting();
    const hash = new PublicKey(unhex(p.nonce.value)).toBase58();
    const account = new PublicKey(p.nonce.account);
    const advance = instructions.advance(account, own());
    const pay = instructions.pay(own(), new PublicKey(p.intent.destination), 1_000n);
    await refused(web3(compileWithWeb3(own(), hash, [pay, advance]), p), 'NonceUnproven');
    await refused(web3(compileWithWeb3(own(), hash, [pay]), p), 'NonceUnproven');
    const second = instructions.advance(new PublicKey(provenNonce().account), own());
    await refused(
      web3(compileWithWeb3(own(), hash, [advance, second, pay]), p),
      'TransactionMismatch',
    );
    const drain = SystemProgram.nonceWithdraw({
      noncePubkey: account,
      authorizedPubkey: own(),
      toPubkey: own(),
      lamports: 1,
    });
    await refused(
      web3(compileWithWeb3(own(), hash, [advance, pay, drain]), p),
      'TransactionMismatch',
    );
    const legacy = Buffer.from(p.request.unsigned.bytes, 'hex');
    // Version 0, and no lookup table / one that nobody can see into.
    for (const tail of ['00', `01${'11'.repeat(32)}010100`]) {
      const versioned = Buffer.concat([Uint8Array.of(0x80), legacy, Buffer.from(tail, 'hex')]);
      await refused(web3(versioned, p), 'TransactionMalformed');
    }
  });
});

describe('void on Solana', () => {
  it('advances the nonce alone, ignores expiry, rejection, policy and limits, and is the last word', async () => {
    const p = lasting({ expiresAt: new Date(now() + 2 * HOUR).toISOString() });
    await route(rig.table, p.request);
    const voiding = (nonce = p.nonce, change: Partial<PrepareSign> = {}) =>
      rig.again(p, {
        purpose: 'void',
        unsigned: voidOf(rig.key, nonce),
        approvals: p.request.approvals,
        ...change,
      });
    await refused(voiding(provenNonce()), 'ConflictRule');
    await refused(
      { ...voiding(), unsigned: payment(rig.key, p.nonce, someAddress(), 1n) },
      'TransactionMismatch',
    );
    const rejection = approve(p.intent, rig.cast.approvers[2] as never, 'reject', {
      at: now(),
      validUntil: now() + HOUR,
    });
    await refused(
      rig.again(p, { approvals: [...p.request.approvals, rejection] }),
      'IntentRejected',
    );
    ahead += 3 * HOUR;
    await refused(rig.again(p, { approvals: p.request.approvals }), 'IntentExpired');
    await route(rig.table, voiding(p.nonce, { policyHash: '33'.repeat(32) }));
    // One that nothing else stands against: the void alone closes it.
    const q = lasting();
    await route(rig.table, q.request);
    const unsigned = voidOf(rig.key, q.nonce);
    await route(rig.table, { ...rig.again(q), purpose: 'void', unsigned });
    await refused(rig.again(q), 'LineClosed');
  });
});

describe('own clock', () => {
  it('an intent or an approval that ends within the session’s life is refused by the party’s own clock', async () => {
    const dies = (ms: number) => ({ expiresAt: new Date(now() + ms).toISOString() });
    await refused(lasting(dies(60_000)).request, 'IntentExpired', { field: 'expiresAt' });
    await rig.party(alpha).prepare(lasting(dies(62_000)).request);
    const p = lasting();
    const approvals = (ms: number) =>
      rig.cast.approvers
        .slice(0, 2)
        .map((a) => approve(p.intent, a, 'approve', { at: now(), validUntil: now() + ms }));
    await refused({ ...p.request, approvals: approvals(60_000) }, 'QuorumMissing');
    await rig.party(alpha).prepare(rig.again(p, { approvals: approvals(62_000) }));
    const early = lasting({ issuedAt: new Date(now() + 301_000).toISOString() });
    await refused(early.request, 'InvalidInput', { field: 'issuedAt' });
    // A coordinator that holds an approved intent back has nothing once its time is over.
    const held = lasting(dies(HOUR));
    ahead += 2 * HOUR;
    await refused(held.request, 'IntentExpired');
  });
});

describe('one network per key, own scripts', () => {
  it('neither an intent nor bytes of another network are signed, nor another wallet’s intent', async () => {
    const p = lasting();
    const devnet = 'solana:EtWTRABZaYq6iMfeYKouRu166VU2xqa1';
    const approved = (intent: TransferIntent) => ({
      ...p.request,
      intent,
      approvals: rig.cast.approvers
        .slice(0, 2)
        .map((a) => approve(intent, a, 'approve', { at: now(), validUntil: now() + 24 * HOUR })),
    });
    await refused(approved({ ...p.intent, chain: devnet }), 'TransactionMismatch', {
      field: 'chain',
    });
    await refused(approved({ ...p.intent, chain: BITCOIN }), 'TransactionMismatch', {
      field: 'chain',
    });
    await refused(
      { ...p.request, unsigned: { ...p.request.unsigned, network: devnet } },
      'ChainMismatch',
    );
    await refused(approved({ ...p.intent, walletId: 'other' as never }), 'TransactionMismatch', {
      field: 'walletId',
    });
    await refused(approved({ ...p.intent, destination: rig.key.address }), 'TransactionMismatch');
  });
});

describe('2t > n', () => {
  it('is demanded at key generation by every party itself', async () => {
    const base = keygenRequest(rig.cast, 'disjoint', SOLANA, 'frost-ed25519');
    for (const party of rig.parties) {
      const four = [...rig.parties, 'delta'] as PartyId[];
      await expect(
        rig.party(party).prepare({ ...base, signers: four, threshold: 2 }),
      ).rejects.toMatchObject({ code: 'InvalidInput' });
    }
  });
});

describe('nothing unapproved is signed', () => {
  it('no request takes a digest or a message, and no activity is there that would', async () => {
    expect(Object.keys(rig.party(alpha)).sort()).toMatchSnapshot('activities of a party');
    const p = lasting();
    for (const extra of ['digest', 'digests', 'message', 'messages', 'hash'])
      await expect(
        rig.party(alpha).prepare({ ...p.request, [extra]: '11'.repeat(32) } as never),
      ).rejects.toMatchObject({ code: 'InvalidInput' });
    const { rounds } = await route(rig.table, p.request, { until: 1 });
    const asked = nextRound(alpha, p.request, rounds[0] ?? []);
    await expect(
      rig.party(alpha).round({ ...asked, messages: ['11'.repeat(32)] } as never),
    ).rejects.toMatchObject({ code: 'InvalidInput' });
    await refused(rig.again(p, { approvals: [] }), 'QuorumMissing');
  });
});

describe('the round contract at a party', () => {
  it('a repeated prepare gets the stored answer, the same attempt with another body is refused', async () => {
    const p = lasting();
    const first = await rig.party(alpha, 0).prepare(p.request);
    expect(await rig.party(alpha, 1).prepare(p.request)).toEqual(first);
    const other = { ...lasting().request, attempt: p.request.attempt };
    for (const instance of [0, 1])
      await expect(rig.party(alpha, instance).prepare(other)).rejects.toMatchObject({
        code: 'RequestConflict',
      });
    await expect(
      rig.party(alpha).prepare({ ...p.request, signers: [alpha, gamma] }),
    ).rejects.toMatchObject({ code: 'RequestConflict' });
  });

  it('a closed attempt never reopens', async () => {
    const p = lasting();
    await rig.party(alpha).prepare(p.request);
    const { keyId, attempt } = p.request;
    await rig.party(alpha, 1).abort({ keyId, attempt, reason: 'test' });
    for (const instance of [0, 1])
      await expect(rig.party(alpha, instance).prepare(p.request)).rejects.toMatchObject({
        code: 'SessionSuperseded',
      });
  });

  it('the session id hashes fresh nonces, and each session has its own one-time HPKE key', async () => {
    const seen = { ids: new Set<string>(), keys: new Set<string>(), nonces: new Set<string>() };
    const p = lasting();
    for (let i = 0; i < 3; i++) {
      const { prepared, rounds } = await route(rig.table, rig.again(p), { until: 1 });
      seen.ids.add(rounds[0]?.[0]?.sessionId ?? '');
      for (const { answer } of prepared) {
        seen.keys.add(answer.hpkePublicKey);
        seen.nonces.add(answer.nonce);
      }
      expect(rounds[0]?.[1]?.sessionId).toBe(rounds[0]?.[0]?.sessionId);
    }
    expect(seen.ids.size).toBe(3);
    expect(seen.keys.size).toBe(6);
    expect(seen.nonces.size).toBe(6);
  });

  it('broadcasts are echo-checked: a sender that tells two stories ends the ceremony', async () => {
    const request = keygenRequest(rig.cast, 'echo', SOLANA, 'frost-ed25519');
    const twin = keygenRequest(rig.cast, 'echo-twin', SOLANA, 'frost-ed25519');
    // Up to the nonce commitments of the test signature: nothing in one of those tells that it is not the real one.
    const { rounds } = await route(rig.table, request, { until: 4 });
    const other = await route(rig.table, twin, { until: 4 });
    const answers = rounds[3] ?? [];
    const story = (all: readonly RoundAnswer[]) =>
      all.flatMap((answer) => answer.outbox).find((envelope) => envelope.from === beta);
    const [mine, theirs] = [story(answers), story(other.rounds[3] ?? [])];
    if (mine === undefined || theirs === undefined) expect.unreachable();
    // The header binds a message to its signing; the points after it are as good as any.
    const body = {
      ...envelopeBody(mine),
      body: mine.body.slice(0, 2 * HEADER) + theirs.body.slice(2 * HEADER),
    };
    const identity = identityFromSeed(rig.seat(beta).identitySeed);
    const forked = { ...body, signature: identity.sign(signedBytes('envelope', body)) };
    const toGamma = nextRound(gamma, request, answers);
    // Gamma cannot tell, and goes on; what it heard stands in what it says.
    const fifth = [
      await rig.party(alpha).round(nextRound(alpha, request, answers)),
      await rig.party(beta).round(nextRound(beta, request, answers)),
      await rig.party(gamma).round({
        ...toGamma,
        inbox: toGamma.inbox.map((e) => (e.from === beta ? forked : e)),
      }),
    ];
    for (const instance of [0, 1])
      await expect(
        rig.party(alpha, instance).round(nextRound(alpha, request, fifth)),
      ).rejects.toMatchObject({ code: 'EnvelopeInvalid', details: { field: 'echo' } });
  });

  it('a session of another machine version is closed, not continued', async () => {
    const p = lasting();
    const { rounds } = await route(rig.table, p.request, { until: 1 });
    const { attempt } = p.request;
    await rig.sql(
      alpha,
      `update sessions set machine_version = 'frost-ed25519/sign/0' where attempt = '${attempt}'`,
    );
    await rig.seat(alpha).restart();
    const asked = nextRound(alpha, p.request, rounds[0] ?? []);
    await expect(rig.party(alpha, 0).round(asked)).rejects.toMatchObject({
      code: 'ReplayMismatch',
    });
    await rig.sql(
      alpha,
      `update sessions set machine_version = 'frost-ed25519/sign/1' where attempt = '${attempt}'`,
    );
    // For good: the old version coming back does not reopen it, and its seed is gone.
    await expect(rig.party(alpha, 1).round(asked)).rejects.toMatchObject({
      code: 'ReplayMismatch',
    });
    const [row] = await rig.sql(
      alpha,
      `select state, sealed_seed as seed from sessions where attempt = '${attempt}'`,
    );
    expect(row).toEqual({ state: 'failed', seed: null });
  });

  it('a session binds the policy’s hash: with a newer version its unreleased work ends', async () => {
    const p = lasting();
    const { rounds } = await route(rig.table, p.request, { until: 1 });
    const next = { ...rig.cast.policy, version: 2, previous: rig.cast.policyHash, quorum: 1 };
    await rig.party(alpha, 1).receivePolicy({ signed: signPolicy(rig.cast, next) });
    await expect(
      rig.party(alpha, 0).round(nextRound(alpha, p.request, rounds[0] ?? [])),
    ).rejects.toMatchObject({ code: 'SessionSuperseded' });
    await refused(lasting().request, 'PolicyUnknown', { field: 'policyHash' });
  });
});
