import { secp256k1 } from '@noble/curves/secp256k1.js';
import { vi } from 'vitest';
import { dkls23 } from '../../../mpc/dkls23/adapter.ts';
import { digestOf, keepingActivations, opensslEcdsa } from '../../support/ecdsa.ts';
import { protocolSuite } from '../protocol-suite.ts';

// Every key generation makes 128 base transfers a pair.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

protocolSuite(keepingActivations(dkls23), {
  verifiers: [
    opensslEcdsa,
    (publicKey, message, signature) =>
      secp256k1.verify(signature.slice(0, 64), message, publicKey, { prehash: false, lowS: true }),
  ],
  // OpenSSL hashes what it verifies, so the digests are those of known texts.
  message: digestOf,
  unsignable: [new Uint8Array(31), new Uint8Array(33), new Uint8Array()],
  economy: {
    shapes: [
      { threshold: 2, parties: 2, flips: 4, each: 6 },
      { threshold: 2, parties: 3, flips: 6, each: 16 },
      { threshold: 3, parties: 5, flips: 2, each: 0 },
      { threshold: 5, parties: 7, flips: 2, each: 0 },
    ],
    cuts: [4],
    each: 11,
  },
});
