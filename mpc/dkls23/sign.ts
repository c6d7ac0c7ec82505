/**
 * Signing: the plain machine of three rounds (`presign.ts` for the first two, the message in the third), and the one
 * online round over a presignature. Both end with w_i = h·φ_i + x(R)·v_i and u_i; see `aggregate.ts`.
 */
import type {
  OnlineParams,
  RoundMachine,
  SignOutput,
  SignParams,
} from '../../core/ports/protocol.ts';
import { copy, equalBytes } from '../bytes.ts';
import { held, invalidInput } from '../faults.ts';
import { expectEmpty } from '../inbox.ts';
import { checkMember, checkSigners, checkSignParams } from '../params.ts';
import { sequence } from '../sequence.ts';
import { G, multiplyPublic, openPointBytes } from './curve.ts';
import { digestScalar } from './ecdsa.ts';
import { decodeShare, packageHash } from './encoding.ts';
import { body, seenHash } from './messages.ts';
import { begin, combine, createPresign, exchange, type Presigned, wipePresign } from './presign.ts';
import { decodePresignature, rerandomiser } from './presignature.ts';
import { mod, scalarBytes } from './scalars.ts';
import {
  checkDigests,
  ONLINE_VERSION,
  readTweak,
  refuseTweak,
  SIGN_VERSION,
  signingBase,
  signingContext,
  signingKey,
} from './sign-context.ts';

export const SIGN_ROUNDS = 3;
export const ONLINE_ROUNDS = 1;

/** u_i and w_i for one digest. */
export function signatureShare({ R, u, v, phi }: Presigned, digest: Uint8Array) {
  const r = mod(R.toAffine().x);
  return { u, w: mod(digestScalar(digest) * phi + r * v) };
}

/** One party's side, in three rounds. Throws `InvalidInput` for parameters that make no sense or a share of another key. */
export function createSign(given: SignParams): RoundMachine<SignOutput> {
  checkSignParams(given, 'any');
  checkDigests(given.messages);
  // Copies: what is signed must not change between the rounds, whoever holds the arrays.
  const publicPackage = copy(given.publicPackage);
  const messages = given.messages.map(copy);
  const signers = [...given.signers];
  const { index, threshold, parties } = given;
  const tweak = readTweak(given.tweak);
  const key = signingKey(publicPackage, given, tweak);
  const base = signingBase({
    version: SIGN_VERSION,
    threshold,
    parties,
    publicPackage,
    signers,
    messages,
    batch: messages.length,
    tweak: given.tweak,
  });
  const context = signingContext(base, given.sessionId);
  const share = decodeShare(given.share, { threshold, parties, index, publicPackage }, signers);
  const state = createPresign({
    index,
    parties,
    signers,
    batch: messages.length,
    context,
    base,
    key,
    tweak,
    share,
  });
  return sequence<SignOutput>(
    SIGN_VERSION,
    [
      (inbox, draws) => {
        expectEmpty(inbox);
        return { outbox: begin(state, draws) };
      },
      (inbox, draws) => ({ outbox: exchange(state, inbox, draws) }),
      (inbox, draws) => {
        const shares = combine(state, inbox, draws).map((presigned, m) =>
          signatureShare(presigned, held(messages[m])),
        );
        const seen = signers.map((s) => seenHash(base, s, held(state.second.get(s))));
        return {
          outbox: [
            {
              to: 'all',
              body: body(
                'signatureShares',
                { from: index, to: 0, context },
                ...seen,
                ...shares.flatMap(({ u, w }) => [scalarBytes(u), scalarBytes(w)]),
              ),
            },
          ],
          output: { released: true },
        };
      },
    ],
    () => wipePresign(state),
  );
}

/**
 * The online round over one presignature a message. Each is re-randomised with the session (Groth and Shoup, ePrint
 * 2021/1330): R′ = R + δ·G, u_i′ = u_i + δ·φ_i, with δ hashed from the session id, the key, the digest, R and the
 * signers. Throws `InvalidInput` for a presignature of another key, epoch, party or signer set, or one given twice.
 */
export function createOnline(given: OnlineParams): RoundMachine<SignOutput> {
  checkSigners(given, 'any');
  checkMember(given);
  refuseTweak(given);
  checkDigests(given.messages);
  const publicPackage = copy(given.publicPackage);
  const messages = given.messages.map(copy);
  const sessionId = copy(given.sessionId);
  const signers = [...given.signers];
  const { index, threshold, parties } = given;
  const base = signingBase({
    version: ONLINE_VERSION,
    threshold,
    parties,
    publicPackage,
    signers,
    messages,
    batch: messages.length,
  });
  const context = signingContext(base, sessionId);
  if (given.presignatures.length !== messages.length)
    throw invalidInput('there must be one presignature for each message', 'presignatures');
  const header = { threshold, parties, index, packageHash: packageHash(publicPackage), signers };
  let presigned = given.presignatures.map((bytes, i) =>
    decodePresignature(bytes, header, `presignatures[${i}]`),
  );
  presigned.forEach(({ id }, i) => {
    if (presigned.slice(0, i).some((earlier) => equalBytes(earlier.id, id)))
      throw invalidInput('a presignature is for one message only', `presignatures[${i}]`);
  });
  return sequence<SignOutput>(
    ONLINE_VERSION,
    [
      (inbox) => {
        expectEmpty(inbox);
        const made = presigned.map(({ R, encodedR, u, v, phi }, m) => {
          const digest = held(messages[m]);
          const delta = rerandomiser(sessionId, header.packageHash, digest, encodedR, signers);
          const moved = R.add(multiplyPublic(G, delta));
          return {
            R: moved,
            ...signatureShare({ R: moved, u: mod(u + delta * phi), v, phi }, digest),
          };
        });
        const nonces = openPointBytes(made.map(({ R }) => R));
        return {
          outbox: [
            {
              to: 'all',
              body: body(
                'presignedShares',
                { from: index, to: 0, context },
                base,
                ...made.flatMap(({ u, w }, m) => [held(nonces[m]), scalarBytes(u), scalarBytes(w)]),
              ),
            },
          ],
          output: { released: true },
        };
      },
    ],
    () => {
      presigned = [];
    },
  );
}
