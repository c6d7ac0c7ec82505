/** A signer that cheats at exactly one check of FROST with nonces made ahead of time, and is caught there. Party 3 cheats. */
import { ED25519_TORSION_SUBGROUP, ed25519 } from '@noble/curves/ed25519.js';
import { secp256k1 } from '@noble/curves/secp256k1.js';
import { describe, expect, it } from 'vitest';
import type { Presigning } from '../../core/ports/protocol.ts';
import { frostBip340, frostEd25519 } from '../../mpc/frost/adapter.ts';
import { bip340Suite } from '../../mpc/frost/bip340.ts';
import { ed25519Suite } from '../../mpc/frost/ed25519.ts';
import { isKeysagaError, type KeysagaError } from '../../schema/contracts/errors.ts';
import { keygenAll, outputOf, runAll, runVictim, seedOf, unhex } from '../support/mpc.ts';

const shape = { threshold: 2, parties: 3 };
const signers = [1, 3];
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

describe.each(cases)('$protocol.metadata.id', ({ protocol, suite, Point }) => {
  const label = `presigning/${protocol.metadata.id}`;
  const part = protocol.presigning as Presigning;
  const size = suite.pointBytes;
  const honest = keygenAll(protocol, shape, label);
  const { publicPackage, publicKey } = outputOf(honest, 1);
  const base = (index: number, session: string) => ({
    ...shape,
    index,
    sessionId: seedOf('session', label, session),
    publicPackage,
    signers,
  });
  const presign = (index: number, session: string) =>
    part.presign({ ...base(index, session), share: outputOf(honest, index).share, count: 2 });
  const pack = (session: string) =>
    runAll(
      signers,
      (index) => presign(index, session),
      (index) => seedOf('presign', label, session, index),
    );
  const made = pack('pack');
  const messages = [seedOf('first'), seedOf('second')];
  const run = runAll(
    signers,
    (index) =>
      part.online({
        ...base(index, 'online'),
        messages,
        presignatures: outputOf(made, index).presignatures,
      }),
    (index) => seedOf('online', label, index),
  );
  const said = (from: number): Uint8Array => run.broadcasts[0]?.get(from) ?? new Uint8Array();
  const combine = (body = said(3), proveEachShare = false) =>
    part.aggregate({
      ...shape,
      publicPackage,
      signers,
      messages,
      proveEachShare,
      rounds: [new Map([...(run.broadcasts[0] ?? []), [3, body]])],
    });
  const patched = (body: Uint8Array, at: number, bytes: Uint8Array): Uint8Array => {
    const out = body.slice();
    out.set(bytes, at);
    return out;
  };
  const committed = made.broadcasts[0]?.get(3) ?? new Uint8Array();
  const stocking = (body: Uint8Array) =>
    runVictim(made, 1, () => presign(1, 'pack'), seedOf('presign', label, 'pack', 1), {
      round: 2,
      inbox: [{ from: 3, body }],
    });
  /** Of the online round: commitments, then what was seen, then shares. */
  const seenAt = HEADER + 2 + messages.length * 2 * size + 1;
  const shareAt = (i: number): number => seenAt + 32 * signers.length + 2 + 32 * i;

  it('the honest run signs both', () => {
    combine(said(3), true).forEach((signature, i) => {
      expect(protocol.verify(publicKey, messages[i] as Uint8Array, signature)).toBe(true);
    });
  });

  it('commitments that are no elements of the group are found when the pack is made', () => {
    const bad =
      suite.curve === 'ed25519'
        ? [unhex(ED25519_TORSION_SUBGROUP[0] ?? ''), unhex(ED25519_TORSION_SUBGROUP[3] ?? '')]
        : [new Uint8Array(size), unhex(`02${'00'.repeat(31)}05`)];
    for (const point of bad)
      for (const [i, field] of ['hiding[0]', 'binding[0]', 'hiding[1]', 'binding[1]'].entries()) {
        const cheat = patched(committed, HEADER + 2 + i * size, point);
        expect(faultOf(() => stocking(cheat)).details).toMatchObject({
          culprit: '3',
          field: `nonceCommitments.${field}`,
        });
      }
  });

  it('commitments of another pack are refused', () => {
    const other = pack('another').broadcasts[0]?.get(3) ?? new Uint8Array();
    expect(faultOf(() => stocking(other)).details).toMatchObject({
      culprit: '3',
      field: 'nonceCommitments.context',
    });
  });

  it('a share off by one, in either place, is its maker’s', () => {
    const { Fn } = Point;
    for (const i of [0, 1]) {
      const share = Fn.fromBytes(said(3).slice(shareAt(i), shareAt(i) + 32));
      const cheat = patched(said(3), shareAt(i), Uint8Array.from(Fn.toBytes(Fn.add(share, 1n))));
      expect(faultOf(() => combine(cheat)).details).toMatchObject({
        culprit: '3',
        field: `signatureShares.shares[${i}]`,
      });
    }
  });

  it('other commitments than those in the pack give no signature, and nobody honest the blame', () => {
    // Its own of the other place: elements, but not those that party 1 has signed over.
    const from = HEADER + 2;
    const cheat = patched(said(3), from, said(3).slice(from + 2 * size, from + 4 * size));
    const { details } = faultOf(() => combine(cheat));
    expect(details).not.toMatchObject({ culprit: '1' });
    expect(details.culprit === '3' || `${details.suspects}`.includes('3')).toBe(true);
  });

  it('a share for other messages is its maker’s', () => {
    const other = runAll(
      signers,
      (index) =>
        part.online({
          ...base(index, 'online'),
          messages: [...messages].reverse(),
          presignatures: outputOf(made, index).presignatures,
        }),
      (index) => seedOf('online', label, index),
    );
    const { details } = faultOf(() => combine(other.broadcasts[0]?.get(3)));
    expect(details).toMatchObject({ culprit: '3' });
  });
});
