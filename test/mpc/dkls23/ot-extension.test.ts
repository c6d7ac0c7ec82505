/** SoftSpokenOT: the functionality, its hash and transposition, and a cheat at its check. */
import { blake3 } from '@noble/hashes/blake3.js';
import { describe, expect, it } from 'vitest';
import { bitAt, KAPPA, linearHash, rowsOf } from '../../../mpc/dkls23/bits.ts';
import { blake3Fill, keyWords } from '../../../mpc/dkls23/blake3.ts';
import * as extension from '../../../mpc/dkls23/ot-extension.ts';
import { dealTransfers, flip, randomOf } from '../../support/dkls23.ts';
import { seedOf } from '../../support/mpc.ts';

const context = seedOf('session');
const PEER = 4;
const fault = expect.objectContaining({
  code: 'ProtocolFault',
  details: expect.objectContaining({ culprit: '4', barring: true, field: 'extension.check' }),
});

describe('what it is made of', () => {
  it('the block hash is the keyed BLAKE3 of the library', () => {
    const random = randomOf('blake3');
    for (const length of [0, 1, 20, 36, 63, 64])
      for (const words of [1, 8, 16, 24, 40]) {
        const key = random.bytes(32);
        const input = random.bytes(64).subarray(0, length);
        const block = new Uint32Array(16);
        new Uint8Array(block.buffer).set(input);
        const out = new Uint32Array(words);
        blake3Fill(keyWords(key), 0, block, length, out, 0, words);
        expect(new Uint8Array(out.buffer)).toEqual(blake3(input, { key, dkLen: words * 4 }));
      }
  });

  it('rows are the columns transposed', () => {
    const words = 5;
    const columns = randomOf('columns').words(KAPPA * words);
    const rows = rowsOf(columns, words);
    for (let i = 0; i < words * 32; i++)
      for (let c = 0; c < KAPPA; c++)
        expect(bitAt(rows, i * KAPPA + c)).toBe(bitAt(columns, c * words * 32 + i));
  });

  it('the hash is the matrix product, bit by bit', () => {
    const words = 7;
    const random = randomOf('hash');
    const seed = random.bytes(32);
    const rows = random.words(words * 32 * 4);
    const bits = random.words(words);
    const n = words * 32 - 128;
    const hash = linearHash(seed, rows, bits);
    const matrix = Array.from({ length: n / 8 }, (_, g) =>
      blake3(Uint8Array.of(g, 0, 0, 0), { key: seed, dkLen: 128 }),
    );
    for (let o = 0; o < 128; o++) {
      const sum = Uint32Array.from(rows.subarray((n + o) * 4, (n + o + 1) * 4));
      let bit = bitAt(bits, n + o);
      for (let i = 0; i < n; i++) {
        if ((((matrix[i >> 3]?.[o] ?? 0) >> (i & 7)) & 1) === 0) continue;
        for (let w = 0; w < 4; w++) sum[w] = (sum[w] ?? 0) ^ (rows[i * 4 + w] ?? 0);
        bit ^= bitAt(bits, i);
      }
      expect(hash.rows.slice(o * 4, o * 4 + 4)).toEqual(sum);
      expect(bitAt(hash.bits, o)).toBe(bit);
    }
  });
});

describe('extended transfers', () => {
  const choicesOf = (kind: string, count: number): Uint32Array => {
    const words = randomOf('choices', kind, count).words(count / 32 + 4);
    if (kind !== 'random') words.fill(kind === 'zero' ? 0 : 0xffff_ffff, 0, count / 32);
    return words;
  };

  it.each([
    ['random', 32],
    ['random', 416],
    ['zero', 416],
    ['one', 416],
    ['random', 416 * 5],
  ])('give the receiver the pads of its choice: %s, %i', (kind, count) => {
    const { both, chosen } = dealTransfers(randomOf('keys', kind));
    const choices = choicesOf(kind, count);
    const receiver = extension.extendReceiver(both, context, choices, count);
    expect(receiver.message.length).toBe(extension.extensionBytes(count));
    const sender = extension.extendSender(chosen, context, count, receiver.message, PEER);
    expect(sender.transcript).toEqual(receiver.transcript);
    const key = extension.padKey(sender.transcript, 'test');
    const pads = (rows: Uint32Array, delta?: Uint32Array) => {
      const out = new Uint32Array(count * 24);
      extension.pads(key, rows, delta, 0, count, 24, out);
      return out;
    };
    const [zero, one, mine] = [
      pads(sender.rows),
      pads(sender.rows, chosen.delta),
      pads(receiver.rows),
    ];
    const distinct = new Set<string>();
    for (let i = 0; i < count; i++) {
      const at = (words: Uint32Array) => words.slice(i * 24, i * 24 + 24).join();
      expect(at(mine)).toBe(at(bitAt(choices, i) ? one : zero));
      distinct.add(at(zero)).add(at(one));
    }
    expect(distinct.size).toBe(2 * count);
  });

  it('another session gives unrelated pads under the same keys', () => {
    const { both } = dealTransfers(randomOf('keys'));
    const choices = choicesOf('random', 416);
    const a = extension.extendReceiver(both, context, choices, 416);
    const b = extension.extendReceiver(both, seedOf('another'), choices, 416);
    const shared = a.rows.filter((word, i) => word === b.rows[i]).length;
    expect(shared).toBeLessThan(3);
  });

  it('a receiver with other choices in one column is caught exactly when its guess of Δ is wrong', () => {
    const { both, chosen } = dealTransfers(randomOf('cheat'));
    const choices = choicesOf('random', 416);
    const verdicts = new Set<boolean>();
    for (const column of [0, 1, 2, 3, 64, 127]) {
      // With another second key the correction of this column is another vector's; all else fits.
      const one = both.one.slice();
      one[column * 8] = (one[column * 8] ?? 0) ^ 1;
      const { message } = extension.extendReceiver({ zero: both.zero, one }, context, choices, 416);
      const check = () => extension.extendSender(chosen, context, 416, message, PEER);
      const caught = bitAt(chosen.delta, column) === 1;
      verdicts.add(caught);
      if (caught) expect(check).toThrowError(fault);
      else expect(check).not.toThrow();
    }
    expect(verdicts.size).toBe(2);
  });

  it('each changed bit of the message is caught', () => {
    const { both, chosen } = dealTransfers(randomOf('flip'));
    const { message } = extension.extendReceiver(both, context, choicesOf('random', 416), 416);
    const columns = 128 * ((416 + 128) / 8);
    for (const at of [0, columns - 1, columns, columns + 15, columns + 16, message.length - 1])
      expect(
        () => extension.extendSender(chosen, context, 416, flip(message, at), PEER),
        `byte ${at}`,
      ).toThrowError(fault);
    expect(() =>
      extension.extendSender(chosen, seedOf('another'), 416, message, PEER),
    ).toThrowError(fault);
  });
});
