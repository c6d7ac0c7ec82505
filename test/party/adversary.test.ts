/** Single requests of a dishonest coordinator or peer, each meeting the check that stops it. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { envelopeBody } from '../../core/session/session.ts';
import { signedBytes } from '../../schema/contracts/canonical.ts';
import type { Envelope } from '../../schema/contracts/party.ts';
import type { PartyId } from '../../schema/contracts/primitives.ts';
import { identityFromSeed } from '../../storage/party/identity.ts';
import { approve, keygenRequest, route, SOLANA } from '../support/parties.ts';
import { voidOf } from '../support/solana-plans.ts';
import { nextRound, type Rig, startRig } from './rig.ts';

let rig: Rig;
let alpha: PartyId;
let beta: PartyId;
beforeAll(async () => {
  rig = await startRig();
  [alpha, beta] = rig.parties;
});
afterAll(() => rig?.stop());

/** Signed again by a peer whose identity key is in the adversary's hands. */
function resigned(party: PartyId, envelope: Envelope, change: Partial<Envelope>): Envelope {
  const body = { ...envelopeBody(envelope), ...change };
  const identity = identityFromSeed(rig.seat(party).identitySeed);
  return { ...body, signature: identity.sign(signedBytes('envelope', body)) } as Envelope;
}

describe('the round contract', () => {
  it('closes the session on a second authentic inbox for a committed round, and records it', async () => {
    const { request } = rig.pay();
    const { rounds, prepared } = await route(rig.table, request, { until: 1 });
    const { keyId, attempt } = request;
    const beginning = { keyId, attempt, round: 1, inbox: [] };
    // Another answer of beta's to the same prepare: only beta itself can sign one.
    const twin = structuredClone(prepared);
    for (const p of twin)
      if (p.answer.party === beta) {
        p.answer.nonce = '42'.repeat(32);
        const identity = identityFromSeed(rig.seat(beta).identitySeed);
        p.signature = identity.sign(signedBytes('prepare-answer', p.answer));
      }
    await expect(rig.party(alpha).round({ ...beginning, prepared: twin })).rejects.toMatchObject({
      code: 'RoundConflict',
      retryable: false,
    });
    await expect(rig.party(alpha).round({ ...beginning, prepared })).rejects.toMatchObject({
      code: 'RoundConflict',
    });
    await expect(
      rig.party(alpha).round(nextRound(alpha, request, rounds[0] ?? [])),
    ).rejects.toMatchObject({ code: 'RoundConflict' });
    const audit = await rig.sql(
      alpha,
      `select 1 from audit_entries where attempt = '${attempt}' and detail ->> 'code' = 'RoundConflict'`,
    );
    expect(audit).toHaveLength(1);
  });

  it('records a second inbox after the release as well, and still answers with the same shares', async () => {
    const { request } = rig.pay();
    const { rounds } = await route(rig.table, request);
    const asked = nextRound(alpha, request, rounds[0] ?? []);
    const forked = {
      ...asked,
      inbox: asked.inbox.map((e) => resigned(beta, e, { body: `${e.body}00` })),
    };
    await expect(rig.party(alpha).round(forked)).rejects.toMatchObject({ code: 'RoundConflict' });
    const audit = await rig.sql(
      alpha,
      `select 1 from audit_entries where attempt = '${request.attempt}' and kind = 'round-conflict'`,
    );
    expect(audit).toHaveLength(1);
    expect(await rig.party(alpha).round(asked)).toEqual(rounds[1]?.[0]);
  });

  it('makes a failed check terminal: the same seed never meets another message', async () => {
    const { request } = rig.pay();
    const { rounds } = await route(rig.table, request, { until: 1 });
    const asked = nextRound(alpha, request, rounds[0] ?? []);
    const broken = {
      ...asked,
      inbox: asked.inbox.map((e) => resigned(beta, e, { body: 'ff'.repeat(e.body.length / 2) })),
    };
    await expect(rig.party(alpha).round(broken)).rejects.toMatchObject({
      code: 'ProtocolFault',
      details: { culprit: beta },
    });
    await expect(rig.party(alpha).round(broken)).rejects.toMatchObject({
      code: 'ProtocolFault',
      details: { culprit: beta },
    });
    await expect(rig.party(alpha).round(asked)).rejects.toMatchObject({ code: 'ProtocolFault' });
    const [row] = await rig.sql(
      alpha,
      `select state, sealed_seed as seed from sessions where attempt = '${request.attempt}'`,
    );
    expect(row).toEqual({ state: 'failed', seed: null });
  });

  it('keeps a session alive through a forged inbox', async () => {
    const { request } = rig.pay();
    const { rounds } = await route(rig.table, request, { until: 1 });
    const asked = nextRound(alpha, request, rounds[0] ?? []);
    const forged = { ...asked, inbox: asked.inbox.map((e) => ({ ...e, body: `${e.body}00` })) };
    for (let i = 0; i < 3; i++)
      await expect(rig.party(alpha).round(forged)).rejects.toMatchObject({
        code: 'EnvelopeInvalid',
      });
    expect((await rig.party(alpha).round(asked)).done).toBe(true);
  });
});

describe('the line', () => {
  it('is one: the same approved intent is not paid again under another number', async () => {
    const paid = rig.pay();
    await route(rig.table, paid.request);
    for (const line of [1, 2, 499])
      await expect(rig.party(alpha).prepare(rig.besides(paid, { line }))).rejects.toMatchObject({
        code: 'InvalidInput',
        details: { field: 'line' },
      });
  });

  it('is voided once: not under another number either', async () => {
    const paid = rig.pay();
    const unsigned = voidOf(rig.key, paid.nonce);
    await expect(
      rig.party(alpha).prepare(rig.again(paid, { line: 3, purpose: 'void', unsigned })),
    ).rejects.toMatchObject({ details: { field: 'line' } });
  });

  it('counts open sessions: no rival while one may still release, and any after it was aborted', async () => {
    const first = rig.pay();
    await rig.party(alpha).prepare(first.request);
    await expect(rig.party(alpha).prepare(rig.besides(first))).rejects.toMatchObject({
      code: 'ConflictRule',
    });
    const { keyId, attempt } = first.request;
    await rig.party(alpha).abort({ keyId, attempt, reason: 'test' });
    await rig.party(alpha).prepare(rig.besides(first));
  });
});

describe('a rejection', () => {
  it('ends the session that was opened before it was seen', async () => {
    const paid = rig.pay();
    const { rounds } = await route(rig.table, paid.request, { until: 1 });
    const rejection = approve(paid.intent, rig.cast.approvers[2] as never, 'reject');
    const approvals = [...paid.request.approvals, rejection];
    await expect(rig.party(alpha).prepare(rig.again(paid, { approvals }))).rejects.toMatchObject({
      code: 'IntentRejected',
    });
    await expect(
      rig.party(alpha).round(nextRound(alpha, paid.request, rounds[0] ?? [])),
    ).rejects.toMatchObject({ code: 'SessionSuperseded' });
  });

  it('counts only when it is genuine', async () => {
    const paid = rig.pay();
    const rejection = approve(paid.intent, rig.cast.approvers[2] as never, 'reject');
    const forged = { ...rejection, signature: '00'.repeat(64) } as typeof rejection;
    await rig
      .party(alpha)
      .prepare(rig.again(paid, { approvals: [...paid.request.approvals, forged] }));
    expect(
      await rig.sql(
        alpha,
        `select 1 from rejections where approver = '${rejection.approval.approver}' and intent_digest = '${rejection.approval.intentDigest}'`,
      ),
    ).toEqual([]);
  });
});

describe('what cannot be stored', () => {
  it('is refused for good, without the driver’s words', async () => {
    const { keyId, attempt } = rig.pay().request;
    await rig.party(alpha).abort({ keyId, attempt, reason: 'nul \u0000 byte' });
    const { request } = rig.pay();
    await rig.party(alpha).prepare(request);
    const asked = { keyId, attempt: request.attempt, reason: 'nul \u0000 byte' };
    const error = await rig
      .party(alpha)
      .abort(asked)
      .catch((e) => e);
    expect(error).toMatchObject({ code: 'InvalidInput', retryable: false });
    expect(JSON.stringify([error.message, error.details, String(error.cause)])).not.toMatch(
      /update|sessions/,
    );
  });
});

describe('a second ceremony for a key', () => {
  it('is not certified beside the first', async () => {
    const first = keygenRequest(rig.cast, 'twice', SOLANA, 'frost-ed25519');
    const second = keygenRequest(rig.cast, 'twice', SOLANA, 'frost-ed25519');
    const [one, two] = [
      await route(rig.table, first, { until: 5 }),
      await route(rig.table, second, { until: 5 }),
    ];
    await rig.party(alpha).round(nextRound(alpha, first, one.rounds[4] ?? []));
    const late = rig.party(alpha).round(nextRound(alpha, second, two.rounds[4] ?? []));
    await expect(late).rejects.toMatchObject({ code: 'StateConflict' });
    const certified = await rig.sql(alpha, `select attempt from shares where key_id = 'twice'`);
    expect(certified).toEqual([{ attempt: first.attempt }]);
  });
});
