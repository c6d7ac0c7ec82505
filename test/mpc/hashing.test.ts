import { describe, expect, it } from 'vitest';
import { nativeSha256, pureSha256, sha256Of } from '../../mpc/hashing.ts';
import { hex, seedOf } from '../support/mpc.ts';

describe('SHA-256', () => {
  it('is the same by the host and by the library, for any split of any length', () => {
    expect(nativeSha256).toBeDefined();
    for (const length of [0, 1, 55, 56, 64, 255, 256, 257, 5000]) {
      const bytes = Uint8Array.from({ length }, (_, i) => (seedOf(length)[i % 32] ?? 0) ^ i);
      const cut = Math.floor(length / 3);
      const parts = [bytes.slice(0, cut), new Uint8Array(), bytes.slice(cut)];
      const pure = hex(pureSha256([bytes]));
      expect(hex(pureSha256(parts))).toBe(pure);
      expect(nativeSha256 && hex(nativeSha256(parts))).toBe(pure);
      expect(hex(sha256Of(parts))).toBe(pure);
    }
    expect(hex(sha256Of([]))).toBe(
      'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
    );
  });
});
