/**
 * Policies as a client may show them: every document is hashed here and checked against the pinned administrators, every
 * receipt against the pinned party keys. What wallets a policy rules is the ledger's word.
 */
import type { Client, WorkflowHandle } from '@temporalio/client';
import { parseWith } from '../core/parse.ts';
import { checkPolicy, policyHash, verifySignedPolicy } from '../core/policy.ts';
import { verifySigned } from '../core/signed.ts';
import { KeysagaError } from '../schema/contracts/errors.ts';
import { SignedPolicy } from '../schema/contracts/policy.ts';
import {
  type ChangePolicyInput,
  type KnownPolicyVersion,
  PolicyChangeStatus,
  type PolicyGroup,
  PolicyQuery,
  PolicyView,
} from '../schema/contracts/policy-change.ts';
import { type PartyId, PolicyId } from '../schema/contracts/primitives.ts';
import { detailsOfPolicy, summaryOfPolicy } from '../schema/contracts/summaries.ts';
import { TASK_QUEUES, WORKFLOWS, workflowId } from '../schema/contracts/temporal.ts';
import { askCoordinator, askStatus } from './ask.ts';
import type { PartyState } from './parties.ts';
import { PHASE } from './search-attributes.ts';
import { type Started, startOnce } from './start.ts';

/** As this client's configuration pins them. */
export type PinnedAdministrators = {
  readonly administrators: readonly { readonly name: string; readonly publicKey: string }[];
  readonly quorum: number;
};
export type Pins = {
  readonly identityKeys: ReadonlyMap<PartyId, string>;
  /** Absent: documents are hashed and shown, and nobody's signature on them is claimed. */
  readonly administrators?: PinnedAdministrators | undefined;
};

export type PolicyVersionView = {
  readonly version: number;
  readonly policyHash: string;
  readonly signed: SignedPolicy;
  /** The pinned administrators' quorum signed it; false: no administrators are pinned here. */
  readonly verified: boolean;
  /** It came with the installation, so that there are no receipts of it. */
  readonly installed: boolean;
  /** Parties whose receipt verifies under their pinned key. */
  readonly received: readonly PartyId[];
  readonly forked: readonly PartyId[];
  readonly groups: readonly PolicyGroup[];
  readonly previousDead: boolean;
  readonly usable: boolean;
  readonly complete: boolean;
};
export type PolicyInfo = {
  readonly policyId: PolicyId;
  /** Absent: no version is usable yet. */
  readonly inForce?: number;
  /** The one in force and those after it, newest last. */
  readonly versions: readonly PolicyVersionView[];
};
export type PolicyStatus = PolicyInfo & {
  /** What each party says that it holds, asked directly. */
  readonly parties: readonly {
    readonly party: PartyId;
    readonly state: PartyState['state'];
    readonly holds?: { readonly version: number; readonly policyHash: string };
  }[];
  /** The saga of the newest version, if one carries it. */
  readonly change?: PolicyChangeStatus;
};

/** Throws `PolicyUnknown`, `WalletUnknown`, `PartFailed` (no coordinator), and `ApprovalInvalid`, `QuorumMissing` for a forged answer. */
export async function readPolicy(
  client: Client,
  query: PolicyQuery,
  pins: Pins,
  limitMs: number,
): Promise<PolicyInfo> {
  const input = parseWith(PolicyQuery, query, 'policy');
  const answer = await askCoordinator(client, 'readPolicy', {
    taskQueue: TASK_QUEUES.ledger,
    query: input,
    limitMs,
    subject: 'the policy',
  });
  const view = parseWith(PolicyView, answer, 'policy');
  if ('policyId' in input && view.policyId !== input.policyId)
    throw new KeysagaError('ApprovalInvalid', 'The answer is about another policy.', {
      field: 'policyId',
    });
  return {
    policyId: view.policyId,
    ...(view.inForce === undefined ? {} : { inForce: view.inForce }),
    versions: view.versions.map((one) => verifiedVersion(view, one, pins)),
  };
}

function verifiedVersion(
  view: PolicyView,
  one: KnownPolicyVersion,
  { identityKeys, administrators }: Pins,
): PolicyVersionView {
  const { signed, version, progress } = one;
  checkPolicy(signed.policy);
  if (administrators !== undefined)
    verifySignedPolicy(signed, administrators.administrators, administrators.quorum);
  const hash = policyHash(signed.policy);
  if (
    hash !== one.policyHash ||
    signed.policy.version !== version ||
    signed.policy.policyId !== view.policyId
  )
    throw new KeysagaError(
      'ApprovalInvalid',
      'The shown policy is not the one that it is called.',
      {
        field: 'policyHash',
      },
    );
  const installed = one.workflowId === undefined;
  // A receipt of this version or a newer one: no party goes back.
  const holders = new Set<PartyId>();
  for (const newer of view.versions)
    if (newer.version >= version)
      for (const { receipt, signature } of newer.receipts) {
        const key = identityKeys.get(receipt.party);
        const about = receipt.policyId === view.policyId && receipt.policyHash === newer.policyHash;
        if (key !== undefined && about && verifySigned('receipt', receipt, key, signature))
          holders.add(receipt.party);
      }
  const received = progress.parties.filter((party) => installed || holders.has(party));
  const groups = progress.groups.map((group) => ({
    ...group,
    held: group.parties.filter((party) => received.includes(party)).length,
  }));
  return {
    version,
    policyHash: hash,
    signed,
    verified: administrators !== undefined,
    installed,
    received,
    forked: one.forked,
    groups,
    previousDead: groups.every((group) => group.held >= group.deadAt),
    usable: groups.every((group) => group.held >= group.usableAt),
    complete: received.length === progress.parties.length,
  };
}

/** The policy's id as a workflow id has it. Throws `InvalidInput`. */
const asPolicyId = (value: string): PolicyId => {
  const id = PolicyId.safeParse(value);
  if (id.success) return id.data;
  throw new KeysagaError('InvalidInput', `not a policy id: ${value.slice(0, 80)}`, {
    field: 'policyId',
  });
};
export const policyHandle = (client: Client, policyId: string, version: number): WorkflowHandle =>
  client.workflow.getHandle(workflowId.policy(asPolicyId(policyId), version));

/** A newer coordinator may say more than this client knows. */
const LenientStatus = PolicyChangeStatus.strip();
export const policyChangeStatus = async (handle: WorkflowHandle): Promise<PolicyChangeStatus> =>
  parseWith(LenientStatus, await askStatus(handle), 'status');

/**
 * Starts the saga that brings the document to every party, or finds the one that this very document started. One that
 * failed may be started again. Throws `InvalidInput`, `ApprovalInvalid`, `QuorumMissing`, `RequestConflict`.
 */
export async function startPolicyChange(
  client: Client,
  input: SignedPolicy,
  pins: Pins,
  redeliver = false,
): Promise<Started> {
  const signed = parseWith(SignedPolicy, input, 'signed policy');
  const { policy } = signed;
  checkPolicy(policy);
  const { administrators } = pins;
  if (administrators !== undefined)
    verifySignedPolicy(signed, administrators.administrators, administrators.quorum);
  const hash = policyHash(policy);
  const body: ChangePolicyInput = {
    signed,
    policyHash: hash,
    ...(redeliver ? { redeliver } : {}),
  };
  return startOnce(client, {
    workflowType: WORKFLOWS.changePolicy,
    workflowId: workflowId.policy(policy.policyId, policy.version),
    input: body,
    digest: hash,
    memo: { policyId: policy.policyId, version: policy.version },
    staticSummary: summaryOfPolicy(policy),
    staticDetails: detailsOfPolicy(policy, hash),
    searchAttributes: [{ key: PHASE, value: 'Proposing' }],
    again: redeliver ? 'after-end' : 'after-failure',
  });
}

/** The versions that matter, what each party holds, and how far the saga is. */
export async function policyStatus(
  client: Client,
  info: PolicyInfo,
  parties: readonly PartyState[],
): Promise<PolicyStatus> {
  const newest = info.versions.at(-1);
  const change =
    newest === undefined || newest.installed
      ? undefined
      : await policyChangeStatus(policyHandle(client, info.policyId, newest.version)).catch(
          () => undefined,
        );
  return {
    ...info,
    parties: parties.map(({ party, state, health }) => {
      // A party names every version that it has taken; it goes by the newest.
      const [held] = (health?.policies ?? [])
        .filter((one) => one.policyId === info.policyId)
        .sort((a, b) => b.version - a.version);
      return {
        party,
        state,
        ...(held === undefined ? {} : { holds: { version: held.version, policyHash: held.hash } }),
      };
    }),
    ...(change === undefined ? {} : { change }),
  };
}
