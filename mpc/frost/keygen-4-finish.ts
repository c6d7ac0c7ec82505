/** Key generation, round 4: everyone has confirmed the same transcript. Sends nothing. */
import type { KeygenOutput, ProtocolMessage, RoundOutcome } from '../../core/ports/protocol.ts';
import { copy, equalBytes } from '../bytes.ts';
import { held, protocolFault } from '../faults.ts';
import { bodiesOf } from '../inbox.ts';
import type { KeygenContext, KeygenState } from './keygen-state.ts';
import { decodeKeygenConfirmation } from './messages.ts';

export function finish(
  context: KeygenContext,
  state: KeygenState,
  inbox: readonly ProtocolMessage[],
): RoundOutcome<KeygenOutput> {
  const { index, parties, members, hash } = context;
  const seen = held(state.seen);
  const transcriptHash = held(state.transcriptHash);
  for (const [from, body] of bodiesOf(inbox, { self: index, parties, members })) {
    const theirs = decodeKeygenConfirmation({ from, to: 0, context: hash }, parties, body);
    const differs = (member: number) =>
      !equalBytes(held(theirs.seen[member - 1]), held(seen[member - 1]));
    // What a party says of its own message, or of this party's, is its own doing.
    if (differs(from) || differs(index))
      throw protocolFault('the confirmation is of other messages than were sent', {
        field: 'keygenConfirmation.seen',
        culprit: from,
      });
    const other = members.find(differs);
    // Either the one sent two different messages, or the other misreports it. The signed envelopes tell, not this.
    if (other !== undefined)
      throw protocolFault('two parties saw different messages of a third', {
        field: 'keygenConfirmation.seen',
        suspects: [from, other],
      });
    // The transcript follows from the messages alone, so with equal messages there is one right hash.
    if (!equalBytes(theirs.transcriptHash, transcriptHash))
      throw protocolFault('the confirmation is of another transcript', {
        field: 'keygenConfirmation.transcriptHash',
        culprit: from,
      });
  }
  return {
    outbox: [],
    output: {
      share: copy(held(state.share)),
      publicPackage: held(state.publicPackage),
      publicKey: held(state.publicKey),
      transcriptHash,
    },
  };
}
