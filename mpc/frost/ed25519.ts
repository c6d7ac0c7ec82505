/** FROST(Ed25519, SHA-512), RFC 9591 section 6.1: its signatures are RFC 8032 Ed25519 (Solana). */
import { createFROST } from '@noble/curves/abstract/frost.js';
import { ed25519 } from '@noble/curves/ed25519.js';
import { sha512 } from '@noble/hashes/sha2.js';
import { concatBytes, copy, utf8ToBytes } from '../bytes.ts';
import { type FrostSuite, senderChecks } from './suite.ts';

const { Point } = ed25519;
const NAME = 'FROST-ED25519-SHA512-v1';

/**
 * The library's `ed25519_FROST` with the same name, group, hash and undecorated H2, but without its extra
 * `validatePoint`: that hook repeats the subgroup check which `createFROST` makes on every point anyway, a
 * multiplication of a millisecond each, and costs a third of a signature. RFC 9591's vectors run over this one.
 */
const frost = createFROST({ name: NAME, Point, hash: sha512, H2: '' });

/** H of the proof of knowledge, as the library and frost-rs define it: RFC 9591's pattern with the label `dkg`. */
const PROOF_PREFIX = utf8ToBytes(`${NAME}dkg`);

const littleEndian = (bytes: Uint8Array): bigint =>
  bytes.reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n);

export const ed25519Suite: FrostSuite = {
  id: 'frost-ed25519',
  name: 'FROST (Ed25519)',
  source: 'RFC 9591; key generation of the FROST paper (ePrint 2020/852)',
  curve: 'ed25519',
  scheme: 'eddsa',
  tag: 1,
  frost,
  pointBytes: 32,
  chainKey: (groupKey) => copy(groupKey),
  verify(publicKey, message, signature) {
    try {
      // RFC 8032 without ZIP-215's leniency. Cofactored, unlike Solana's check; the two agree on every aggregate,
      // whose R and key are sums of points that were checked to be in the prime-order subgroup.
      return ed25519.verify(signature, message, publicKey, { zip215: false });
    } catch {
      return false;
    }
  },
  activationMessage: (bytes) => copy(bytes),
  checks: senderChecks(Point, (input) =>
    Point.Fn.create(littleEndian(sha512(concatBytes(PROOF_PREFIX, input)))),
  ),
};
