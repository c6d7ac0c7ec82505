/** FROST signing as a round machine (RFC 9591, section 5), a batch of messages at a time, a nonce pair for each. */
import type { FrostPublic, FrostSecret, Nonces } from '@noble/curves/abstract/frost.js';
import type {
  Draws,
  ProtocolMessage,
  RoundMachine,
  RoundOutcome,
  SignOutput,
  SignParams,
} from '../../core/ports/protocol.ts';
import type { KeysagaError } from '../../schema/contracts/errors.ts';
import { copy, equalBytes } from '../bytes.ts';
import { boundRandom } from '../draws.ts';
import { held, invalidInput, protocolFault } from '../faults.ts';
import { bodiesOf, expectEmpty } from '../inbox.ts';
import { checkSignParams } from '../params.ts';
import { sequence } from '../sequence.ts';
import { decodePublicPackage, decodeShare, toFrostPublic } from './encoding.ts';
import {
  decodeNonceCommitments,
  encodeNonceCommitments,
  encodeSignatureShares,
  type NonceCommitment,
  seenHash,
} from './messages.ts';
import { signingBase, signingContext, signVersion } from './sign-context.ts';
import { type FrostSuite, identifierOf } from './suite.ts';

export const SIGN_ROUNDS = 2;

type SignState = {
  readonly suite: FrostSuite;
  readonly params: Omit<SignParams, 'share'>;
  readonly base: Uint8Array;
  readonly context: Uint8Array;
  readonly pub: FrostPublic;
  secret: FrostSecret;
  /** One pair a message; zeroed by the library as each is used. */
  nonces: Nonces[];
  own: readonly NonceCommitment[];
  ownBody: Uint8Array;
};

/** Refuses messages that the scheme cannot sign. Throws `InvalidInput`. */
export function checkMessages(suite: FrostSuite, messages: readonly Uint8Array[]): void {
  messages.forEach((message, i) => {
    if (suite.messageBytes !== undefined && message.length !== suite.messageBytes)
      throw invalidInput(`a message has ${suite.messageBytes} bytes`, `messages[${i}]`);
  });
}

/**
 * One party's side. Throws `InvalidInput` for parameters that make no sense or a share of another key, and
 * `ProtocolFault` for a public package that does not decode.
 */
export function createSign(suite: FrostSuite, given: SignParams): RoundMachine<SignOutput> {
  checkSignParams(given);
  checkMessages(suite, given.messages);
  // Copies: what is signed must not change between the rounds, whoever holds the arrays.
  const params = {
    index: given.index,
    threshold: given.threshold,
    parties: given.parties,
    sessionId: copy(given.sessionId),
    publicPackage: copy(given.publicPackage),
    signers: [...given.signers],
    messages: given.messages.map(copy),
  };
  const pub = toFrostPublic(suite, decodePublicPackage(suite, params.publicPackage, params));
  const base = signingBase(suite, params);
  const state: SignState = {
    suite,
    params,
    base,
    context: signingContext(base, params.sessionId),
    pub,
    secret: decodeShare(suite, given.share, params),
    nonces: [],
    own: [],
    ownBody: new Uint8Array(),
  };
  return sequence<SignOutput>(
    signVersion(suite),
    [
      (inbox, draws) => {
        expectEmpty(inbox);
        return commit(state, draws);
      },
      (inbox) => sign(state, inbox),
    ],
    () => {
      state.secret.signingShare.fill(0);
      for (const { hiding, binding } of state.nonces) {
        hiding.fill(0);
        binding.fill(0);
      }
      state.nonces = [];
    },
  );
}

/**
 * Round 1 (RFC 9591, section 5.1): the library's `commit` hashes 32 drawn bytes with the signing share, so a nonce
 * is unpredictable while either is secret; the draws are bound to this signing, so a seed used twice with
 * another message or signer set does not repeat a nonce either.
 */
function commit(state: SignState, draws: Draws): RoundOutcome<SignOutput> {
  const { suite, params, context } = state;
  const random = boundRandom(draws, context);
  const generated = params.messages.map(() => suite.frost.commit(state.secret, random));
  state.nonces = generated.map(({ nonces }) => nonces);
  state.own = generated.map(({ commitments: { hiding, binding } }) => ({ hiding, binding }));
  state.ownBody = encodeNonceCommitments({ from: params.index, to: 0, context }, state.own);
  return { outbox: [{ to: 'all', body: state.ownBody }] };
}

/**
 * Round 2 (RFC 9591, section 5.2): every commitment is decoded and validated by the library before its share is
 * made, this party's own must be what it sent, and each nonce pair is zeroed as it is used.
 */
function sign(state: SignState, inbox: readonly ProtocolMessage[]): RoundOutcome<SignOutput> {
  const { suite, params, base, context, pub, secret } = state;
  const { index, parties, signers, messages } = params;
  const bodies = bodiesOf(inbox, { self: index, parties, members: signers });
  const received = new Map<number, readonly NonceCommitment[]>([[index, state.own]]);
  for (const [from, body] of bodies) {
    const decoded = decodeNonceCommitments(suite, from, messages.length, body);
    if (!equalBytes(decoded.context, context))
      throw protocolFault('the commitments are for another signing', {
        field: 'nonceCommitments.context',
        culprit: from,
      });
    received.set(from, decoded.commitments);
  }
  const seen = signers.map((signer) =>
    seenHash(base, signer, signer === index ? state.ownBody : held(bodies.get(signer))),
  );
  const shares = messages.map((message, i) => {
    const list = commitmentList(suite, signers, (signer) => held(received.get(signer))[i]);
    try {
      return suite.frost.signShare(secret, pub, held(state.nonces[i]), list, message);
    } catch {
      throw blame(suite, received);
    }
  });
  return {
    outbox: [
      { to: 'all', body: encodeSignatureShares({ from: index, to: 0, context }, { seen, shares }) },
    ],
    output: { released: true },
  };
}

/** The signers' commitments for one message, in the library's form. */
export const commitmentList = (
  suite: FrostSuite,
  signers: readonly number[],
  of: (signer: number) => NonceCommitment | undefined,
) => signers.map((signer) => ({ identifier: identifierOf(suite, signer), ...held(of(signer)) }));

/** Whose commitment is not an element of the group. */
export function blame(
  suite: FrostSuite,
  received: ReadonlyMap<number, readonly NonceCommitment[]>,
): KeysagaError {
  for (const [from, commitments] of received) {
    for (const [i, { hiding, binding }] of commitments.entries()) {
      const field = !suite.checks.point(hiding)
        ? 'hiding'
        : !suite.checks.point(binding)
          ? 'binding'
          : undefined;
      if (field !== undefined)
        return protocolFault('a nonce commitment is not an element of the group', {
          field: `nonceCommitments.${field}[${i}]`,
          culprit: from,
        });
    }
  }
  return protocolFault('the commitments give no valid signature', { field: 'nonceCommitments' });
}
