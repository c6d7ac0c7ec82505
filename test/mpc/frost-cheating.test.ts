/** A party that cheats at exactly one check of FROST, and is caught and named there. Party 3 cheats, 1 is honest. */
import { ED25519_TORSION_SUBGROUP, ed25519 } from '@noble/curves/ed25519.js';
import { secp256k1 } from '@noble/curves/secp256k1.js';
import { describe, expect, it } from 'vitest';
import type { OutgoingMessage } from '../../core/ports/protocol.ts';
import { type Bytes, concatBytes } from '../../mpc/bytes.ts';
import { frostBip340, frostEd25519 } from '../../mpc/frost/adapter.ts';
import { bip340Suite } from '../../mpc/frost/bip340.ts';
import { ed25519Suite } from '../../mpc/frost/ed25519.ts';
import { createRun } from '../../mpc/runner.ts';
import { isKeysagaError, type KeysagaError } from '../../schema/contracts/errors.ts';
import {
  hex,
  inboxFor,
  keygenAll,
  outputOf,
  type Recording,
  runAll,
  runVictim,
  seedOf,
  signAll,
  unhex,
} from '../support/mpc.ts';

const shape = { threshold: 2, parties: 3 };
const HEADER = 36;

const cases = [
  { protocol: frostEd25519, suite: ed25519Suite, Point: ed25519.Point },
  { protocol: frostBip340, suite: bip340Suite, Point: secp256k1.Point },
] as const;

const faultOf = (work: () => unknown): KeysagaError => {
  try {
    work();
  } catch (error) {
    if (isKeysagaError(error, 'ProtocolFault')) return error;
    throw error;
  }
  throw new Error('the cheat was accepted');
};
const expectCulprit = (work: () => unknown, culprit: number, field: string) =>
  expect(faultOf(work).details).toMatchObject({ culprit: String(culprit), field });

describe.each(cases)('$protocol.metadata.id', ({ protocol, suite, Point }) => {
  const label = `cheating/${protocol.metadata.id}`;
  const { Fn } = Point;
  const size = suite.pointBytes;
  const order = Fn.ORDER;
  const encodeScalar = (value: bigint): Bytes => Uint8Array.from(Fn.toBytes(Fn.create(value)));
  /** A scalar's 32 bytes without reduction: the group order itself. */
  const orderBytes = (): Uint8Array => {
    const big = unhex(order.toString(16).padStart(64, '0'));
    return Fn.isLE ? big.reverse() : big;
  };
  const honest = keygenAll(protocol, shape, label);
  const said = (
    recording: Recording<unknown>,
    from: number,
    round: number,
    to: number,
  ): Uint8Array =>
    inboxFor(to, new Map([[from, recording.outboxes.get(from)?.[round - 1] ?? []]]))[0]?.body ??
    new Uint8Array();
  const patched = (body: Uint8Array, at: number, bytes: Uint8Array): Uint8Array => {
    const out = body.slice();
    out.set(bytes, at);
    return out;
  };
  /** Party 1 runs with what party 3 said in one round replaced. */
  const keygenWith = (round: number, body: Uint8Array, recording = honest, victim = 1) =>
    runVictim(
      recording,
      victim,
      () => protocol.keygen({ ...shape, index: victim, sessionId: seedOf('session', label) }),
      seedOf('seed', label, victim),
      {
        round,
        inbox: (recording.logs.get(victim)?.[round - 1]?.inbox ?? []).map((m) =>
          m.from === 3 ? { from: 3, body } : m,
        ),
      },
    );

  describe('key generation, round 1', () => {
    const body = said(honest, 3, 1, 1);
    const first = HEADER + 1;
    const proof = first + 2 * size;
    // The same party in the same session with another polynomial: everything decodes.
    const other = said(
      runAll(
        [3],
        (index) => {
          const machine = protocol.keygen({ ...shape, index, sessionId: seedOf('session', label) });
          return { ...machine, rounds: 1 };
        },
        () => seedOf('another polynomial'),
      ),
      3,
      1,
      1,
    );

    it('a proof of knowledge of another secret', () => {
      const cheat = patched(body, proof, other.slice(proof));
      expectCulprit(() => keygenWith(2, cheat), 3, 'keygenCommitment.proof');
    });
    it("another party's commitments and proof as its own", () => {
      const cheat = patched(body, HEADER, said(honest, 2, 1, 1).slice(HEADER));
      expectCulprit(() => keygenWith(2, cheat), 3, 'keygenCommitment.proof');
    });
    it("this party's own commitments and proof sent back", () => {
      const cheat = patched(body, HEADER, said(honest, 1, 1, 3).slice(HEADER));
      expectCulprit(() => keygenWith(2, cheat), 3, 'keygenCommitment.proof');
    });
    it("a rogue key: its own minus the others'", () => {
      const constant = (from: number) =>
        Point.fromBytes(said(honest, from, 1, 3 - (from % 2)).slice(first, first + size));
      const mine = Point.fromBytes(body.slice(first, first + size));
      const rogue = mine
        .subtract(constant(1) as never)
        .subtract(constant(2) as never)
        .toBytes();
      expectCulprit(() => keygenWith(2, patched(body, first, rogue)), 3, 'keygenCommitment.proof');
    });
    it('another number of commitments, which would change the threshold', () => {
      const point = body.slice(first, first + size);
      const parts = [body.slice(0, HEADER), point, body.slice(proof)] as const;
      const fewer = concatBytes(parts[0], Uint8Array.of(1), parts[1], parts[2]);
      const more = concatBytes(parts[0], Uint8Array.of(3), parts[1], parts[1], parts[1], parts[2]);
      for (const cheat of [fewer, more])
        expectCulprit(() => keygenWith(2, cheat), 3, 'keygenCommitment.count');
    });
    it('a commitment that is the identity or no element of the group', () => {
      const bad =
        suite.curve === 'ed25519'
          ? [
              unhex(ED25519_TORSION_SUBGROUP[0] ?? ''),
              unhex(ED25519_TORSION_SUBGROUP[1] ?? ''),
              // In the curve's group, outside the prime-order subgroup.
              ed25519.Point.fromBytes(body.slice(first, first + size))
                .add(ed25519.Point.fromHex(ED25519_TORSION_SUBGROUP[1] ?? ''))
                .toBytes(),
              // y = p + 1, a second encoding of the identity.
              unhex(`ee${'ff'.repeat(30)}7f`),
            ]
          : [
              new Uint8Array(size),
              // x = p, and x = 5, which is on no point.
              unhex(`02${secp256k1.Point.Fp.ORDER.toString(16)}`),
              unhex(`02${'00'.repeat(31)}05`),
              patched(body.slice(first, first + size), 0, Uint8Array.of(4)),
            ];
      for (const [i, point] of bad.entries()) {
        expectCulprit(
          () => keygenWith(2, patched(body, first, point)),
          3,
          'keygenCommitment.commitments[0]',
        );
        expectCulprit(
          () => keygenWith(2, patched(body, first + size, point)),
          3,
          'keygenCommitment.commitments[1]',
        );
        expect(suite.checks.point(point), `point ${i}`).toBe(false);
      }
    });
    it('another higher coefficient than the shares will have', () => {
      const cheat = patched(body, first + size, other.slice(first + size, first + 2 * size));
      expectCulprit(() => keygenWith(2, cheat), 3, 'keygenShare.share');
    });
  });

  describe('key generation, round 2', () => {
    const body = said(honest, 3, 2, 1);
    const share = Fn.fromBytes(body.slice(HEADER));
    it('a share off by one', () => {
      const cheat = patched(body, HEADER, encodeScalar(share + 1n));
      expectCulprit(() => keygenWith(3, cheat), 3, 'keygenShare.share');
    });
    it('the share of another receiver', () => {
      const cheat = patched(body, HEADER, said(honest, 3, 2, 2).slice(HEADER));
      expectCulprit(() => keygenWith(3, cheat), 3, 'keygenShare.share');
    });
    it('zero, the group order, and an unreduced scalar', () => {
      for (const bytes of [new Uint8Array(32), orderBytes(), new Uint8Array(32).fill(0xff)])
        expectCulprit(() => keygenWith(3, patched(body, HEADER, bytes)), 3, 'keygenShare.share');
    });
  });

  describe('key generation, round 3', () => {
    const body = said(honest, 3, 3, 1);
    const wrong = seedOf('wrong');
    it('a confirmation of another transcript', () => {
      expectCulprit(
        () => keygenWith(4, patched(body, HEADER, wrong)),
        3,
        'keygenConfirmation.transcriptHash',
      );
    });
    it('a confirmation that contradicts its own message, or this party', () => {
      for (const about of [3, 1])
        expectCulprit(
          () => keygenWith(4, patched(body, HEADER + 32 * about, wrong)),
          3,
          'keygenConfirmation.seen',
        );
    });
    it('a third party is never named on hearsay', () => {
      const { details } = faultOf(() => keygenWith(4, patched(body, HEADER + 64, wrong)));
      expect(details.culprit).toBeUndefined();
      expect(details.suspects).toEqual(['3', '2']);
    });
    it('two different polynomials, each consistent, to two parties', () => {
      const twoFaced = (index: number, seed: Uint8Array) =>
        createRun(
          () => protocol.keygen({ ...shape, index, sessionId: seedOf('session', label) }),
          seed,
        );
      const one = twoFaced(1, seedOf('seed', label, 1));
      const two = twoFaced(2, seedOf('seed', label, 2));
      // Party 3 shows one face to party 1 and the other to party 2.
      const faces = [twoFaced(3, seedOf('a')), twoFaced(3, seedOf('b'))] as const;
      let boxes = [one, two, ...faces].map((run) => run.round(1, []).outbox);
      const deliver = (): { from: number; body: Uint8Array }[][] => {
        const [a, b, x, y] = boxes as [
          OutgoingMessage[],
          OutgoingMessage[],
          OutgoingMessage[],
          OutgoingMessage[],
        ];
        const to = (index: number, list: [number, OutgoingMessage[]][]) =>
          inboxFor(index, new Map(list));
        return [
          to(1, [
            [2, b],
            [3, x],
          ]),
          to(2, [
            [1, a],
            [3, y],
          ]),
          to(3, [
            [1, a],
            [2, b],
          ]),
          to(3, [
            [1, a],
            [2, b],
          ]),
        ];
      };
      for (const r of [2, 3]) {
        const inboxes = deliver();
        boxes = [one, two, ...faces].map((run, i) => run.round(r, inboxes[i] ?? []).outbox);
      }
      const inboxes = deliver();
      const seenByOne = faultOf(() => one.round(4, inboxes[0] ?? []));
      expect(seenByOne.details.suspects).toEqual(['2', '3']);
      expect(seenByOne.details.culprit).toBeUndefined();
      faultOf(() => two.round(4, inboxes[1] ?? []));
    });
  });

  describe('signing', () => {
    const signers = [1, 2, 3];
    const messages = [seedOf('first'), seedOf('second')];
    const run = signAll(protocol, shape, honest, signers, messages, label);
    const { publicPackage, publicKey } = outputOf(honest, 1);
    const combine = (changed: [number, number, Uint8Array][], proveEachShare = false) =>
      protocol.aggregate({
        ...shape,
        publicPackage,
        signers,
        messages,
        proveEachShare,
        rounds: run.broadcasts.map(
          (bodies, i) =>
            new Map([
              ...bodies,
              ...changed
                .filter(([r]) => r === i + 1)
                .map(([, from, body]): [number, Uint8Array] => [from, body]),
            ]),
        ),
      });
    const shareBody = (from: number) => run.broadcasts[1]?.get(from) ?? new Uint8Array();
    const shareAt = (i: number) => HEADER + 1 + 32 * signers.length + 2 + 32 * i;
    const shifted = (from: number, i: number, by: bigint) =>
      patched(
        shareBody(from),
        shareAt(i),
        encodeScalar(Fn.fromBytes(shareBody(from).slice(shareAt(i), shareAt(i) + 32)) + by + order),
      );
    const signWith = (body: Uint8Array) =>
      runVictim(
        run,
        1,
        () =>
          protocol.sign({
            ...shape,
            index: 1,
            sessionId: seedOf('session', label),
            share: outputOf(honest, 1).share,
            publicPackage,
            signers,
            messages,
          }),
        seedOf('seed', label, 1),
        {
          round: 2,
          inbox: (run.logs.get(1)?.[1]?.inbox ?? []).map((m) =>
            m.from === 3 ? { from: 3, body } : m,
          ),
        },
      );

    it('the honest run signs both', () => {
      combine([], true).forEach((signature, i) => {
        expect(protocol.verify(publicKey, messages[i] ?? new Uint8Array(), signature)).toBe(true);
      });
    });
    it('a signature share off by one, in either place of the batch', () => {
      for (const i of [0, 1])
        expectCulprit(
          () => combine([[2, 3, shifted(3, i, 1n)]]),
          3,
          `signatureShares.shares[${i}]`,
        );
    });
    it('a signature share that is no reduced scalar', () => {
      for (const bytes of [orderBytes(), new Uint8Array(32).fill(0xff)])
        expectCulprit(
          () => combine([[2, 3, patched(shareBody(3), shareAt(0), bytes)]]),
          3,
          'signatureShares.shares[0]',
        );
    });
    it('the right share for another message of the batch', () => {
      const swapped = patched(
        shareBody(3),
        shareAt(0),
        shareBody(3).slice(shareAt(1), shareAt(1) + 32),
      );
      expectCulprit(() => combine([[2, 3, swapped]]), 3, 'signatureShares.shares[0]');
    });
    it('two wrong shares that cancel out prove nothing: the test signature names one', () => {
      const changed: [number, number, Uint8Array][] = [
        [2, 2, shifted(2, 0, 5n)],
        [2, 3, shifted(3, 0, -5n)],
      ];
      expect(combine(changed).length).toBe(2);
      expectCulprit(() => combine(changed, true), 2, 'signatureShares.shares[0]');
    });
    it('nonce commitments that are no elements of the group', () => {
      const body = run.broadcasts[0]?.get(3) ?? new Uint8Array();
      const bad =
        suite.curve === 'ed25519'
          ? [unhex(ED25519_TORSION_SUBGROUP[0] ?? ''), unhex(ED25519_TORSION_SUBGROUP[3] ?? '')]
          : [new Uint8Array(size), unhex(`02${'00'.repeat(31)}05`)];
      for (const point of bad) {
        for (const [i, field] of ['hiding[0]', 'binding[0]', 'hiding[1]', 'binding[1]'].entries()) {
          const cheat = patched(body, HEADER + 2 + i * size, point);
          expectCulprit(() => signWith(cheat), 3, `nonceCommitments.${field}`);
        }
      }
    });
    it('other nonces than the committed ones', () => {
      // Party 3 runs twice with other draws: commitments of the one run, shares of the other.
      const second = runAll(
        signers,
        (index) =>
          protocol.sign({
            ...shape,
            index,
            sessionId: seedOf('session', label),
            share: outputOf(honest, index).share,
            publicPackage,
            signers,
            messages,
          }),
        (index) => (index === 3 ? seedOf('other nonces') : seedOf('seed', label, index)),
      );
      const theirs = second.broadcasts[1]?.get(3) ?? new Uint8Array();
      expectCulprit(() => combine([[2, 3, theirs]]), 3, 'signatureShares.seen');
      const disguised = patched(
        shareBody(3),
        shareAt(0),
        theirs.slice(shareAt(0), shareAt(0) + 32),
      );
      expectCulprit(() => combine([[2, 3, disguised]]), 3, 'signatureShares.shares[0]');
    });
    it('a share of this signing without its own message in it', () => {
      const cheat = patched(shareBody(3), HEADER + 1 + 32 * 2, seedOf('wrong'));
      expectCulprit(() => combine([[2, 3, cheat]]), 3, 'signatureShares.seen');
      const hearsay = patched(shareBody(3), HEADER + 1, seedOf('wrong'));
      const { details } = faultOf(() => combine([[2, 3, hearsay]]));
      expect(details).toMatchObject({ suspects: ['3', '1'] });
      expect(details.culprit).toBeUndefined();
    });
  });

  it('one seed for two signings does not repeat a nonce', () => {
    const first = (message: Uint8Array, signers: number[], session: string) => {
      const { outbox } = createRun(
        () =>
          protocol.sign({
            ...shape,
            index: 1,
            sessionId: seedOf(session),
            share: outputOf(honest, 1).share,
            publicPackage: outputOf(honest, 1).publicPackage,
            signers,
            messages: [message],
          }),
        seedOf('one seed'),
      ).round(1, []);
      return hex((outbox[0]?.body ?? new Uint8Array()).slice(HEADER));
    };
    const nonces = [
      first(seedOf('m'), [1, 2], 's'),
      first(seedOf('other'), [1, 2], 's'),
      first(seedOf('m'), [1, 3], 's'),
      first(seedOf('m'), [1, 2], 'other'),
    ];
    expect(new Set(nonces).size).toBe(nonces.length);
    expect(first(seedOf('m'), [1, 2], 's')).toBe(nonces[0]);
  });

  it('t shares are the key, t − 1 are not', () => {
    const scalars = [1, 2, 3].map((i) => Fn.fromBytes(outputOf(honest, i).share.slice(-32)));
    const at = (i: number) => scalars[i - 1] ?? 0n;
    const interpolate = (members: number[]) =>
      members.reduce((sum, i) => {
        const lambda = members
          .filter((j) => j !== i)
          .reduce((l, j) => Fn.mul(l, Fn.div(BigInt(j), Fn.create(BigInt(j - i)))), 1n);
        return Fn.add(sum, Fn.mul(lambda, at(i)));
      }, 0n);
    const keyOf = (secret: bigint) => hex(suite.chainKey(Point.BASE.multiply(secret).toBytes()));
    const key = hex(outputOf(honest, 1).publicKey);
    for (const members of [
      [1, 2],
      [1, 3],
      [2, 3],
      [1, 2, 3],
    ])
      expect(keyOf(interpolate(members))).toBe(key);
    for (const member of [1, 2, 3]) expect(keyOf(interpolate([member]))).not.toBe(key);
  });
});
