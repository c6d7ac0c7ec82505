/** Making and opening envelopes: signed by the sender, private ones sealed to the receiver's one-time HPKE key. */
import type { RoundRow, SessionRow } from '../../core/ports/party-store.ts';
import type { OutgoingMessage, ProtocolMessage } from '../../core/ports/protocol.ts';
import { echoOf } from '../../core/session/session.ts';
import { bytesToHex, hexToBytes } from '../../core/signed.ts';
import { canonicalJson, signedBytes } from '../../schema/contracts/canonical.ts';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import type { Envelope } from '../../schema/contracts/party.ts';
import type { PartyDeps } from './deps.ts';

const encoder = new TextEncoder();
const info = encoder.encode('keysaga/private-envelope/v1');

type Header = Pick<Envelope, 'sessionId' | 'keyId' | 'epoch' | 'round' | 'from' | 'to'>;
/** A ciphertext opens only as the message it was sealed as. */
const associated = ({ sessionId, keyId, epoch, round, from, to }: Header): Uint8Array =>
  encoder.encode(canonicalJson({ sessionId, keyId, epoch, round, from, to }));

/**
 * The echo that envelopes of `round` carry: what was broadcast in the round before, as this party saw it, from the
 * inbox that followed and its own outbox. Round 1 follows no broadcast; the session id already binds what every
 * signer saw of the prepare answers.
 */
export function echoBefore(rounds: readonly RoundRow[], round: number): string {
  const others = rounds.find((r) => r.round === round)?.inbox ?? [];
  const own = rounds.find((r) => r.round === round - 1)?.outbox ?? [];
  return echoOf([...others, ...own]);
}

export async function sealOutbox(
  deps: PartyDeps,
  row: SessionRow,
  rounds: readonly RoundRow[],
  round: number,
  outbox: readonly OutgoingMessage[],
): Promise<Envelope[]> {
  const { request, sessionId } = row;
  if (sessionId === null)
    throw new KeysagaError('RoundOutOfOrder', 'The session has not begun.', { field: 'round' });
  const echo = echoBefore(rounds, round);
  const header = {
    sessionId,
    keyId: request.keyId,
    epoch: request.epoch,
    round,
    from: deps.settings.party,
  };
  return Promise.all(
    outbox.map(async ({ to, body }) => {
      const unsigned =
        to === 'all'
          ? { ...header, to: '*' as const, body: bytesToHex(body), echo }
          : await sealPrivate(deps, row, { ...header, to: memberAt(row.members, to) }, body, echo);
      return { ...unsigned, signature: deps.identity.sign(signedBytes('envelope', unsigned)) };
    }),
  );
}

async function sealPrivate(
  deps: PartyDeps,
  row: SessionRow,
  header: Header,
  body: Uint8Array,
  echo: string,
) {
  const receiver = row.prepared?.find((p) => p.answer.party === header.to)?.answer.hpkePublicKey;
  if (receiver === undefined)
    throw new KeysagaError(
      'Internal',
      'A private message to a party outside the session.',
      {},
      { retryable: false },
    );
  const sealed = await deps.envelopes.seal(hexToBytes(receiver), body, info, associated(header));
  return { ...header, enc: bytesToHex(sealed.enc), body: bytesToHex(sealed.ciphertext), echo };
}

/**
 * The machine's view of an authenticated inbox: sorted by sender, the broadcast before the private message.
 * `seed` is asked for only when there is something to open. A private message that does not open is its sender's fault.
 */
export async function openInbox(
  deps: PartyDeps,
  row: SessionRow,
  inbox: readonly Envelope[],
  seed: () => Promise<Uint8Array>,
): Promise<ProtocolMessage[]> {
  if (inbox.length === 0) return [];
  const hasPrivate = inbox.some((e) => e.enc !== undefined);
  const pair = hasPrivate
    ? await deps.envelopes.deriveKeyPair(deps.ceremonies.derive(await seed(), 'hpke'))
    : undefined;
  const opened = await Promise.all(
    inbox.map(async (envelope) => {
      const from = row.members.indexOf(envelope.from) + 1;
      if (envelope.enc === undefined || pair === undefined)
        return { from, rank: 0, body: hexToBytes(envelope.body) };
      try {
        const body = await pair.open(
          hexToBytes(envelope.enc),
          hexToBytes(envelope.body),
          info,
          associated(envelope),
        );
        return { from, rank: 1, body };
      } catch {
        throw new KeysagaError('ProtocolFault', 'A private message does not open.', {
          culprit: `${from}`,
          field: 'body',
        });
      }
    }),
  );
  opened.sort((a, b) => a.from - b.from || a.rank - b.rank);
  return opened.map(({ from, body }) => ({ from, body }));
}

function memberAt(members: readonly string[], index: number): Envelope['from'] {
  const name = members[index - 1];
  if (name === undefined)
    throw new KeysagaError('Internal', 'A message to nobody.', {}, { retryable: false });
  return name as Envelope['from'];
}
