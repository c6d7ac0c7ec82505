/** The two-party multiplication: identity on edge values, against an Alice in plain bigints, and cheats at its check. */
import { blake3 } from '@noble/hashes/blake3.js';
import { describe, expect, it } from 'vitest';
import { concatBytes, domainHash } from '../../../mpc/bytes.ts';
import { bitAt } from '../../../mpc/dkls23/bits.ts';
import * as multiplication from '../../../mpc/dkls23/multiplication.ts';
import { extendSender, padKey, pads } from '../../../mpc/dkls23/ot-extension.ts';
import type { Random } from '../../../mpc/dkls23/random.ts';
import { bigintToWords, Q, scalarBytes, wordsToBigint } from '../../../mpc/dkls23/scalars.ts';
import { dealTransfers, flip, randomOf } from '../../support/dkls23.ts';
import { seedOf } from '../../support/mpc.ts';

const { XI } = multiplication;
const context = seedOf('pair');
const mod = (a: bigint) => ((a % Q) + Q) % Q;
const fault = (field: string) =>
  expect.objectContaining({
    code: 'ProtocolFault',
    details: expect.objectContaining({
      culprit: '1',
      barring: true,
      field: `multiplication.${field}`,
    }),
  });

/** Bob's request with given choice bits for the first multiplication. */
const biased = (random: Random, word: number): Random => ({
  ...random,
  words: (count) => random.words(count).fill(word, 0, XI / 32),
});

/** How an Alice departs from the protocol: changes to the inputs of single transfers, to η or to the pads of the check. */
type Cheat = {
  /** transfer → what is added to its element. */
  readonly input?: (j: number, k: number) => bigint;
  readonly eta?: bigint;
  /** Whether the check is recomputed for what was sent under a guess of β. */
  readonly guess?: (j: number) => number;
};

/** Alice by the text of the protocol, one transfer at a time, in bigints. */
function plainAlice(
  keys: ReturnType<typeof dealTransfers>['chosen'],
  request: Uint8Array,
  inputs: { u: readonly bigint[]; v: bigint },
  random: Random,
  cheat: Cheat = {},
) {
  const batch = inputs.u.length;
  const count = batch * XI;
  const { rows, transcript } = extendSender(keys, context, count, request, 2);
  const key = padKey(transcript, 'multiplication');
  const padsOf = (delta?: Uint32Array) => {
    const out = new Uint32Array(count * 24);
    pads(key, rows, delta, 0, count, 24, out);
    return (i: number, k: number) => wordsToBigint(out, i * 24 + k * 8);
  };
  const [zero, one] = [padsOf(), padsOf(keys.delta)];
  const checks = inputs.u.map(() => random.scalar());
  const element = (m: number, k: number) => [inputs.u[m] ?? 0n, inputs.v, checks[m] ?? 0n][k] ?? 0n;
  const tau = new Uint32Array(count * 24);
  for (let i = 0; i < count; i++)
    for (let k = 0; k < 3; k++) {
      const put = element(Math.floor(i / XI), k) + (cheat.input?.(i, k) ?? 0n);
      bigintToWords(mod(put + zero(i, k) - one(i, k)), tau, i * 24 + k * 8);
    }
  const corrections = new Uint8Array(tau.buffer);
  const stream = blake3(new Uint8Array(), {
    key: domainHash('keysaga/dkls23/multiplication/theta/v1', transcript, corrections),
    dkLen: 64,
  });
  const little = (bytes: Uint8Array) =>
    mod(bytes.reduceRight((sum, byte) => sum * 256n + BigInt(byte), 0n));
  const theta = [little(stream.slice(0, 32)), little(stream.slice(32))] as const;
  const eta = inputs.u.map((u, m) =>
    scalarBytes(mod((checks[m] ?? 0n) + theta[0] * u + theta[1] * inputs.v + (cheat.eta ?? 0n))),
  );
  const values = new Uint32Array(count * 8);
  for (let i = 0; i < count; i++) {
    const at = (k: number) =>
      zero(i, k) + (cheat.guess?.(i) === 1 ? (cheat.input?.(i, k) ?? 0n) : 0n);
    bigintToWords(mod(at(2) + theta[0] * at(0) + theta[1] * at(1)), values, i * 8);
  }
  const gadgetKey = domainHash('keysaga/dkls23/multiplication/gadget/v1', transcript);
  const gadget = Array.from({ length: XI }, (_, j) =>
    little(blake3(new Uint8Array(Uint32Array.of(j).buffer), { key: gadgetKey, dkLen: 32 })),
  );
  const c = (m: number, k: number) =>
    mod(-gadget.reduce((sum, g, j) => sum + g * zero(m * XI + j, k), 0n));
  return {
    shares: {
      u: inputs.u.map((_, m) => c(m, 0)),
      v: inputs.u.map((_, m) => c(m, 1)),
    },
    message: concatBytes(
      corrections,
      ...eta,
      domainHash(
        'keysaga/dkls23/multiplication/check/v1',
        transcript,
        new Uint8Array(values.buffer),
      ),
    ),
    gadget,
  };
}

const edges = [0n, 1n, Q - 1n];

describe('the multiplication', () => {
  it('gives shares of the products on edges and random inputs', () => {
    const { both, chosen } = dealTransfers(randomOf('keys'));
    const random = randomOf('inputs');
    for (const v of [...edges, random.scalar()]) {
      const u = [...edges, random.scalar()];
      const { state, message } = multiplication.request(both, context, 1, u.length, random);
      const alice = multiplication.reply(chosen, context, 2, message, { u, v }, random);
      const d = multiplication.receive(state, alice.message);
      u.forEach((value, m) => {
        const chi = state.chi[m] ?? 0n;
        expect(mod((alice.shares.u[m] ?? 0n) + (d.u[m] ?? 0n))).toBe(mod(value * chi));
        expect(mod((alice.shares.v[m] ?? 0n) + (d.v[m] ?? 0n))).toBe(mod(v * chi));
      });
    }
  });

  it.each([
    ['zero', 0],
    ['all ones', 0xffff_ffff],
  ])('holds for choice bits that are %s', (_, word) => {
    const { both, chosen } = dealTransfers(randomOf('keys'));
    const random = randomOf('edge');
    const [u, v] = [random.scalar(), random.scalar()];
    const { state, message } = multiplication.request(both, context, 1, 1, biased(random, word));
    if (word === 0) expect(state.chi[0]).toBe(0n);
    const alice = multiplication.reply(chosen, context, 2, message, { u: [u], v }, random);
    const d = multiplication.receive(state, alice.message);
    const chi = state.chi[0] ?? 0n;
    expect(mod((alice.shares.u[0] ?? 0n) + (d.u[0] ?? 0n))).toBe(mod(u * chi));
    expect(mod((alice.shares.v[0] ?? 0n) + (d.v[0] ?? 0n))).toBe(mod(v * chi));
  });

  it('says byte for byte what plain bigints say', () => {
    const { both, chosen } = dealTransfers(randomOf('keys'));
    for (const inputs of [
      { u: [0n, Q - 1n, 5n], v: Q - 1n },
      { u: [randomOf('u').scalar()], v: randomOf('v').scalar() },
    ]) {
      const { state, message } = multiplication.request(
        both,
        context,
        1,
        inputs.u.length,
        randomOf('bob'),
      );
      const plain = plainAlice(chosen, message, inputs, randomOf('alice'));
      const fast = multiplication.reply(chosen, context, 2, message, inputs, randomOf('alice'));
      expect(fast.message).toEqual(plain.message);
      expect(fast.shares).toEqual(plain.shares);
      state.chi.forEach((chi, m) => {
        expect(chi).toBe(
          mod(
            plain.gadget.reduce(
              (sum, g, j) => sum + (bitAt(state.choices, m * XI + j) ? g : 0n),
              0n,
            ),
          ),
        );
      });
    }
  });

  describe('an Alice that cheats', () => {
    const { both, chosen } = dealTransfers(randomOf('keys'));
    const inputs = { u: [randomOf('u').scalar(), 3n], v: randomOf('v').scalar() };
    const start = () => multiplication.request(both, context, 1, 2, randomOf('bob'));
    const receiveFrom = (cheat: Cheat) => {
      const { state, message } = start();
      const alice = plainAlice(chosen, message, inputs, randomOf('alice'), cheat);
      return () => multiplication.receive(state, alice.message);
    };
    const { choices } = start().state;
    const withBit = (bit: number, from = 0): number => {
      for (let j = from; j < 2 * XI; j++) if (bitAt(choices, j) === bit) return j;
      throw new Error('no such bit');
    };

    it.each([0, 1, 2])(
      'with another element %i in one transfer is caught where the bit is one',
      (k) => {
        const input = (at: number) => (j: number, l: number) => (j === at && l === k ? 1n : 0n);
        for (const from of [0, XI]) {
          expect(receiveFrom({ input: input(withBit(1, from)) })).toThrowError(fault('check'));
          // Where it is zero nothing was changed for Bob: he must not notice, or he would tell the bit.
          expect(receiveFrom({ input: input(withBit(0, from)) })).not.toThrow();
        }
      },
    );

    it('that fits its check to a guess of the bit is caught exactly when the guess is wrong', () => {
      for (const bit of [0, 1])
        for (const guess of [0, 1]) {
          const at = withBit(bit, 100);
          const cheat: Cheat = {
            input: (j, l) => (j === at && l === 0 ? 9n : 0n),
            guess: (j) => (j === at ? guess : 0),
          };
          if (bit === guess) expect(receiveFrom(cheat)).not.toThrow();
          else expect(receiveFrom(cheat)).toThrowError(fault('check'));
        }
    });

    it('with other inputs in all transfers of one multiplication than in its check is caught', () => {
      expect(receiveFrom({ input: (j, k) => (j < XI && k === 1 ? 1n : 0n) })).toThrowError(
        fault('check'),
      );
      expect(receiveFrom({ eta: 1n })).toThrowError(fault('check'));
    });

    it('each changed bit of its message is caught', () => {
      const { message } = plainAlice(chosen, start().message, inputs, randomOf('alice'));
      const eta = multiplication.correctionBytes(2);
      for (const at of [0, 31, 32, eta - 1, eta, eta + 33, message.length - 32, message.length - 1])
        expect(
          () => multiplication.receive(start().state, flip(message, at)),
          `byte ${at}`,
        ).toThrowError(
          expect.objectContaining({ details: expect.objectContaining({ culprit: '1' }) }),
        );
    });

    it('with a correction or check element that is no scalar is named', () => {
      const { message } = plainAlice(chosen, start().message, inputs, randomOf('alice'));
      const tau = message.slice();
      tau.fill(0xff, 64, 96);
      expect(() => multiplication.receive(start().state, tau)).toThrowError(fault('corrections'));
      const eta = message.slice();
      eta.set(scalarBytes(Q - 1n), multiplication.correctionBytes(2));
      eta[multiplication.correctionBytes(2) + 31] = 0x41;
      expect(() => multiplication.receive(start().state, eta)).toThrowError(fault('eta'));
    });
  });
});
