/** BIP-340's official vectors, for the adapter's verifier and for the tests' own one. */
import { describe, expect, it } from 'vitest';
import { frostBip340 } from '../../mpc/frost/adapter.ts';
import { unhex } from '../support/mpc.ts';
import { affineBip340 } from '../support/schnorr-verifiers.ts';
import { vectors } from '../vectors/bip340.json' with { type: 'json' };

describe('BIP-340', () => {
  it.each(vectors)('vector $index $comment', (vector) => {
    const publicKey = unhex(vector['public key']);
    const message = unhex(vector.message);
    const signature = unhex(vector.signature);
    const expected = vector['verification result'] === 'true';
    expect(frostBip340.verify(publicKey, message, signature)).toBe(expected);
    expect(affineBip340(publicKey, message, signature)).toBe(expected);
  });
  it('are valid ones and invalid ones', () => {
    expect(vectors.filter((v) => v['verification result'] === 'true').length).toBe(9);
    expect(vectors.length).toBe(19);
  });
  it('anything of the wrong size is false', () => {
    const [vector] = vectors;
    const publicKey = unhex(vector?.['public key'] ?? '');
    const message = unhex(vector?.message ?? '');
    const signature = unhex(vector?.signature ?? '');
    expect(frostBip340.verify(publicKey, message, signature)).toBe(true);
    expect(frostBip340.verify(publicKey, message, signature.slice(1))).toBe(false);
    expect(frostBip340.verify(publicKey.slice(1), message, signature)).toBe(false);
    expect(frostBip340.verify(new Uint8Array(), message, new Uint8Array())).toBe(false);
  });
});
