/** Signing over dealt keys: any t of n, tweaks, recovery ids; a cheat at each check; presignatures. */
import { secp256k1 } from '@noble/curves/secp256k1.js';
import { describe, expect, it } from 'vitest';
import { dkls23 } from '../../../mpc/dkls23/adapter.ts';
import { aggregate } from '../../../mpc/dkls23/aggregate.ts';
import { decodeShare } from '../../../mpc/dkls23/encoding.ts';
import * as presign from '../../../mpc/dkls23/presign.ts';
import { Q, scalarBytes } from '../../../mpc/dkls23/scalars.ts';
import { createSign } from '../../../mpc/dkls23/sign.ts';
import { SIGN_VERSION, signingBase, signingContext } from '../../../mpc/dkls23/sign-context.ts';
import { zeroShare } from '../../../mpc/dkls23/zero-sharing.ts';
import { createDraws } from '../../../mpc/draws.ts';
import type { KeysagaError } from '../../../schema/contracts/errors.ts';
import { dealKey, flip, runTampered, type Tamper } from '../../support/dkls23.ts';
import { digestOf, opensslEcdsa } from '../../support/ecdsa.ts';
import { hex, inboxFor, outputOf, range, runAll, type Shape, seedOf } from '../../support/mpc.ts';

const { Point } = secp256k1;
type Key = ReturnType<typeof dealKey>;

const machineOf =
  (
    shape: Shape,
    key: Key,
    signers: readonly number[],
    messages: readonly Uint8Array[],
    label: string,
    tweak?: Uint8Array,
  ) =>
  (index: number) =>
    createSign({
      ...shape,
      index,
      sessionId: seedOf('session', label),
      share: outputOf(key, index).share,
      publicPackage: outputOf(key, index).publicPackage,
      signers,
      messages,
      ...(tweak && { tweak }),
    });

function sign(
  shape: Shape,
  key: Key,
  signers: readonly number[],
  messages: readonly Uint8Array[],
  label: string,
  tweak?: Uint8Array,
) {
  const run = runAll(signers, machineOf(shape, key, signers, messages, label, tweak), (i) =>
    seedOf('seed', label, i),
  );
  const signatures = aggregate({
    ...shape,
    publicPackage: outputOf(key, 1).publicPackage,
    signers,
    messages,
    rounds: run.broadcasts,
    ...(tweak && { tweak }),
  });
  return { run, signatures };
}

describe('signatures', () => {
  it.each([
    [2, 2, [1, 2]],
    [2, 4, [2, 4]],
    [2, 16, [1, 16]],
    [3, 7, [2, 5, 7]],
    [3, 7, [1, 2, 3, 4, 5, 6, 7]],
    [8, 8, range(8)],
  ])('of %i of %i by %j verify in OpenSSL and give the key back', (threshold, parties, signers) => {
    const shape = { threshold, parties };
    const key = dealKey(shape, 'any');
    const { publicKey } = outputOf(key, 1);
    const messages = [digestOf('one'), digestOf('two')];
    const { signatures } = sign(shape, key, signers, messages, 'any');
    signatures.forEach((signature, i) => {
      const digest = messages[i] ?? new Uint8Array();
      expect(signature.length).toBe(65);
      expect(opensslEcdsa(publicKey, digest, signature)).toBe(true);
      expect(dkls23.verify(publicKey, digest, signature)).toBe(true);
      const compact = secp256k1.Signature.fromBytes(signature.slice(0, 64));
      expect(compact.hasHighS()).toBe(false);
      expect(
        compact
          .addRecoveryBit(signature[64] ?? 9)
          .recoverPublicKey(digest)
          .toHex(),
      ).toBe(hex(publicKey));
      // Strict: the other recovery ids, and s in the upper half, are refused.
      for (const other of [0, 1, 2, 3, 4].filter((id) => id !== signature[64]))
        expect(
          dkls23.verify(publicKey, digest, Uint8Array.from([...signature.slice(0, 64), other])),
        ).toBe(false);
      const high = Uint8Array.from([
        ...signature.slice(0, 32),
        ...scalarBytes(Q - compact.s),
        (signature[64] ?? 0) ^ 1,
      ]);
      expect(dkls23.verify(publicKey, digest, high)).toBe(false);
    });
  });

  it('a tweak signs for the child key and no other', () => {
    const shape = { threshold: 2, parties: 3 };
    const key = dealKey(shape, 'tweak');
    const tweak = seedOf('tweak');
    const digest = digestOf('child');
    const { signatures } = sign(shape, key, [2, 3], [digest], 'tweak', tweak);
    const signature = signatures[0] ?? new Uint8Array();
    const parent = Point.fromBytes(outputOf(key, 1).publicKey);
    const scalar = Point.Fn.fromBytes(tweak);
    const child = parent.add(Point.BASE.multiply(scalar)).toBytes();
    expect(opensslEcdsa(child, digest, signature)).toBe(true);
    expect(dkls23.verify(parent.toBytes(), digest, signature)).toBe(false);
    for (const bad of [new Uint8Array(31), new Uint8Array(32).fill(0xff)])
      expect(() => sign(shape, key, [2, 3], [digest], 'bad', bad)).toThrowError(
        expect.objectContaining({ code: 'InvalidInput' }),
      );
  });

  it('shares of zero add up to zero and differ from session to session', () => {
    const key = dealKey({ threshold: 3, parties: 5 }, 'zero');
    const signers = [1, 3, 4];
    const shares = (context: string) =>
      signers.map((index) => {
        const { share, publicPackage } = outputOf(key, index);
        const header = { threshold: 3, parties: 5, index, publicPackage };
        return zeroShare(
          seedOf(context),
          index,
          signers,
          decodeShare(share, header, signers).zeroSeeds,
        );
      });
    const [a, b] = [shares('a'), shares('b')];
    expect(a.reduce((sum, x) => sum + x) % Q).toBe(0n);
    expect(b.reduce((sum, x) => sum + x) % Q).toBe(0n);
    expect(new Set([...a, ...b]).size).toBe(6);
  });
});

describe('a signer that cheats', () => {
  const shape = { threshold: 2, parties: 3 };
  const key = dealKey(shape, 'cheats');
  const signers = [1, 3];
  const CHEAT = 3;
  const messages = [digestOf('a'), digestOf('b')];
  const machine = machineOf(shape, key, signers, messages, 'cheats');
  const seed = (i: number) => seedOf('seed', 'cheats', i);
  const tampered = (tamper: Tamper) => runTampered(signers, machine, seed, tamper, CHEAT);
  const expectCaught = (error: KeysagaError | undefined, details: object) =>
    expect(error).toMatchObject({ code: 'ProtocolFault', details });

  /** Both signers by hand, so that one's state can be bent between the rounds. */
  function byHand(bend: {
    afterBegin?: (s: presign.Presign) => void;
    beforeExchange?: (s: presign.Presign) => void;
  }) {
    const base = signingBase({
      ...shape,
      version: SIGN_VERSION,
      publicPackage: outputOf(key, 1).publicPackage,
      signers,
      messages,
      batch: 2,
    });
    const context = signingContext(base, seedOf('session', 'by hand'));
    const states = new Map(
      signers.map((index) => {
        const { share, publicPackage, publicKey } = outputOf(key, index);
        return [
          index,
          presign.createPresign({
            index,
            parties: 3,
            signers,
            batch: 2,
            context,
            base,
            key: Point.fromBytes(publicKey),
            tweak: 0n,
            share: decodeShare(share, { ...shape, index, publicPackage }, signers),
          }),
        ];
      }),
    );
    const draws = (i: number, round: number) => createDraws(seedOf('hand', i), 'hand', round);
    const of = (i: number) => states.get(i) as presign.Presign;
    const first = new Map(signers.map((i) => [i, presign.begin(of(i), draws(i, 1))]));
    bend.afterBegin?.(of(CHEAT));
    const second = new Map(
      signers.map((i) => [i, presign.exchange(of(i), inboxFor(i, first), draws(i, 2))]),
    );
    return () => presign.combine(of(1), inboxFor(1, second), draws(1, 3));
  }
  const gamma = expect.objectContaining({
    code: 'ProtocolFault',
    details: { field: 'presignReply.gamma', culprit: '3', barring: true },
  });

  it('an honest run by hand passes', () => {
    expect(byHand({})().length).toBe(2);
  });
  it('that multiplies another nonce than it opens is named and barred', () => {
    for (const m of [0, 1])
      expect(
        byHand({
          afterBegin: (state) => {
            state.r[m] = ((state.r[m] ?? 0n) + 1n) % Q;
          },
        }),
      ).toThrowError(gamma);
  });
  it('that multiplies the negative of its nonce and of nothing else is named', () => {
    expect(
      byHand({
        afterBegin: (state) => {
          state.r[0] = Q - (state.r[0] ?? 0n);
        },
      }),
    ).toThrowError(gamma);
  });
  it('that multiplies another key share than it opens is named and barred', () => {
    // K of the broadcast is replaced by another point; all else is as it was multiplied.
    const other = Point.BASE.multiply(99n).toBytes(false);
    const { error, by } = tampered((r, _, to, body) =>
      r === 2 && to === 'all' ? Uint8Array.from([...body.slice(0, -65), ...other]) : undefined,
    );
    expect(by).toBe(1);
    expectCaught(error, { culprit: '3', field: 'presignReply.gamma', barring: true });
  });
  it('with a key share of its own choice is named: the shares do not add up to the key', () => {
    expect(
      byHand({
        afterBegin: (state) => {
          state.share.value = (state.share.value + 1n) % Q;
        },
      }),
    ).toThrowError(
      expect.objectContaining({ details: { field: 'presignOpening.key', culprit: '3' } }),
    );
  });
  it('with another share of zero is named the same way', () => {
    expect(
      byHand({
        afterBegin: (state) => {
          (state.share.zeroSeeds as Map<number, Uint8Array>).set(1, seedOf('another'));
        },
      }),
    ).toThrowError(
      expect.objectContaining({ details: { field: 'presignOpening.key', culprit: '3' } }),
    );
  });
  it('among three, all others are suspects of a wrong sum', () => {
    const three = dealKey({ threshold: 3, parties: 3 }, 'three');
    const wrong = dealKey({ threshold: 3, parties: 3 }, 'wrong');
    const of = machineOf({ threshold: 3, parties: 3 }, three, [1, 2, 3], [digestOf('x')], 'three');
    // Party 3 has another share value in the same set-up.
    const share = outputOf(three, 3).share.slice();
    share.set(outputOf(wrong, 3).share.slice(37, 69), 37);
    const { error } = runTampered(
      [1, 2, 3],
      (index) =>
        index === 3
          ? createSign({
              threshold: 3,
              parties: 3,
              index,
              sessionId: seedOf('session', 'three'),
              share,
              publicPackage: outputOf(three, 3).publicPackage,
              signers: [1, 2, 3],
              messages: [digestOf('x')],
            })
          : of(index),
      seed,
      () => undefined,
      3,
    );
    expectCaught(error, { field: 'presignOpening.key', suspects: ['2', '3'] });
  });
  it('that tells two signers different commitments is between two suspects', () => {
    const three = dealKey({ threshold: 3, parties: 3 }, 'three');
    const of = machineOf({ threshold: 3, parties: 3 }, three, [1, 2, 3], [digestOf('x')], 'three');
    const runs = new Map(range(3).map((i) => [i, of(i)]));
    const draws = (i: number, r: number) => createDraws(seed(i), SIGN_VERSION, r);
    const first = new Map(
      range(3).map((i) => [i, runs.get(i)?.round(1, [], draws(i, 1)).outbox ?? []]),
    );
    const told = (i: number) =>
      i !== 2
        ? first
        : new Map([
            ...first,
            [
              3,
              (first.get(3) ?? []).map((m) =>
                m.to === 'all' ? { ...m, body: flip(m.body, -1) } : m,
              ),
            ],
          ]);
    const second = new Map(
      range(3).map((i) => [
        i,
        runs.get(i)?.round(2, inboxFor(i, told(i)), draws(i, 2)).outbox ?? [],
      ]),
    );
    expect(() => runs.get(1)?.round(3, inboxFor(1, second), draws(1, 3))).toThrowError(
      expect.objectContaining({
        details: expect.objectContaining({ field: 'presignOpening.seen', suspects: ['2', '3'] }),
      }),
    );
  });
});
