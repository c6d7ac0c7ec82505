/**
 * A coordinator on a real PostgreSQL with real FROST keys and the real Solana codec. Only the node is played here,
 * since the tests are about what it may say: nothing, twice, something unclear, another transaction.
 */
import { randomBytes } from 'node:crypto';
import { PublicKey } from '@solana/web3.js';
import { type ChainDeps, createChainActivities } from '../../activities/chain/index.ts';
import {
  adoptPolicy,
  createLedgerActivities,
  createPolicySource,
} from '../../activities/ledger/index.ts';
import { createSolanaCodec, encodeTransfer, feeOf } from '../../chains/solana/codec.ts';
import { certificateOf } from '../../core/certificates.ts';
import { intentDigest } from '../../core/intent.ts';
import { policyHash, verifySignedPolicy } from '../../core/policy.ts';
import type { Blockchain } from '../../core/ports/blockchain.ts';
import type { FailPoints } from '../../core/ports/clock.ts';
import { requireTransfer } from '../../core/ports/payment.ts';
import { bytesToHex, hexToBytes, publicKeyOf, signObject } from '../../core/signed.ts';
import { createRegistry } from '../../mpc/index.ts';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import type { TransferIntent } from '../../schema/contracts/intent.ts';
import type { KeyDescriptor, SignedCertificate } from '../../schema/contracts/key.ts';
import type { Envelope } from '../../schema/contracts/party.ts';
import type { Policy, SignedPolicy } from '../../schema/contracts/policy.ts';
import type { PartyId } from '../../schema/contracts/primitives.ts';
import type {
  BroadcastOutcome,
  SignedTransaction,
  TransactionStatus,
  UnsignedTransaction,
} from '../../schema/contracts/transaction.ts';
import { createPolicySubjects, createUnitOfWork } from '../../storage/coordinator/index.ts';
import { type Nonce, nonceOf } from '../chains/solana/support.ts';
import { keygenAll, outputOf, signAll } from '../support/mpc.ts';
import type { TestPostgres } from '../support/postgres.ts';

export const NETWORK = 'solana:surfnet-local';
export const PARTIES = ['alpha', 'beta', 'gamma'] as PartyId[];
const person = (name: string) => {
  const secretKey = new Uint8Array(randomBytes(32));
  return { name, secretKey, publicKey: publicKeyOf(secretKey) };
};
export const approvers = ['ann', 'ben'].map(person);
export const administrators = ['ada', 'bo'].map(person);
export const identities = new Map(PARTIES.map((p) => [p as string, person(p)]));
const codec = createSolanaCodec(NETWORK);
const protocols = createRegistry();
const protocol = protocols.get('frost-ed25519');
const SHAPE = { threshold: 2, parties: 3 };
const keys = keygenAll(protocol, SHAPE, 'activities');
const { publicKey, publicPackage, transcriptHash } = outputOf(keys, 1);

export const destination = new PublicKey(randomBytes(32)).toBase58();
export const ATTEMPT = '2b1f1f5e-5a43-4b0c-9d55-0d8a4b1c9d10';
export const ATTEMPT_2 = '2b1f1f5e-5a43-4b0c-9d55-0d8a4b1c9d11';

/** What the network says; tests change it. */
export class Node implements Blockchain {
  readonly codec = codec;
  readonly finality = 3;
  funds = 1_000_000n;
  readonly nonces: Nonce[] = [1, 2].map((i) =>
    nonceOf(new PublicKey(randomBytes(32)), `blockhash ${i}`),
  );
  sent: string[] = [];
  outcome: BroadcastOutcome = { status: 'accepted' };
  statuses = new Map<string, TransactionStatus[]>();
  builds = 0;
  /** Called in the middle of a build, after the lease. */
  midBuild: () => Promise<void> = async () => {};
  fee = { units: 1000, microLamports: 0n };
  provisioned: string[] = [];

  async balance() {
    return this.funds;
  }
  #encode(nonce: Nonce, payment?: { destination: string; lamports: bigint }): UnsignedTransaction {
    return encodeTransfer(NETWORK, {
      wallet: publicKey,
      nonce,
      ...this.fee,
      ...(payment === undefined ? {} : { payment }),
    });
  }
  resource = (nonce: Nonce) => `solana:${NETWORK}:${nonce.account}:${nonce.value}`;
  build: Blockchain['build'] = async (intent, _key, leaser) => {
    this.builds += 1;
    for (const nonce of this.nonces) {
      const resource = this.resource(nonce);
      if (intent.anchor?.kind === 'solana-nonce' && intent.anchor.value !== nonce.value) continue;
      if (leaser.held.length > 0 && !leaser.held.some((l) => l.resource === resource)) continue;
      if (!(await leaser.tryTake(resource, { account: nonce.account }))) continue;
      await this.midBuild();
      const { destination, amount } = requireTransfer(intent);
      const unsigned = this.#encode(nonce, { destination, lamports: BigInt(amount) });
      return {
        unsigned,
        fee: feeOf(this.fee.units, this.fee.microLamports),
        leases: [{ resource, detail: { account: nonce.account } }],
      };
    }
    if (intent.anchor !== undefined)
      throw new KeysagaError('StateConflict', 'the anchor has moved on', { field: 'anchor' });
    throw new KeysagaError('LeaseUnavailable', 'every nonce is in use', { resource: 'nonce' });
  };
  anchors: Blockchain['anchors'] = async () => {
    await this.midBuild();
    return this.nonces.map((nonce) => ({
      anchor: { kind: 'solana-nonce', account: nonce.account, value: nonce.value },
      lease: { resource: this.resource(nonce), detail: { account: nonce.account } },
    }));
  };
  buildVoid: Blockchain['buildVoid'] = async (_key, released) => {
    const proof = released[0]?.nonceProof as Nonce;
    return {
      unsigned: this.#encode(proof),
      fee: 5000n,
      leases: [{ resource: this.resource(proof), detail: { account: proof.account } }],
    };
  };
  broadcast = async (signed: SignedTransaction) => {
    this.sent.push(signed.bytes);
    return this.outcome;
  };
  /** The next status of an id; the last one stays. */
  lookup = async (id: string): Promise<TransactionStatus> => {
    const list = this.statuses.get(id) ?? [{ status: 'unknown' }];
    return (list.length > 1 ? list.shift() : list[0]) as TransactionStatus;
  };
  async provision(key: KeyDescriptor) {
    this.provisioned.push(key.keyId);
  }
  async tip() {
    return { height: 1, id: 'tip' };
  }
}

const policy: Policy = {
  policyId: 'treasury',
  version: 1,
  issuedAt: '2026-01-01T00:00:00.000Z',
  approvers: approvers.map(({ name, publicKey: key }) => ({ name, publicKey: key })),
  quorum: 2,
  limits: [
    {
      network: NETWORK,
      asset: 'native',
      perTransfer: '500000',
      perDay: '700000',
      anchorFrom: '450000',
    },
  ],
  strictDailyLimit: false,
  voidFeeCaps: [{ network: NETWORK, cap: '20000' }],
  startDelaySeconds: 0,
} as unknown as Policy;
export const signedPolicy = {
  policy,
  signatures: administrators.map((a) => ({
    administrator: a.name,
    publicKey: a.publicKey,
    signature: signObject('policy', policy, a.secretKey),
  })),
} as unknown as SignedPolicy;

export const keyOf = (walletId: string): KeyDescriptor =>
  ({
    keyId: walletId,
    walletId,
    epoch: 0,
    network: NETWORK,
    protocol: 'frost-ed25519',
    threshold: 2,
    parties: PARTIES,
    publicKey: bytesToHex(publicKey),
    publicPackage: bytesToHex(publicPackage),
    address: codec.address(publicKey),
    policyId: 'treasury',
    policyHash: policyHash(policy),
    transcriptHash: bytesToHex(transcriptHash),
  }) as unknown as KeyDescriptor;

export const certificatesFor = (key: KeyDescriptor): SignedCertificate[] =>
  PARTIES.map((party) => {
    const certificate = certificateOf(party, ATTEMPT as never, key);
    return {
      certificate,
      signature: signObject(
        'certificate',
        certificate,
        identities.get(party)?.secretKey as Uint8Array,
      ),
    };
  });
export const keyRequest = (walletId: string) => ({
  request: {
    requestId: walletId,
    network: NETWORK,
    threshold: 2,
    parties: PARTIES,
    policyId: 'treasury',
  } as never,
  workflowId: `keygen/${walletId}`,
});

/** The signature shares of t parties as they travel. */
export function ceremony(
  unsigned: UnsignedTransaction,
  label: string,
  signers = PARTIES.slice(0, 2),
): Envelope[][] {
  const indices = signers.map((p) => PARTIES.indexOf(p) + 1);
  const { broadcasts } = signAll(
    protocol,
    SHAPE,
    keys,
    indices,
    codec.messages(unsigned, publicKey),
    label,
  );
  return broadcasts.map((bodies, i) =>
    [...bodies].map(([index, body]) => {
      const from = PARTIES[index - 1] as PartyId;
      const envelope = {
        sessionId: 'aa'.repeat(32),
        keyId: 'w1',
        epoch: 0,
        round: i + 1,
        from,
        to: '*',
        body: bytesToHex(body),
        echo: 'bb'.repeat(32),
      };
      return {
        ...envelope,
        signature: signObject('envelope', envelope, identities.get(from)?.secretKey as Uint8Array),
      } as unknown as Envelope;
    }),
  );
}
export const resign = (envelope: Envelope, change: Partial<Envelope>): Envelope => {
  const { signature: _, ...body } = { ...envelope, ...change };
  return {
    ...body,
    signature: signObject('envelope', body, identities.get(body.from)?.secretKey as Uint8Array),
  };
};
export const verifies = (signed: SignedTransaction, unsigned: UnsignedTransaction): boolean => {
  const [message] = codec.messages(unsigned, publicKey);
  const bytes = hexToBytes(signed.bytes);
  return message !== undefined && protocol.verify(publicKey, message, bytes.slice(1, 65));
};

export async function createWorld(
  postgres: TestPostgres,
  options: { failPoints?: FailPoints } = {},
) {
  const database = await postgres.coordinator();
  const clock = { ms: Date.parse('2026-03-01T12:00:00.000Z'), now: () => clock.ms };
  const uow = createUnitOfWork(database, clock);
  const node = new Node();
  const failPoints: FailPoints = options.failPoints ?? { at: () => {} };
  const deps: ChainDeps = {
    uow,
    chains: { get: () => node, list: () => [node] },
    protocols,
    policies: createPolicySource(uow),
    subjects: createPolicySubjects(database),
    verifyPolicy: (signed) => verifySignedPolicy(signed, administrators, 2),
    clock,
    failPoints,
    directory: new Map([...identities].map(([p, i]) => [p, i.publicKey])),
    confirmPollMs: 5,
    settleMs: 50,
  };
  const ledger = createLedgerActivities(deps);
  const chain = createChainActivities(deps);
  const verify = (signed: SignedPolicy) => verifySignedPolicy(signed, administrators, 2);
  await adoptPolicy({ uow, failPoints, verify }, signedPolicy);

  const intent = (
    requestId: string,
    change: Partial<Record<keyof TransferIntent, unknown>> = {},
  ): TransferIntent =>
    ({
      requestId,
      walletId: 'w1',
      chain: NETWORK,
      destination,
      asset: 'native',
      amount: '100000',
      feeCap: '9000',
      issuedAt: '2026-03-01T11:00:00.000Z',
      expiresAt: '2026-03-02T11:00:00.000Z',
      ...change,
    }) as TransferIntent;
  const asked = (i: TransferIntent) => ({
    intent: i,
    intentDigest: intentDigest(i),
    workflowId: `transfer/${i.requestId}`,
  });
  return {
    database,
    clock,
    uow,
    node,
    ledger,
    chain,
    adopt: (signed: SignedPolicy) => adoptPolicy({ uow, failPoints, verify }, signed),
    intent,
    asked,
    /** Wallet w1, active. */
    wallet: async (walletId = 'w1') => {
      await ledger.reserveKey(keyRequest(walletId));
      const key = keyOf(walletId);
      await ledger.certifyKey({
        requestId: walletId as never,
        key,
        certificates: certificatesFor(key),
      });
      await ledger.activateWallet({ requestId: walletId as never, activated: PARTIES.slice(0, 2) });
      return key;
    },
    leases: async () =>
      (await database.db.execute<{ owner: string; state: string }>(
        'select owner, state from leases order by resource' as never,
      )) as unknown as {
        owner: string;
        state: string;
      }[],
  };
}
export type World = Awaited<ReturnType<typeof createWorld>>;
