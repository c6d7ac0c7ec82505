/**
 * Key generation, round 3: check every received share against its sender's commitments, derive the key, and
 * broadcast the transcript's hash. The proof of knowledge of round 1 does not hash the session id (its form is the
 * library's); the transcript does, and every party confirms it.
 */
import type { Key } from '@noble/curves/abstract/frost.js';
import type { KeygenOutput, ProtocolMessage, RoundOutcome } from '../../core/ports/protocol.ts';
import { domainHash, u8, utf8ToBytes } from '../bytes.ts';
import { held, protocolFault } from '../faults.ts';
import { bodiesOf } from '../inbox.ts';
import { encodePublicPackage, encodeShare, fromFrostPublic } from './encoding.ts';
import { type KeygenContext, type KeygenState, packagesOf } from './keygen-state.ts';
import { decodeKeygenShare, encodeKeygenConfirmation, seenHash } from './messages.ts';
import { identifierOf } from './suite.ts';

export function confirm(
  context: KeygenContext,
  state: KeygenState,
  inbox: readonly ProtocolMessage[],
): RoundOutcome<KeygenOutput> {
  const { suite, index, threshold, parties, members, hash } = context;
  const shares = new Map<number, Uint8Array>();
  for (const [from, body] of bodiesOf(inbox, { self: index, parties, members }))
    shares.set(from, decodeKeygenShare({ from, to: index, context: hash }, body));

  let key: Key;
  try {
    key = suite.frost.DKG.round3(
      held(state.secret),
      packagesOf(context, held(state.commitments)),
      [...shares].map(([from, signingShare]) => ({
        identifier: identifierOf(suite, from),
        signingShare,
      })),
    );
  } catch {
    throw blame(context, state, shares);
  } finally {
    for (const share of shares.values()) share.fill(0);
  }

  const publicPackage = encodePublicPackage(suite, fromFrostPublic(suite, key.public));
  const [groupKey] = key.public.commitments;
  const publicKey = suite.chainKey(held(groupKey));
  const bodies = members.map((member) => held(held(state.bodies).get(member)));
  const seen = members.map((member, i) => seenHash(hash, member, held(bodies[i])));
  const transcriptHash = domainHash(
    'keysaga/frost/keygen-transcript/v1',
    utf8ToBytes(context.version),
    context.sessionId,
    u8(threshold),
    u8(parties),
    ...bodies,
    publicKey,
    // Group polynomial and verification shares.
    publicPackage,
  );
  state.share = encodeShare(
    suite,
    { threshold, parties, index, publicPackage },
    key.secret.signingShare,
  );
  key.secret.signingShare.fill(0);
  state.publicPackage = publicPackage;
  state.publicKey = publicKey;
  state.seen = seen;
  state.transcriptHash = transcriptHash;
  return {
    outbox: [
      {
        to: 'all',
        body: encodeKeygenConfirmation(
          { from: index, to: 0, context: hash },
          { transcriptHash, seen },
        ),
      },
    ],
  };
}

/** Whose share it was. */
function blame(
  context: KeygenContext,
  state: KeygenState,
  shares: ReadonlyMap<number, Uint8Array>,
) {
  const { suite, index } = context;
  for (const [from, { commitments }] of held(state.commitments)) {
    if (!suite.checks.share(index, commitments, held(shares.get(from))))
      return protocolFault('the share is not the committed polynomial at this index', {
        field: 'keygenShare.share',
        culprit: from,
      });
  }
  return protocolFault('the shares give no valid key', { field: 'groupKey' });
}
