/** What the tests of this folder share: parties on a real PostgreSQL, one active Solana key, payments for it. */
import { mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import postgres from 'postgres';
import type { FailPoints } from '../../core/ports/clock.ts';
import { type Stack, startStack } from '../../dev/stack/index.ts';
import { signedBytes } from '../../schema/contracts/canonical.ts';
import type { TransferIntent } from '../../schema/contracts/intent.ts';
import type { KeyDescriptor } from '../../schema/contracts/key.ts';
import type {
  Envelope,
  PrepareSign,
  RoundAnswer,
  RoundRequest,
} from '../../schema/contracts/party.ts';
import type { PartyId } from '../../schema/contracts/primitives.ts';
import { identityFromSeed } from '../../storage/party/identity.ts';
import type { PartyService } from '../../workers/party-service.ts';
import {
  type Cast,
  castOf,
  generateKey,
  intentFor,
  keygenRequest,
  type Seat,
  SOLANA,
  seatParties,
  signRequest,
  type Table,
} from '../support/parties.ts';
import { type Nonce, payment, provenNonce, someAddress } from '../support/solana-plans.ts';

export type Payment = {
  readonly intent: TransferIntent;
  readonly nonce: Nonce;
  readonly request: PrepareSign;
};

export type Rig = {
  readonly stack: Stack;
  readonly table: Table;
  readonly cast: Cast;
  readonly key: KeyDescriptor;
  /** Alpha, beta, gamma. */
  readonly parties: readonly [PartyId, PartyId, PartyId];
  seat(party: PartyId): Seat;
  /** An instance of a party; the first by default. */
  party(party: PartyId, instance?: number): PartyService['activities'];
  /** A new approved intent and its payment, for the first two parties. */
  pay(amount?: bigint, change?: Partial<PrepareSign>): Payment;
  /** The same intent again: another attempt, by default with the very same bytes. */
  again(of: Payment, change?: Partial<PrepareSign>): PrepareSign;
  /** The intent's payment over another nonce, so that both could be on chain. */
  besides(of: Payment, change?: Partial<PrepareSign>): PrepareSign;
  /** Asks a party's database. */
  sql<T extends Record<string, unknown>>(party: PartyId, query: string): Promise<T[]>;
  stop(): Promise<void>;
};

export async function startRig(
  options: {
    /** Of each party; default 2, asked in turn by `route`. */
    readonly instances?: number;
    readonly failPoints?: (party: PartyId, instance: number) => FailPoints;
    readonly now?: () => number;
    readonly orphanMs?: number;
    readonly cast?: Cast;
  } = {},
): Promise<Rig> {
  const dataDir = mkdtempSync(join(tmpdir(), 'keysaga-party-test-'));
  const stack: Stack = await startStack({ parts: ['postgres'], dataDir });
  const cast = options.cast ?? castOf(3);
  const table = await seatParties({
    instances: 2,
    ...options,
    cast,
    scratch: join(dataDir, 'parties'),
    createDatabase: (name) => stack.postgres.createDatabase(name),
  });
  const { key } = await generateKey(
    table,
    keygenRequest(cast, 'sol-main', SOLANA, 'frost-ed25519'),
  );
  const parties = cast.parties.slice(0, 3) as unknown as [PartyId, PartyId, PartyId];
  const two = parties.slice(0, 2);
  const clients = new Map<PartyId, postgres.Sql>();
  const seat = (party: PartyId) => {
    const found = table.seats.get(party);
    if (found === undefined) throw new Error(`no seat ${party}`);
    return found;
  };
  return {
    stack,
    table,
    cast,
    key,
    parties,
    seat,
    party: (party, instance = 0) =>
      (seat(party).instances[instance] ?? seat(party).service).activities,
    pay(amount = 1_000n, change = {}) {
      const destination = someAddress();
      const nonce = provenNonce();
      const intent = intentFor(key, destination, `${amount}`);
      const unsigned = payment(key, nonce, destination, amount);
      return { intent, nonce, request: signRequest(cast, key, intent, unsigned, two, change) };
    },
    again: ({ intent, request }, change = {}) => ({
      ...signRequest(cast, key, intent, request.unsigned, request.signers, change),
      ...('approvals' in change ? {} : { approvals: request.approvals }),
    }),
    besides({ intent, request }, change = {}) {
      const other = payment(key, provenNonce(), intent.destination, BigInt(intent.amount));
      return signRequest(cast, key, intent, other, request.signers, change);
    },
    async sql(party, query) {
      let client = clients.get(party);
      if (client === undefined) {
        client = postgres(seat(party).databaseUrl, { max: 1, onnotice: () => {} });
        clients.set(party, client);
      }
      return [...(await client.unsafe(query))] as never;
    },
    async stop() {
      await Promise.all([...clients.values()].map((c) => c.end()));
      await table.close();
      await stack.stop();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

/** A party's next request, from what everybody answered in the round before. */
export const nextRound = (
  party: PartyId,
  request: { readonly keyId: RoundRequest['keyId']; readonly attempt: RoundRequest['attempt'] },
  before: readonly RoundAnswer[],
): RoundRequest => ({
  keyId: request.keyId,
  attempt: request.attempt,
  round: (before[0]?.round ?? 0) + 1,
  inbox: before
    .flatMap((a) => a.outbox)
    .filter((e: Envelope) => e.from !== party && (e.to === '*' || e.to === party)),
});

/** A peer's messages, spoilt and signed anew by the peer itself: authentic, and their check fails. */
export function spoilt(inbox: readonly Envelope[], { identitySeed }: Seat): Envelope[] {
  const peer = identityFromSeed(identitySeed);
  return inbox.map(({ signature: _, ...envelope }) => {
    const body = { ...envelope, body: 'ff'.repeat(envelope.body.length / 2) };
    return { ...body, signature: peer.sign(signedBytes('envelope', body)) };
  });
}
