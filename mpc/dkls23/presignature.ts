/**
 * Presignatures: the machine that makes them (the two rounds of `presign.ts`; its third sends nothing), their layout at
 * rest, and how one is bound to its message.
 *
 * A presignature at rest is a version byte, the suite's tag, t, n, index, SHA-256 of the public package, number of signers
 * and signers, its id (32), R (65, uncompressed), u, v, φ (32 each). The id is hashed from the session, the place in the
 * batch and R, so it is the same at every signer and unlike any other.
 */
import { hkdf } from '@noble/hashes/hkdf.js';
import { sha256 } from '@noble/hashes/sha2.js';
import type { PresignOutput, PresignParams, RoundMachine } from '../../core/ports/protocol.ts';
import { concatBytes, copy, domainHash, Reader, u16, utf8ToBytes } from '../bytes.ts';
import { held, invalidInput } from '../faults.ts';
import { expectEmpty } from '../inbox.ts';
import { checkMember, checkSignerSet, MAX_MESSAGES } from '../params.ts';
import { sequence } from '../sequence.ts';
import { OPEN_POINT_BYTES, openPointBytes, type Point, readOpenPoint } from './curve.ts';
import { decodeShare, packageHash } from './encoding.ts';
import { begin, combine, createPresign, exchange, type Presigned, wipePresign } from './presign.ts';
import { readScalar, SCALAR_BYTES, scalarBytes, wideScalar } from './scalars.ts';
import {
  PRESIGN_VERSION,
  refuseTweak,
  signingBase,
  signingContext,
  signingKey,
} from './sign-context.ts';

/** The last round sends nothing. */
export const PRESIGN_ROUNDS = 3;

const VERSION = 1;
const TAG = 3;

export type PresignatureHeader = {
  readonly threshold: number;
  readonly parties: number;
  readonly index: number;
  readonly packageHash: Uint8Array;
  readonly signers: readonly number[];
};

const layout = (header: PresignatureHeader): Uint8Array =>
  concatBytes(
    Uint8Array.of(VERSION, TAG, header.threshold, header.parties, header.index),
    header.packageHash,
    Uint8Array.of(header.signers.length, ...header.signers),
  );

const encodePresignature = (
  header: PresignatureHeader,
  id: Uint8Array,
  R: Uint8Array,
  { u, v, phi }: Presigned,
): Uint8Array =>
  concatBytes(layout(header), id, R, scalarBytes(u), scalarBytes(v), scalarBytes(phi));

/** Throws `InvalidInput`: presignatures come from one's own store. */
export function decodePresignature(
  bytes: Uint8Array,
  header: PresignatureHeader,
  name: string,
): Presigned & { readonly id: Uint8Array; readonly encodedR: Uint8Array } {
  const wrong = (field: string) =>
    invalidInput('the presignature does not belong to this key and signer set', `${name}.${field}`);
  const reader = new Reader(bytes, (field): never => {
    throw wrong(field);
  });
  reader.expect(layout(header), 'header');
  const id = reader.take(32, 'id');
  const encodedR = reader.take(OPEN_POINT_BYTES, 'R');
  const scalar = (field: string): bigint => {
    const taken = reader.take(SCALAR_BYTES, field);
    const value = readScalar(taken);
    taken.fill(0);
    if (value === undefined) throw wrong(field);
    return value;
  };
  const [u, v, phi] = [scalar('u'), scalar('v'), scalar('phi')];
  reader.end();
  const R = readOpenPoint(encodedR);
  if (R === undefined) throw wrong('R');
  return { id, encodedR, R, u, v, phi };
}

/**
 * δ of Groth and Shoup (ePrint 2021/1330, section 5): nobody could know it before the digest was fixed, since the
 * session id hashes what every signer drew after that. Zero is as likely as any other value.
 */
export const rerandomiser = (
  sessionId: Uint8Array,
  key: Uint8Array,
  digest: Uint8Array,
  R: Uint8Array,
  signers: readonly number[],
): bigint =>
  wideScalar(
    hkdf(
      sha256,
      sessionId,
      utf8ToBytes('keysaga/dkls23/rerandomise/v1'),
      domainHash('keysaga/dkls23/rerandomise/v1', key, digest, R, Uint8Array.from(signers)),
      48,
    ),
  );

/** One party's side. Throws `InvalidInput` for parameters that make no sense or a share of another key. */
export function createPresigning(given: PresignParams): RoundMachine<PresignOutput> {
  const { index, threshold, parties, count } = given;
  const signers = [...given.signers];
  checkSignerSet(given, 'any');
  checkMember(given);
  refuseTweak(given);
  if (!Number.isInteger(count) || count < 1 || count > MAX_MESSAGES)
    throw invalidInput(`presignatures are made 1 to ${MAX_MESSAGES} at a time`, 'count');
  const publicPackage = copy(given.publicPackage);
  const key: Point = signingKey(publicPackage, given, 0n);
  const base = signingBase({
    version: PRESIGN_VERSION,
    threshold,
    parties,
    publicPackage,
    signers,
    batch: count,
  });
  const context = signingContext(base, given.sessionId);
  const share = decodeShare(given.share, { threshold, parties, index, publicPackage }, signers);
  const state = createPresign({
    index,
    parties,
    signers,
    batch: count,
    context,
    base,
    key,
    tweak: 0n,
    share,
  });
  const header = { threshold, parties, index, packageHash: packageHash(publicPackage), signers };
  return sequence<PresignOutput>(
    PRESIGN_VERSION,
    [
      (inbox, draws) => {
        expectEmpty(inbox);
        return { outbox: begin(state, draws) };
      },
      (inbox, draws) => ({ outbox: exchange(state, inbox, draws) }),
      (inbox, draws) => {
        const made = combine(state, inbox, draws);
        const nonces = openPointBytes(made.map(({ R }) => R));
        const ids = nonces.map((R, m) =>
          domainHash('keysaga/dkls23/presignature-id/v1', context, u16(m), R),
        );
        return {
          outbox: [],
          output: {
            presignatures: made.map((presigned, m) =>
              encodePresignature(header, held(ids[m]), held(nonces[m]), presigned),
            ),
            ids,
          },
        };
      },
    ],
    () => wipePresign(state),
  );
}
