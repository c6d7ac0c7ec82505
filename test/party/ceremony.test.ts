/** Three parties on three databases: a key is made, a payment signed, and the round contract holds meanwhile. */
import { createPublicKey, verify } from 'node:crypto';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hexToBytes } from '../../core/signed.ts';
import { type Stack, startStack } from '../../dev/stack/index.ts';
import { createRegistry } from '../../mpc/index.ts';
import type { KeyDescriptor } from '../../schema/contracts/key.ts';
import type { PrepareSign } from '../../schema/contracts/party.ts';
import type { PartyId } from '../../schema/contracts/primitives.ts';
import {
  approve,
  at,
  BITCOIN,
  castOf,
  generateKey,
  intentFor,
  keygenRequest,
  route,
  SOLANA,
  seatParties,
  signRequest,
  type Table,
} from '../support/parties.ts';
import { payment, provenNonce, someAddress, voidOf } from '../support/solana-plans.ts';

let stack: Stack;
let table: Table;
let key: KeyDescriptor;
const cast = castOf(3);
const [alpha, beta, gamma] = cast.parties as [PartyId, PartyId, PartyId];
/** One of the two instances, in turn. */
const party = (id: PartyId) => at(table, id);

beforeAll(async () => {
  stack = await startStack({
    parts: ['postgres'],
    dataDir: mkdtempSync(join(tmpdir(), 'keysaga-')),
  });
  table = await seatParties({
    cast,
    instances: 2,
    scratch: mkdtempSync(join(tmpdir(), 'keysaga-parties-')),
    createDatabase: (name) => stack.postgres.createDatabase(name),
  });
  ({ key } = await generateKey(table, keygenRequest(cast, 'sol-main', SOLANA, 'frost-ed25519')));
});
afterAll(async () => {
  await table?.close();
  await stack?.stop();
});

const ed25519Verify = (publicKey: string, message: Uint8Array, signature: Uint8Array) =>
  verify(
    null,
    message,
    createPublicKey({
      key: Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), hexToBytes(publicKey)]),
      format: 'der',
      type: 'spki',
    }),
    signature,
  );

function signatureOf(
  request: PrepareSign,
  rounds: Awaited<ReturnType<typeof route>>['rounds'],
): Uint8Array {
  const protocol = createRegistry().get(key.protocol);
  const index = (p: string) => key.parties.indexOf(p as PartyId) + 1;
  const [signature] = protocol.aggregate({
    threshold: key.threshold,
    parties: key.parties.length,
    publicPackage: hexToBytes(key.publicPackage),
    signers: request.signers.map(index),
    messages: [hexToBytes(request.unsigned.bytes)],
    rounds: rounds.map(
      (answers) =>
        new Map(answers.flatMap((a) => a.outbox).map((e) => [index(e.from), hexToBytes(e.body)])),
    ),
  });
  return signature as Uint8Array;
}

const somePayment = (
  amount = 1_000_000n,
  change: Partial<PrepareSign> = {},
  signers: PartyId[] = [alpha, beta],
) => {
  const destination = someAddress();
  const nonce = provenNonce();
  const intent = intentFor(key, destination, `${amount}`);
  return {
    intent,
    nonce,
    request: signRequest(
      cast,
      key,
      intent,
      payment(key, nonce, destination, amount),
      signers,
      change,
    ),
  };
};

describe('key generation', () => {
  it('activates a key at every party, with the same address and n certificates', async () => {
    for (const p of cast.parties) expect((await party(p).health()).activeKeys).toBe(1);
    expect(key.address.length).toBeGreaterThan(31);
  });

  it('makes a BIP-340 key as well, with a P2TR address', async () => {
    const made = await generateKey(table, keygenRequest(cast, 'btc-main', BITCOIN, 'frost-bip340'));
    expect(made.key.address).toMatch(/^bcrt1p/);
    expect(made.certificates).toHaveLength(3);
  });

  it('refuses 2t ≤ n, a protocol of another curve, an unknown policy', async () => {
    const base = keygenRequest(cast, 'refused', SOLANA, 'frost-ed25519');
    const four = { ...base, signers: [...cast.parties, 'delta' as PartyId] };
    await expect(party(alpha).prepare(four)).rejects.toMatchObject({
      code: 'InvalidInput',
      details: { field: 'threshold' },
    });
    await expect(party(alpha).prepare({ ...base, network: BITCOIN })).rejects.toMatchObject({
      details: { field: 'protocol' },
    });
    await expect(
      party(alpha).prepare({ ...base, policyHash: '11'.repeat(32) }),
    ).rejects.toMatchObject({ code: 'PolicyUnknown' });
  });

  it('does not activate on fewer than n certificates, and destroys a failed ceremony for good', async () => {
    const request = keygenRequest(cast, 'half', SOLANA, 'frost-ed25519');
    const { rounds } = await route(table, request);
    const certificates = (rounds.at(-1) ?? []).flatMap((a) =>
      a.keygen ? [a.keygen.certificate] : [],
    );
    const { keyId, attempt } = request;
    await expect(
      party(alpha).activate({ keyId, attempt, certificates: certificates.slice(0, 2) }),
    ).rejects.toMatchObject({
      code: 'CertificateInvalid',
    });
    // Certified by all: no undo reaches it any more.
    expect((await party(alpha).destroy({ keyId, attempt })).outcome).toBe('kept');
  });

  it('a never given before the certificate excludes it, and lets the certified parties destroy', async () => {
    const request = keygenRequest(cast, 'never', SOLANA, 'frost-ed25519');
    const { keyId, attempt } = request;
    const { rounds } = await route(table, request, { until: 5 });
    const before = (rounds.at(-1) ?? []).flatMap((a) => a.outbox);
    const inbox = (p: PartyId) => before.filter((e) => e.from !== p);
    const last = await party(alpha).round({ keyId, attempt, round: 6, inbox: inbox(alpha) });
    expect(last.keygen).toBeDefined();
    const undone = await party(beta).destroy({ keyId, attempt });
    expect(undone.never).toBeDefined();
    await expect(
      party(beta).round({ keyId, attempt, round: 6, inbox: inbox(beta) }),
    ).rejects.toMatchObject({ code: 'SessionSuperseded' });
    expect((await party(alpha).destroy({ keyId, attempt })).outcome).toBe('kept');
    const gone = await party(alpha).destroy({
      keyId,
      attempt,
      ...(undone.never ? { never: undone.never } : {}),
    });
    expect(gone.outcome).toBe('destroyed');
    expect((await party(alpha).destroy({ keyId, attempt })).outcome).toBe('nothing');
  });
});

describe('signing', () => {
  it('signs what was approved, verified by OpenSSL, with any two of three', async () => {
    for (const signers of [
      [alpha, beta],
      [alpha, gamma],
      [beta, gamma],
    ]) {
      const { request } = somePayment(1_000n, {}, signers);
      const { rounds } = await route(table, request);
      expect(
        ed25519Verify(
          key.publicKey,
          hexToBytes(request.unsigned.bytes),
          signatureOf(request, rounds),
        ),
      ).toBe(true);
    }
  });

  it('survives a restart of every party between rounds, byte for byte', async () => {
    const { request } = somePayment(1_000n);
    const { rounds } = await route(table, request, {
      onRound: async () => {
        for (const seat of table.seats.values()) await seat.restart();
      },
    });
    expect(
      ed25519Verify(
        key.publicKey,
        hexToBytes(request.unsigned.bytes),
        signatureOf(request, rounds),
      ),
    ).toBe(true);
  });

  it('answers a repeated prepare and round with the stored bytes, also after a restart', async () => {
    const { request } = somePayment();
    const first = await route(table, request);
    await table.seats.get(alpha)?.restart();
    const repeat = {
      keyId: request.keyId,
      attempt: request.attempt,
      round: 2,
      inbox: (first.rounds[0] ?? []).flatMap((a) => a.outbox).filter((e) => e.from !== alpha),
    };
    expect(await party(alpha).round(repeat)).toEqual(first.rounds[1]?.[0]);
    expect(
      await party(alpha)
        .prepare(request)
        .catch((e) => e),
    ).toEqual(first.prepared[0]);
    await expect(
      party(alpha).prepare({ ...request, signers: [alpha, gamma] }),
    ).rejects.toMatchObject({ code: 'RequestConflict' });
  });

  it('leaves no trace of a forged inbox, and answers a reordered one from its store', async () => {
    const { request } = somePayment();
    const { prepared, rounds } = await route(table, request, { until: 1 });
    const { keyId, attempt } = request;
    const inbox = (rounds[0] ?? []).flatMap((a) => a.outbox).filter((e) => e.from === beta);
    const forged = inbox.map((e) => ({ ...e, body: e.body.replace(/^../, '00') }));
    await expect(
      party(alpha).round({ keyId, attempt, round: 2, inbox: forged }),
    ).rejects.toMatchObject({ code: 'EnvelopeInvalid' });
    expect((await party(alpha).round({ keyId, attempt, round: 2, inbox })).done).toBe(true);
    // The order of delivery says nothing.
    await expect(
      party(alpha).round({
        keyId,
        attempt,
        round: 1,
        prepared: [...prepared].reverse(),
        inbox: [],
      }),
    ).resolves.toMatchObject({ round: 1 });
  });

  it('one open session per line: a newer attempt tombstones the older', async () => {
    const { request, intent } = somePayment();
    await route(table, request, { until: 1 });
    const second = {
      ...request,
      attempt: signRequest(cast, key, intent, request.unsigned, [alpha, gamma]).attempt,
    };
    await route(table, second);
    await expect(
      party(alpha).round({ keyId: key.keyId, attempt: request.attempt, round: 2, inbox: [] }),
    ).rejects.toMatchObject({ code: 'SessionSuperseded' });
  });

  it('conflict rule: never a second transaction of the line that could land beside the first', async () => {
    const { request, intent } = somePayment();
    await route(table, request);
    const other = signRequest(
      cast,
      key,
      intent,
      payment(key, provenNonce(), intent.destination, BigInt(intent.amount)),
      [alpha, gamma],
    );
    await expect(party(alpha).prepare(other)).rejects.toMatchObject({ code: 'ConflictRule' });
  });

  it('a void conflicts with the payment, and after it the payment is never signed again', async () => {
    const { request, intent, nonce } = somePayment();
    await route(table, request);
    const foreign = signRequest(cast, key, intent, voidOf(key, provenNonce()), [alpha, beta], {
      purpose: 'void',
    });
    await expect(party(alpha).prepare(foreign)).rejects.toMatchObject({ code: 'ConflictRule' });
    const voiding = signRequest(cast, key, intent, voidOf(key, nonce), [alpha, beta], {
      purpose: 'void',
    });
    const { rounds } = await route(table, voiding);
    expect(
      ed25519Verify(
        key.publicKey,
        hexToBytes(voiding.unsigned.bytes),
        signatureOf(voiding, rounds),
      ),
    ).toBe(true);
    const again = signRequest(cast, key, intent, request.unsigned, [alpha, beta]);
    await expect(party(alpha).prepare(again)).rejects.toMatchObject({ code: 'LineClosed' });
  });

  it('refuses what was not approved, each with its code', async () => {
    const { request, intent, nonce } = somePayment();
    const refuse = async (change: Partial<PrepareSign>, code: string) =>
      expect(
        party(alpha).prepare({
          ...signRequest(cast, key, intent, request.unsigned, [alpha, beta]),
          ...change,
        }),
      ).rejects.toMatchObject({ code });
    await refuse({ approvals: request.approvals.slice(0, 1) }, 'QuorumMissing');
    await refuse(
      { approvals: [request.approvals[0], request.approvals[0]] as never },
      'QuorumMissing',
    );
    await refuse({ intent: { ...intent, amount: '2' } }, 'QuorumMissing');
    await refuse(
      { unsigned: payment(key, nonce, someAddress(), BigInt(intent.amount)) },
      'TransactionMismatch',
    );
    await refuse(
      { unsigned: payment(key, nonce, intent.destination, BigInt(intent.amount) + 1n) },
      'TransactionMismatch',
    );
    await refuse(
      {
        unsigned: payment(key, nonce, intent.destination, BigInt(intent.amount), {
          units: 1_400_000,
          microLamports: 1_000_000n,
        }),
      },
      'FeeAboveCap',
    );
    await refuse({ unsigned: { ...request.unsigned, network: BITCOIN } }, 'ChainMismatch');
    await refuse({ policyHash: '22'.repeat(32) }, 'PolicyUnknown');
    await refuse({ signers: [beta, alpha] }, 'InvalidInput');
    await refuse({ epoch: 1 }, 'KeyUnknown');
  });

  it('a rejection binds a party that saw it, even when it is withheld later', async () => {
    const { request, intent } = somePayment();
    const rejection = approve(intent, cast.approvers[2] as (typeof cast.approvers)[0], 'reject');
    await expect(
      party(alpha).prepare({ ...request, approvals: [...request.approvals, rejection] }),
    ).rejects.toMatchObject({ code: 'IntentRejected' });
    await expect(
      party(alpha).prepare(signRequest(cast, key, intent, request.unsigned, [alpha, beta])),
    ).rejects.toMatchObject({ code: 'IntentRejected' });
  });

  it('counts the limit once per line, gives it back on abort, keeps it after release', async () => {
    const capped = await seatParties({
      cast: castOf(3, {
        limits: [{ network: SOLANA, asset: 'native', perTransfer: '100', perDay: '150' }],
        voidFeeCaps: [{ network: SOLANA, cap: '100000' }],
      }),
      scratch: mkdtempSync(join(tmpdir(), 'keysaga-parties-')),
      createDatabase: (name) => stack.postgres.createDatabase(name),
    });
    try {
      const made = await generateKey(
        capped,
        keygenRequest(capped.cast, 'capped', SOLANA, 'frost-ed25519'),
      );
      const pay = (amount: bigint) => {
        const destination = someAddress();
        const intent = intentFor(made.key, destination, `${amount}`);
        return signRequest(
          capped.cast,
          made.key,
          intent,
          payment(made.key, provenNonce(), destination, amount),
          [alpha, beta],
        );
      };
      const one = capped.seats.get(alpha)?.service.activities;
      await expect(one?.prepare(pay(101n))).rejects.toMatchObject({ code: 'LimitExceeded' });
      const first = pay(100n);
      await one?.prepare(first);
      await expect(one?.prepare(pay(100n))).rejects.toMatchObject({ code: 'LimitExceeded' });
      await one?.abort({ keyId: made.key.keyId, attempt: first.attempt, reason: 'test' });
      await route(capped, pay(100n));
      await expect(one?.prepare(pay(51n))).rejects.toMatchObject({ code: 'LimitExceeded' });
      await route(capped, pay(50n));
    } finally {
      await capped.close();
    }
  });

  it('abort is idempotent and says when shares are out', async () => {
    const { request } = somePayment();
    const { keyId, attempt } = request;
    expect((await party(alpha).abort({ keyId, attempt, reason: 'test' })).outcome).toBe('unknown');
    await party(alpha).prepare(request);
    expect((await party(alpha).abort({ keyId, attempt, reason: 'test' })).outcome).toBe('aborted');
    expect((await party(alpha).abort({ keyId, attempt, reason: 'test' })).outcome).toBe(
      'already-closed',
    );
    await expect(party(alpha).prepare(request)).rejects.toMatchObject({
      code: 'SessionSuperseded',
    });
    const done = somePayment();
    await route(table, done.request);
    expect(
      (await party(alpha).abort({ keyId, attempt: done.request.attempt, reason: 'test' })).outcome,
    ).toBe('released');
  });
});
