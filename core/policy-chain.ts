/**
 * The versions of one policy as the coordinator knows them, and which one counts for whom. A version counts for a
 * wallet once t of the wallet's parties hold it, by their signed receipts; the one before is dead for it once n − t + 1
 * do, since then no t are left that hold it. 2t > n makes n − t + 1 ≤ t: dead comes first or at once, so two versions
 * never sign side by side. Kept per wallet and not per policy: parties and threshold differ between wallets, and a party
 * that only one wallet has must not hold up the others.
 */
import { KeysagaError } from '../schema/contracts/errors.ts';
import type { DomainEvent } from '../schema/contracts/events.ts';
import type { SignedPolicyReceipt } from '../schema/contracts/party.ts';
import type { SignedPolicy } from '../schema/contracts/policy.ts';
import type {
  PolicyGroup,
  PolicyProgress,
  TransferPolicy,
} from '../schema/contracts/policy-change.ts';
import type { PartyId } from '../schema/contracts/primitives.ts';
import { checkSuccession } from './policy.ts';
import type { Fold } from './ports/ledger.ts';

/** Parties and threshold of a wallet's key. */
export type Holders = { readonly parties: readonly string[]; readonly threshold: number };

export type ChainVersion = {
  readonly version: number;
  readonly policyHash: string;
  /** Null: an older one, whose document is read from the log. */
  readonly signed: SignedPolicy | null;
  /** Null: it came with the installation, and every party was given it there. */
  readonly workflowId: string | null;
  readonly adopted: boolean;
  readonly receipts: readonly SignedPolicyReceipt[];
  readonly forked: readonly string[];
};
/** Oldest first. */
export type PolicyChain = readonly ChainVersion[];

/** Documents are large and are read with every transfer: only those that can matter stay in the folded state. */
const DOCUMENTS_KEPT = 4;
const VERSIONS_KEPT = 64;

const kept = (chain: PolicyChain): PolicyChain =>
  chain
    .slice(-VERSIONS_KEPT)
    .map((one, i, all) =>
      all.length - i > DOCUMENTS_KEPT && one.signed !== null ? { ...one, signed: null } : one,
    );
const replaced = (chain: PolicyChain, hash: string, change: (one: ChainVersion) => ChainVersion) =>
  chain.map((one) => (one.policyHash === hash ? change(one) : one));
const begun = (
  data: { readonly signed: SignedPolicy; readonly policyHash: string },
  rest: Pick<ChainVersion, 'workflowId' | 'adopted'>,
): ChainVersion => ({
  version: data.signed.policy.version,
  policyHash: data.policyHash,
  signed: data.signed,
  receipts: [],
  forked: [],
  ...rest,
});

export const policyChainFold: Fold<PolicyChain> = {
  name: 'policy-chain',
  schemaVersion: 1,
  initial: [],
  apply: (chain, event) => {
    switch (event.type) {
      case 'keysaga.policy.adopted.v1': {
        const { policyHash } = event.data;
        return chain.some((one) => one.policyHash === policyHash)
          ? replaced(chain, policyHash, (one) => ({ ...one, adopted: true }))
          : kept([...chain, begun(event.data, { workflowId: null, adopted: true })]);
      }
      case 'keysaga.policy.proposed.v1':
        return kept([
          ...chain,
          begun(event.data, { workflowId: event.data.workflowId, adopted: false }),
        ]);
      case 'keysaga.policy.receipt-recorded.v1': {
        const { signed } = event.data;
        return replaced(chain, signed.receipt.policyHash, (one) => ({
          ...one,
          receipts: [...one.receipts, signed],
        }));
      }
      case 'keysaga.policy.forked.v1': {
        const { policyHash, party } = event.data;
        return replaced(chain, policyHash, (one) => ({ ...one, forked: [...one.forked, party] }));
      }
      default:
        return chain;
    }
  },
};

/** Parties whose receipt shows this version or a newer one: none of them signs under an older one any more. */
function holdersOf(chain: PolicyChain, version: number): ReadonlySet<string> {
  return new Set(
    chain
      .filter((one) => one.version >= version)
      .flatMap((one) => one.receipts.map(({ receipt }) => receipt.party as string)),
  );
}
const heldBy = (chain: PolicyChain, version: number, parties: readonly string[]): number => {
  const holders = holdersOf(chain, version);
  return parties.filter((party) => holders.has(party)).length;
};
/** Receipts from which on no t of n hold the version before. */
export const deadAt = ({ parties, threshold }: Holders): number => parties.length - threshold + 1;

export type InForce = { readonly at: ChainVersion; readonly next?: TransferPolicy['next'] };

/** The newest version that t of these parties hold, with what a newer one lacks. Undefined: there is none. */
export function inForce(chain: PolicyChain, holders: Holders): InForce | undefined {
  const { parties, threshold } = holders;
  const at = chain.findLast(
    (one) => one.workflowId === null || heldBy(chain, one.version, parties) >= threshold,
  );
  if (at === undefined) return undefined;
  const newest = chain.findLast((one) => one.version > at.version);
  if (newest === undefined) return { at };
  const gone = heldBy(chain, at.version + 1, parties);
  return {
    at,
    next: {
      version: newest.version,
      held: heldBy(chain, newest.version, parties),
      usableAt: threshold,
      currentDead: gone >= deadAt(holders),
    },
  };
}

/** Wallets alike in parties and threshold; with none yet, everybody must hold the version, as a key generation needs. */
export function groupsOf(
  keys: Audience['keys'],
  everybody: readonly string[],
): (Holders & { readonly wallets: number })[] {
  if (keys.length === 0) return [{ parties: everybody, threshold: everybody.length, wallets: 0 }];
  const found = new Map<string, Holders & { wallets: number }>();
  for (const { parties, threshold, wallets } of keys) {
    const name = `${threshold}:${[...parties].sort().join(',')}`;
    const known = found.get(name);
    found.set(name, { parties, threshold, wallets: (known?.wallets ?? 0) + wallets });
  }
  return [...found.values()];
}

export type Audience = {
  /** Parties and thresholds of the policy's wallets. */
  readonly keys: readonly (Holders & { readonly wallets: number })[];
  /** Everyone it is delivered to. */
  readonly parties: readonly string[];
};

/** How far a version has come. */
export function progressOf(
  chain: PolicyChain,
  policyId: string,
  one: ChainVersion,
  audience: Audience,
): PolicyProgress {
  const installed = one.workflowId === null;
  const holders = holdersOf(chain, one.version);
  const received = audience.parties.filter((party) => installed || holders.has(party));
  const groups = groupsOf(audience.keys, audience.parties).map((group): PolicyGroup => {
    const held = group.parties.filter((party) => installed || holders.has(party)).length;
    return {
      parties: [...group.parties] as PartyId[],
      threshold: group.threshold,
      wallets: group.wallets,
      held,
      deadAt: deadAt(group),
      usableAt: group.threshold,
    };
  });
  return {
    policyId: policyId as PolicyProgress['policyId'],
    version: one.version,
    policyHash: one.policyHash,
    parties: [...audience.parties] as PartyId[],
    received: received as PartyId[],
    groups: groups.slice(0, 256),
    previousDead: groups.every((group) => group.held >= group.deadAt),
    usable: groups.every((group) => group.held >= group.usableAt),
    complete: received.length === audience.parties.length,
  };
}

/**
 * The proposal of a version that follows the newest one. Nothing when this document stands. The administrators'
 * signatures were checked before. Throws `PolicyViolation` (`version`, `previous`, `policyId`), `RequestConflict`.
 */
export function propose(
  chain: PolicyChain,
  data: { readonly signed: SignedPolicy; readonly policyHash: string; readonly workflowId: string },
): DomainEvent[] {
  const { policy } = data.signed;
  const same = chain.find((one) => one.version === policy.version);
  if (same?.policyHash === data.policyHash) return [];
  const newest = chain.at(-1);
  if (same !== undefined || (newest !== undefined && policy.version <= newest.version))
    throw new KeysagaError(
      'RequestConflict',
      `Version ${policy.version} of ${policy.policyId} stands already, with another document.`,
      {
        field: 'version',
        policyId: policy.policyId,
        remedy: 'Look at it with `keysaga policy show`, and propose the version that follows it.',
      },
    );
  if (newest === undefined) {
    if (policy.version !== 1)
      throw new KeysagaError('PolicyViolation', 'The first version of a policy is 1.', {
        field: 'version',
      });
  } else if (newest.signed !== null) checkSuccession(newest.signed.policy, policy);
  return [{ type: 'keysaga.policy.proposed.v1', data }];
}

/**
 * A receipt whose signature was verified; with the first wallet that can use the version, it is adopted. Throws
 * `PolicyUnknown` for a version that was never proposed here.
 */
export function receive(
  chain: PolicyChain,
  signed: SignedPolicyReceipt,
  audience: Audience,
): DomainEvent[] {
  const { party, policyHash, policyId, version } = signed.receipt;
  const one = chain.find((v) => v.policyHash === policyHash && v.version === version);
  if (one === undefined)
    throw new KeysagaError('PolicyUnknown', `No version ${version} of ${policyId} stands here.`, {
      field: 'policyHash',
      policyId,
    });
  const known = one.receipts.some(({ receipt }) => receipt.party === party);
  const events: DomainEvent[] = known
    ? []
    : [{ type: 'keysaga.policy.receipt-recorded.v1', data: { signed } }];
  const after = events.reduce((state, event) => policyChainFold.apply(state, event), chain);
  const usable = groupsOf(audience.keys, audience.parties).some(
    (group) => heldBy(after, version, group.parties) >= group.threshold,
  );
  if (usable && !one.adopted && one.signed !== null)
    events.push({
      type: 'keysaga.policy.adopted.v1',
      data: { signed: one.signed, policyHash },
    });
  return events;
}

/** A party that holds another document of this version; once. */
export function fork(
  chain: PolicyChain,
  data: Extract<DomainEvent, { type: 'keysaga.policy.forked.v1' }>['data'],
): DomainEvent[] {
  const one = chain.find((v) => v.policyHash === data.policyHash);
  if (one === undefined || one.forked.includes(data.party)) return [];
  return [{ type: 'keysaga.policy.forked.v1', data }];
}
