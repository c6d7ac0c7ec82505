/** Presignatures: batches, one online round, what binds them, and the batch verification behind both. */

import { secp256k1 } from '@noble/curves/secp256k1.js';
import { describe, expect, it } from 'vitest';
import type { OnlineParams, PresignParams } from '../../../core/ports/protocol.ts';
import { createCeremonies } from '../../../mpc/ceremonies.ts';
import { dkls23 } from '../../../mpc/dkls23/adapter.ts';
import { verifyAll } from '../../../mpc/dkls23/ecdsa.ts';
import { signingKey } from '../../../mpc/dkls23/sign-context.ts';
import { held } from '../../../mpc/faults.ts';
import { createRegistry } from '../../../mpc/registry.ts';
import { dealKey, flip } from '../../support/dkls23.ts';
import { digestOf, opensslEcdsa } from '../../support/ecdsa.ts';
import { hex, outputOf, runAll, seedOf } from '../../support/mpc.ts';

const shape = { threshold: 2, parties: 3 };
const key = dealKey(shape, 'presigned');
const { publicPackage, publicKey } = outputOf(key, 1);
const signers = [1, 3];
const presigning = held(dkls23.presigning);
const presign = (count: number, label: string, by: readonly number[] = signers) =>
  runAll(
    by,
    (index) =>
      presigning.presign({
        ...shape,
        index,
        sessionId: seedOf('presign', label),
        share: outputOf(key, index).share,
        publicPackage,
        signers: by,
        count,
      }),
    (i) => seedOf('presign-seed', label, i),
  );
const pool = presign(4, 'pool');
const online = (
  messages: readonly Uint8Array[],
  which: readonly number[],
  label: string,
  change: (index: number, bytes: Uint8Array) => Uint8Array = (_, bytes) => bytes,
) =>
  runAll(
    signers,
    (index) =>
      presigning.online({
        ...shape,
        index,
        sessionId: seedOf('online', label),
        publicPackage,
        signers,
        messages,
        presignatures: which.map((i) =>
          change(index, held(outputOf(pool, index).presignatures[i])),
        ),
      }),
    (i) => seedOf('online-seed', label, i),
  );
const combine = (
  messages: readonly Uint8Array[],
  rounds: ReturnType<typeof online>['broadcasts'],
) => presigning.aggregate({ ...shape, publicPackage, signers, messages, rounds });
const invalid = expect.objectContaining({ code: 'InvalidInput' });

describe('presignatures', () => {
  it('have the same ids at every signer, each its own, and say nothing in the last round', () => {
    expect(outputOf(pool, 1).ids).toEqual(outputOf(pool, 3).ids);
    expect(new Set(outputOf(pool, 1).ids.map(hex)).size).toBe(4);
    expect(outputOf(pool, 1).presignatures[0]).not.toEqual(outputOf(pool, 3).presignatures[0]);
    expect(pool.outboxes.get(1)?.at(-1)).toEqual([]);
    expect(pool.logs.get(1)?.length).toBe(presigning.rounds.presign);
    expect(outputOf(presign(4, 'other'), 1).ids).not.toEqual(outputOf(pool, 1).ids);
  });

  it('sign in one round, alone and several at once, verified by OpenSSL', () => {
    for (const [label, which] of [
      ['one', [2]],
      ['several', [0, 3, 1]],
    ] as const) {
      const messages = which.map((i) => digestOf(`${label}/${i}`));
      const run = online(messages, which, label);
      expect(run.broadcasts.length).toBe(presigning.rounds.online);
      expect(outputOf(run, 1)).toEqual({ released: true });
      combine(messages, run.broadcasts).forEach((signature, i) => {
        expect(opensslEcdsa(publicKey, held(messages[i]), signature)).toBe(true);
        expect(dkls23.verify(publicKey, held(messages[i]), signature)).toBe(true);
      });
    }
  });

  it('are re-randomised: the nonce depends on session and digest, and was not known before', () => {
    const nonce = (digest: Uint8Array, label: string) =>
      hex(held(combine([digest], online([digest], [0], label).broadcasts)[0]).slice(0, 32));
    // In life a presignature sees one message. Here the same one shows that δ binds each part.
    const a = digestOf('a');
    const all = [nonce(a, 's1'), nonce(a, 's2'), nonce(digestOf('b'), 's1')];
    expect(new Set(all).size).toBe(3);
    const stored = hex(held(outputOf(pool, 1).presignatures[0]));
    for (const r of all) expect(stored).not.toContain(r);
    expect(nonce(a, 's1')).toBe(all[0]);
  });

  it('belong to one key, epoch, party and signer set, and to one message', () => {
    const mine = held(outputOf(pool, 1).presignatures[0]);
    const base = {
      ...shape,
      index: 1,
      sessionId: seedOf('x'),
      publicPackage,
      signers,
      messages: [digestOf('x')],
      presignatures: [mine],
    };
    expect(() => presigning.online(base)).not.toThrow();
    const other = outputOf(dealKey(shape, 'another'), 1).publicPackage;
    for (const change of [
      { publicPackage: other },
      { signers: [1, 2] },
      { signers: [1, 2, 3] },
      { presignatures: [held(outputOf(pool, 3).presignatures[0])] },
      { presignatures: [] },
      { presignatures: [mine, mine], messages: [digestOf('x'), digestOf('y')] },
      { presignatures: [mine.slice(0, -1)] },
      { presignatures: [flip(mine, 0)] },
      { messages: [new Uint8Array(31)] },
      { sessionId: new Uint8Array(5) },
    ])
      expect(() => presigning.online({ ...base, ...change })).toThrowError(invalid);
    for (const count of [0, -1, 1.5, 1025])
      expect(() =>
        presigning.presign({
          ...shape,
          index: 1,
          sessionId: seedOf('x'),
          share: outputOf(key, 1).share,
          publicPackage,
          signers,
          count,
        }),
      ).toThrowError(invalid);
  });

  it('take no tweak: a child key signs in three rounds', () => {
    const tweak = seedOf('tweak');
    const own = { ...shape, index: 1, sessionId: seedOf('x'), publicPackage, signers, tweak };
    const messages = [digestOf('x')];
    const { share } = outputOf(key, 1);
    const { presignatures } = outputOf(pool, 1);
    const { broadcasts } = online(messages, [1], 'tweak');
    const refused = expect.objectContaining({
      code: 'InvalidInput',
      details: { field: 'tweak' },
    });
    expect(() => presigning.presign({ ...own, share, count: 1 } as PresignParams)).toThrowError(
      refused,
    );
    expect(() =>
      presigning.online({
        ...own,
        messages,
        presignatures: presignatures.slice(1, 2),
      } as OnlineParams),
    ).toThrowError(refused);
    expect(() =>
      presigning.aggregate({
        ...shape,
        publicPackage,
        signers,
        messages,
        rounds: broadcasts,
        tweak,
      }),
    ).toThrowError(refused);
  });

  it('a wrong share gives no signature; each changed bit of a broadcast is a fault', () => {
    const messages = [digestOf('bits'), digestOf('bits 2')];
    const { broadcasts } = online(messages, [0, 1], 'bits');
    const body = held(broadcasts[0]?.get(3));
    const fields = [0, 1, 2, 4, 35, 36, 67, 68, 100, 132, 133, 164, 165, 196, body.length - 1];
    for (const at of fields)
      expect(
        () => combine(messages, [new Map([...held(broadcasts[0]), [3, flip(body, at)]])]),
        `byte ${at}`,
      ).toThrowError(expect.objectContaining({ code: 'ProtocolFault' }));
    expect(() => combine([digestOf('other'), held(messages[1])], broadcasts)).toThrowError(
      expect.objectContaining({
        code: 'ProtocolFault',
        details: expect.not.objectContaining({ culprit: expect.anything() }),
      }),
    );
    // Signers with different presignatures have no nonce in common.
    const mixed = online([held(messages[0])], [2], 'mixed', (index, bytes) =>
      index === 3 ? held(outputOf(pool, 3).presignatures[3]) : bytes,
    );
    expect(() => combine([held(messages[0])], mixed.broadcasts)).toThrowError(
      expect.objectContaining({ details: expect.objectContaining({ suspects: ['1', '3'] }) }),
    );
  });

  it('run as the party service sees them, and replay', () => {
    const ceremonies = createCeremonies(createRegistry());
    const log = { version: ceremonies.describe('dkls23', 'presign').version, entries: [] };
    const params = {
      ...shape,
      index: 1,
      sessionId: seedOf('ceremonies'),
      share: outputOf(key, 1).share,
      publicPackage,
      signers,
      count: 2,
    };
    const run = ceremonies.presign('dkls23', params, seedOf('seed'), log);
    expect(run.rounds).toBe(ceremonies.describe('dkls23', 'presign').rounds);
    const { outboxHash, outbox } = run.round(1, []);
    const again = ceremonies.presign('dkls23', params, seedOf('seed'), {
      ...log,
      entries: [{ round: 1, inbox: [], outboxHash }],
    });
    expect(again.next).toBe(2);
    expect(outbox.length).toBe(2);
    expect(ceremonies.describe('dkls23', 'online').rounds).toBe(1);
    expect(ceremonies.describe('dkls23', 'refresh').rounds).toBe(9);
    expect(ceremonies.describe('frost-ed25519', 'online').rounds).toBe(1);
    const unsupported = expect.objectContaining({ code: 'ProtocolUnsupported' });
    expect(() => ceremonies.describe('frost-ed25519', 'refresh')).toThrowError(unsupported);
    const registry = createRegistry();
    const { presigning: _, ...plain } = registry.get('dkls23');
    const without = createCeremonies({ ...registry, get: () => plain });
    for (const kind of ['presign', 'online'] as const)
      expect(() => without.describe('dkls23', kind)).toThrowError(unsupported);
    expect(() => without.presign('dkls23', params, seedOf('seed'), log)).toThrowError(unsupported);
  });
});

describe('verification of a batch', () => {
  it('refuses one wrong signature among many, whichever part is wrong', () => {
    const secret = seedOf('secret');
    const own = secp256k1.getPublicKey(secret);
    const digests = Array.from({ length: 5 }, (_, i) => digestOf(`batch/${i}`));
    const signatures = digests.map((digest) => {
      const bytes = secp256k1.sign(digest, secret, { prehash: false, format: 'recovered' });
      return Uint8Array.from([...bytes.slice(1), held(bytes[0])]);
    });
    const points = signatures.map((signature) => {
      const x = signature.slice(0, 32);
      return secp256k1.Point.fromBytes(Uint8Array.from([2 + (held(signature[64]) & 1), ...x]));
    });
    const keyPoint = secp256k1.Point.fromBytes(own);
    expect(verifyAll(keyPoint, digests, signatures, points)).toBe(true);
    // s was brought to its lower half after the fact: the point may be the negative one.
    expect(
      verifyAll(
        keyPoint,
        digests,
        signatures,
        points.map((p) => p.negate()),
      ),
    ).toBe(true);
    for (const at of [0, 31, 32, 63, 64]) {
      const bad = signatures.map((s, i) => (i === 3 ? flip(s, at) : s));
      expect(verifyAll(keyPoint, digests, bad, points), `byte ${at}`).toBe(false);
    }
    const swapped = [held(digests[1]), held(digests[0]), ...digests.slice(2)];
    expect(verifyAll(keyPoint, swapped, signatures, points)).toBe(false);
    const stranger = signingKey(publicPackage, shape, 0n);
    expect(verifyAll(stranger, digests, signatures, points)).toBe(false);
  });
});
