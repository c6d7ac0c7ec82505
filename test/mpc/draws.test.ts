import { hkdfSync } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { boundRandom, createDraws, MAX_DRAW_BYTES } from '../../mpc/draws.ts';
import { hex, seedOf } from '../support/mpc.ts';

const seed = seedOf('draws');
const u32 = (n: number) => {
  const out = Buffer.alloc(4);
  out.writeUInt32BE(n);
  return out;
};

describe('labelled draws', () => {
  it("are HKDF-SHA-256 with version, round and index as info, as OpenSSL's", () => {
    const version = 'frost-ed25519/keygen/1';
    const draws = createDraws(seed, version, 3);
    for (const [index, length] of [32, 48, 1, MAX_DRAW_BYTES].entries()) {
      const info = Buffer.concat([u32(version.length), Buffer.from(version), u32(3), u32(index)]);
      const expected = hkdfSync('sha256', seed, 'keysaga/draws/v1', info, length);
      expect(hex(draws.bytes(length))).toBe(Buffer.from(expected).toString('hex'));
    }
  });
  it('differ by seed, version, round and index, and repeat by all four', () => {
    const draw = (s: Uint8Array, version: string, round: number, index: number) => {
      const draws = createDraws(s, version, round);
      for (let i = 0; i < index; i++) draws.bytes(32);
      return hex(draws.bytes(32));
    };
    const all = [
      draw(seed, 'a', 1, 0),
      draw(seedOf('other'), 'a', 1, 0),
      draw(seed, 'b', 1, 0),
      draw(seed, 'a', 2, 0),
      draw(seed, 'a', 1, 1),
      draw(seed, 'a\0', 1, 0),
    ];
    expect(new Set(all).size).toBe(all.length);
    expect(draw(seed, 'a', 1, 1)).toBe(all[4]);
  });
  it('bound draws differ by what they are bound to', () => {
    const random = (context: string) =>
      hex(boundRandom(createDraws(seed, 'a', 1), seedOf(context))(48));
    expect(random('x')).not.toBe(random('y'));
    expect(random('x')).toBe(random('x'));
    const twice = boundRandom(createDraws(seed, 'a', 1), seedOf('x'));
    expect(hex(twice(32))).not.toBe(hex(twice(32)));
  });
  it('refuse seeds and lengths out of bounds', () => {
    const invalid = expect.objectContaining({ code: 'InvalidInput' });
    expect(() => createDraws(seed.slice(1), 'a', 1)).toThrowError(invalid);
    for (const length of [0, -1, 1.5, MAX_DRAW_BYTES + 1])
      expect(() => createDraws(seed, 'a', 1).bytes(length)).toThrowError(invalid);
  });
});
