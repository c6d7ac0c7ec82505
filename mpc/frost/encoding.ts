/**
 * Shares and public packages at rest. Fixed layouts: a version byte, the suite's tag, t, n, then
 * share: index ‖ SHA-256 of the public package ‖ signing share (32 bytes);
 * public package: t commitments of the group polynomial ‖ n verification shares.
 */
import type { FrostPublic, FrostSecret } from '@noble/curves/abstract/frost.js';
import type { KeysagaError } from '../../schema/contracts/errors.ts';
import { concatBytes, copy, domainHash, equalBytes, Reader } from '../bytes.ts';
import { invalidInput, protocolFault } from '../faults.ts';
import { type FrostSuite, identifierOf, SCALAR_BYTES } from './suite.ts';

const VERSION = 1;

export type PublicPackage = {
  readonly threshold: number;
  readonly parties: number;
  readonly commitments: readonly Uint8Array[];
  /** By index − 1. */
  readonly verificationShares: readonly Uint8Array[];
};

/** Binds a share, and all that is signed with it, to one public package. */
export const packageHash = (encoded: Uint8Array): Uint8Array =>
  domainHash('keysaga/frost/public-package/v1', encoded);

export const encodePublicPackage = (suite: FrostSuite, value: PublicPackage): Uint8Array =>
  concatBytes(
    Uint8Array.of(VERSION, suite.tag, value.threshold, value.parties),
    ...value.commitments,
    ...value.verificationShares,
  );

/**
 * The layout only: points are checked where they are used, or all at once by `checkPublicPackage`.
 * `expected`: t and n that the caller knows. Throws `ProtocolFault` without a culprit.
 */
export function decodePublicPackage(
  suite: FrostSuite,
  bytes: Uint8Array,
  expected?: { readonly threshold: number; readonly parties: number },
): PublicPackage {
  const reader = new Reader(bytes, (field): never => {
    throw protocolFault('the public package does not decode', { field: `publicPackage.${field}` });
  });
  reader.expectU8(VERSION, 'version');
  reader.expectU8(suite.tag, 'suite');
  const threshold = reader.u8('threshold');
  const parties = reader.u8('parties');
  if (expected !== undefined && (threshold !== expected.threshold || parties !== expected.parties))
    throw protocolFault('the public package is of another t of n', {
      field: 'publicPackage.threshold',
    });
  const commitments = reader.many(threshold, suite.pointBytes, 'commitments');
  const verificationShares = reader.many(parties, suite.pointBytes, 'verificationShares');
  reader.end();
  return { threshold, parties, commitments, verificationShares };
}

/** Every point valid, and every verification share on the committed polynomial. Throws `ProtocolFault`. */
export function checkPublicPackage(suite: FrostSuite, value: PublicPackage): void {
  const { threshold, parties, commitments, verificationShares } = value;
  if (threshold < 2 || threshold > parties)
    throw protocolFault('the public package has no valid t of n', {
      field: 'publicPackage.threshold',
    });
  if (!suite.checks.verificationShares(commitments, verificationShares))
    throw protocolFault('the public package is inconsistent', { field: 'publicPackage' });
}

/** The library's form. */
export const toFrostPublic = (suite: FrostSuite, value: PublicPackage): FrostPublic => ({
  signers: { min: value.threshold, max: value.parties },
  commitments: value.commitments.map((c) => copy(c)),
  verifyingShares: Object.fromEntries(
    value.verificationShares.map((share, i) => [identifierOf(suite, i + 1), copy(share)]),
  ),
});

/** From the library's form, by ascending index. Throws when a share is absent: the library's own defect. */
export function fromFrostPublic(suite: FrostSuite, value: FrostPublic): PublicPackage {
  const { min: threshold, max: parties } = value.signers;
  return {
    threshold,
    parties,
    commitments: value.commitments,
    verificationShares: Array.from({ length: parties }, (_, i) => {
      const share = value.verifyingShares[identifierOf(suite, i + 1)];
      if (share === undefined)
        throw protocolFault('a verification share is absent', { field: 'verificationShares' });
      return share;
    }),
  };
}

export type ShareHeader = {
  readonly threshold: number;
  readonly parties: number;
  readonly index: number;
  readonly publicPackage: Uint8Array;
};

export const encodeShare = (
  suite: FrostSuite,
  header: ShareHeader,
  signingShare: Uint8Array,
): Uint8Array =>
  concatBytes(
    Uint8Array.of(VERSION, suite.tag, header.threshold, header.parties, header.index),
    packageHash(header.publicPackage),
    signingShare,
  );

/**
 * The share in the library's form. Throws `InvalidInput` when it is not this party's share of this very public
 * package: shares come from one's own store, so no peer is to blame. The message holds no part of it.
 */
export function decodeShare(
  suite: FrostSuite,
  bytes: Uint8Array,
  header: ShareHeader,
): FrostSecret {
  const refuse = (field: string): KeysagaError =>
    invalidInput('the share does not belong to this party and public package', `share.${field}`);
  const reader = new Reader(bytes, (field): never => {
    throw refuse(field);
  });
  reader.expectU8(VERSION, 'version');
  reader.expectU8(suite.tag, 'suite');
  reader.expectU8(header.threshold, 'threshold');
  reader.expectU8(header.parties, 'parties');
  reader.expectU8(header.index, 'index');
  if (!equalBytes(reader.take(32, 'publicPackage'), packageHash(header.publicPackage)))
    throw refuse('publicPackage');
  const signingShare = reader.take(SCALAR_BYTES, 'signingShare');
  reader.end();
  if (!suite.checks.scalar(signingShare)) throw refuse('signingShare');
  return { identifier: identifierOf(suite, header.index), signingShare };
}
