/**
 * Shares and public packages at rest. Fixed layouts: a version byte, the suite's tag (3), t, n, then
 * public package: t commitments of the group polynomial ‖ n verification shares, as FROST's;
 * share: index ‖ SHA-256 of the public package ‖ Shamir share (32 bytes), as FROST's, and behind it for each other
 * party in ascending order its set-up: Δ ‖ κ chosen keys ‖ κ pairs of keys (all first, then all second) ‖ zero-sharing seed.
 */
import type { KeysagaError } from '../../schema/contracts/errors.ts';
import { concatBytes, domainHash, equalBytes, Reader } from '../bytes.ts';
import { held, invalidInput, protocolFault } from '../faults.ts';
import { byteWords, KAPPA, wordBytes } from './bits.ts';
import { KEY_WORDS } from './blake3.ts';
import { evaluate, POINT_BYTES, type Point, readPoint, samePoint } from './curve.ts';
import { readScalar, SCALAR_BYTES, scalarBytes } from './scalars.ts';
import type { PairKeys } from './setup.ts';
import { SEED_BYTES } from './zero-sharing.ts';

const VERSION = 1;
/** FROST's suites have 1 and 2. */
const TAG = 3;

export type PublicPackage = {
  readonly threshold: number;
  readonly parties: number;
  readonly commitments: readonly Point[];
  /** By index − 1. */
  readonly verificationShares: readonly Point[];
};

/** Binds a share, and all that is signed with it, to one public package: to one key and, since a refresh changes it, to one epoch. */
export const packageHash = (encoded: Uint8Array): Uint8Array =>
  domainHash('keysaga/dkls23/public-package/v1', encoded);

export const encodePublicPackage = (value: {
  readonly threshold: number;
  readonly parties: number;
  readonly commitments: readonly Uint8Array[];
  readonly verificationShares: readonly Uint8Array[];
}): Uint8Array =>
  concatBytes(
    Uint8Array.of(VERSION, TAG, value.threshold, value.parties),
    ...value.commitments,
    ...value.verificationShares,
  );

const refuse = (field: string): never => {
  throw protocolFault('the public package does not decode', { field: `publicPackage.${field}` });
};

/**
 * Layout and points. `expected`: t and n that the caller knows. Throws `ProtocolFault` without a culprit. Whether the
 * verification shares lie on the polynomial is `checkPublicPackage`'s question.
 */
export function decodePublicPackage(
  bytes: Uint8Array,
  expected?: { readonly threshold: number; readonly parties: number },
): PublicPackage {
  const reader = new Reader(bytes, refuse);
  reader.expectU8(VERSION, 'version');
  reader.expectU8(TAG, 'suite');
  const threshold = reader.u8('threshold');
  const parties = reader.u8('parties');
  if (expected !== undefined && (threshold !== expected.threshold || parties !== expected.parties))
    throw protocolFault('the public package is of another t of n', {
      field: 'publicPackage.threshold',
    });
  const points = (encoded: readonly Uint8Array[], field: string): Point[] =>
    encoded.map((point, i) => readPoint(point) ?? refuse(`${field}[${i}]`));
  const commitments = reader.many(threshold, POINT_BYTES, 'commitments');
  const verificationShares = reader.many(parties, POINT_BYTES, 'verificationShares');
  reader.end();
  return {
    threshold,
    parties,
    commitments: points(commitments, 'commitments'),
    verificationShares: points(verificationShares, 'verificationShares'),
  };
}

/** Only the key's bytes of a package, whose points were checked when it was made. */
export function groupKeyBytes(
  bytes: Uint8Array,
  expected: { readonly threshold: number; readonly parties: number },
): Uint8Array {
  const { threshold, parties } = expected;
  const reader = new Reader(bytes, refuse);
  reader.expectU8(VERSION, 'version');
  reader.expectU8(TAG, 'suite');
  if (reader.u8('threshold') !== threshold || reader.u8('parties') !== parties)
    throw protocolFault('the public package is of another t of n', {
      field: 'publicPackage.threshold',
    });
  const key = reader.take(POINT_BYTES, 'commitments[0]');
  reader.take((threshold - 1 + parties) * POINT_BYTES, 'points');
  reader.end();
  return key;
}

/** Every verification share on the committed polynomial. Throws `ProtocolFault`. */
export function checkPublicPackage(value: PublicPackage): void {
  const { threshold, parties, commitments, verificationShares } = value;
  if (threshold < 2 || threshold > parties)
    throw protocolFault('the public package has no valid t of n', {
      field: 'publicPackage.threshold',
    });
  verificationShares.forEach((share, i) => {
    if (!samePoint(share, evaluate(commitments, i + 1)))
      throw protocolFault('the public package is inconsistent', { field: 'publicPackage' });
  });
}

export type Share = {
  readonly index: number;
  /** Shamir share: the group polynomial at the index. Secret. */
  value: bigint;
  /** By peer. Secret. */
  readonly pairs: ReadonlyMap<number, PairKeys>;
  readonly zeroSeeds: ReadonlyMap<number, Uint8Array>;
};

export type ShareHeader = {
  readonly threshold: number;
  readonly parties: number;
  readonly index: number;
  readonly publicPackage: Uint8Array;
};

const others = ({ parties, index }: ShareHeader): number[] =>
  Array.from({ length: parties }, (_, i) => i + 1).filter((i) => i !== index);

export const encodeShare = (header: ShareHeader, share: Omit<Share, 'index'>): Uint8Array =>
  concatBytes(
    Uint8Array.of(VERSION, TAG, header.threshold, header.parties, header.index),
    packageHash(header.publicPackage),
    scalarBytes(share.value),
    ...others(header).flatMap((peer) => {
      const { send, receive } = held(share.pairs.get(peer));
      return [
        wordBytes(send.delta),
        wordBytes(send.chosen),
        wordBytes(receive.zero),
        wordBytes(receive.one),
        held(share.zeroSeeds.get(peer)),
      ];
    }),
  );

/**
 * `only`: the peers whose set-up is wanted; the rest is skipped. Throws `InvalidInput` when it is not this party's
 * share of this very public package: shares come from one's own store, so no peer is to blame.
 */
export function decodeShare(
  bytes: Uint8Array,
  header: ShareHeader,
  only: readonly number[],
): Share {
  const wrong = (field: string): KeysagaError =>
    invalidInput('the share does not belong to this party and public package', `share.${field}`);
  const reader = new Reader(bytes, (field): never => {
    throw wrong(field);
  });
  reader.expectU8(VERSION, 'version');
  reader.expectU8(TAG, 'suite');
  reader.expectU8(header.threshold, 'threshold');
  reader.expectU8(header.parties, 'parties');
  reader.expectU8(header.index, 'index');
  if (!equalBytes(reader.take(32, 'publicPackage'), packageHash(header.publicPackage)))
    throw wrong('publicPackage');
  const encoded = reader.take(SCALAR_BYTES, 'value');
  const value = readScalar(encoded);
  encoded.fill(0);
  if (value === undefined || value === 0n) throw wrong('value');
  const pairs = new Map<number, PairKeys>();
  const zeroSeeds = new Map<number, Uint8Array>();
  const keyBytes = 4 * KAPPA * KEY_WORDS;
  const words = (length: number, field: string): Uint32Array => {
    const taken = reader.take(length, field);
    const result = byteWords(taken);
    taken.fill(0);
    return result;
  };
  for (const peer of others(header)) {
    if (!only.includes(peer)) {
      reader.take(KAPPA / 8 + 3 * keyBytes + SEED_BYTES, `setup[${peer}]`).fill(0);
      continue;
    }
    pairs.set(peer, {
      send: {
        delta: words(KAPPA / 8, `setup[${peer}].delta`),
        chosen: words(keyBytes, `setup[${peer}].chosen`),
      },
      receive: {
        zero: words(keyBytes, `setup[${peer}].zero`),
        one: words(keyBytes, `setup[${peer}].one`),
      },
    });
    zeroSeeds.set(peer, reader.take(SEED_BYTES, `setup[${peer}].seed`));
  }
  reader.end();
  return { index: header.index, value, pairs, zeroSeeds };
}
