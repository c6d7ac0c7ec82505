/** Parties in-process on real databases and key stores, and a router that plays an honest coordinator. */
import { randomBytes, randomUUID } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { signApproval } from '../../core/approvals.ts';
import { intentDigest } from '../../core/intent.ts';
import { messageIntentDigest } from '../../core/messages/intent.ts';
import { payoutDigest, sumOf } from '../../core/payout.ts';
import { policyHash } from '../../core/policy.ts';
import type { FailPoints } from '../../core/ports/clock.ts';
import { publicKeyOf, signObject } from '../../core/signed.ts';
import type { SignedApproval } from '../../schema/contracts/approval.ts';
import type { TransferIntent } from '../../schema/contracts/intent.ts';
import type { KeyDescriptor, SignedCertificate } from '../../schema/contracts/key.ts';
import type { MessageIntent, SignableMessage } from '../../schema/contracts/message.ts';
import type {
  Envelope,
  PrepareKeygen,
  PrepareMessage,
  PreparePayout,
  PrepareRequest,
  PrepareSign,
  RoundAnswer,
  SignedPrepareAnswer,
} from '../../schema/contracts/party.ts';
import type { PayoutIntent, PayoutLine } from '../../schema/contracts/payout.ts';
import type { Policy, SignedPolicy } from '../../schema/contracts/policy.ts';
import type { PartyId } from '../../schema/contracts/primitives.ts';
import type { UnsignedTransaction } from '../../schema/contracts/transaction.ts';
import { identityFromSeed } from '../../storage/party/identity.ts';
import { createPartyService, type PartyService } from '../../workers/party-service.ts';

export type Person = {
  readonly name: string;
  readonly secretKey: Uint8Array;
  readonly publicKey: string;
};
export const person = (name: string): Person => {
  const secretKey = new Uint8Array(randomBytes(32));
  return { name, secretKey, publicKey: publicKeyOf(secretKey) };
};

export const SOLANA = 'solana:surfnet-local';
export const BITCOIN = 'bip122:0f9188f13cb7b2c71f2a335e3a4fc328';
export const ETHEREUM = 'eip155:31337';

export type Cast = {
  readonly parties: readonly PartyId[];
  readonly administrators: readonly Person[];
  readonly approvers: readonly Person[];
  readonly policy: Policy;
  readonly signedPolicy: SignedPolicy;
  readonly policyHash: string;
};

export function castOf(n: number, change: Partial<Policy> = {}): Cast {
  const administrators = ['ada', 'bo', 'cy'].map(person);
  const approvers = ['ann', 'ben', 'cleo'].map(person);
  const policy = {
    policyId: 'treasury',
    version: 1,
    issuedAt: new Date(Date.now() - 60_000).toISOString(),
    approvers: approvers.map(({ name, publicKey }) => ({ name, publicKey })),
    quorum: 2,
    limits: [
      ...[SOLANA, BITCOIN].map((network) => ({
        network,
        asset: 'native',
        perTransfer: '10000000000',
        perDay: '20000000000',
      })),
      {
        network: ETHEREUM,
        asset: 'native',
        perTransfer: '5000000000000000000',
        perDay: '50000000000000000000',
      },
    ],
    strictDailyLimit: false,
    voidFeeCaps: [
      ...[SOLANA, BITCOIN].map((network) => ({ network, cap: '100000' })),
      { network: ETHEREUM, cap: '20000000000000000' },
    ],
    startDelaySeconds: 0,
    ...change,
  } as Policy;
  return {
    parties: ['alpha', 'beta', 'gamma', 'delta', 'epsilon', 'zeta', 'eta'].slice(0, n) as PartyId[],
    administrators,
    approvers,
    policy,
    signedPolicy: signPolicy({ administrators }, policy),
    policyHash: policyHash(policy),
  };
}

/** A policy document under the signatures of two administrators. */
export const signPolicy = (
  { administrators }: Pick<Cast, 'administrators'>,
  policy: Policy,
): SignedPolicy =>
  ({
    policy,
    signatures: administrators.slice(0, 2).map((a) => ({
      administrator: a.name,
      publicKey: a.publicKey,
      signature: signObject('policy', policy, a.secretKey),
    })),
  }) as SignedPolicy;

export type Seat = {
  readonly party: PartyId;
  readonly identitySeed: Uint8Array;
  readonly directory: string;
  readonly databaseUrl: string;
  readonly keyStoreDirectory: string;
  readonly keyStoreMasterKey: Uint8Array;
  readonly backupDirectory: string;
  readonly backupKey: Uint8Array;
  /** All on one database, key store and backup directory, as several worker processes of one party are. */
  readonly instances: PartyService[];
  /** The first instance. */
  readonly service: PartyService;
  /** Ends every instance in good order and starts as many anew; `meanwhile` runs while there is none. */
  restart(meanwhile?: () => Promise<void>): Promise<void>;
  /**
   * The process of an instance is gone and another one comes up. What is dropped gets no chance to write: closing it
   * only returns its connections and stops its timer.
   */
  replace(instance: number): Promise<void>;
};

export type Table = {
  readonly cast: Cast;
  readonly seats: ReadonlyMap<PartyId, Seat>;
  /** Seats asked in turn: with several instances each call goes to the next one. */
  readonly alternate: boolean;
  close(): Promise<void>;
};

export async function seatParties(options: {
  readonly cast: Cast;
  readonly scratch: string;
  createDatabase(name: string): Promise<string>;
  readonly failPoints?: (party: PartyId, instance: number) => FailPoints;
  readonly now?: () => number;
  readonly signingSessionMs?: number;
  /** Instances of each party; default 1. */
  readonly instances?: number;
  readonly orphanMs?: number;
}): Promise<Table> {
  const { cast, scratch } = options;
  const tag = randomBytes(4).toString('hex');
  const seeds = new Map(cast.parties.map((p) => [p, new Uint8Array(randomBytes(32))]));
  const directory = new Map([...seeds].map(([p, seed]) => [p, identityFromSeed(seed).publicKey]));
  const seats = new Map<PartyId, Seat>();
  const count = options.instances ?? 1;
  for (const [party, identitySeed] of seeds) {
    const folder = join(scratch, `${party}-${tag}`);
    mkdirSync(folder, { recursive: true });
    const databaseUrl = await options.createDatabase(`party_${party}_${tag}`);
    const keys = {
      keyStoreMasterKey: new Uint8Array(randomBytes(32)),
      backupKey: new Uint8Array(randomBytes(32)),
      keyStoreDirectory: join(folder, 'keys'),
      backupDirectory: join(folder, 'backup'),
    };
    const open = (instance: number) =>
      createPartyService({
        settings: {
          party,
          version: 'test',
          directory,
          administrators: cast.administrators,
          administratorQuorum: 2,
          signingSessionMs: options.signingSessionMs ?? 60_000,
          keygenSessionMs: 600_000,
        },
        databaseUrl,
        identity: identityFromSeed(identitySeed),
        networks: [SOLANA, BITCOIN, ETHEREUM],
        ...keys,
        ...(options.failPoints ? { failPoints: options.failPoints(party, instance) } : {}),
        ...(options.now ? { clock: { now: options.now } } : {}),
        ...(options.orphanMs === undefined ? {} : { orphanMs: options.orphanMs }),
      });
    const indices = Array.from({ length: count }, (_, i) => i);
    const instances = await Promise.all(indices.map(open));
    const seat: Seat = {
      party,
      identitySeed,
      directory: folder,
      databaseUrl,
      ...keys,
      instances,
      get service() {
        return instances[0] as PartyService;
      },
      async restart(meanwhile) {
        await Promise.all(instances.map((i) => i.close()));
        await meanwhile?.();
        // All to their end: one that still starts when another has failed would work beside whatever comes next.
        const started = await Promise.allSettled(indices.map(open));
        const up = started.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
        const failed = started.find((one) => one.status === 'rejected');
        if (failed !== undefined) {
          await Promise.all(up.map((one) => one.close()));
          throw failed.reason;
        }
        instances.splice(0, count, ...up);
      },
      async replace(instance) {
        const gone = instances[instance];
        instances[instance] = await open(instance);
        await gone?.close();
      },
    };
    await seat.service.activities.receivePolicy({ signed: cast.signedPolicy });
    seats.set(party, seat);
  }
  return {
    cast,
    seats,
    alternate: count > 1,
    async close() {
      for (const seat of seats.values()) await Promise.all(seat.instances.map((i) => i.close()));
    },
  };
}

const turns = new WeakMap<Seat, number>();
/** The activities of a party; with several instances, of the one whose turn it is. */
export const at = (table: Table, party: PartyId) => {
  const seat = table.seats.get(party);
  if (seat === undefined) throw new Error(`no seat ${party}`);
  const turn = turns.get(seat) ?? 0;
  if (table.alternate) turns.set(seat, turn + 1);
  return (seat.instances[turn % seat.instances.length] ?? seat.service).activities;
};

/** Routes rounds `from`…`to` honestly; `outboxes` is the last round's answers. */
export async function route(
  table: Table,
  request: PrepareRequest,
  options: { readonly until?: number; readonly onRound?: (round: number) => Promise<void> } = {},
): Promise<{ prepared: SignedPrepareAnswer[]; rounds: RoundAnswer[][] }> {
  const { signers, keyId, attempt } = request;
  const prepared = await Promise.all(signers.map((p) => at(table, p).prepare(request)));
  const rounds: RoundAnswer[][] = [];
  for (let round = 1; round <= (options.until ?? 32); round++) {
    await options.onRound?.(round);
    const before: Envelope[] = (rounds.at(-1) ?? []).flatMap((a) => a.outbox);
    const answers = await Promise.all(
      signers.map((party) =>
        at(table, party).round({
          keyId,
          attempt,
          round,
          ...(round === 1 ? { prepared } : {}),
          inbox: before.filter((e) => e.from !== party && (e.to === '*' || e.to === party)),
        }),
      ),
    );
    rounds.push(answers);
    if (answers.every((a) => a.done)) break;
  }
  return { prepared, rounds };
}

export const keygenRequest = (
  cast: Cast,
  id: string,
  network: string,
  protocol: string,
  threshold = 2,
) =>
  ({
    kind: 'keygen',
    requestId: id,
    attempt: randomUUID(),
    keyId: id,
    walletId: id,
    epoch: 0,
    network,
    protocol,
    threshold,
    signers: cast.parties,
    policyId: cast.policy.policyId,
    policyHash: cast.policyHash,
  }) as PrepareKeygen;

/** A whole key generation: rounds, certificates, activation at every party. */
export async function generateKey(
  table: Table,
  request: PrepareKeygen,
): Promise<{ key: KeyDescriptor; certificates: SignedCertificate[] }> {
  const { rounds } = await route(table, request);
  const results = (rounds.at(-1) ?? []).flatMap((a) => (a.keygen ? [a.keygen] : []));
  const certificates = results.map((r) => r.certificate);
  const { keyId, attempt } = request;
  for (const party of request.signers)
    await at(table, party).activate({ keyId, attempt, certificates });
  const key = results[0]?.key;
  if (key === undefined) throw new Error('the ceremony gave no key');
  return { key, certificates };
}

export const intentFor = (
  key: KeyDescriptor,
  destination: string,
  amount: string,
  change: Partial<TransferIntent> = {},
) =>
  ({
    requestId: `t-${randomBytes(6).toString('hex')}`,
    walletId: key.walletId,
    chain: key.network,
    destination,
    asset: 'native',
    amount,
    feeCap: key.network === ETHEREUM ? '10000000000000000' : '50000',
    issuedAt: new Date(Date.now() - 1_000).toISOString(),
    expiresAt: new Date(Date.now() + 3_600_000).toISOString(),
    ...change,
  }) as TransferIntent;

export const approve = (
  intent: TransferIntent | MessageIntent | PayoutIntent,
  who: Person,
  decision: 'approve' | 'reject' = 'approve',
  change: { at?: number; validUntil?: number } = {},
): SignedApproval =>
  signApproval(
    {
      intentDigest: digestOf(intent),
      approver: who.name as never,
      decision,
      at: new Date(change.at ?? Date.now()).toISOString(),
      validUntil: new Date(change.validUntil ?? Date.now() + 3_000_000).toISOString(),
    },
    who.secretKey,
  );

const digestOf = (intent: TransferIntent | MessageIntent | PayoutIntent): string =>
  'message' in intent
    ? messageIntentDigest(intent)
    : 'lines' in intent
      ? payoutDigest(intent)
      : intentDigest(intent);

export const signRequest = (
  cast: Cast,
  key: KeyDescriptor,
  intent: TransferIntent,
  unsigned: UnsignedTransaction,
  signers: readonly PartyId[],
  change: Partial<PrepareSign> = {},
): PrepareSign => ({
  kind: 'sign',
  requestId: intent.requestId,
  attempt: randomUUID() as PrepareSign['attempt'],
  keyId: key.keyId,
  epoch: key.epoch,
  purpose: 'payment',
  signers: [...signers],
  intent,
  line: 0,
  approvals: cast.approvers.slice(0, 2).map((a) => approve(intent, a)),
  policyHash: cast.policyHash,
  unsigned,
  ...change,
});

export const payoutFor = (
  key: KeyDescriptor,
  lines: readonly PayoutLine[],
  change: Partial<PayoutIntent> = {},
): PayoutIntent => {
  const { destination: _, amount: __, ...frame } = intentFor(key, '', '0');
  return { ...frame, lines: [...lines], total: sumOf(lines), ...change } as PayoutIntent;
};

/** A payout's request, approved by two. */
export const payoutRequest = (
  cast: Cast,
  key: KeyDescriptor,
  intent: PayoutIntent,
  unsigned: UnsignedTransaction,
  signers: readonly PartyId[],
  change: Partial<PreparePayout> = {},
): PreparePayout => ({
  kind: 'payout',
  requestId: intent.requestId,
  attempt: randomUUID() as PreparePayout['attempt'],
  keyId: key.keyId,
  epoch: key.epoch,
  purpose: 'payment',
  signers: [...signers],
  intent,
  approvals: cast.approvers.slice(0, 2).map((a) => approve(intent, a)),
  policyHash: cast.policyHash,
  unsigned,
  ...change,
});

/** A request to sign a message, approved by two. */
export const messageRequest = (
  cast: Cast,
  key: KeyDescriptor,
  message: SignableMessage,
  signers: readonly PartyId[],
  change: Partial<PrepareMessage> = {},
): PrepareMessage => {
  const intent = change.intent ?? messageIntentFor(key, message);
  return {
    kind: 'message',
    requestId: intent.requestId,
    attempt: randomUUID() as PrepareMessage['attempt'],
    keyId: key.keyId,
    epoch: key.epoch,
    signers: [...signers],
    intent,
    approvals: cast.approvers.slice(0, 2).map((a) => approve(intent, a)),
    policyHash: cast.policyHash,
    ...change,
  };
};

export const messageIntentFor = (key: KeyDescriptor, message: SignableMessage) =>
  ({
    requestId: `m-${randomBytes(6).toString('hex')}`,
    walletId: key.walletId,
    chain: key.network,
    message,
    issuedAt: new Date(Date.now() - 1_000).toISOString(),
    expiresAt: new Date(Date.now() + 3_600_000).toISOString(),
  }) as MessageIntent;
