/** Key generation, round 1: draw a polynomial of degree t − 1, broadcast its commitments and the proof of knowledge. */
import type { Draws, KeygenOutput, RoundOutcome } from '../../core/ports/protocol.ts';
import { boundRandom } from '../draws.ts';
import type { KeygenContext, KeygenState } from './keygen-state.ts';
import { encodeKeygenCommitment } from './messages.ts';
import { identifierOf } from './suite.ts';

export function commit(
  context: KeygenContext,
  state: KeygenState,
  draws: Draws,
): RoundOutcome<KeygenOutput> {
  const { suite, index, threshold, parties } = context;
  const round1 = suite.frost.DKG.round1(
    identifierOf(suite, index),
    { min: threshold, max: parties },
    undefined,
    boundRandom(draws, context.hash),
  );
  state.secret = round1.secret;
  const body = encodeKeygenCommitment(
    { from: index, to: 0, context: context.hash },
    { commitments: round1.public.commitment, proof: round1.public.proofOfKnowledge },
  );
  state.bodies = new Map([[index, body]]);
  return { outbox: [{ to: 'all', body }] };
}
