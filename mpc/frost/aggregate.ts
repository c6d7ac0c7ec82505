/** Combining signature shares (RFC 9591, sections 5.3 and 5.4). Public values only; anyone may do it. */
import type {
  FrostPublic,
  NonceCommitments as LibraryCommitments,
} from '@noble/curves/abstract/frost.js';
import type { AggregateParams } from '../../core/ports/protocol.ts';
import { equalBytes } from '../bytes.ts';
import { held, protocolFault } from '../faults.ts';
import { checkSigners } from '../params.ts';
import { checkPublicPackage, decodePublicPackage, toFrostPublic } from './encoding.ts';
import {
  decodeNonceCommitments,
  decodeSignatureShares,
  type NonceCommitments,
  type SignatureShares,
  seenHash,
} from './messages.ts';
import { checkMessages, commitmentList, SIGN_ROUNDS } from './sign.ts';
import { signingBase, signVersion } from './sign-context.ts';
import { type FrostSuite, identifierOf } from './suite.ts';

type Spoken = {
  readonly commitments: ReadonlyMap<number, NonceCommitments>;
  readonly shares: ReadonlyMap<number, SignatureShares>;
};

/**
 * One 64-byte signature a message, each verified under the key the chain sees. Throws `InvalidInput` for
 * parameters that make no sense, `ProtocolFault` for a message that does not decode or a share that does not verify;
 * without a culprit where the caller's own parameters are not those that the signers had.
 */
export function aggregate(
  suite: FrostSuite,
  params: AggregateParams,
  version: string = signVersion(suite),
): Uint8Array[] {
  checkSigners(params);
  checkMessages(suite, params.messages);
  const { signers, messages, publicPackage } = params;
  const decoded = decodePublicPackage(suite, publicPackage, params);
  const pub = toFrostPublic(suite, decoded);
  const publicKey = suite.chainKey(held(decoded.commitments[0]));
  const spoken = open(suite, params);
  compareSeen(suite, params, version, spoken);

  return messages.map((message, i) => {
    const list = commitmentList(
      suite,
      signers,
      (signer) => held(spoken.commitments.get(signer)).commitments[i],
    );
    const share = (signer: number) => held(held(spoken.shares.get(signer)).shares[i]);
    const blame = () => firstBad(suite, pub, signers, list, message, share);
    let signature: Uint8Array | undefined;
    try {
      signature = suite.frost.aggregate(
        pub,
        list,
        message,
        Object.fromEntries(signers.map((signer) => [identifierOf(suite, signer), share(signer)])),
      );
    } catch {
      signature = undefined;
    }
    // The library has checked the sum under its own package; the chain will check these bytes under that key.
    if (signature === undefined || !suite.verify(publicKey, message, signature)) {
      checkPublicPackage(suite, decoded);
      throw badShare(blame(), i);
    }
    if (params.proveEachShare === true) {
      const culprit = blame();
      if (culprit !== undefined) throw badShare(culprit, i);
    }
    return signature;
  });
}

const badShare = (culprit: number | undefined, message: number) =>
  protocolFault('a signature share does not verify', {
    field: `signatureShares.shares[${message}]`,
    ...(culprit === undefined ? {} : { culprit }),
  });

/** Decodes what each signer said in both rounds. */
function open(suite: FrostSuite, { signers, messages, rounds }: AggregateParams): Spoken {
  if (rounds.length !== SIGN_ROUNDS)
    throw protocolFault('a signing has two rounds of broadcasts', { field: 'rounds' });
  const body = (round: number, signer: number): Uint8Array => {
    const found = rounds[round]?.get(signer);
    if (found === undefined)
      throw protocolFault('the message is missing', {
        field: `rounds[${round}]`,
        suspects: [signer],
      });
    return found;
  };
  rounds.forEach((round, i) => {
    for (const sender of round.keys())
      if (!signers.includes(sender))
        throw protocolFault('a message of no signer', { field: `rounds[${i}]` });
  });
  const commitments = new Map<number, NonceCommitments>();
  const shares = new Map<number, SignatureShares>();
  for (const signer of signers) {
    const first = decodeNonceCommitments(suite, signer, messages.length, body(0, signer));
    const second = decodeSignatureShares(signer, signers.length, messages.length, body(1, signer));
    if (!equalBytes(first.context, second.context))
      throw protocolFault('the two rounds are of different signings', {
        field: 'signatureShares.context',
        culprit: signer,
      });
    commitments.set(signer, first);
    shares.set(signer, second);
  }
  return { commitments, shares };
}

/**
 * A share made for other commitments would fail and put the blame on its honest maker. So what every signer saw is
 * compared first, and a party is named only for what it said of itself.
 */
function compareSeen(
  suite: FrostSuite,
  params: AggregateParams,
  version: string,
  { shares }: Spoken,
): void {
  const { signers, rounds } = params;
  const base = signingBase(suite, params, version);
  const actual = signers.map((signer) => seenHash(base, signer, held(rounds[0]?.get(signer))));
  const differs = (signer: number, i: number) =>
    !equalBytes(held(held(shares.get(signer)).seen[i]), held(actual[i]));
  // All of them against the caller: it is the caller who has other messages, or another key, than was signed.
  if (signers.every(differs))
    throw protocolFault('the shares are of another signing than this', {
      field: 'signatureShares.seen',
    });
  signers.forEach((signer, i) => {
    if (differs(signer, i))
      throw protocolFault('the share is for other messages than this signing has', {
        field: 'signatureShares.seen',
        culprit: signer,
      });
  });
  for (const signer of signers) {
    const other = signers.find((_, i) => differs(signer, i));
    if (other !== undefined)
      throw protocolFault('a signer saw another message of a second one', {
        field: 'signatureShares.seen',
        suspects: [signer, other],
      });
  }
}

/** The first signer whose share fails by itself (RFC 9591, section 5.4). */
function firstBad(
  suite: FrostSuite,
  pub: FrostPublic,
  signers: readonly number[],
  list: LibraryCommitments[],
  message: Uint8Array,
  share: (signer: number) => Uint8Array,
): number | undefined {
  // A commitment that is no element makes every share fail, so those come first.
  const badCommitment = signers.find(
    (_, i) =>
      !suite.checks.point(held(list[i]).hiding) || !suite.checks.point(held(list[i]).binding),
  );
  if (badCommitment !== undefined) return badCommitment;
  return signers.find((signer) => {
    try {
      return !suite.frost.verifyShare(
        pub,
        list,
        message,
        identifierOf(suite, signer),
        share(signer),
      );
    } catch {
      return true;
    }
  });
}
