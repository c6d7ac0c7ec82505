/** What the adversary does with its field: key ceremonies, whole attempts at a signature, and the verdict on them. */
import { randomBytes, randomUUID } from 'node:crypto';
import { hexToBytes } from '@noble/hashes/utils.js';
import { policyHash } from '../../core/policy.ts';
import { createRegistry } from '../../mpc/index.ts';
import {
  type ErrorCode,
  isKeysagaError,
  type KeysagaError,
} from '../../schema/contracts/errors.ts';
import type { TransferIntent } from '../../schema/contracts/intent.ts';
import type { KeyDescriptor, SignedCertificate } from '../../schema/contracts/key.ts';
import type {
  PrepareKeygen,
  PreparePayout,
  PrepareRequest,
  PrepareSign,
  RoundAnswer,
  RoundRequest,
  SignedPrepareAnswer,
} from '../../schema/contracts/party.ts';
import type { Policy } from '../../schema/contracts/policy.ts';
import type { PartyId } from '../../schema/contracts/primitives.ts';
import type { Built, Kit, Plan, Resource } from './chains.ts';
import { type Aside, AttackSucceeded, CaseBroken, type Field, type Way } from './field.ts';

export type Wallet = {
  readonly key: KeyDescriptor;
  readonly certificates: readonly SignedCertificate[];
  readonly attempt: string;
  readonly policy: Policy;
};

/** What the parties said so far in one attempt. */
export type Talk = {
  readonly request: PrepareRequest;
  readonly prepared: readonly SignedPrepareAnswer[];
  readonly rounds: readonly (readonly RoundAnswer[])[];
};

/** A party's honest next request, from what everybody answered before. */
export function nextRound(party: PartyId, { request, prepared, rounds }: Talk): RoundRequest {
  const before = rounds.at(-1) ?? [];
  return {
    keyId: request.keyId,
    attempt: request.attempt,
    round: rounds.length + 1,
    ...(rounds.length === 0 ? { prepared: [...prepared] } : {}),
    inbox: before
      .flatMap((a) => a.outbox)
      .filter((e) => e.from !== party && (e.to === '*' || e.to === party)),
  };
}

export type Outcome = {
  /** As far as it went. */
  readonly talk: Talk;
  /** Who refused, at which step (`prepare`, `round 1`, …), with what. */
  readonly refusals: ReadonlyMap<PartyId, { readonly step: string; readonly error: KeysagaError }>;
  /** Who answered at the step at which somebody refused. */
  readonly answered: readonly PartyId[];
};

async function step<T>(
  signers: readonly PartyId[],
  ask: (party: PartyId) => Promise<T>,
): Promise<{ answers: T[]; answered: PartyId[]; refused: [PartyId, KeysagaError][] }> {
  const settled = await Promise.allSettled(signers.map(ask));
  const answers: T[] = [];
  const answered: PartyId[] = [];
  const refused: [PartyId, KeysagaError][] = [];
  settled.forEach((one, i) => {
    const party = signers[i] as PartyId;
    if (one.status === 'fulfilled') {
      answers.push(one.value);
      answered.push(party);
    } else if (isKeysagaError(one.reason)) refused.push([party, one.reason]);
    else throw one.reason;
  });
  return { answers, answered, refused };
}

/** As an honest coordinator would go on, as far as the parties go along, or to round `until`. */
export async function drive(
  field: Field,
  request: PrepareRequest,
  options: Way & { readonly until?: number; readonly from?: Talk } = {},
): Promise<Outcome> {
  const { signers } = request;
  const stop = (name: string, talk: Talk, made: Awaited<ReturnType<typeof step>>): Outcome => ({
    talk,
    answered: made.answered,
    refusals: new Map(made.refused.map(([party, error]) => [party, { step: name, error }])),
  });
  let talk = options.from;
  if (talk === undefined) {
    const made = await step(signers, (p) => field.ask(p, 'prepare', request, options));
    talk = { request, prepared: made.answers, rounds: [] };
    if (made.refused.length > 0) return stop('prepare', talk, made);
  }
  while (talk.rounds.length < (options.until ?? 32)) {
    const so: Talk = talk;
    const made = await step(signers, (p) => field.ask(p, 'round', nextRound(p, so), options));
    if (made.refused.length > 0) return stop(`round ${so.rounds.length + 1}`, so, made);
    talk = { ...so, rounds: [...so.rounds, made.answers] };
    if (made.answers.every((a) => a.done)) break;
  }
  return { talk, refusals: new Map(), answered: [...signers] };
}

/** The signatures that the broadcasts of a whole talk give, each verified under the wallet's key; undefined when none. */
export function signatures(
  key: KeyDescriptor,
  talk: Talk,
  messages: readonly Uint8Array[],
): readonly Uint8Array[] | undefined {
  const protocol = createRegistry().get(key.protocol);
  const { request } = talk;
  const presigned = request.kind === 'sign' && request.pooled !== undefined;
  const combiner = presigned ? protocol.presigning : protocol;
  const index = (p: string): number => key.parties.indexOf(p as PartyId) + 1;
  try {
    const made = combiner?.aggregate({
      threshold: key.threshold,
      parties: key.parties.length,
      publicPackage: hexToBytes(key.publicPackage),
      signers: talk.request.signers.map(index),
      messages,
      rounds: talk.rounds.map(
        (answers) =>
          new Map(
            answers
              .flatMap((a) => a.outbox)
              .filter(({ to }) => to === '*')
              .map((e) => [index(e.from), hexToBytes(e.body)]),
          ),
      ),
    });
    const publicKey = hexToBytes(key.publicKey);
    const good = made?.every((s, i) => protocol.verify(publicKey, messages[i] as Uint8Array, s));
    return good && made?.length === messages.length ? made : undefined;
  } catch (error) {
    if (isKeysagaError(error)) return undefined;
    throw error;
  }
}

const inWords = ({ refusals }: Outcome): string =>
  [...refusals]
    .map(
      ([party, { step: at, error }]) =>
        `${party} ${at}: ${error.code} ${error.details.field ?? ''} ${error.message}`,
    )
    .join('; ');

/** The honest variant: it must end in valid signatures, or the case would show nothing. */
export async function signs(
  field: Field,
  wallet: Wallet,
  built: Built,
  request: PrepareSign | PreparePayout,
): Promise<Talk> {
  const outcome = await drive(field, request);
  if (outcome.refusals.size > 0)
    throw new CaseBroken(`the honest variant was refused: ${inWords(outcome)}`);
  if (signatures(wallet.key, outcome.talk, built.messages) === undefined)
    throw new CaseBroken('the honest variant gave no valid signature');
  return outcome.talk;
}

export type Expected = {
  readonly code: ErrorCode | readonly ErrorCode[];
  readonly field?: string;
  /** `any`: one party that knows better is enough. Default: every signer refuses. */
  readonly by?: 'all' | 'any';
};

/** The attack: tried to the end. A signature, or an answer where there must be none, is the adversary's success. */
export async function refused(
  field: Field,
  wallet: Wallet,
  built: Built,
  request: PrepareSign | PreparePayout,
  expected: Expected,
): Promise<void> {
  const outcome = await drive(field, request);
  if (outcome.refusals.size === 0) {
    const made = signatures(wallet.key, outcome.talk, built.messages);
    throw new AttackSucceeded(made ? 'a valid signature' : 'every party released its share');
  }
  if (expected.by !== 'any' && outcome.answered.length > 0)
    throw new AttackSucceeded(`${outcome.answered.join(', ')} took part`);
  for (const { error } of outcome.refusals.values()) meets(error, expected);
}

/** Is this the refusal that the case is about? */
export function meets(error: unknown, { code, field: name }: Expected): void {
  const codes = typeof code === 'string' ? [code] : code;
  if (!isKeysagaError(error)) throw error;
  if (!codes.includes(error.code) || (name !== undefined && error.details.field !== name))
    throw new CaseBroken(
      `expected ${codes.join(' or ')} ${name ?? ''}, met ${error.code} ${error.details.field ?? ''}: ${error.message}`,
    );
}

/** A single question that must be refused. */
export async function denied(
  what: string,
  asked: Promise<unknown>,
  expected: Expected,
): Promise<void> {
  const answer = await asked.then(
    () => undefined,
    (error: unknown) => ({ error }),
  );
  if (answer === undefined) throw new AttackSucceeded(what);
  meets(answer.error, expected);
}

/** Nobody is heard who did not say it, and nobody is blamed for it. */
export async function unheard(asked: Promise<unknown>, name: string): Promise<void> {
  await denied(
    'an answer to what was not said',
    asked.catch((error: unknown) => {
      if (isKeysagaError(error, 'ProtocolFault'))
        throw new AttackSucceeded(`${error.details.culprit} is blamed for it`);
      throw error;
    }),
    { code: 'EnvelopeInvalid', field: name },
  );
}

/** With parties of its own, so that others are not disturbed: one that was restored signs little for a day. */
export async function withAside(
  field: Field,
  work: (aside: Aside) => Promise<void>,
): Promise<void> {
  if (field.aside === undefined) throw new Error('no machines here');
  const aside = await field.aside();
  try {
    await work(aside);
  } finally {
    await aside.close();
  }
}

export const keygen = (field: Field, kit: Kit, id: string, policy = field.people.policy) =>
  ({
    kind: 'keygen',
    requestId: id,
    attempt: randomUUID(),
    keyId: id,
    walletId: id,
    epoch: 0,
    network: kit.network,
    protocol: kit.protocol,
    threshold: thresholdOf(field),
    signers: [...field.parties],
    policyId: policy.policyId,
    policyHash: policyHash(policy),
  }) as PrepareKeygen;

/** A whole ceremony, without the activation. */
export async function ceremony(
  field: Field,
  request: PrepareKeygen,
): Promise<Omit<Wallet, 'policy'> & { readonly talk: Talk }> {
  const { talk, refusals, ...rest } = await drive(field, request);
  if (refusals.size > 0) throw new CaseBroken(`no key: ${inWords({ talk, refusals, ...rest })}`);
  const results = (talk.rounds.at(-1) ?? []).flatMap((a) => (a.keygen ? [a.keygen] : []));
  const key = results[0]?.key;
  if (key === undefined) throw new CaseBroken('the ceremony gave no key');
  const certificates = results.map((r) => r.certificate);
  return { key, certificates, attempt: request.attempt, talk };
}

/** A new wallet, active at every party: the coordinator runs the ceremony as an honest one would. */
export async function newWallet(
  field: Field,
  kit: Kit,
  name: string,
  policy: Policy = field.people.policy,
): Promise<Wallet> {
  const request = keygen(field, kit, `${name}-${randomBytes(4).toString('hex')}`, policy);
  const made = await ceremony(field, request);
  const { keyId, attempt } = request;
  for (const party of request.signers)
    await field.ask(party, 'activate', { keyId, attempt, certificates: made.certificates });
  return { ...made, policy };
}

const shared = new WeakMap<Field, Map<string, Promise<Wallet>>>();
/** A wallet that several cases use: what they do to it must not disturb each other. */
export function wallet(field: Field, kit: Kit, name = 'main'): Promise<Wallet> {
  const known = shared.get(field) ?? new Map<string, Promise<Wallet>>();
  shared.set(field, known);
  const id = `${name}-${kit.name}`;
  const made = known.get(id) ?? newWallet(field, kit, id);
  known.set(id, made);
  return made;
}

export const intentOf = (
  { key }: Wallet,
  kit: Kit,
  change: Partial<TransferIntent> = {},
): TransferIntent =>
  ({
    requestId: `t-${randomBytes(6).toString('hex')}`,
    walletId: key.walletId,
    chain: key.network,
    destination: kit.destination(),
    asset: 'native',
    amount: '1000000',
    feeCap: `${50_000n * kit.unit}`,
    issuedAt: new Date(Date.now() - 60_000).toISOString(),
    expiresAt: new Date(Date.now() + 3_600_000).toISOString(),
    ...change,
  }) as TransferIntent;

export type Payment = {
  readonly wallet: Wallet;
  readonly kit: Kit;
  readonly intent: TransferIntent;
  readonly resource: Resource;
  readonly built: Built;
  readonly request: PrepareSign;
};

const thresholdOf = ({ parties }: Field): number => Math.floor(parties.length / 2) + 1;
/** The signers that are asked unless a case says otherwise. */
export const signersOf = (field: Field): PartyId[] => field.parties.slice(0, thresholdOf(field));

/** An approved intent and its honest payment. `plan` and `change` are where a case departs from it. */
export async function payment(
  field: Field,
  of: Wallet,
  kit: Kit,
  options: {
    readonly intent?: TransferIntent;
    readonly plan?: Partial<Plan>;
    readonly change?: Partial<PrepareSign>;
    /** The key that is asked to sign, when it is not the intent's wallet's. */
    readonly key?: KeyDescriptor;
  } = {},
): Promise<Payment> {
  const intent = options.intent ?? intentOf(of, kit);
  const key = options.key ?? of.key;
  const resource = options.plan?.resource ?? kit.resource(key);
  const built = kit.build(key, {
    resource,
    payments: [{ to: intent.destination, amount: BigInt(intent.amount) }],
    ...options.plan,
  });
  const { approvers } = field.people;
  const approvals =
    options.change?.approvals ?? (await field.people.decide(intent, approvers.slice(0, 2)));
  const request = {
    kind: 'sign',
    requestId: intent.requestId,
    attempt: randomUUID(),
    keyId: key.keyId,
    epoch: key.epoch,
    purpose: 'payment',
    signers: signersOf(field),
    intent,
    line: 0,
    approvals,
    policyHash: policyHash(of.policy),
    unsigned: built.unsigned,
    ...options.change,
  } as PrepareSign;
  return { wallet: of, kit, intent, resource, built, request };
}

/** The same approved intent once more: a new attempt, over `resource` when given. */
export function again(
  of: Payment,
  change: Partial<PrepareSign> = {},
  resource: Resource = of.resource,
  fee?: bigint,
): Payment {
  const { wallet: w, kit, intent } = of;
  const pays = change.purpose !== 'void';
  const built = kit.build(w.key, {
    resource,
    payments: pays ? [{ to: intent.destination, amount: BigInt(intent.amount) }] : [],
    ...(fee === undefined ? {} : { fee }),
  });
  const request = {
    ...of.request,
    attempt: randomUUID(),
    unsigned: built.unsigned,
    ...change,
  } as PrepareSign;
  return { ...of, resource, built, request };
}

/** The same line over other inputs, so that both could be on chain. */
export const besides = (of: Payment, change: Partial<PrepareSign> = {}): Payment =>
  again(of, change, of.kit.resource(of.wallet.key));

/** The honest variant of a payment is signed. */
export const isSigned = (field: Field, p: Payment): Promise<Talk> =>
  signs(field, p.wallet, p.built, p.request);
/** The attack is refused. */
export const isRefused = (field: Field, p: Payment, expected: Expected): Promise<void> =>
  refused(field, p.wallet, p.built, p.request, expected);

/** A policy of its own that every party has taken, so that a case can change what it likes. */
export async function underPolicy(
  field: Field,
  policyId: string,
  change: Partial<Policy>,
): Promise<{ readonly policy: Policy }> {
  const policy = {
    ...field.people.policy,
    policyId: `${policyId}-${randomBytes(4).toString('hex')}`,
    ...change,
  } as Policy;
  await deliver(field, policy);
  return { policy };
}

/** Signed by the administrators, who see it, and handed to every party. */
export async function deliver(field: Field, policy: Policy): Promise<void> {
  const signed = await field.people.signPolicy(policy);
  for (const party of field.parties) await field.ask(party, 'receivePolicy', { signed });
}

/** The next version of a policy. */
export const successor = (policy: Policy, change: Partial<Policy>): Policy =>
  ({
    ...policy,
    version: policy.version + 1,
    previous: policyHash(policy),
    issuedAt: new Date(Date.now() - 1_000).toISOString(),
    ...change,
  }) as Policy;
