/** What one signing is about, hashed, and the parameters that plain signing and presigning share. */

import { bytesToHex } from '@noble/hashes/utils.js';
import { copy, domainHash, u16, utf8ToBytes } from '../bytes.ts';
import { held, invalidInput, protocolFault } from '../faults.ts';
import { G, multiplyPublic, type Point, readPoint } from './curve.ts';
import { groupKeyBytes, packageHash } from './encoding.ts';
import { readScalar } from './scalars.ts';

export const SIGN_VERSION = 'dkls23/sign/1';
export const PRESIGN_VERSION = 'dkls23/presign/1';
export const ONLINE_VERSION = 'dkls23/online/1';
/** ECDSA signs digests. */
export const DIGEST_BYTES = 32;

export type Signing = {
  readonly version: string;
  readonly threshold: number;
  readonly parties: number;
  readonly publicPackage: Uint8Array;
  readonly signers: readonly number[];
  /** Absent in presigning. */
  readonly messages?: readonly Uint8Array[];
  /** How many signatures. */
  readonly batch: number;
  readonly tweak?: Uint8Array | undefined;
};

/** Everything but the session: who only aggregates can compute it. Base of the hashes of what each signer saw. */
export const signingBase = (signing: Signing): Uint8Array =>
  domainHash(
    'keysaga/dkls23/signing/v1',
    utf8ToBytes(signing.version),
    Uint8Array.of(signing.threshold, signing.parties),
    packageHash(signing.publicPackage),
    Uint8Array.from(signing.signers),
    u16(signing.batch),
    signing.tweak ?? new Uint8Array(),
    ...(signing.messages ?? []),
  );

/** With the session: stands in every message's header. */
export const signingContext = (base: Uint8Array, sessionId: Uint8Array): Uint8Array =>
  domainHash('keysaga/dkls23/sign/v1', base, sessionId);

/** Refuses messages that are no digests. Throws `InvalidInput`. */
export function checkDigests(messages: readonly Uint8Array[]): void {
  messages.forEach((message, i) => {
    if (message.length !== DIGEST_BYTES)
      throw invalidInput(`a message has ${DIGEST_BYTES} bytes`, `messages[${i}]`);
  });
}

/** The tweak's scalar. Throws `InvalidInput`. */
export function readTweak(tweak: Uint8Array | undefined): bigint {
  if (tweak === undefined) return 0n;
  const value = tweak instanceof Uint8Array ? readScalar(copy(tweak)) : undefined;
  if (value === undefined) throw invalidInput('a tweak is a scalar of 32 bytes', 'tweak');
  return value;
}

/**
 * Presignatures and tweaks together weaken ECDSA (ePrint 2021/1330, section 4): child keys sign in three rounds. The types
 * say so; this refuses a caller that has none. Throws `InvalidInput`.
 */
export function refuseTweak(params: object): void {
  if ('tweak' in params && params.tweak !== undefined)
    throw invalidInput('presignatures take no tweak', 'tweak');
}

/** Group keys in use, by their bytes: how often each was asked for. Public values; the oldest goes first. */
const known = new Map<string, { readonly point: Point; uses: number }>();
const KNOWN_KEYS = 16;
/** From here on a table of multiples (half a megabyte, some 20 ms) pays: a verification takes half the time with it. */
const USES_FOR_TABLE = 8;

function knownKey(bytes: Uint8Array): Point {
  const name = bytesToHex(bytes);
  let entry = known.get(name);
  if (entry === undefined) {
    const point = readPoint(bytes);
    if (point === undefined)
      throw protocolFault('the public package does not decode', {
        field: 'publicPackage.commitments[0]',
      });
    entry = { point, uses: 0 };
    known.set(name, entry);
    if (known.size > KNOWN_KEYS) known.delete(held(known.keys().next().value));
  }
  entry.uses += 1;
  if (entry.uses === USES_FOR_TABLE) entry.point.precompute(8, false);
  return entry.point;
}

/** The key that signatures verify under. */
export function signingKey(
  publicPackage: Uint8Array,
  shape: { readonly threshold: number; readonly parties: number },
  tweak: bigint,
): Point {
  const group = knownKey(groupKeyBytes(publicPackage, shape));
  if (tweak === 0n) return group;
  const key = group.add(multiplyPublic(G, tweak));
  if (key.is0()) throw invalidInput('the tweak takes the key to nothing', 'tweak');
  return key;
}
