/** The coordinator's policies: adopting a signed document, and saying which one is in force. */

import { parseWith } from '../../core/parse.ts';
import { checkSuccession } from '../../core/policy.ts';
import type { FailPoints } from '../../core/ports/clock.ts';
import type { Fold, UnitOfWork } from '../../core/ports/ledger.ts';
import type { PolicySource } from '../../core/ports/policy-source.ts';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import { type EventData, streams } from '../../schema/contracts/events.ts';
import { SignedPolicy } from '../../schema/contracts/policy.ts';
import { PolicyId } from '../../schema/contracts/primitives.ts';
import { commit } from './deps.ts';

type Adopted = EventData<'keysaga.policy.adopted.v1'>;

/** The newest adopted version. */
export const policyFold: Fold<Adopted | null> = {
  name: 'policy',
  schemaVersion: 1,
  initial: null,
  apply: (state, event) => (event.type === 'keysaga.policy.adopted.v1' ? event.data : state),
};

export type AdoptPolicyDeps = {
  readonly uow: UnitOfWork;
  readonly failPoints: FailPoints;
  /** Checks the administrators' signatures and the document, answers with its hash; throws what is wrong with it. */
  readonly verify: (signed: SignedPolicy) => string;
};

/**
 * Adopts a version that follows the one in force. Again is nothing. Throws what `verify` throws, and
 * `PolicyViolation` (`version`, `previous`) when it does not follow, `RequestConflict` when another document of
 * this version stands.
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
    const { state, version } = await tx.events.load(stream, policyFold);
    if (state?.policyHash === policyHash) return;
    if (state === null && policy.version !== 1)
      throw new KeysagaError('PolicyViolation', 'The first version of a policy is 1.', {
        field: 'version',
      });
    if (state !== null && policy.version <= state.signed.policy.version)
      throw new KeysagaError(
        'RequestConflict',
        `Version ${policy.version} of ${policy.policyId} stands already.`,
        {
          field: 'version',
        },
      );
    if (state !== null) checkSuccession(state.signed.policy, policy);
    await tx.events.append(stream, version, [
      { type: 'keysaga.policy.adopted.v1', data: { signed, policyHash } },
    ]);
  });
  return { policyHash };
}

/** `PolicySource` over the event log; reads each time, so that a version adopted elsewhere counts at once. */
export const createPolicySource = (uow: UnitOfWork): PolicySource => ({
  current: async (policyId) => {
    const { state } = await uow.events.load(streams.policy(PolicyId.parse(policyId)), policyFold);
    if (state === null)
      throw new KeysagaError('PolicyUnknown', `No policy ${policyId} was adopted.`, {
        field: 'policyId',
        policyId,
      });
    return { signed: state.signed, hash: state.policyHash };
  },
});

/** A version by its hash, in force or not. Throws `PolicyUnknown`. */
export async function policyByHash(
  deps: { readonly uow: UnitOfWork; readonly policies: PolicySource },
  policyId: string,
  hash: string,
): Promise<SignedPolicy> {
  const current = await deps.policies.current(policyId);
  if (current.hash === hash) return current.signed;
  for (const event of await deps.uow.events.read(streams.policy(policyId)))
    if (event.type === 'keysaga.policy.adopted.v1' && event.data.policyHash === hash)
      return event.data.signed;
  throw new KeysagaError(
    'PolicyUnknown',
    `The coordinator holds no version ${hash} of ${policyId}.`,
    {
      field: 'policyHash',
      policyId,
    },
  );
}
