/** Key generation, round 2: check everyone's proof and commitments, send each its share of this party's polynomial. */
import type { DKG_Round2 } from '@noble/curves/abstract/frost.js';
import type { KeygenOutput, ProtocolMessage, RoundOutcome } from '../../core/ports/protocol.ts';
import { copy } from '../bytes.ts';
import { held, protocolFault } from '../faults.ts';
import { bodiesOf } from '../inbox.ts';
import { type KeygenContext, type KeygenState, packagesOf } from './keygen-state.ts';
import { decodeKeygenCommitment, encodeKeygenShare, type KeygenCommitment } from './messages.ts';
import { identifierOf } from './suite.ts';

export function distribute(
  context: KeygenContext,
  state: KeygenState,
  inbox: readonly ProtocolMessage[],
): RoundOutcome<KeygenOutput> {
  const { suite, index, threshold, parties, members, hash } = context;
  const bodies = bodiesOf(inbox, { self: index, parties, members });
  const commitments = new Map<number, KeygenCommitment>();
  for (const [from, body] of bodies) {
    commitments.set(
      from,
      decodeKeygenCommitment(suite, { from, to: 0, context: hash }, threshold, body),
    );
    held(state.bodies).set(from, copy(body));
  }
  state.commitments = commitments;

  let shares: Record<string, DKG_Round2>;
  try {
    // Checks every point and every proof, and only then evaluates the polynomial.
    shares = suite.frost.DKG.round2(held(state.secret), packagesOf(context, commitments));
  } catch {
    throw blame(context, commitments);
  }
  return {
    outbox: [...commitments.keys()].map((to) => ({
      to,
      body: encodeKeygenShare(
        { from: index, to, context: hash },
        held(shares[identifierOf(suite, to)]).signingShare,
      ),
    })),
  };
}

/** Whose point or proof it was. */
function blame({ suite }: KeygenContext, commitments: ReadonlyMap<number, KeygenCommitment>) {
  for (const [from, { commitments: points, proof }] of commitments) {
    const bad = points.findIndex((point) => !suite.checks.point(point));
    if (bad >= 0)
      return protocolFault('a commitment is not an element of the group', {
        field: `keygenCommitment.commitments[${bad}]`,
        culprit: from,
      });
    const [constant] = points;
    if (constant === undefined || !suite.checks.proof(from, constant, proof))
      return protocolFault('the proof of knowledge does not verify', {
        field: 'keygenCommitment.proof',
        culprit: from,
      });
  }
  return protocolFault('the commitments were refused', { field: 'keygenCommitment' });
}
