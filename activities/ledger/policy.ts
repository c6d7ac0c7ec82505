/** The coordinator's policies: proposing a signed document, its receipts, and which version counts for whom. */
import { parseWith } from '../../core/parse.ts';
import { checkSuccession } from '../../core/policy.ts';
import {
  type Audience,
  type ChainVersion,
  fork,
  inForce,
  type PolicyChain,
  policyChainFold,
  progressOf,
  propose,
  receive,
} from '../../core/policy-chain.ts';
import type { FailPoints } from '../../core/ports/clock.ts';
import type { Transaction, UnitOfWork } from '../../core/ports/ledger.ts';
import type { PolicySource } from '../../core/ports/policy-source.ts';
import { verifySigned } from '../../core/signed.ts';
import { decideTransfer, type Transfer } from '../../core/transfer/index.ts';
import type { LedgerActivities } from '../../schema/contracts/activities.ts';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import { type DomainEvent, streams } from '../../schema/contracts/events.ts';
import { SignedPolicy } from '../../schema/contracts/policy.ts';
import {
  PolicyView,
  PolicyWaiters,
  type TransferPolicy,
} from '../../schema/contracts/policy-change.ts';
import { type PartyId, PolicyId, type RequestId } from '../../schema/contracts/primitives.ts';
import { workflowId as workflowIds } from '../../schema/contracts/temporal.ts';
import { type CoordinatorDeps, commit } from './deps.ts';
import { parse } from './inputs.ts';
import { appendTransfer, createKeyReader, loadTransfer } from './state.ts';

export type AdoptPolicyDeps = {
  readonly uow: UnitOfWork;
  readonly failPoints: FailPoints;
  /** Checks the administrators' signatures and the document, answers with its hash; throws what is wrong with it. */
  readonly verify: (signed: SignedPolicy) => string;
};

/** Waiting transfers that one change wakes; the others look again by themselves. */
const WAITERS = 500;

const unknownPolicy = (policyId: string): KeysagaError =>
  new KeysagaError('PolicyUnknown', `No policy ${policyId} was adopted.`, {
    field: 'policyId',
    policyId,
  });

/**
 * Adopts a version that comes with the installation and follows the one in force. Again is nothing, and so is one that
 * a saga carries already. Throws what `verify` throws, and `PolicyViolation` (`version`, `previous`) when it does not
 * follow, `RequestConflict` when another document of this version stands.
 */
export async function adoptPolicy(
  deps: AdoptPolicyDeps,
  input: SignedPolicy,
): Promise<{ policyHash: string }> {
  const signed = parseWith(SignedPolicy, input, 'signed policy');
  const policyHash = deps.verify(signed);
  const { policy } = signed;
  await commit(deps, 'adoptPolicy', async (tx) => {
    const stream = streams.policy(policy.policyId);
    const { state: chain, version } = await tx.events.load(stream, policyChainFold);
    if (chain.some((one) => one.policyHash === policyHash)) return;
    const newest = chain.at(-1);
    if (newest === undefined && policy.version !== 1)
      throw new KeysagaError('PolicyViolation', 'The first version of a policy is 1.', {
        field: 'version',
      });
    if (newest !== undefined && policy.version <= newest.version) {
      // One that is older than what is folded.
      const log = await tx.events.read(stream);
      if (
        log.some(
          ({ type, data }) =>
            type === 'keysaga.policy.adopted.v1' && data.policyHash === policyHash,
        )
      )
        return;
      throw new KeysagaError(
        'RequestConflict',
        `Version ${policy.version} of ${policy.policyId} stands already.`,
        {
          field: 'version',
        },
      );
    }
    if (newest?.signed != null) checkSuccession(newest.signed.policy, policy);
    await tx.events.append(stream, version, [
      { type: 'keysaga.policy.adopted.v1', data: { signed, policyHash } },
    ]);
  });
  return { policyHash };
}

const chainOf = async (
  from: Pick<UnitOfWork | Transaction, 'events'>,
  policyId: string,
): Promise<{ chain: PolicyChain; version: number }> => {
  const { state, version } = await from.events.load(
    streams.policy(PolicyId.parse(policyId)),
    policyChainFold,
  );
  return { chain: state, version };
};

/** The document of a version: folded while it is new, else from the log. */
async function documentOf(
  uow: Pick<UnitOfWork, 'events'>,
  policyId: string,
  one: Pick<ChainVersion, 'signed' | 'policyHash'>,
): Promise<SignedPolicy> {
  if (one.signed !== null) return one.signed;
  for (const event of await uow.events.read(streams.policy(policyId)))
    if (
      (event.type === 'keysaga.policy.adopted.v1' || event.type === 'keysaga.policy.proposed.v1') &&
      event.data.policyHash === one.policyHash
    )
      return event.data.signed;
  throw new KeysagaError(
    'PolicyUnknown',
    `The coordinator holds no version ${one.policyHash} of ${policyId}.`,
    {
      field: 'policyHash',
      policyId,
    },
  );
}

/** `PolicySource` over the event log; reads each time, so that a version adopted elsewhere counts at once. */
export const createPolicySource = (uow: UnitOfWork): PolicySource => ({
  current: async (policyId) => {
    const { chain } = await chainOf(uow, policyId);
    const one = chain.findLast((version) => version.adopted);
    if (one === undefined) throw unknownPolicy(policyId);
    return { signed: await documentOf(uow, policyId, one), hash: one.policyHash };
  },
  inForce: async (policyId, key) => {
    const found = inForce((await chainOf(uow, policyId)).chain, key);
    if (found === undefined) throw unknownPolicy(policyId);
    return {
      signed: await documentOf(uow, policyId, found.at),
      hash: found.at.policyHash,
      ...(found.next === undefined ? {} : { next: found.next }),
    };
  },
});

/** A version by its hash, in force or not. Throws `PolicyUnknown`. */
export async function policyByHash(
  deps: { readonly uow: UnitOfWork; readonly policies: PolicySource },
  policyId: string,
  hash: string,
): Promise<SignedPolicy> {
  const { chain } = await chainOf(deps.uow, policyId);
  const one = chain.find((version) => version.policyHash === hash);
  return documentOf(deps.uow, policyId, one ?? { signed: null, policyHash: hash });
}

/** Every document of a policy that is still folded, newest first: under one of them an earlier decision was counted. */
export async function knownPolicies(uow: UnitOfWork, policyId: string): Promise<SignedPolicy[]> {
  const { chain } = await chainOf(uow, policyId);
  return [...chain].reverse().flatMap(({ signed }) => (signed === null ? [] : [signed]));
}

export const transferPolicyOf = ({
  signed,
  hash,
  next,
}: Awaited<ReturnType<PolicySource['inForce']>>): TransferPolicy => ({
  signed,
  policyHash: hash,
  ...(next === undefined ? {} : { next }),
});

/** Makes a version the transfer's own. False: the transfer keeps its own, since it is signed, being voided or over. */
export async function movePolicy(
  deps: Pick<CoordinatorDeps, 'uow' | 'failPoints'>,
  asked: Pick<Transfer, 'requestId' | 'policyHash'>,
  hash: string,
): Promise<boolean> {
  if (asked.policyHash === hash) return true;
  const requestId = asked.requestId as RequestId;
  return commit(deps, 'transferPolicy', async (tx) => {
    const { transfer, version } = await loadTransfer(tx.events, requestId);
    const events = decideTransfer.policyChanged(transfer, hash);
    await appendTransfer(tx, requestId, version, events);
    return events.length > 0 || transfer.policyHash === hash;
  });
}

export type PolicyLedger = Pick<
  LedgerActivities,
  | 'proposePolicy'
  | 'recordPolicyReceipt'
  | 'recordPolicyFork'
  | 'policyVersions'
  | 'policyWaiters'
  | 'transferPolicy'
  | 'readPolicy'
>;

export function createPolicyLedger(deps: CoordinatorDeps): PolicyLedger {
  const { uow, policies, directory, subjects } = deps;
  const keyOf = createKeyReader(uow);

  const audience = async (policyId: string): Promise<Audience> => ({
    keys: await subjects.keys(policyId),
    parties: [...directory.keys()].sort(),
  });
  /** Decides on the chain and appends; answers with the chain as it stands then. */
  const change = async (
    activity: string,
    policyId: PolicyId,
    decide: (chain: PolicyChain) => DomainEvent[],
  ): Promise<PolicyChain> =>
    commit(deps, activity, async (tx) => {
      const { chain, version } = await chainOf(tx, policyId);
      const events = decide(chain);
      if (events.length === 0) return chain;
      await tx.events.append(streams.policy(policyId), version, events);
      return events.reduce((state, event) => policyChainFold.apply(state, event), chain);
    });
  const progress = (chain: PolicyChain, policyId: string, hash: string, of: Audience) => {
    const one = chain.find((version) => version.policyHash === hash);
    if (one === undefined) throw unknownPolicy(policyId);
    return progressOf(chain, policyId, one, of);
  };

  return {
    proposePolicy: async (input) => {
      const { signed, policyHash, workflowId } = parse('proposePolicy', input);
      if (deps.verifyPolicy(signed) !== policyHash)
        throw new KeysagaError('InvalidInput', 'The hash is not that of the document.', {
          field: 'policyHash',
        });
      const { policyId } = signed.policy;
      if (workflowId !== workflowIds.policy(policyId, signed.policy.version))
        throw new KeysagaError('InvalidInput', 'The workflow is not that of this version.', {
          field: 'workflowId',
        });
      const of = await audience(policyId);
      const chain = await change('proposePolicy', policyId, (now) =>
        propose(now, { signed, policyHash, workflowId }),
      );
      return progress(chain, policyId, policyHash, of);
    },

    recordPolicyReceipt: async (input) => {
      const { signed } = parse('recordPolicyReceipt', input);
      const { receipt, signature } = signed;
      const key = directory.get(receipt.party);
      if (key === undefined || !verifySigned('receipt', receipt, key, signature, deps.verify))
        throw new KeysagaError(
          'CertificateInvalid',
          `The receipt of ${receipt.party} does not verify under its pinned key.`,
          { field: 'signature', party: receipt.party },
        );
      const of = await audience(receipt.policyId);
      const chain = await change('recordPolicyReceipt', receipt.policyId, (now) =>
        receive(now, signed, of),
      );
      return progress(chain, receipt.policyId, receipt.policyHash, of);
    },

    recordPolicyFork: async (input) => {
      const data = parse('recordPolicyFork', input);
      await change('recordPolicyFork', data.policyId, (chain) => fork(chain, data));
    },

    policyVersions: async (input) => {
      const { policyId, from, to } = parse('policyVersions', input);
      const { chain } = await chainOf(uow, policyId);
      const wanted = chain.filter(({ version }) => version >= from && version <= to);
      return {
        versions: await Promise.all(wanted.map((one) => documentOf(uow, policyId, one))),
      };
    },

    policyWaiters: async (input) => {
      const { policyId } = parse('policyWaiters', input);
      const waiting = await subjects.waiting(policyId, WAITERS);
      const payout = ({ requestId, workflowId }: (typeof waiting)[number]) =>
        workflowId === workflowIds.payout(requestId as RequestId);
      const ids = (rows: typeof waiting) => rows.map(({ requestId }) => requestId);
      return parseWith(
        PolicyWaiters,
        {
          requestIds: ids(waiting.filter((one) => !payout(one))),
          payouts: ids(waiting.filter(payout)),
        },
        'waiters',
      );
    },

    transferPolicy: async (input) => {
      const { requestId } = parse('transferPolicy', input);
      const { transfer } = await loadTransfer(uow.events, requestId);
      const key = await keyOf(transfer.intent.walletId);
      const force = await policies.inForce(key.policyId, key);
      if (await movePolicy(deps, transfer, force.hash)) return transferPolicyOf(force);
      return {
        signed: await policyByHash(deps, key.policyId, transfer.policyHash),
        policyHash: transfer.policyHash,
      };
    },

    readPolicy: async (input) => {
      const query = parse('readPolicy', input);
      const key = 'walletId' in query ? await keyOf(query.walletId) : undefined;
      const policyId = 'walletId' in query ? (key?.policyId as PolicyId) : query.policyId;
      const { chain } = await chainOf(uow, policyId);
      const of = await audience(policyId);
      const at =
        key === undefined
          ? chain.findLast((one) => progressOf(chain, policyId, one, of).usable)
          : inForce(chain, key)?.at;
      if (chain.length === 0) throw unknownPolicy(policyId);
      const shown = chain.filter((one) => at === undefined || one.version >= at.version);
      return parseWith(
        PolicyView,
        {
          policyId,
          ...(at === undefined ? {} : { inForce: at.version }),
          versions: await Promise.all(
            shown.map(async (one) => ({
              version: one.version,
              policyHash: one.policyHash,
              signed: await documentOf(uow, policyId, one),
              ...(one.workflowId === null ? {} : { workflowId: one.workflowId }),
              receipts: [...one.receipts],
              forked: [...one.forked] as PartyId[],
              progress: progressOf(chain, policyId, one, of),
            })),
          ),
        },
        'policy view',
      );
    },
  };
}
