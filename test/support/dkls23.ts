/** DKLs23 without its expensive key generation: keys as a trusted dealer would make them, and one pair's set-up. */
import { secp256k1 } from '@noble/curves/secp256k1.js';
import type { KeygenOutput, OutgoingMessage, RoundMachine } from '../../core/ports/protocol.ts';
import type { BothKeys, ChosenKeys } from '../../mpc/dkls23/base-ot.ts';
import { bitAt } from '../../mpc/dkls23/bits.ts';
import { encodePublicPackage, encodeShare } from '../../mpc/dkls23/encoding.ts';
import { createRandom, type Random } from '../../mpc/dkls23/random.ts';
import { mod } from '../../mpc/dkls23/scalars.ts';
import type { PairKeys } from '../../mpc/dkls23/setup.ts';
import { createDraws } from '../../mpc/draws.ts';
import { createRun } from '../../mpc/runner.ts';
import { isKeysagaError, type KeysagaError } from '../../schema/contracts/errors.ts';
import { inboxFor, type Recording, range, type Shape, seedOf } from './mpc.ts';

/** A generator that a label names. */
export const randomOf = (...label: (string | number)[]): Random =>
  createRandom(createDraws(seedOf('random', ...label), 'test', 1), seedOf('context'));

/** What κ base transfers leave with both sides. */
export function dealTransfers(random: Random): { both: BothKeys; chosen: ChosenKeys } {
  const both = { zero: random.words(1024), one: random.words(1024) };
  const delta = random.words(4);
  const chosen = new Uint32Array(1024);
  for (let c = 0; c < 128; c++)
    chosen.set((bitAt(delta, c) ? both.one : both.zero).subarray(c * 8, c * 8 + 8), c * 8);
  return { both, chosen: { delta, chosen } };
}

/** A key as the outputs of its key generation. Any t of n. */
export function dealKey(shape: Shape, label: string): Recording<KeygenOutput> {
  const { threshold, parties } = shape;
  const random = randomOf('deal', label);
  const members = range(parties);
  const polynomial = range(threshold).map(() => random.scalar());
  const at = (x: number) => polynomial.reduceRight((sum, c) => mod(sum * BigInt(x) + c), 0n);
  const { BASE } = secp256k1.Point;
  const publicPackage = encodePublicPackage({
    threshold,
    parties,
    commitments: polynomial.map((c) => BASE.multiply(c).toBytes()),
    verificationShares: members.map((m) => BASE.multiply(at(m)).toBytes()),
  });
  const pairs = new Map(members.map((m) => [m, new Map<number, Partial<PairKeys>>()]));
  const seeds = new Map(members.map((m) => [m, new Map<number, Uint8Array>()]));
  for (const i of members)
    for (const j of members) {
      if (i === j) continue;
      const { both, chosen } = dealTransfers(random);
      pairs.get(i)?.set(j, { ...pairs.get(i)?.get(j), send: chosen });
      pairs.get(j)?.set(i, { ...pairs.get(j)?.get(i), receive: both });
      if (i < j) {
        const seed = random.bytes(32);
        seeds.get(i)?.set(j, seed);
        seeds.get(j)?.set(i, seed);
      }
    }
  const outputs = new Map(
    members.map((index): [number, KeygenOutput] => [
      index,
      {
        share: encodeShare(
          { ...shape, index, publicPackage },
          {
            value: at(index),
            pairs: pairs.get(index) as Map<number, PairKeys>,
            zeroSeeds: seeds.get(index) as Map<number, Uint8Array>,
          },
        ),
        publicPackage,
        publicKey: BASE.multiply(at(0)).toBytes(),
        transcriptHash: seedOf('transcript', label),
      },
    ]),
  );
  return {
    members,
    outputs,
    logs: new Map(),
    outboxes: new Map(),
    broadcasts: [],
    version: 'dealt',
  };
}

/** What a cheating sender does to one of its messages; undefined: nothing. */
export type Tamper = (
  round: number,
  from: number,
  to: number | 'all',
  body: Uint8Array,
) => Uint8Array | undefined;

/** Runs a machine for each member; the first error that an honest one throws, with who threw it. */
export function runTampered<Output>(
  members: readonly number[],
  factory: (member: number) => RoundMachine<Output>,
  seed: (member: number) => Uint8Array,
  tamper: Tamper,
  cheat: number,
): {
  error?: KeysagaError;
  by?: number;
  broadcasts: Map<number, Uint8Array>[];
  outputs: Map<number, Output>;
} {
  const runs = new Map(members.map((m) => [m, createRun(() => factory(m), seed(m))]));
  const broadcasts: Map<number, Uint8Array>[] = [];
  const outputs = new Map<number, Output>();
  let last = new Map<number, readonly OutgoingMessage[]>();
  const rounds = runs.values().next().value?.rounds ?? 0;
  for (let round = 1; round <= rounds; round++) {
    const now = new Map<number, readonly OutgoingMessage[]>();
    for (const [m, run] of runs) {
      try {
        const { outbox, output } = run.round(round, inboxFor(m, last));
        now.set(
          m,
          outbox.map(({ to, body }) => ({
            to,
            body: (m === cheat ? tamper(round, m, to, body) : undefined) ?? body,
          })),
        );
        if (output !== undefined) outputs.set(m, output);
      } catch (error) {
        if (m === cheat) continue;
        if (!isKeysagaError(error)) throw error;
        return { error, by: m, broadcasts, outputs };
      }
    }
    broadcasts.push(
      new Map(
        [...now].flatMap(([m, outbox]) =>
          outbox
            .filter(({ to }) => to === 'all')
            .map(({ body }): [number, Uint8Array] => [m, body]),
        ),
      ),
    );
    last = now;
  }
  return { broadcasts, outputs };
}

/** One bit of a byte changed. */
export const flip = (body: Uint8Array, at: number): Uint8Array => {
  const out = new Uint8Array(body);
  const index = at < 0 ? out.length + at : at;
  out[index] = (out[index] ?? 0) ^ 1;
  return out;
};
