/** The check of products against what was opened: errors that cancel each other, and sums in a fixed number of steps. */
import { describe, expect, it } from 'vitest';
import { type Claim, checkPresigned } from '../../../mpc/dkls23/consistency.ts';
import { G, multiplyAll, type Point, Point as Points } from '../../../mpc/dkls23/curve.ts';
import { mod, Q } from '../../../mpc/dkls23/scalars.ts';
import { held } from '../../../mpc/faults.ts';
import { randomOf } from '../../support/dkls23.ts';

/** Products of an honest Alice, with Bob's side of them. */
function honest(batch: number) {
  const random = randomOf('products', batch);
  const scalars = () => Array.from({ length: batch }, () => random.scalar());
  const [chi, r, cu, cv] = [scalars(), scalars(), scalars(), scalars()];
  const key = random.scalar();
  const points = (values: readonly bigint[]) => values.map((value) => G.multiply(value));
  const d = {
    u: chi.map((x, m) => mod(x * held(r[m]) - held(cu[m]))),
    v: chi.map((x, m) => mod(x * key - held(cv[m]))),
  };
  const claim: Claim = {
    nonces: points(r),
    key: G.multiply(key),
    gammaU: points(cu),
    gammaV: points(cv),
  };
  return { chi, d, claim };
}
const at = <T>(values: readonly T[], changes: Record<number, (value: T) => T>): T[] =>
  values.map((value, m) => changes[m]?.(value) ?? value);
const plus = (P: Point) => (point: Point) => point.add(P);

describe('the check of a batch', () => {
  it.each([1, 2, 7])('passes what is honest, %i at once', (batch) => {
    const { chi, d, claim } = honest(batch);
    for (let i = 0; i < 3; i++)
      expect(checkPresigned(chi, d, claim, randomOf('check', i))).toBe(true);
  });

  const { chi, d, claim } = honest(3);
  const P = G.multiply(77n);
  const [R0, R1] = [held(claim.nonces[0]), held(claim.nonces[1])];
  const differently: [string, Partial<Claim>][] = [
    ['one product of a nonce', { gammaU: at(claim.gammaU, { 0: plus(P) }) }],
    ['one product of the key share', { gammaV: at(claim.gammaV, { 2: plus(P) }) }],
    ['the key share', { key: claim.key.add(P) }],
    ['the negative of the key share', { key: claim.key.negate() }],
    [
      'two products whose errors add up to nothing',
      { gammaU: at(claim.gammaU, { 0: plus(P), 1: plus(P.negate()) }) },
    ],
    [
      'products of the key share whose errors add up to nothing',
      { gammaV: at(claim.gammaV, { 1: plus(P), 2: plus(P.negate()) }) },
    ],
    [
      'a product of a nonce and one of the key share whose errors add up to nothing',
      {
        gammaU: at(claim.gammaU, { 1: plus(P) }),
        gammaV: at(claim.gammaV, { 1: plus(P.negate()) }),
      },
    ],
    [
      'two nonces in each other’s place',
      { nonces: at(claim.nonces, { 0: () => R1, 1: () => R0 }) },
    ],
    [
      'two products in each other’s place',
      {
        gammaU: at(claim.gammaU, {
          0: (_) => held(claim.gammaU[1]),
          1: () => held(claim.gammaU[0]),
        }),
      },
    ],
    [
      'the products of nonce and key share exchanged',
      { gammaU: claim.gammaV, gammaV: claim.gammaU },
    ],
  ];
  it.each(differently)('refuses %s', (_, change) => {
    for (let i = 0; i < 3; i++)
      expect(checkPresigned(chi, d, { ...claim, ...change }, randomOf('check', i))).toBe(false);
  });

  it('refuses the same in a batch of one', () => {
    const one = honest(1);
    for (const change of [
      { gammaU: one.claim.gammaU.map(plus(P)) },
      { gammaV: one.claim.gammaV.map(plus(P)) },
      { key: one.claim.key.add(P) },
      { nonces: one.claim.nonces.map(plus(P)) },
      { gammaU: one.claim.gammaU.map(plus(P)), gammaV: one.claim.gammaV.map(plus(P.negate())) },
    ])
      expect(checkPresigned(one.chi, one.d, { ...one.claim, ...change }, randomOf('check'))).toBe(
        false,
      );
  });
});

describe('sums of products with secret scalars', () => {
  const random = randomOf('sums');
  // Logarithms without small relations, so that no partial sum of the edge cases is the identity.
  const logs = Array.from({ length: 4 }, () => random.scalar());
  const points = logs.map((log) => G.multiply(log));
  const dot = (scalars: readonly bigint[]) =>
    mod(scalars.reduce((sum, k, i) => sum + k * held(logs[i]), 0n));
  const cases: [string, bigint[]][] = [
    ['zeros', [0n, 0n, 0n, 0n]],
    ['small ones', [1n, 2n, 15n, 16n]],
    ['the largest', [Q - 1n, Q - 1n, Q - 1n, Q - 1n]],
    ['sparse ones', [1n << 255n, 1n << 4n, 1n << 128n, 0x1000_0000_0000_0001n]],
    // The offset itself, whose digits are what zero's would be.
    ['all ones', [((1n << 256n) - 1n) / 15n, 0n, 1n, Q - 1n]],
    ['random ones', points.map(() => random.scalar())],
  ];

  it.each(cases)('of %s are right', (_, scalars) => {
    const log = dot(scalars);
    const expected = log === 0n ? Points.ZERO : G.multiply(log);
    expect(multiplyAll(points, scalars).equals(expected)).toBe(true);
  });

  it('take the same steps for all scalars, and never meet the identity, which would take less time', () => {
    const stepsOf = (scalars: readonly bigint[]) => {
      const steps: string[] = [];
      /** The group of order q by its logarithms, which writes down what is done. */
      class Recorded {
        readonly log: bigint;
        constructor(log: bigint) {
          this.log = mod(log);
        }
        #step(kind: string, ...operands: Recorded[]) {
          steps.push(operands.some(({ log }) => log === 0n) ? `${kind} of the identity` : kind);
        }
        add(other: Recorded): Recorded {
          this.#step('add', this, other);
          return new Recorded(this.log + other.log);
        }
        double(): Recorded {
          this.#step('double', this);
          return new Recorded(2n * this.log);
        }
      }
      const recorded = logs.map((log) => new Recorded(log) as unknown as Point);
      const sum = multiplyAll(recorded, scalars) as unknown as Recorded;
      expect(sum.log).toBe(dot(scalars));
      return steps;
    };
    const expected = stepsOf(held(cases.at(-1))[1]);
    expect(expected.length).toBeGreaterThan(4 * 64);
    expect(new Set(expected)).toEqual(new Set(['add', 'double']));
    for (const [name, scalars] of cases) expect(stepsOf(scalars), name).toEqual(expected);
  });
});
