/**
 * A corrupted party: its share, its identity key and its code in the adversary's hands. It speaks the protocol as well as
 * it must, keeps no records, and signs whatever helps.
 */
import { randomBytes } from 'node:crypto';
import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js';
import postgres from 'postgres';
import { shareContext } from '../../activities/party/shares.ts';
import type { EnvelopeKeyPair } from '../../core/ports/envelope-crypto.ts';
import type { OutgoingMessage, ProtocolMessage } from '../../core/ports/protocol.ts';
import { echoOf, sessionId } from '../../core/session/session.ts';
import { digestHex } from '../../core/signed.ts';
import { createCeremonies, createRegistry } from '../../mpc/index.ts';
import { canonicalJson, type SignedType, signedBytes } from '../../schema/contracts/canonical.ts';
import type { KeyDescriptor } from '../../schema/contracts/key.ts';
import type {
  Envelope,
  PrepareAnswer,
  PrepareKeygen,
  PrepareRequest,
  RoundAnswer,
  SignedPrepareAnswer,
} from '../../schema/contracts/party.ts';
import type { PartyId } from '../../schema/contracts/primitives.ts';
import { createEnvelopeCrypto } from '../../storage/party/hpke.ts';
import { identityFromSeed } from '../../storage/party/identity.ts';
import { createKeyStore } from '../../storage/party/key-store.ts';
import type { Seat } from '../support/parties.ts';

/** The share of a key, as whoever owns the party's machine reads it. */
export async function stolenShare(seat: Seat, keyId: string): Promise<Uint8Array> {
  const sql = postgres(seat.databaseUrl, { max: 1, onnotice: () => {} });
  try {
    const [row] = await sql<
      { attempt: string; epoch: number; sealed: Uint8Array; data_key_id: string }[]
    >`select attempt, epoch, sealed, data_key_id from shares where key_id = ${keyId}`;
    if (row === undefined) throw new Error(`${seat.party} has no share of ${keyId}`);
    const store = createKeyStore(seat.keyStoreDirectory, seat.keyStoreMasterKey);
    const { attempt, epoch } = row;
    return await store.open(
      row.data_key_id,
      row.sealed,
      shareContext(seat.party, { keyId, attempt, epoch }),
    );
  } finally {
    await sql.end();
  }
}

/** Anything, under the party's own signature. */
export function signedBy<T>(seat: Seat, type: SignedType, body: T): string {
  return identityFromSeed(seat.identitySeed).sign(signedBytes(type, body));
}

export const resigned = (seat: Seat, envelope: Envelope, change: Partial<Envelope>): Envelope => {
  const { signature: _, ...body } = { ...envelope, ...change };
  return { ...body, signature: signedBy(seat, 'envelope', body) as never };
};

const info = new TextEncoder().encode('keysaga/private-envelope/v1');
type Header = Pick<Envelope, 'sessionId' | 'keyId' | 'epoch' | 'round' | 'from' | 'to'>;
/** What a private message is bound to, and what it opens as. */
const associated = ({ sessionId, keyId, epoch, round, from, to }: Header): Uint8Array =>
  new TextEncoder().encode(canonicalJson({ sessionId, keyId, epoch, round, from, to }));

/** A private message sealed to the one-time key that its receiver gave, in place of another's ciphertext. */
export async function sealedTo(
  prepared: readonly SignedPrepareAnswer[],
  header: Header,
  body: Uint8Array,
): Promise<{ readonly enc: never; readonly body: never }> {
  const receiver = prepared.find(({ answer }) => answer.party === header.to)?.answer.hpkePublicKey;
  const sealed = await createEnvelopeCrypto().seal(
    hexToBytes(receiver ?? ''),
    body,
    info,
    associated(header),
  );
  return { enc: bytesToHex(sealed.enc) as never, body: bytesToHex(sealed.ciphertext) as never };
}

/** Opens it as the owner of this pair would. */
export const openedBy = (pair: EnvelopeKeyPair, e: Envelope): Promise<Uint8Array> =>
  pair.open(hexToBytes(e.enc as string), hexToBytes(e.body), info, associated(e));

/** A prepare answer that no rule has looked at. */
export async function corruptAnswer(
  seat: Seat,
  request: PrepareRequest,
  beside: PrepareAnswer,
): Promise<SignedPrepareAnswer> {
  const pair = await createEnvelopeCrypto().deriveKeyPair(randomBytes(32));
  // The beginning of its chain, and no attempt: peers will show it to the party's real code, which must not find itself
  // restored, since the tests go on with it.
  const { opened: _, ...of } = beside.head.head;
  const head = { ...of, party: seat.party, sequence: 0, hash: '00'.repeat(32) };
  const answer = {
    ...beside,
    party: seat.party,
    attempt: request.attempt,
    requestHash: digestHex('prepare-request', request),
    nonce: randomBytes(32).toString('hex'),
    hpkePublicKey: Buffer.from(pair.publicKey).toString('hex'),
    head: { head, signature: signedBy(seat, 'head', head) },
    witnessed: [],
  } as PrepareAnswer;
  return { answer, signature: signedBy(seat, 'prepare-answer', answer) as never };
}

/** One corrupted member of a key ceremony: the machine of a seed of its own, and its envelopes. */
export function corruptMember(
  seat: Seat,
  request: PrepareKeygen,
  prepared: readonly SignedPrepareAnswer[],
) {
  const ceremonies = createCeremonies(createRegistry());
  const { keyId, epoch, protocol, threshold, signers } = request;
  const index = (p: PartyId): number => signers.indexOf(p) + 1;
  const id = sessionId({
    requestHash: digestHex('prepare-request', request),
    attempt: request.attempt,
    signers,
    prepared,
  });
  const machine = ceremonies.keygen(
    protocol,
    {
      index: index(seat.party),
      threshold,
      parties: signers.length,
      sessionId: hexToBytes(id),
      keyId,
      epoch,
    },
    randomBytes(32),
    { version: ceremonies.describe(protocol, 'keygen').version, entries: [] },
  );
  return {
    /** Its envelopes of the next round, given the broadcasts of the one before and the echo that it claims. */
    async speak(round: number, heard: readonly Envelope[], echo: string): Promise<Envelope[]> {
      const inbox = heard.map((e) => ({ from: index(e.from), body: hexToBytes(e.body) }));
      const { outbox } = machine.round(round, inbox);
      return Promise.all(
        outbox.map(async ({ to, body }) => {
          const header = {
            ...{ sessionId: id as never, keyId, epoch, round, from: seat.party },
            to: to === 'all' ? ('*' as const) : (signers[to - 1] as PartyId),
          };
          const words =
            to === 'all'
              ? { body: bytesToHex(body) as never }
              : await sealedTo(prepared, header, body);
          const envelope = { ...header, ...words, echo: echo as never };
          return { ...envelope, signature: signedBy(seat, 'envelope', envelope) as never };
        }),
      );
    },
  };
}

/** One corrupted signer of a session, on a machine of its own with the stolen share. */
export function corruptSigner(
  seat: Seat,
  share: Uint8Array,
  key: KeyDescriptor,
  request: PrepareRequest,
  prepared: readonly SignedPrepareAnswer[],
  messages: readonly Uint8Array[],
) {
  const ceremonies = createCeremonies(createRegistry());
  const index = (p: PartyId): number => key.parties.indexOf(p) + 1;
  const id = sessionId({
    requestHash: digestHex('prepare-request', request),
    attempt: request.attempt,
    signers: request.signers,
    prepared,
  });
  const machine = ceremonies.sign(
    key.protocol,
    {
      index: index(seat.party),
      threshold: key.threshold,
      parties: key.parties.length,
      sessionId: hexToBytes(id),
      share: share.slice(),
      publicPackage: hexToBytes(key.publicPackage),
      signers: request.signers.map(index),
      messages,
    },
    randomBytes(32),
    { version: ceremonies.describe(key.protocol, 'sign').version, entries: [] },
  );
  let said: Envelope[] = [];
  return {
    sessionId: id,
    /** Its broadcast of the next round, given what the others said in the one before. */
    speak(round: number, heard: readonly Envelope[]): RoundAnswer {
      const inbox: ProtocolMessage[] = heard.map((e) => ({
        from: index(e.from),
        body: hexToBytes(e.body),
      }));
      const { outbox } = machine.round(round, inbox);
      const echo = echoOf(round === 1 ? [] : [...heard, ...said]);
      said = outbox.map(({ body }: OutgoingMessage) => {
        const envelope = {
          sessionId: id,
          keyId: key.keyId,
          epoch: key.epoch,
          round,
          from: seat.party,
          to: '*' as const,
          body: Buffer.from(body).toString('hex'),
          echo,
        };
        return { ...envelope, signature: signedBy(seat, 'envelope', envelope) } as Envelope;
      });
      return {
        attempt: request.attempt,
        round,
        sessionId: id as never,
        done: round === 2,
        outbox: said,
      };
    },
  };
}
