/** Limb arithmetic modulo the group order against bigints. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as scalars from '../../../mpc/dkls23/scalars.ts';

const { Q } = scalars;
const mod = (a: bigint) => ((a % Q) + Q) % Q;
const edge = fc.constantFrom(
  0n,
  1n,
  2n,
  Q - 1n,
  Q,
  Q + 1n,
  (1n << 256n) - 1n,
  1n << 255n,
  1n << 128n,
);
const word256 = fc.oneof(edge, fc.bigInt({ min: 0n, max: (1n << 256n) - 1n }));

describe('limbs and words', () => {
  it('add and subtract', () => {
    fc.assert(
      fc.property(word256, word256, word256, (a, b, c) => {
        const words = new Uint32Array(32);
        [mod(a), b, c].forEach((value, i) => {
          scalars.bigintToWords(value, words, 8 * i);
        });
        scalars.addSubtract(words, 0, words, 8, words, 16, words, 24);
        expect(scalars.wordsToBigint(words, 24)).toBe(mod(mod(a) + b - c));
      }),
      { numRuns: 2000 },
    );
  });

  it('sum products, with and without a masked addend', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(word256, word256, word256, fc.constantFrom(0, 1)), {
          minLength: 1,
          maxLength: 40,
        }),
        (terms) => {
          const words = new Uint32Array(8);
          const limbs = new Float64Array(24);
          const sum = new Float64Array(24);
          let expected = 0n;
          terms.forEach(([a, b, extra, bit], i) => {
            scalars.bigintToWords(a, words, 0);
            scalars.toLimbs(words, 0, limbs, 0);
            scalars.bigintToWords(b, words, 0);
            scalars.toLimbs(words, 0, limbs, 12);
            scalars.bigintToWords(extra, words, 0);
            scalars.addMasked(words, 0, limbs, 0, bit);
            scalars.multiplyAdd(sum, 0, limbs, 0, limbs, 12);
            if (i % scalars.PRODUCTS_PER_CARRY === scalars.PRODUCTS_PER_CARRY - 1)
              scalars.carry(sum, 0, 24);
            expected += (a + (bit ? extra : 0n)) * b;
          });
          scalars.reduce(sum, 0, words, 0);
          expect(scalars.wordsToBigint(words, 0)).toBe(mod(expected));
          expect(sum.every((column) => column === 0)).toBe(true);
        },
      ),
      { numRuns: 1000 },
    );
  });

  it('stay exact at the largest sums that a multiplication makes', () => {
    const words = new Uint32Array(8);
    const limbs = new Float64Array(24);
    const sum = new Float64Array(24);
    const largest = (1n << 256n) - 1n;
    scalars.bigintToWords(largest, words, 0);
    scalars.toLimbs(words, 0, limbs, 0);
    scalars.addMasked(words, 0, limbs, 0, 1);
    scalars.toLimbs(words, 0, limbs, 12);
    for (let i = 0; i < 416; i++) {
      scalars.multiplyAdd(sum, 0, limbs, 0, limbs, 12);
      if (i % scalars.PRODUCTS_PER_CARRY === scalars.PRODUCTS_PER_CARRY - 1)
        scalars.carry(sum, 0, 24);
    }
    scalars.reduce(sum, 0, words, 0);
    expect(scalars.wordsToBigint(words, 0)).toBe(mod(416n * 2n * largest * largest));
  });

  it('know what is below the order', () => {
    const words = new Uint32Array(8);
    for (const [value, canonical] of [
      [0n, true],
      [Q - 1n, true],
      [Q, false],
      [(1n << 256n) - 1n, false],
    ] as const) {
      scalars.bigintToWords(value, words, 0);
      expect(scalars.isCanonical(words, 0)).toBe(canonical);
      expect(scalars.readScalar(scalars.scalarBytes(value)) !== undefined).toBe(canonical);
    }
  });
});
