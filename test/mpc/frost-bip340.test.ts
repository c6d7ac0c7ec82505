import { schnorr } from '@noble/curves/secp256k1.js';
import { frostBip340 } from '../../mpc/frost/adapter.ts';
import { seedOf } from '../support/mpc.ts';
import { affineBip340 } from '../support/schnorr-verifiers.ts';
import { protocolSuite } from './protocol-suite.ts';

protocolSuite(frostBip340, {
  verifiers: [
    affineBip340,
    (publicKey, message, signature) => schnorr.verify(signature, message, publicKey),
  ],
  message: (label) => seedOf('digest', label),
  unsignable: [new Uint8Array(31), new Uint8Array(33), new Uint8Array()],
});
