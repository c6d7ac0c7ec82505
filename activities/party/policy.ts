/** Taking a policy document: verified against the pinned administrators, chained to the version before, acknowledged by a receipt. */

import { parseWith } from '../../core/parse.ts';
import { checkSuccession, verifySignedPolicy } from '../../core/policy.ts';
import type { PartyTransaction, SessionRow } from '../../core/ports/party-store.ts';
import { signedBytes } from '../../schema/contracts/canonical.ts';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import { PolicyDelivery, type SignedPolicyReceipt } from '../../schema/contracts/party.ts';
import { advance, noteCommitted } from './chain.ts';
import type { PartyDeps } from './deps.ts';
import { checkChain, guarded } from './fence.ts';
import type { LiveRuns } from './live-runs.ts';
import { closeSession, eraseClosed, isVoid } from './sessions.ts';

export async function receivePolicy(
  deps: PartyDeps,
  live: LiveRuns,
  input: unknown,
): Promise<SignedPolicyReceipt> {
  const { signed } = parseWith(PolicyDelivery, input, 'policy');
  const { administrators, administratorQuorum, party } = deps.settings;
  const hash = verifySignedPolicy(signed, administrators, administratorQuorum);
  const { policyId, version } = signed.policy;
  const closed = await guarded(deps, live, async () => {
    const fenced = (await checkChain(deps, live)) === 'fenced';
    return deps.store.transaction((tx) => take(tx, fenced));
  });
  await deps.failPoints.at('party.policy:after-commit');
  await noteCommitted(deps);
  await eraseClosed(deps, closed);
  const receipt = { party, policyId, version, policyHash: hash };
  return { receipt, signature: deps.identity.sign(signedBytes('receipt', receipt)) };

  async function take(tx: PartyTransaction, fenced: boolean): Promise<readonly SessionRow[]> {
    // No prepare may bind the old version once this commits: those under way commit first, and are seen below.
    await tx.lockPolicy(policyId, 'update');
    const versions = await tx.policyVersions(policyId);
    const same = versions.find((v) => v.version === version);
    if (same !== undefined) {
      if (same.hash !== hash)
        throw new KeysagaError(
          'PolicyViolation',
          'This party holds another document of that version.',
          // The first one stays: whoever got two of them signed must not be able to choose afterwards.
          { field: 'document', holds: version, holdsHash: same.hash },
        );
      return [];
    }
    const current = versions[0];
    if (current === undefined) {
      if (version !== 1)
        throw new KeysagaError('PolicyViolation', 'A policy begins with version 1.', {
          field: 'version',
          holds: 0,
        });
    } else checkSuccession(current.document.policy, signed.policy);
    const now = deps.clock.now();
    await tx.insertPolicy({ policyId, version, hash, document: signed, at: now });
    // A session binds the version it was approved under; unreleased ones end with it. Voids go on.
    const open = (await tx.openSessionsOfPolicy(policyId)).filter((s) => !isVoid(s.request));
    for (const session of open) await closeSession(tx, session, 'superseded', now);
    await tx.audit({
      kind: 'policy-received',
      at: now,
      detail: { policyId, version: `${version}`, hash },
    });
    // A receipt says for good that the version before is dead here. A fenced party catches up before its order.
    const link = { kind: 'policy' as const, attempt: null, sessionId: '', outboxHash: hash };
    if (!fenced) await advance(deps, tx, link, now);
    await deps.failPoints.at('party.policy:before-commit');
    return open;
  }
}
