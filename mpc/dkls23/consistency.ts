/**
 * The consistency check of DKLs23 (ePrint 2023/765), protocol 3.6, step 8: what a signer multiplied is the discrete
 * logarithm of the nonce and of the key share that it opened. For every m: χ_m·R_m − Γu_m = du_m·G and
 * χ_m·K − Γv_m = dv_m·G.
 *
 * All equations are checked as one, a random linear combination with coefficients ε and w_m that the checker draws after
 * it has seen everything; a wrong equation passes with probability 2^−79 at most, the paper's statistical bound:
 *
 *   Σ w_m·χ_m·(R_m + ε·K) = Σ w_m·Γu_m + ε·Σ w_m·Γv_m + Σ w_m·(du_m + ε·dv_m)·G
 *
 * The left side has secret scalars, so it is computed in a fixed number of steps: a single one by the library's
 * constant-time multiplication, more of them together (`multiplyAll`). The coefficients are spent in public sums.
 */
import { held } from '../faults.ts';
import {
  G,
  multiply,
  multiplyAll,
  multiplyPublic,
  type Point,
  samePoint,
  sumOfProducts,
} from './curve.ts';
import type { Shares } from './multiplication.ts';
import type { Random } from './random.ts';
import { mod } from './scalars.ts';

export type Claim = {
  readonly nonces: readonly Point[];
  readonly key: Point;
  readonly gammaU: readonly Point[];
  readonly gammaV: readonly Point[];
};

const BITS = 80;
const coefficient = (random: Random): bigint => random.scalar() >> BigInt(256 - BITS);

/** `chi` and `d`: this party's own, as Bob. */
export function checkPresigned(
  chi: readonly bigint[],
  d: Shares,
  claim: Claim,
  random: Random,
): boolean {
  const epsilon = coefficient(random);
  const [only] = chi;
  if (only !== undefined && chi.length === 1) {
    const base = held(claim.nonces[0]).add(multiplyPublic(claim.key, epsilon));
    // Nobody can aim for the identity without the coefficient.
    if (base.is0()) return false;
    const gamma = held(claim.gammaU[0]).add(multiplyPublic(held(claim.gammaV[0]), epsilon));
    const sum = mod(held(d.u[0]) + epsilon * held(d.v[0]));
    return samePoint(multiply(base, only), gamma.add(multiply(G, sum)));
  }
  // The first has one too, though the bound needs none: so no χ meets a point without a secret factor.
  const weights = chi.map(() => coefficient(random));
  const secrets = chi.map((secret, m) => mod(secret * held(weights[m])));
  const onKey = mod(epsilon * secrets.reduce((sum, secret) => sum + secret, 0n));
  const left = multiplyAll([...claim.nonces, claim.key], [...secrets, onKey]);
  const gammaU = sumOfProducts(claim.gammaU, weights, BITS);
  const gammaV = sumOfProducts(claim.gammaV, weights, BITS);
  const sum = weights.reduce(
    (total, weight, m) => total + weight * (held(d.u[m]) + epsilon * held(d.v[m])),
    0n,
  );
  const right = gammaU.add(gammaV.is0() ? gammaV : multiplyPublic(gammaV, epsilon));
  return samePoint(left, right.add(multiply(G, mod(sum))));
}
