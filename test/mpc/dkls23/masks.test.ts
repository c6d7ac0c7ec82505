/**
 * What the shares of zero are for: a signer may tell two others different masks ψ without being seen. What the honest
 * then release depends on their single key shares, so these must be new, and not the long-lived ones, in each session.
 */
import { secp256k1 } from '@noble/curves/secp256k1.js';
import { describe, expect, it } from 'vitest';
import type { OutgoingMessage } from '../../../core/ports/protocol.ts';
import { aggregate } from '../../../mpc/dkls23/aggregate.ts';
import { lagrange } from '../../../mpc/dkls23/curve.ts';
import { digestScalar } from '../../../mpc/dkls23/ecdsa.ts';
import { decodeShare } from '../../../mpc/dkls23/encoding.ts';
import { replyBytes } from '../../../mpc/dkls23/multiplication.ts';
import * as presign from '../../../mpc/dkls23/presign.ts';
import { invert, mod, readScalar, scalarBytes } from '../../../mpc/dkls23/scalars.ts';
import { createSign, signatureShare } from '../../../mpc/dkls23/sign.ts';
import { SIGN_VERSION, signingBase, signingContext } from '../../../mpc/dkls23/sign-context.ts';
import { createDraws } from '../../../mpc/draws.ts';
import { held } from '../../../mpc/faults.ts';
import { dealKey, runTampered } from '../../support/dkls23.ts';
import { digestOf } from '../../support/ecdsa.ts';
import { hex, inboxFor, outputOf, runAll, seedOf } from '../../support/mpc.ts';

const { Point } = secp256k1;
const shape = { threshold: 3, parties: 4 };
const signers = [1, 2, 4];
const CHEAT = 4;
const key = dealKey(shape, 'masks');
const { publicPackage, publicKey } = outputOf(key, 1);
const messages = [digestOf('one'), digestOf('two')];
const HEADER = 4 + 32;

const signing = (label: string) => (index: number) =>
  createSign({
    ...shape,
    index,
    sessionId: seedOf('session', label),
    share: outputOf(key, index).share,
    publicPackage,
    signers,
    messages,
  });

/** ψ of the m-th signature in a reply, moved by `by`. */
function moved(body: Uint8Array, m: number, by: bigint): Uint8Array {
  const out = body.slice();
  const at = HEADER + replyBytes(messages.length) + 32 * m;
  out.set(scalarBytes(mod(held(readScalar(body.slice(at, at + 32))) + by)), at);
  return out;
}

describe('masks', () => {
  it('that two honest signers were told differently give no signature, and leave all suspects', () => {
    const { error, broadcasts } = runTampered(
      signers,
      signing('told'),
      (i) => seedOf('seed', i),
      (round, _, to, body) => (round === 2 && to === 1 ? moved(body, 1, 5n) : undefined),
      CHEAT,
    );
    expect(error).toBeUndefined();
    expect(() =>
      aggregate({ ...shape, publicPackage, signers, messages, rounds: broadcasts }),
    ).toThrowError(
      expect.objectContaining({
        code: 'ProtocolFault',
        details: { field: 'signatureShares.shares[1]', suspects: ['1', '2', '4'] },
      }),
    );
  });

  it('move what is released by multiples of the nonce and key shares of the session, and of nothing else', () => {
    const base = signingBase({
      ...shape,
      version: SIGN_VERSION,
      publicPackage,
      signers,
      messages,
      batch: messages.length,
    });
    const context = signingContext(base, seedOf('session', 'moved'));
    const states = new Map(
      signers.map((index) => [
        index,
        presign.createPresign({
          index,
          parties: shape.parties,
          signers,
          batch: messages.length,
          context,
          base,
          key: Point.fromBytes(publicKey),
          tweak: 0n,
          share: decodeShare(
            outputOf(key, index).share,
            { ...shape, index, publicPackage },
            signers,
          ),
        }),
      ]),
    );
    const of = (i: number) => held(states.get(i));
    const draws = (i: number, round: number) => createDraws(seedOf('masks', i), 'masks', round);
    const first = new Map(signers.map((i) => [i, presign.begin(of(i), draws(i, 1))]));
    const second = new Map<number, readonly OutgoingMessage[]>(
      signers.map((i) => [i, presign.exchange(of(i), inboxFor(i, first), draws(i, 2))]),
    );
    const by = new Map([
      [1, 5n],
      [2, 11n],
    ]);
    second.set(
      CHEAT,
      held(second.get(CHEAT)).map((message) => ({
        ...message,
        body:
          message.to === 'all' ? message.body : moved(message.body, 0, held(by.get(message.to))),
      })),
    );
    const digest = held(messages[0]);
    const sums = { u: 0n, w: 0n };
    let R = Point.ZERO;
    for (const i of signers) {
      const [presigned] = presign.combine(of(i), inboxFor(i, second), draws(i, 3));
      const { u, w } = signatureShare(held(presigned), digest);
      R = held(presigned).R;
      sums.u += u;
      sums.w += w;
    }
    const total = (f: (state: presign.Presign) => bigint) =>
      signers.reduce((sum, i) => sum + f(of(i)), 0n);
    const error = (f: (state: presign.Presign) => bigint) =>
      [...by].reduce((sum, [i, delta]) => sum + delta * f(of(i)), 0n);
    const nonce = (state: presign.Presign) => held(state.r[0]);
    const share = (state: presign.Presign) => state.keyShare;
    const phi = total((state) => held(state.phi[0]));
    const x = R.toAffine().x;
    expect(mod(sums.u)).toBe(mod(total(nonce) * phi + error(nonce)));
    expect(mod(sums.w)).toBe(
      mod(digestScalar(digest) * phi + x * (total(share) * phi + error(share))),
    );
    // No single one is what its party holds for good; the sum is the key all the same.
    for (const i of signers)
      expect(of(i).keyShare).not.toBe(mod(lagrange(i, signers) * of(i).share.value));
    expect(Point.BASE.multiply(mod(total(share))).toHex()).toBe(hex(publicKey));
  });

  it('key shares are one for a batch and new in each session, whatever the seeds', () => {
    const opened = (label: string) => {
      const { broadcasts } = runAll(signers, signing(label), (i) => seedOf('seed', i));
      return signers.map((i) => held(broadcasts[1]?.get(i)).slice(-65));
    };
    const all = [...opened('a'), ...opened('b')];
    expect(new Set(all.map(hex)).size).toBe(6);
    for (const session of [all.slice(0, 3), all.slice(3)])
      expect(
        session.reduce((sum, bytes) => sum.add(Point.fromBytes(bytes)), Point.ZERO).toHex(),
      ).toBe(hex(publicKey));
  });
});

describe('key shares', () => {
  it('that two colluding signers open differently to two honest ones move the result by what they know', () => {
    const four = { threshold: 4, parties: 4 };
    const all = [1, 2, 3, 4];
    const [honest, other, one, two] = all as [number, number, number, number];
    const dealt = dealKey(four, 'colluding');
    const { publicPackage: encoded, publicKey: group } = outputOf(dealt, 1);
    const base = signingBase({
      ...four,
      version: SIGN_VERSION,
      publicPackage: encoded,
      signers: all,
      messages: messages.slice(0, 1),
      batch: 1,
    });
    const context = signingContext(base, seedOf('session', 'colluding'));
    const delta = 77n;
    /** The signer as it is, or with a share of the key that is moved by so much. */
    const signer = (index: number, by: bigint): presign.Presign => {
      const own = outputOf(dealt, index).share;
      const share = decodeShare(own, { ...four, index, publicPackage: encoded }, all);
      share.value = mod(share.value + by * invert(lagrange(index, all)));
      const key = Point.fromBytes(group);
      const fixed = { index, parties: 4, signers: all, batch: 1, context, base, key, tweak: 0n };
      return presign.createPresign({ ...fixed, share });
    };
    const draws = (i: number, round: number) => createDraws(seedOf('colluding', i), 'masks', round);
    const plain = new Map(all.map((i) => [i, signer(i, 0n)]));
    const bent = new Map([
      [one, signer(one, delta)],
      [two, signer(two, -delta)],
    ]);
    // Round 1 does not depend on the share, so it is the same for both faces.
    const first = new Map(all.map((i) => [i, presign.begin(held(plain.get(i)), draws(i, 1))]));
    for (const [i, state] of bent) expect(presign.begin(state, draws(i, 1))).toEqual(first.get(i));
    const second = new Map(
      all.map((i) => [i, presign.exchange(held(plain.get(i)), inboxFor(i, first), draws(i, 2))]),
    );
    const shown = new Map(second);
    for (const [i, state] of bent)
      shown.set(i, presign.exchange(state, inboxFor(i, first), draws(i, 2)));
    const shares = all.map((i) => {
      const told = i === honest ? shown : second;
      return held(presign.combine(held(plain.get(i)), inboxFor(i, told), draws(i, 3))[0]);
    });
    expect(other).not.toBe(honest);
    const sum = (values: readonly bigint[]) => values.reduce((a, b) => a + b, 0n);
    const phi = sum(all.map((i) => held(plain.get(i)?.phi[0])));
    const key = sum(all.map((i) => held(plain.get(i)).keyShare));
    /** ψ of the honest one to a colluder: its own words to it. */
    const psi = (to: number): bigint => {
      const body = held(second.get(honest)?.find((message) => message.to === to)).body;
      const at = HEADER + replyBytes(1);
      return held(readScalar(body.slice(at, at + 32)));
    };
    const moved = mod(sum(shares.map(({ v }) => v)) - key * phi);
    expect(moved).toBe(mod(delta * (psi(two) - psi(one))));
    expect(moved).not.toBe(0n);
  });
});
