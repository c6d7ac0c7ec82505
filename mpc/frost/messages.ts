/**
 * Bodies between parties. Each begins with the same header: format version, kind, sender, receiver (0 for all) and
 * the context, a hash of everything the ceremony is about, so that a message of another session, round, sender or
 * slot is refused before it is looked at.
 */
import { type Bytes, concatBytes, domainHash, Reader, u16 } from '../bytes.ts';
import { protocolFault } from '../faults.ts';
import { type FrostSuite, proofBytes, SCALAR_BYTES } from './suite.ts';

const VERSION = 1;
const KIND = {
  keygenCommitment: 1,
  keygenShare: 2,
  keygenConfirmation: 3,
  nonceCommitments: 4,
  signatureShares: 5,
  presignedShares: 6,
} as const;
type Kind = keyof typeof KIND;

const HASH_BYTES = 32;

export type Header = { readonly from: number; readonly to: number; readonly context: Uint8Array };

const header = (kind: Kind, { from, to, context }: Header): Uint8Array =>
  concatBytes(Uint8Array.of(VERSION, KIND[kind], from, to), context);

/** Reads a body of `from`, who is the culprit of everything that does not decode. */
function open(kind: Kind, body: Uint8Array, { from, to }: Omit<Header, 'context'>): Reader {
  const reader = new Reader(body, (field): never => {
    throw protocolFault('a message does not decode', { field: `${kind}.${field}`, culprit: from });
  });
  reader.expectU8(VERSION, 'version');
  reader.expectU8(KIND[kind], 'kind');
  reader.expectU8(from, 'from');
  reader.expectU8(to, 'to');
  return reader;
}

/** Key generation, round 1: Feldman commitments to the sender's polynomial and the proof of knowledge. */
export type KeygenCommitment = {
  readonly commitments: readonly Bytes[];
  readonly proof: Bytes;
};
export const encodeKeygenCommitment = (head: Header, value: KeygenCommitment): Uint8Array =>
  concatBytes(
    header('keygenCommitment', head),
    Uint8Array.of(value.commitments.length),
    ...value.commitments,
    value.proof,
  );
export function decodeKeygenCommitment(
  suite: FrostSuite,
  head: Header,
  threshold: number,
  body: Uint8Array,
): KeygenCommitment {
  const reader = open('keygenCommitment', body, head);
  reader.expect(head.context, 'context');
  // A polynomial of another degree would change the threshold of the group's key.
  reader.expectU8(threshold, 'count');
  const commitments = reader.many(threshold, suite.pointBytes, 'commitments');
  const proof = reader.take(proofBytes(suite), 'proof');
  reader.end();
  return { commitments, proof };
}

/** Key generation, round 2: the sender's polynomial at the receiver's index. Secret. */
export const encodeKeygenShare = (head: Header, share: Uint8Array): Uint8Array =>
  concatBytes(header('keygenShare', head), share);
export function decodeKeygenShare(head: Header, body: Uint8Array): Bytes {
  const reader = open('keygenShare', body, head);
  reader.expect(head.context, 'context');
  const share = reader.take(SCALAR_BYTES, 'share');
  reader.end();
  return share;
}

/** Key generation, round 3: the transcript's hash, and the hash of each party's round-1 body as the sender saw it. */
export type KeygenConfirmation = {
  readonly transcriptHash: Uint8Array;
  readonly seen: readonly Uint8Array[];
};
export const encodeKeygenConfirmation = (head: Header, value: KeygenConfirmation): Uint8Array =>
  concatBytes(header('keygenConfirmation', head), value.transcriptHash, ...value.seen);
export function decodeKeygenConfirmation(
  head: Header,
  parties: number,
  body: Uint8Array,
): KeygenConfirmation {
  const reader = open('keygenConfirmation', body, head);
  reader.expect(head.context, 'context');
  const transcriptHash = reader.take(HASH_BYTES, 'transcriptHash');
  const seen = reader.many(parties, HASH_BYTES, 'seen');
  reader.end();
  return { transcriptHash, seen };
}

/** Signing, round 1: hiding and binding nonce commitment for each message. */
export type NonceCommitment = { readonly hiding: Bytes; readonly binding: Bytes };
export type NonceCommitments = {
  readonly context: Uint8Array;
  readonly commitments: readonly NonceCommitment[];
};
const commitmentsPart = (commitments: readonly NonceCommitment[]): Uint8Array =>
  concatBytes(
    u16(commitments.length),
    ...commitments.flatMap(({ hiding, binding }) => [hiding, binding]),
  );
function takeCommitments(suite: FrostSuite, reader: Reader, count: number): NonceCommitment[] {
  reader.expectU16(count, 'count');
  return Array.from({ length: count }, (_, i) => ({
    hiding: reader.take(suite.pointBytes, `hiding[${i}]`),
    binding: reader.take(suite.pointBytes, `binding[${i}]`),
  }));
}
export const encodeNonceCommitments = (
  head: Header,
  commitments: readonly NonceCommitment[],
): Uint8Array => concatBytes(header('nonceCommitments', head), commitmentsPart(commitments));
/** The context is returned, not checked: who only aggregates does not know the session. */
export function decodeNonceCommitments(
  suite: FrostSuite,
  from: number,
  count: number,
  body: Uint8Array,
): NonceCommitments {
  const reader = open('nonceCommitments', body, { from, to: 0 });
  const context = reader.take(HASH_BYTES, 'context');
  const commitments = takeCommitments(suite, reader, count);
  reader.end();
  return { context, commitments };
}

/** Signing, round 2: a signature share for each message, and each signer's round-1 body as the sender saw it, hashed. */
export type SignatureShares = {
  readonly context: Uint8Array;
  readonly seen: readonly Uint8Array[];
  readonly shares: readonly Bytes[];
};
type Said = Omit<SignatureShares, 'context'>;
const sharesPart = ({ seen, shares }: Said): Uint8Array =>
  concatBytes(Uint8Array.of(seen.length), ...seen, u16(shares.length), ...shares);
function takeShares(reader: Reader, signers: number, count: number): Said {
  reader.expectU8(signers, 'signers');
  const seen = reader.many(signers, HASH_BYTES, 'seen');
  reader.expectU16(count, 'count');
  return { seen, shares: reader.many(count, SCALAR_BYTES, 'shares') };
}
export const encodeSignatureShares = (head: Header, said: Said): Uint8Array =>
  concatBytes(header('signatureShares', head), sharesPart(said));
export function decodeSignatureShares(
  from: number,
  signers: number,
  count: number,
  body: Uint8Array,
): SignatureShares {
  const reader = open('signatureShares', body, { from, to: 0 });
  const context = reader.take(HASH_BYTES, 'context');
  const said = takeShares(reader, signers, count);
  reader.end();
  return { context, ...said };
}

/** Signing with nonces made ahead of time: the sender's own commitments and what it says in round 2, at once. */
export type PresignedShares = NonceCommitments & Said;
export const encodePresignedShares = (
  head: Header,
  { commitments, ...said }: Omit<PresignedShares, 'context'>,
): Uint8Array =>
  concatBytes(header('presignedShares', head), commitmentsPart(commitments), sharesPart(said));
export function decodePresignedShares(
  suite: FrostSuite,
  from: number,
  signers: number,
  count: number,
  body: Uint8Array,
): PresignedShares {
  const reader = open('presignedShares', body, { from, to: 0 });
  const context = reader.take(HASH_BYTES, 'context');
  const commitments = takeCommitments(suite, reader, count);
  const said = takeShares(reader, signers, count);
  reader.end();
  return { context, commitments, ...said };
}

/** Hash of one sender's round-1 body, for the comparison of what everyone saw. */
export const seenHash = (base: Uint8Array, from: number, body: Uint8Array): Uint8Array =>
  domainHash('keysaga/frost/seen/v1', base, Uint8Array.of(from), body);
