/**
 * Scripted activities for tests of the sagas' order: each call is written down and answered as a well-behaved part
 * would; a test changes an answer by step. The integration suite runs the same sagas on the real parts.
 */
import { Context } from '@temporalio/activity';
import { policyHash } from '../../../core/policy.ts';
import type {
  Built,
  ChainActivities,
  LedgerActivities,
  PartyActivities,
  Reservation,
} from '../../../schema/contracts/activities.ts';
import { KeysagaError } from '../../../schema/contracts/errors.ts';
import type { KeyDescriptor, SignedCertificate } from '../../../schema/contracts/key.ts';
import type {
  Envelope,
  RoundAnswer,
  SignedPrepareAnswer,
} from '../../../schema/contracts/party.ts';
import type { SignedPolicy } from '../../../schema/contracts/policy.ts';
import type { PolicyProgress } from '../../../schema/contracts/policy-change.ts';
import type { AttemptId, PartyId } from '../../../schema/contracts/primitives.ts';
import { descriptor, NETWORK, policy } from './fixtures.ts';

type Everything = LedgerActivities & ChainActivities & PartyActivities;
export type Step = keyof Everything;
export type Call = { readonly step: Step; readonly party?: string; readonly input: never };
/** `n` counts the calls of this step (and party) from 0, retries included. */
export type Scripted = (input: never, n: number, party?: string) => unknown;

const hex = (byte: number, length = 32): string =>
  byte.toString(16).padStart(2, '0').repeat(length);
const unsigned = { network: NETWORK, format: 'bitcoin-psbt' as const, bytes: '70736274ff' };
export const PAYMENT_ID = 'f'.repeat(64);
export const VOID_ID = '0'.repeat(64);

export class World {
  readonly calls: Call[] = [];
  readonly #script = new Map<string, Scripted>();
  readonly #counts = new Map<string, number>();
  parties: readonly string[] = ['alpha', 'beta', 'gamma'];
  threshold = 2;
  policy: SignedPolicy = policy();
  pivotPassed = false;
  signRounds = 2;
  /** Available presignatures of every pool; a pack that is stocked adds to it. */
  stock = 0;
  presignRounds = 3;
  /** Others wait for the nonce that `releaseLease` would give back; `fillsGap`: it was asked and has kept it. */
  gap = false;
  fillsGap = false;
  /** The ledger tells a saga past its pivot what an earlier run left; one of an earlier release does not. */
  earlierKnown = true;
  /** What a run left there that no step of this test wrote. */
  left: Partial<NonNullable<Reservation['earlier']>> = {};
  /** What the ledger knows of an earlier run of this key generation. */
  certified: { key: KeyDescriptor; certificates: readonly SignedCertificate[] } | undefined;
  /** What `confirm` says, by transaction id; absent: it waits. */
  readonly chain = new Map<string, { confirmations: number; final: boolean }>();
  autoConfirm = true;
  readonly #sent = new Set<string>();
  readonly #built: Partial<Built> = {};

  certify(attempt: string): void {
    const key = descriptor('w-certified', this.parties, this.threshold);
    const certificates = key.parties.map((party) =>
      certificateOf(key, attempt as AttemptId, party),
    );
    this.certified = { key, certificates };
  }
  /** Changes the answer of a step, or of one party's step (`prepare alpha`). `undefined` from it: the usual answer. */
  on(step: Step | `${Step} ${string}`, scripted: Scripted): this {
    this.#script.set(step, scripted);
    return this;
  }
  /** Steps in order, party steps with their party. */
  get order(): string[] {
    return this.calls.map(({ step, party }) => (party === undefined ? step : `${step} ${party}`));
  }
  /** The critical path: what runs beside it left out, equal neighbours (parallel parties) counted as one hop. */
  get hops(): string[] {
    const beside: readonly string[] = [
      'recordDecision',
      'recordMessageDecision',
      'recordPhase',
      'recordUndo',
      'reportParties',
      'transferPolicy',
    ];
    return this.calls
      .map(({ step }) => step)
      .filter((step) => !beside.includes(step))
      .filter((step, i, all) => step !== all[i - 1]);
  }
  count(name: string): number {
    return this.order.filter((entry) => entry === name || entry.startsWith(`${name} `)).length;
  }
  inputs<S extends Step>(step: S): Parameters<Everything[S]>[0][] {
    return this.calls.filter((call) => call.step === step).map(({ input }) => input as never);
  }

  #stockOf(keyId: string, signers: readonly PartyId[]) {
    const rest = { leased: 0, spent: 0, dropped: 0 };
    return { keyId, epoch: 0, signers, available: this.stock, ...rest };
  }

  async answer(step: Step, input: never, party?: PartyId): Promise<unknown> {
    const name = party === undefined ? step : `${step} ${party}`;
    const n = this.#counts.get(name) ?? 0;
    this.#counts.set(name, n + 1);
    this.calls.push({ step, ...(party === undefined ? {} : { party }), input });
    const scripted = this.#script.get(name) ?? this.#script.get(step);
    const changed = await scripted?.(input, n, party);
    if (changed !== undefined) return changed;
    return (this.#usual[step] as (input: never, party?: PartyId) => unknown)(input, party);
  }

  readonly #usual: {
    [S in Step]: (input: Parameters<Everything[S]>[0], party: PartyId) => unknown;
  } = {
    reserve: ({ intent }) => ({
      key: descriptor(intent.walletId, this.parties, this.threshold),
      policy: this.policy,
      policyHash: policyHash(this.policy.policy),
      signRounds: this.signRounds,
      ranking: this.parties,
      pivotPassed: this.pivotPassed,
      ...(this.pivotPassed && this.earlierKnown ? { earlier: this.#earlier() } : {}),
      ...(this.fillsGap ? { fillsGap: true, earlier: this.#earlier() } : {}),
    }),
    release: () => {
      if (this.pivotPassed) throw new KeysagaError('PivotPassed', 'The pivot stands.');
      return this.fillsGap ? { fillsGap: true } : {};
    },
    recordDecision: () => undefined,
    lookAtPool: ({ walletId, signers }) => ({
      key: descriptor(walletId, this.parties, this.threshold),
      stock: this.#stockOf(walletId, signers),
      presignRounds: this.presignRounds,
    }),
    stockPack: ({ pool: { keyId, signers }, count }) => {
      this.stock += count;
      return this.#stockOf(keyId, signers);
    },
    dropPool: () => {
      const dropped = this.stock;
      this.stock = 0;
      return { dropped };
    },
    readPools: () => ({ pools: [] }),
    passPivot: ({ purpose }) => {
      // The void of a transfer that fills a nonce has no payment's pivot before it.
      if (purpose === 'payment') this.pivotPassed = true;
    },
    reportParties: () => ({ ranking: this.parties }),
    settle: () => undefined,
    fail: () => undefined,
    recordPhase: () => undefined,
    recordUndo: () => undefined,
    reserveMessage: ({ intent }) => ({
      key: descriptor(intent.walletId, this.parties, this.threshold),
      policy: this.policy,
      policyHash: policyHash(this.policy.policy),
      signRounds: this.signRounds,
      ranking: this.parties,
      pivotPassed: this.pivotPassed,
    }),
    recordMessageDecision: () => undefined,
    passMessagePivot: () => {
      this.pivotPassed = true;
    },
    failMessage: () => undefined,
    attachMessage: () => ({ digest: hex(15), signature: '0x1234' }),
    reserveKey: () => ({
      protocol: 'frost-bip340',
      policyHash: policyHash(this.policy.policy),
      keygenRounds: 3,
      ...(this.certified === undefined ? {} : { certified: this.certified }),
    }),
    certifyKey: () => undefined,
    activateWallet: () => undefined,
    recordActivation: () => undefined,
    failKey: () => undefined,
    build: () => ({ unsigned, fee: '200', ranking: this.parties, ...this.#built }),
    leaseAnchor: ({ request }) => ({
      anchor: { kind: 'bitcoin-outpoint', txid: hex(13), vout: '1' },
      until: new Date(Date.parse(request.expiresAt) + 600_000).toISOString(),
    }),
    releaseAnchor: () => ({ outcome: 'given-back' }),
    releaseLease: () => {
      if (this.pivotPassed) throw new KeysagaError('PivotPassed', 'The pivot stands.');
      if (!this.gap) return {};
      this.fillsGap = true;
      return { gap: { approvals: this.#earlier().decisions } };
    },
    buildVoid: () => ({
      unsigned: { ...unsigned, bytes: '70736274fe' },
      fee: '500',
      ranking: this.parties,
    }),
    attach: ({ purpose }) => ({
      network: NETWORK,
      id: purpose === 'payment' ? PAYMENT_ID : VOID_ID,
      bytes: '0200',
    }),
    broadcast: ({ purpose }) => {
      this.#sent.add(purpose === 'payment' ? PAYMENT_ID : VOID_ID);
      return { status: 'accepted' };
    },
    confirm: ({ transactionIds, untilConfirmations }) =>
      this.#confirm(transactionIds, untilConfirmations),
    provision: () => undefined,
    prepare: (request, party): SignedPrepareAnswer => ({
      answer: {
        party,
        attempt: request.attempt,
        requestHash: hex(1),
        nonce: hex(2),
        hpkePublicKey: hex(3),
        policyHash: request.policyHash,
        machineVersion: 'scripted/1',
        expiresAt: new Date(Date.now() + 60_000).toISOString(),
        head: { head: { party, chainEpoch: 0, sequence: 0, hash: hex(0) }, signature: hex(4, 64) },
        witnessed: [],
      },
      signature: hex(5, 64),
    }),
    round: (request, party): RoundAnswer => this.round(request, party),
    abort: ({ attempt }) => ({ attempt, outcome: 'aborted' }),
    activate: ({ keyId }) => ({ keyId, epoch: 0, state: 'active' }),
    destroy: ({ attempt }) => ({ attempt, outcome: 'destroyed' }),
    receivePolicy: ({ signed }, party) => ({
      receipt: {
        party,
        policyId: signed.policy.policyId,
        version: signed.policy.version,
        policyHash: policyHash(signed.policy),
      },
      signature: hex(14, 64),
    }),
    proposePolicy: ({ signed, policyHash: hash }) => this.policyProgress(signed.policy, hash),
    recordPolicyReceipt: ({ signed: { receipt } }) => {
      this.receipts.add(receipt.party);
      return this.policyProgress(receipt, receipt.policyHash);
    },
    recordPolicyFork: () => undefined,
    policyVersions: () => ({ versions: [] }),
    policyWaiters: () => ({ requestIds: [] }),
    transferPolicy: () => ({ signed: this.policy, policyHash: policyHash(this.policy.policy) }),
    readPolicy: () => {
      throw new KeysagaError('InvalidInput', 'Not in these tests.');
    },
    readAccounts: () => {
      throw new KeysagaError('InvalidInput', 'Not in these tests.');
    },
    order: () => {
      throw new KeysagaError('Internal', 'no orders here');
    },
    health: (_none, party) => ({
      party,
      identityKey: hex(6),
      version: '0.1.0',
      protocols: [],
      networks: [],
      activeKeys: 1,
      openSessions: 0,
      policies: [],
      fenced: false,
      clock: new Date().toISOString(),
    }),
  };

  /** What the steps so far left in the ledger. */
  #earlier(): NonNullable<Reservation['earlier']> {
    const of = (step: 'attach' | 'broadcast') =>
      this.inputs(step).filter(({ purpose }) => purpose === 'payment').length > 0;
    const paid = this.inputs('settle')[0];
    return {
      decisions: this.inputs('recordDecision').map(({ signed }) => signed),
      ...(of('attach') ? { signed: { network: NETWORK, id: PAYMENT_ID, bytes: '0200' } } : {}),
      sent: of('broadcast'),
      ...this.left,
      ...(paid === undefined
        ? {}
        : { paid: { transactionId: paid.transactionId, confirmations: paid.confirmations } }),
    };
  }

  readonly receipts = new Set<string>();
  policyProgress(of: { policyId: string; version: number }, hash: string): PolicyProgress {
    const received = this.parties.filter((one) => this.receipts.has(one)) as PartyId[];
    const group = {
      parties: [...this.parties] as PartyId[],
      threshold: this.threshold,
      wallets: 1,
      held: received.length,
      deadAt: this.parties.length - this.threshold + 1,
      usableAt: this.threshold,
    };
    return {
      policyId: of.policyId as PolicyProgress['policyId'],
      version: of.version,
      policyHash: hash,
      parties: group.parties,
      received,
      groups: [group],
      previousDead: group.held >= group.deadAt,
      usable: group.held >= group.usableAt,
      complete: group.held === group.parties.length,
    };
  }

  round(request: Parameters<PartyActivities['round']>[0], party: PartyId): RoundAnswer {
    // A ceremony is told from a signing by its rounds: keygen has three here, a signing `signRounds`.
    const keygen =
      Context.current().info.workflowExecution?.workflowId.startsWith('keygen/') === true;
    const rounds = keygen ? 3 : this.signRounds;
    const done = request.round === rounds;
    const key = descriptor(request.keyId, this.parties, this.threshold);
    const broadcast: Envelope = {
      sessionId: hex(7),
      keyId: request.keyId,
      epoch: 0,
      round: request.round,
      from: party,
      to: '*',
      body: hex(request.round, 4),
      echo: hex(8),
      signature: hex(9, 64),
    };
    const priv = this.parties
      .filter((other) => other !== party)
      .slice(0, 1)
      .map(
        (to): Envelope => ({ ...broadcast, to: to as PartyId, enc: hex(1, 32), body: hex(10, 8) }),
      );
    const certificate = certificateOf(key, request.attempt, party);
    return {
      attempt: request.attempt,
      round: request.round,
      sessionId: hex(7),
      done,
      outbox:
        done && keygen ? [] : keygen && request.round === 2 ? [broadcast, ...priv] : [broadcast],
      ...(done && keygen ? { keygen: { key, certificate } } : {}),
    };
  }

  /** Like the real one: waits, heartbeating, until something is to be said. */
  async #confirm(ids: readonly string[], wanted: number): Promise<unknown> {
    const context = Context.current();
    for (;;) {
      const sent = ids.findLast((id) => this.#sent.has(id));
      if (this.autoConfirm && sent !== undefined)
        return {
          id: sent,
          status: { status: 'included', confirmations: wanted, block: 'b', final: wanted >= 2 },
        };
      for (const id of ids) {
        const seen = this.chain.get(id);
        if (seen !== undefined && seen.confirmations >= Math.min(wanted, 2))
          return { id, status: { status: 'included', block: 'b', ...seen } };
      }
      context.heartbeat();
      await context.sleep(20);
    }
  }
}

const certificateOf = (
  key: KeyDescriptor,
  attempt: AttemptId,
  party: PartyId,
): SignedCertificate => ({
  certificate: {
    party,
    attempt,
    keyId: key.keyId,
    walletId: key.walletId,
    publicKey: key.publicKey,
    epoch: 0,
    network: key.network,
    address: key.address,
    protocol: key.protocol,
    threshold: key.threshold,
    parties: key.parties,
    publicPackageHash: hex(11),
    policyHash: key.policyHash,
    transcriptHash: key.transcriptHash,
  },
  signature: hex(12, 64),
});

/** Worlds by request id: the workers are shared by all tests of a file. */
export class Worlds {
  readonly #worlds = new Map<string, World>();
  for(requestId: string): World {
    const world = this.#worlds.get(requestId) ?? new World();
    this.#worlds.set(requestId, world);
    return world;
  }
  activities(
    steps: readonly Step[],
    party?: PartyId,
  ): Record<string, (input: never) => Promise<unknown>> {
    return Object.fromEntries(
      steps.map((step) => [
        step,
        async (input: never) => {
          const id = Context.current().info.workflowExecution?.workflowId.split('/')[1] ?? '';
          return this.for(id).answer(step, input, party);
        },
      ]),
    );
  }
}

export const LEDGER_STEPS: readonly Step[] = [
  'reserve',
  'release',
  'recordDecision',
  'passPivot',
  'reportParties',
  'settle',
  'fail',
  'recordPhase',
  'recordUndo',
  'reserveMessage',
  'recordMessageDecision',
  'passMessagePivot',
  'failMessage',
  'reserveKey',
  'certifyKey',
  'activateWallet',
  'recordActivation',
  'failKey',
  'proposePolicy',
  'recordPolicyReceipt',
  'recordPolicyFork',
  'policyVersions',
  'policyWaiters',
  'transferPolicy',
];
export const CHAIN_STEPS: readonly Step[] = [
  'build',
  'releaseLease',
  'leaseAnchor',
  'releaseAnchor',
  'buildVoid',
  'attach',
  'attachMessage',
  'broadcast',
  'confirm',
  'provision',
];
export const PARTY_STEPS: readonly Step[] = [
  'prepare',
  'round',
  'abort',
  'activate',
  'destroy',
  'receivePolicy',
  'health',
];
