/**
 * Bodies between parties. Each begins with the same header as FROST's: format version, kind, sender, receiver (0 for
 * all) and the context, a hash of everything the ceremony is about. So a message of another session, key, round,
 * sender or slot is refused before it is looked at. Lengths follow from the parameters; nothing is left over.
 */
import type { ProtocolMessage } from '../../core/ports/protocol.ts';
import { concatBytes, domainHash, equalBytes, Reader, u8 } from '../bytes.ts';
import { protocolFault } from '../faults.ts';
import { bodiesOf, type Expected } from '../inbox.ts';

const VERSION = 1;
/** One kind for each message of the protocol. */
export const KIND = {
  keygenCommitment: 1,
  keygenOffer: 2,
  keygenOpening: 3,
  keygenShare: 4,
  keygenConfirmation: 5,
  keygenChallenge: 6,
  keygenResponse: 7,
  keygenExtension: 8,
  presignCommitment: 16,
  presignRequest: 17,
  presignOpening: 18,
  presignReply: 19,
  signatureShares: 20,
  presignedShares: 21,
} as const;
export type Kind = keyof typeof KIND;
export const HASH_BYTES = 32;

export type Header = { readonly from: number; readonly to: number; readonly context: Uint8Array };

export const body = (
  kind: Kind,
  { from, to, context }: Header,
  ...parts: readonly Uint8Array[]
): Uint8Array => concatBytes(Uint8Array.of(VERSION, KIND[kind], from, to), context, ...parts);

/** Reads a body of `from`, who is the culprit of everything that does not decode. */
export function openBody(
  kind: Kind,
  bytes: Uint8Array,
  { from, to, context }: Omit<Header, 'context'> & { readonly context?: Uint8Array },
): { reader: Reader; context: Uint8Array } {
  const reader = new Reader(bytes, (field): never => {
    throw protocolFault('a message does not decode', { field: `${kind}.${field}`, culprit: from });
  });
  reader.expectU8(VERSION, 'version');
  reader.expectU8(KIND[kind], 'kind');
  reader.expectU8(from, 'from');
  reader.expectU8(to, 'to');
  const found = reader.take(HASH_BYTES, 'context');
  if (context !== undefined && !equalBytes(found, context))
    throw protocolFault('a message is of another ceremony', {
      field: `${kind}.context`,
      culprit: from,
    });
  return { reader, context: found };
}

/** Hash of one sender's broadcast, for the comparison of what everyone saw. */
export const seenHash = (context: Uint8Array, from: number, broadcast: Uint8Array): Uint8Array =>
  domainHash('keysaga/dkls23/seen/v1', context, u8(from), broadcast);

/** What a round with a broadcast and a private message brought, by sender in ascending order. */
export type Pair = { readonly broadcast: Uint8Array; readonly secret: Uint8Array };

/**
 * Splits an inbox in which every other member sent a broadcast and then a private message. Throws `ProtocolFault`: a
 * third message that differs from both names its sender; one that is missing or repeated may be the carrier's doing.
 */
export function pairsOf(inbox: readonly ProtocolMessage[], expected: Expected): Map<number, Pair> {
  const first: ProtocolMessage[] = [];
  const second: ProtocolMessage[] = [];
  const spoken = new Map<number, Uint8Array[]>();
  for (const message of inbox) {
    const before = spoken.get(message.from) ?? [];
    spoken.set(message.from, [...before, message.body]);
    if (before.length === 0) first.push(message);
    else if (before.length === 1) second.push(message);
    else if (expected.members.includes(message.from) && message.from !== expected.self) {
      const { from, body: third } = message;
      const repeated = !(third instanceof Uint8Array) || before.some((b) => equalBytes(b, third));
      throw protocolFault('more than two messages', {
        field: 'inbox',
        ...(repeated ? { suspects: [from] } : { culprit: from }),
      });
    }
  }
  const broadcasts = bodiesOf(first, expected);
  const secrets = bodiesOf(second, expected);
  return new Map(
    [...broadcasts].map(([from, broadcast]) => [
      from,
      { broadcast, secret: secrets.get(from) as Uint8Array },
    ]),
  );
}
