/** Who must have spoken: exactly one message from each expected sender, in any order. */
import type { ProtocolMessage } from '../core/ports/protocol.ts';
import { equalBytes } from './bytes.ts';
import { protocolFault } from './faults.ts';

export type Expected = {
  readonly self: number;
  readonly parties: number;
  /** All who take part, this party included or not. */
  readonly members: readonly number[];
};

/**
 * Bodies by sender, in ascending order. Throws `ProtocolFault`: who sent two different messages, or
 * has no part in this ceremony, is the culprit. A message that is missing or there twice may be its sender's doing or
 * that of whoever carried it, so its sender is only a suspect. A sender that is nobody, or this party itself, is a
 * routing defect and names none.
 */
export function bodiesOf(
  inbox: readonly ProtocolMessage[],
  expected: Expected,
): Map<number, Uint8Array> {
  const { self, parties, members } = expected;
  const found = new Map<number, Uint8Array>();
  for (const { from, body } of inbox) {
    if (!Number.isInteger(from) || from < 1 || from > parties || from === self)
      throw protocolFault('a message comes from no other party of this key', { field: 'from' });
    if (!members.includes(from))
      throw protocolFault('a message comes from a party outside this ceremony', {
        field: 'from',
        culprit: from,
      });
    if (!(body instanceof Uint8Array))
      throw protocolFault('the body is not bytes', { field: 'body', suspects: [from] });
    const before = found.get(from);
    if (before !== undefined)
      throw protocolFault(
        'more than one message',
        // Two messages were made by their sender; one message twice may be the doing of whoever carried it.
        equalBytes(before, body)
          ? { field: 'inbox', suspects: [from] }
          : { field: 'inbox', culprit: from },
      );
    found.set(from, body);
  }
  const ordered = new Map<number, Uint8Array>();
  for (const member of [...members].sort((a, b) => a - b)) {
    if (member === self) continue;
    const body = found.get(member);
    if (body === undefined)
      throw protocolFault('the message is missing', { field: 'inbox', suspects: [member] });
    ordered.set(member, body);
  }
  return ordered;
}

/** Round 1 of every machine: nobody has spoken yet. */
export function expectEmpty(inbox: readonly ProtocolMessage[]): void {
  if (inbox.length !== 0) throw protocolFault('round 1 has no inbox', { field: 'inbox' });
}
