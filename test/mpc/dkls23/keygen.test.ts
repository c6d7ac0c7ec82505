/** Key generation and refresh: a cheat at each check, and what a refresh makes of the old. Changed bits: `bit-flips.test.ts`. */
import { secp256k1 } from '@noble/curves/secp256k1.js';
import { beforeAll, describe, expect, it } from 'vitest';
import type { KeygenOutput } from '../../../core/ports/protocol.ts';
import { activationCeremony } from '../../../mpc/activation.ts';
import { concatBytes, domainHash, u8 } from '../../../mpc/bytes.ts';
import { dkls23 } from '../../../mpc/dkls23/adapter.ts';
import { aggregate } from '../../../mpc/dkls23/aggregate.ts';
import { proveKnowledge } from '../../../mpc/dkls23/curve.ts';
import { decodeShare } from '../../../mpc/dkls23/encoding.ts';
import { createKeygen } from '../../../mpc/dkls23/keygen.ts';
import { createRefresh } from '../../../mpc/dkls23/refresh.ts';
import { scalarBytes } from '../../../mpc/dkls23/scalars.ts';
import { createSign } from '../../../mpc/dkls23/sign.ts';
import { dealKey, flip, randomOf, runTampered, type Tamper } from '../../support/dkls23.ts';
import { digestOf, opensslEcdsa } from '../../support/ecdsa.ts';
import { hex, outputOf, type Recording, range, runAll, seedOf } from '../../support/mpc.ts';

const two = { threshold: 2, parties: 2 };
const CHEAT = 2;
const HEADER = 36;
const machine =
  (shape = two) =>
  (index: number) =>
    createKeygen({ ...shape, index, sessionId: seedOf('session') });
const seed = (i: number) => seedOf('keygen', i);
const caught = (tamper: Tamper, field: string, cheat = CHEAT) => {
  const { error, by } = runTampered([1, 2], machine(), seed, tamper, cheat);
  expect(by, field).toBe(3 - cheat);
  expect(error?.code, field).toBe('ProtocolFault');
  expect(error?.details.culprit, field).toBe(String(cheat));
  return error?.details;
};

describe('key generation', () => {
  let honest: Recording<KeygenOutput> | undefined;
  /** A cheat that replaces its opening by one it has committed to: the checks behind the commitment must hold alone. */
  const recommitted = (change: (opening: Uint8Array) => Uint8Array): Tamper => {
    // What the honest machine will open is found by running it; the cheat's machine is deterministic.
    honest ??= runAll([1, 2], machine(), seed);
    const second = honest.outboxes.get(CHEAT)?.[1]?.find(({ to }) => to === 'all')?.body;
    const opening = change((second ?? new Uint8Array()).slice(HEADER + 64));
    const context = (second ?? new Uint8Array()).slice(4, HEADER);
    return (round, _, to, body) => {
      if (to !== 'all') return undefined;
      if (round === 1)
        return concatBytes(
          body.slice(0, HEADER),
          domainHash('keysaga/dkls23/keygen-commitment/v1', context, u8(CHEAT), opening),
        );
      // Its own commitment as the others saw it.
      if (round === 2) {
        const first = concatBytes(
          Uint8Array.of(1, 1, CHEAT, 0),
          context,
          domainHash('keysaga/dkls23/keygen-commitment/v1', context, u8(CHEAT), opening),
        );
        return concatBytes(
          body.slice(0, HEADER + 32),
          domainHash('keysaga/dkls23/seen/v1', context, u8(CHEAT), first),
          opening,
        );
      }
      return undefined;
    };
  };
  const point = secp256k1.Point.BASE.multiply(5n).toBytes();

  it('a constant whose logarithm the sender does not prove is named', () => {
    expect(
      caught(
        recommitted((o) => concatBytes(o.slice(0, 32), point, o.slice(65))),
        'proof',
      ),
    ).toMatchObject({ field: 'keygenOpening.proof' });
    // Nor does the other party's proof, or one for another index, do.
    const foreign = proveKnowledge(
      'keysaga/dkls23/keygen-proof/v1',
      seedOf('context'),
      1,
      5n,
      point,
      randomOf('proof'),
    );
    expect(
      caught(
        recommitted((o) => concatBytes(o.slice(0, 32), point, o.slice(65, 98), foreign)),
        'proof',
      ),
    ).toMatchObject({ field: 'keygenOpening.proof' });
  });

  it('a commitment that is no point, and a polynomial that the share is not of, are named', () => {
    const noPoint = new Uint8Array(33).fill(0xff);
    expect(
      caught(
        recommitted((o) => concatBytes(o.slice(0, 65), noPoint, o.slice(98))),
        'points',
      ),
    ).toMatchObject({ field: 'keygenOpening.points[1]' });
    expect(
      caught(
        recommitted((o) => concatBytes(o.slice(0, 65), point, o.slice(98))),
        'share',
      ),
    ).toMatchObject({ field: 'keygenShare.share' });
  });

  it('a share that is no scalar is named', () => {
    caught(
      (r, _, to, body) =>
        r === 2 && to !== 'all'
          ? concatBytes(
              body.slice(0, HEADER),
              new Uint8Array(32).fill(0xff),
              body.slice(HEADER + 32),
            )
          : undefined,
      'share',
    );
  });

  it('runs for t of n that wallets may not have, whose port refuses them', () => {
    const shape = { threshold: 2, parties: 4 };
    const params = { ...shape, index: 1, sessionId: seedOf('session') };
    expect(createKeygen(params).rounds).toBe(6);
    const invalid = expect.objectContaining({ code: 'InvalidInput' });
    expect(() => dkls23.keygen(params)).toThrowError(invalid);
    for (const bad of [
      { threshold: 1, parties: 2 },
      { threshold: 3, parties: 2 },
      { threshold: 2, parties: 17 },
    ])
      expect(() => createKeygen({ ...params, ...bad })).toThrowError(invalid);
  });
});

describe('refresh', () => {
  const shape = { threshold: 2, parties: 3 };
  let old: Recording<KeygenOutput>;
  let fresh: Recording<KeygenOutput>;
  const refreshOf = (key: Recording<KeygenOutput>) => (index: number) =>
    createRefresh({
      ...shape,
      index,
      sessionId: seedOf('refresh'),
      share: outputOf(key, index).share,
      publicPackage: outputOf(key, index).publicPackage,
    });
  const digest = digestOf('refreshed');
  const signing = (keys: (index: number) => KeygenOutput, signers: readonly number[]) =>
    runTampered(
      signers,
      (index) =>
        createSign({
          ...shape,
          index,
          sessionId: seedOf('signing'),
          share: keys(index).share,
          publicPackage: keys(index).publicPackage,
          signers,
          messages: [digest],
        }),
      seed,
      () => undefined,
      0,
    );
  beforeAll(() => {
    old = dealKey(shape, 'refresh');
    fresh = runAll([1, 2, 3], refreshOf(old), seed);
  }, 120_000);

  it('keeps the public key and changes everything else', () => {
    const before = outputOf(old, 1);
    const after = outputOf(fresh, 1);
    expect(hex(after.publicKey)).toBe(hex(before.publicKey));
    expect(hex(dkls23.publicKey(after.publicPackage))).toBe(hex(before.publicKey));
    expect(hex(after.publicPackage)).not.toBe(hex(before.publicPackage));
    for (const index of range(3)) {
      const others = range(3).filter((i) => i !== index);
      const [a, b] = [old, fresh].map((key) => {
        const { share, publicPackage } = outputOf(key, index);
        return decodeShare(share, { ...shape, index, publicPackage }, others);
      });
      expect(a?.value).not.toBe(b?.value);
      for (const peer of others) {
        expect(a?.zeroSeeds.get(peer)).not.toEqual(b?.zeroSeeds.get(peer));
        expect(a?.pairs.get(peer)?.send.delta).not.toEqual(b?.pairs.get(peer)?.send.delta);
        expect(a?.pairs.get(peer)?.receive.zero).not.toEqual(b?.pairs.get(peer)?.receive.zero);
      }
    }
  });

  it('new shares sign under the same key', () => {
    const { broadcasts, error } = signing((i) => outputOf(fresh, i), [1, 3]);
    expect(error).toBeUndefined();
    const { publicPackage } = outputOf(fresh, 1);
    const [signature] = aggregate({
      ...shape,
      publicPackage,
      signers: [1, 3],
      messages: [digest],
      rounds: broadcasts,
    });
    expect(opensslEcdsa(outputOf(old, 1).publicKey, digest, signature ?? new Uint8Array())).toBe(
      true,
    );
  });

  it('old shares are of no use with new ones, nor under the new package', () => {
    const { error } = signing((i) => outputOf(i === 1 ? fresh : old, i), [1, 3]);
    expect(error).toMatchObject({ code: 'ProtocolFault' });
    expect(() =>
      decodeShare(
        outputOf(old, 1).share,
        { ...shape, index: 1, publicPackage: outputOf(fresh, 1).publicPackage },
        [],
      ),
    ).toThrowError(expect.objectContaining({ code: 'InvalidInput' }));
  });

  it('an old share that is passed off as a new one does not add up to the key', () => {
    // Party 3 has the new set-up but its old Shamir share: on another polynomial.
    const share = outputOf(fresh, 3).share.slice();
    const { share: before, publicPackage } = outputOf(old, 3);
    const { value } = decodeShare(before, { ...shape, index: 3, publicPackage }, []);
    share.set(scalarBytes(value), 37);
    const { error } = signing(
      (i) => (i === 3 ? { ...outputOf(fresh, 3), share } : outputOf(fresh, i)),
      [1, 3],
    );
    expect(error).toMatchObject({ details: { field: 'presignOpening.key' } });
  });

  it('a share of another key, and a party that adds a constant, are refused', () => {
    const other = dealKey(shape, 'other');
    expect(() =>
      createRefresh({
        ...shape,
        index: 1,
        sessionId: seedOf('refresh'),
        share: outputOf(other, 1).share,
        publicPackage: outputOf(old, 1).publicPackage,
      }),
    ).toThrowError(expect.objectContaining({ code: 'InvalidInput' }));
    // There is no place for a constant; a share moved by one is off the committed polynomial.
    const { error } = runTampered(
      [1, 2, 3],
      refreshOf(old),
      seed,
      (round, _, to, body) => (round === 2 && to === 2 ? flip(body, HEADER + 31) : undefined),
      1,
    );
    expect(error).toMatchObject({ details: { field: 'keygenShare.share', culprit: '1' } });
  });

  it('is activated like a new key, by a signature of all', () => {
    const live = runAll(
      [1, 2],
      (index) =>
        activationCeremony(dkls23, {
          params: { threshold: 2, parties: 2, index, sessionId: seedOf('refresh') },
          keyId: 'vault',
          epoch: 1,
          refresh: outputOf(dealt, index),
        }),
      seed,
    );
    expect(live.version).toBe('dkls23/activation/1+dkls23/refresh/1+dkls23/sign/1');
    expect(hex(outputOf(live, 1).publicKey)).toBe(hex(outputOf(dealt, 1).publicKey));
  });
  const dealt = dealKey({ threshold: 2, parties: 2 }, 'activated');
});
