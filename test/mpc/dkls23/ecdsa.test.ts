/** Signatures at the edges: a nonce whose x is above the group order, and values that no signature may have. */
import { secp256k1 } from '@noble/curves/secp256k1.js';
import { describe, expect, it } from 'vitest';
import { encodeSignature, verify, verifyAll, verifyUnder } from '../../../mpc/dkls23/ecdsa.ts';
import { invert, mod, Q, scalarBytes } from '../../../mpc/dkls23/scalars.ts';
import { held } from '../../../mpc/faults.ts';
import { digestOf, opensslEcdsa } from '../../support/ecdsa.ts';
import { hex } from '../../support/mpc.ts';

const { Point } = secp256k1;
const digest = digestOf('edge');
const h = mod(BigInt(`0x${hex(digest)}`));

/** A point with a given x; undefined where the curve has none. */
const pointAt = (x: bigint, parity: number) => {
  try {
    return Point.fromHex(`0${2 + parity}${x.toString(16).padStart(64, '0')}`);
  } catch {
    return undefined;
  }
};
/** A key under which `s` is right for the nonce R: K = (s·R − h·G) ÷ r. */
const keyFor = (R: InstanceType<typeof Point>, s: bigint) => {
  const r = mod(R.toAffine().x);
  return R.multiply(s).subtract(Point.BASE.multiply(h)).multiply(invert(r));
};

describe('a nonce whose x is above the order', () => {
  // About one in 2^127: signing never meets one, so it is made from the other end.
  const points = Array.from({ length: 12 }, (_, i) => pointAt(Q + BigInt(i), i & 1)).filter(
    (point) => point !== undefined && mod(point.toAffine().x) !== 0n,
  );

  it.each([
    ['low', 12_345n],
    ['high', Q - 12_345n],
  ])('gives its recovery id for a %s s, and verifies', (_, s) => {
    expect(points.length).toBeGreaterThan(2);
    for (const point of points) {
      const R = held(point);
      const key = keyFor(R, s);
      const signature = encodeSignature(R, s);
      const recovery = held(signature[64]);
      expect(recovery & 2).toBe(2);
      expect(hex(signature.slice(32, 64))).toBe(hex(scalarBytes(12_345n)));
      expect(verifyUnder(key, digest, signature)).toBe(true);
      expect(opensslEcdsa(key.toBytes(), digest, signature)).toBe(true);
      expect(
        secp256k1.Signature.fromBytes(signature.slice(0, 64))
          .addRecoveryBit(recovery)
          .recoverPublicKey(digest)
          .equals(key),
      ).toBe(true);
      expect(verifyAll(key, [digest, digest], [signature, signature], [R, R])).toBe(true);
      for (const other of [0, 1, 2, 3, 4].filter((id) => id !== recovery))
        expect(verifyUnder(key, digest, Uint8Array.from([...signature.slice(0, 64), other]))).toBe(
          false,
        );
    }
  });
});

describe('what is no signature', () => {
  it('r or s of zero, of the order or above, s in the upper half, other lengths', () => {
    const key = Point.BASE.multiply(7n).toBytes();
    const made = secp256k1.sign(digest, scalarBytes(7n), { prehash: false, format: 'recovered' });
    const good = Uint8Array.from([...made.slice(1), held(made[0])]);
    expect(verify(key, digest, good)).toBe(true);
    const put = (at: number, value: bigint) => {
      const out = good.slice();
      out.set(scalarBytes(value), at);
      return out;
    };
    for (const bad of [
      put(0, 0n),
      put(32, 0n),
      put(0, Q),
      put(32, Q),
      put(0, (1n << 256n) - 1n),
      put(32, Q - BigInt(`0x${hex(good.slice(32, 64))}`)),
      good.slice(0, 64),
      Uint8Array.from([...good, 0]),
    ])
      expect(verify(key, digest, bad)).toBe(false);
    expect(verify(key, digest.slice(1), good)).toBe(false);
    expect(verify(new Uint8Array(33), digest, good)).toBe(false);
  });
});
