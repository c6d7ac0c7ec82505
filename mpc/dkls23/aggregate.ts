/**
 * Combining signature shares: s = Σ w_i ÷ Σ u_i under R = Σ R_i (DKLs23, ePrint 2023/765, protocol 3.6, last step). Public
 * values only; anyone may do it. The protocol cannot tell whose share was wrong when the signature is: then all signers
 * are suspects.
 */
import type { AggregateParams } from '../../core/ports/protocol.ts';
import type { Reader } from '../bytes.ts';
import { equalBytes } from '../bytes.ts';
import { held, protocolFault } from '../faults.ts';
import { checkSigners } from '../params.ts';
import { OPEN_POINT_BYTES, type Point, Point as Points, readOpenPoint } from './curve.ts';
import { encodeSignature, verifyAll, verifyUnder } from './ecdsa.ts';
import { checkPublicPackage, decodePublicPackage } from './encoding.ts';
import { HASH_BYTES, openBody, seenHash } from './messages.ts';
import { nonceCommitment, openedNonces, openingBytes } from './presign.ts';
import { invert, mod, readScalar, SCALAR_BYTES } from './scalars.ts';
import { SIGN_ROUNDS } from './sign.ts';
import {
  checkDigests,
  ONLINE_VERSION,
  readTweak,
  refuseTweak,
  SIGN_VERSION,
  signingBase,
  signingKey,
} from './sign-context.ts';

type Shares = { readonly u: bigint; readonly w: bigint };

/** u and w of each message, from one signer. */
const readShares = (reader: Reader, field: string, from: number): Shares => {
  const scalar = (name: string): bigint => {
    const value = readScalar(reader.take(SCALAR_BYTES, `${name}`));
    if (value === undefined)
      throw protocolFault('a signature share is not a scalar', {
        field: `${field}.${name}`,
        culprit: from,
      });
    return value;
  };
  return { u: scalar('u'), w: scalar('w') };
};

const missing = (round: number, signer: number) =>
  protocolFault('the message is missing', { field: `rounds[${round}]`, suspects: [signer] });

/** Bodies by round and signer; each signer's of each round must be there, and nobody else's. */
function broadcastsOf({ signers, rounds }: AggregateParams, count: number) {
  if (rounds.length !== count)
    throw protocolFault('the signing has another number of rounds', { field: 'rounds' });
  rounds.forEach((round, i) => {
    for (const sender of round.keys())
      if (!signers.includes(sender))
        throw protocolFault('a message of no signer', { field: `rounds[${i}]` });
  });
  return (round: number, signer: number): Uint8Array => {
    const found = rounds[round]?.get(signer);
    if (found === undefined) throw missing(round, signer);
    return found;
  };
}

/**
 * One 65-byte signature a message, each verified under the key the chain sees (with the tweak added). Throws
 * `InvalidInput` for parameters that make no sense, `ProtocolFault` for a message that does not decode or shares that
 * give no valid signature; without a name where the caller's own parameters are not those that the signers had.
 */
export function aggregate(params: AggregateParams): Uint8Array[] {
  checkSigners(params, 'any');
  checkDigests(params.messages);
  const { signers, messages } = params;
  const batch = messages.length;
  const base = signingBase({ ...params, version: SIGN_VERSION, batch });
  const said = broadcastsOf(params, SIGN_ROUNDS);
  const nonces = messages.map((): Point => Points.ZERO);
  const sums = messages.map(() => ({ u: 0n, w: 0n }));
  const actual = signers.map((signer) => seenHash(base, signer, said(1, signer)));
  const seen: Uint8Array[][] = [];
  const contexts: Uint8Array[] = [];
  for (const signer of signers) {
    const head = { from: signer, to: 0 };
    const first = openBody('presignCommitment', said(0, signer), head);
    const commitment = first.reader.take(HASH_BYTES, 'commitment');
    first.reader.end();
    const same = { ...head, context: first.context };
    const second = openBody('presignOpening', said(1, signer), same).reader;
    second.many(signers.length, HASH_BYTES, 'seen');
    const opening = second.take(openingBytes(batch), 'opening');
    second.take(OPEN_POINT_BYTES, 'key');
    second.end();
    if (!equalBytes(nonceCommitment(first.context, signer, opening), commitment))
      throw protocolFault('the opening is not what was committed to', {
        field: 'presignOpening.opening',
        culprit: signer,
      });
    openedNonces(signer, opening).forEach((point, m) => {
      nonces[m] = held(nonces[m]).add(point);
    });
    const third = openBody('signatureShares', said(2, signer), same).reader;
    seen.push(third.many(signers.length, HASH_BYTES, 'seen'));
    for (const sum of sums) {
      const { u, w } = readShares(third, 'signatureShares', signer);
      sum.u += u;
      sum.w += w;
    }
    third.end();
    contexts.push(first.context);
  }
  compareSeen(signers, seen, actual);
  compareContexts(signers, contexts);
  return signaturesOf(params, nonces, sums);
}

/** As `aggregate`, over the broadcasts of the online round. */
export function aggregatePresigned(params: AggregateParams): Uint8Array[] {
  checkSigners(params, 'any');
  refuseTweak(params);
  checkDigests(params.messages);
  const { signers, messages } = params;
  const base = signingBase({ ...params, version: ONLINE_VERSION, batch: messages.length });
  const said = broadcastsOf(params, 1);
  const sums = messages.map(() => ({ u: 0n, w: 0n }));
  const contexts: Uint8Array[] = [];
  const bases: Uint8Array[] = [];
  const encoded: Uint8Array[][] = [];
  for (const signer of signers) {
    const { reader, context } = openBody('presignedShares', said(0, signer), {
      from: signer,
      to: 0,
    });
    contexts.push(context);
    bases.push(reader.take(HASH_BYTES, 'base'));
    encoded.push(
      sums.map((sum, m) => {
        const R = reader.take(OPEN_POINT_BYTES, `R[${m}]`);
        const { u, w } = readShares(reader, 'presignedShares', signer);
        sum.u += u;
        sum.w += w;
        return R;
      }),
    );
    reader.end();
  }
  compareSeen(
    signers,
    bases.map((own) => signers.map(() => own)),
    signers.map(() => base),
  );
  compareContexts(signers, contexts);
  const [first] = encoded;
  const nonces = held(first).map((R, m) => {
    const other = signers.find((_, i) => !equalBytes(held(held(encoded[i])[m]), R));
    const point = readOpenPoint(R);
    if (other !== undefined || point === undefined)
      throw protocolFault('the signers have no nonce in common', {
        field: `presignedShares.R[${m}]`,
        suspects: signers,
      });
    return point;
  });
  return signaturesOf(params, nonces, sums);
}

/**
 * What each signer saw against what is there. All of them against the caller: it is the caller who has other messages, or
 * another key, than was signed. Otherwise a party is named only for what it said of itself.
 */
function compareSeen(
  signers: readonly number[],
  seen: readonly (readonly Uint8Array[])[],
  actual: readonly Uint8Array[],
): void {
  const field = 'signatureShares.seen';
  const differs = (i: number, j: number) => !equalBytes(held(held(seen[i])[j]), held(actual[j]));
  if (signers.every((_, i) => differs(i, i)))
    throw protocolFault('the shares are of another signing than this', { field });
  signers.forEach((culprit, i) => {
    if (differs(i, i))
      throw protocolFault('the share is for other messages than this signing has', {
        field,
        culprit,
      });
  });
  signers.forEach((signer, i) => {
    const other = signers.find((_, j) => differs(i, j));
    if (other !== undefined)
      throw protocolFault('a signer saw another message of a second one', {
        field,
        suspects: [signer, other],
      });
  });
}

/** One session for all; whoever is alone with another is as likely wrong as the rest together. */
function compareContexts(signers: readonly number[], contexts: readonly Uint8Array[]): void {
  const [first] = contexts;
  if (contexts.some((context) => !equalBytes(context, held(first))))
    throw protocolFault('the signers are in different sessions', {
      field: 'context',
      suspects: signers,
    });
}

function signaturesOf(
  params: AggregateParams,
  nonces: readonly Point[],
  sums: readonly Shares[],
): Uint8Array[] {
  const { signers, messages, publicPackage } = params;
  const key = signingKey(publicPackage, params, readTweak(params.tweak));
  const signatures: Uint8Array[] = [];
  const bad = (m: number) => {
    // A package that is not consistent is the caller's, and no signer's fault.
    checkPublicPackage(decodePublicPackage(publicPackage, params));
    return protocolFault('the signature shares give no valid signature', {
      field: `signatureShares.shares[${m}]`,
      suspects: signers,
    });
  };
  sums.forEach((sum, m) => {
    const u = mod(sum.u);
    const w = mod(sum.w);
    const R = held(nonces[m]);
    if (u === 0n || w === 0n || R.is0()) throw bad(m);
    signatures.push(encodeSignature(R, mod(w * invert(u))));
  });
  if (!verifyAll(key, messages, signatures, nonces)) {
    const first = signatures.findIndex((s, m) => !verifyUnder(key, held(messages[m]), s));
    throw bad(Math.max(0, first));
  }
  return signatures;
}
