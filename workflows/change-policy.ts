/**
 * Brings a signed policy to every party: proposed to the ledger, delivered, acknowledged by signed receipts. For a
 * wallet of t of n the version before is dead at n − t + 1 receipts and the new one usable at t; the saga goes on to all
 * n, however long a party is away. There is nothing to undo: a party that took a version never goes back, so a change
 * that was wrong is followed by the next one.
 */
import {
  CancellationScope,
  condition,
  continueAsNew,
  getExternalWorkflowHandle,
  isCancellation,
  sleep,
  workflowInfo,
} from '@temporalio/workflow';
import { policyHash } from '../core/policy.ts';
import { KeysagaError } from '../schema/contracts/errors.ts';
import { fromFailure, toApplicationFailure } from '../schema/contracts/failures.ts';
import { SignedPolicyReceipt } from '../schema/contracts/party.ts';
import type { SignedPolicy } from '../schema/contracts/policy.ts';
import { ChangePolicyInput, type PolicyChangeResult } from '../schema/contracts/policy-change.ts';
import type { PartyId } from '../schema/contracts/primitives.ts';
import { workflowId } from '../schema/contracts/temporal.ts';
import { PolicyChange } from './change-policy-state.ts';
import { rethrowDefect } from './defects.ts';
import { readInput } from './input.ts';
import { policyChangedSignal } from './messages.ts';
import { backoffMs } from './profiles.ts';
import { ledger, party } from './steps.ts';

/** A party that says no is asked again, since its operator may have to change its configuration first. */
const REFUSED_CAP_MS = 3_600_000;

export async function changePolicy(raw: ChangePolicyInput): Promise<PolicyChangeResult> {
  const saga = new PolicyChange(readInput(ChangePolicyInput, raw, checked));
  return CancellationScope.nonCancellable(async () => {
    try {
      return await carry(saga);
    } catch (error) {
      rethrowDefect(error);
      const failure = fromFailure(error);
      saga.failed(failure);
      throw toApplicationFailure(failure, { forWorkflow: true });
    }
  });
}

function checked(input: ChangePolicyInput): ChangePolicyInput {
  if (policyHash(input.signed.policy) !== input.policyHash)
    throw new KeysagaError('InvalidInput', 'The hash is not that of the document.', {
      field: 'policyHash',
    });
  return input;
}

async function carry(saga: PolicyChange): Promise<PolicyChangeResult> {
  const { signed } = saga.input;
  saga.enter('Proposing', 'the ledger');
  const begun = await ledger(
    'reserve',
    `propose version ${saga.version}`,
    saga.group(),
  ).proposePolicy({
    signed,
    policyHash: saga.input.policyHash,
    workflowId: workflowInfo().workflowId,
  });
  saga.enter('Delivering');
  const announce = announcer(saga);
  announce(saga.take(begun));

  const delivering = new CancellationScope();
  let defect: { error: unknown } | undefined;
  const deliveries = saga.open.map((id) =>
    delivering
      .run(() => deliver(saga, id, signed, announce))
      .catch((error: unknown) => {
        if (!isCancellation(error)) defect ??= { error };
      }),
  );
  const full = (): boolean => workflowInfo().continueAsNewSuggested;
  await condition(() => saga.open.length === 0 || full() || defect !== undefined);
  if (saga.open.length > 0) delivering.cancel();
  await Promise.all(deliveries);
  await saga.background.settled();
  if (defect !== undefined) throw defect.error;
  // What was received stands in the ledger: the next run asks it and goes on with the rest.
  if (saga.open.length > 0) await continueAsNew<typeof changePolicy>(saga.input);

  if (saga.forked.length > 0)
    throw new KeysagaError(
      'PolicyViolation',
      `Another document of version ${saga.version} is held by ${saga.forked.join(', ')}: the administrators signed two.`,
      { field: 'document', parties: saga.forked.map(String), received: saga.received.map(String) },
    );
  saga.enter('Complete');
  return {
    policyId: saga.policyId,
    version: saga.version,
    policyHash: saga.input.policyHash,
    received: [...saga.received],
  };
}

type Announce = (usable: number) => void;

/** Tells waiting transfers to look again, each time when more wallets than before can use the version. */
function announcer(saga: PolicyChange): Announce {
  let told = 0;
  return (usable) => {
    if (usable <= told) return;
    told = usable;
    if (saga.clock.phase === 'Delivering' && saga.status().usable) saga.enter('InForce');
    saga.background.start(async () => {
      const { requestIds, payouts = [] } = await ledger(
        'ledger',
        'transfers that wait',
        saga.group(),
      ).policyWaiters({ policyId: saga.policyId });
      await Promise.all(
        [
          ...requestIds.map((id) => workflowId.transfer(id)),
          ...payouts.map((id) => workflowId.payout(id)),
        ].map(async (id) => {
          try {
            await getExternalWorkflowHandle(id).signal(policyChangedSignal);
            saga.announced += 1;
          } catch {
            // It ended meanwhile.
          }
        }),
      );
      saga.changed();
    });
  };
}

/** Until the party's receipt stands in the ledger, or it holds another document of this version. */
async function deliver(
  saga: PolicyChange,
  id: PartyId,
  signed: SignedPolicy,
  announce: Announce,
): Promise<void> {
  /** Once between two pauses: a party that forgets what it was brought must not keep the saga busy. */
  let broughtMissed = false;
  for (let wave = 1; ; wave++) {
    saga.tried(id);
    const asked = Date.now();
    try {
      announce(await hand(saga, id, signed));
      return;
    } catch (error) {
      rethrowDefect(error);
      if (isCancellation(error)) throw error;
      const failure = fromFailure(error);
      if (!broughtMissed && (await caughtUp(saga, id, failure))) {
        broughtMissed = true;
        continue;
      }
      if (isFork(failure)) {
        await ledger(
          'ledger',
          `record: ${id} holds another document`,
          saga.group(),
        ).recordPolicyFork({
          policyId: saga.policyId,
          version: saga.version,
          policyHash: saga.input.policyHash,
          party: id,
          reason: failure.message.slice(0, 500),
        });
        saga.mark(id, 'forked', failure);
        return;
      }
      // It was away for as long as one delivery waits in its queue: the next one waits there at once.
      const away = failure.code === 'PartyUnavailable';
      saga.mark(id, away ? 'waiting' : 'refused', failure);
      if (away && Date.now() - asked > REFUSED_CAP_MS) continue;
      broughtMissed = false;
      await sleep(backoffMs(wave, REFUSED_CAP_MS), {
        summary: `${id} refused (${failure.code}), asked again`,
      });
    }
  }
}

/** One document at one party, and its receipt to the ledger. Answers as `take` does. */
async function hand(saga: PolicyChange, id: PartyId, signed: SignedPolicy): Promise<number> {
  const { version } = signed.policy;
  const answer: unknown = await party('owed', id, `version ${version} to ${id}`, {
    group: saga.group(),
  }).receivePolicy({ signed });
  const { data } = SignedPolicyReceipt.safeParse(answer);
  if (data === undefined || data.receipt.party !== id || data.receipt.version !== version)
    throw new KeysagaError('CertificateInvalid', `${id} answered with something else.`, {
      party: id,
      field: 'receipt',
    });
  const progress = await ledger(
    'ledger',
    `receipt of ${id} for version ${version}`,
    saga.group(),
  ).recordPolicyReceipt({ signed: data });
  if (version !== saga.version) return 0;
  saga.handed.add(id);
  return saga.take(progress);
}

/** A party that missed versions is brought them first, in order. True: it has them now. */
async function caughtUp(saga: PolicyChange, id: PartyId, failure: KeysagaError): Promise<boolean> {
  const { field, holds } = failure.details;
  if (failure.code !== 'PolicyViolation' || field !== 'version' || typeof holds !== 'number')
    return false;
  if (holds >= saga.version - 1) return false;
  const { versions } = await ledger(
    'ledger',
    `versions that ${id} missed`,
    saga.group(),
  ).policyVersions({ policyId: saga.policyId, from: holds + 1, to: saga.version - 1 });
  if (versions.length === 0) return false;
  try {
    for (const missed of versions) await hand(saga, id, missed);
    return true;
  } catch (error) {
    rethrowDefect(error);
    if (isCancellation(error)) throw error;
    saga.mark(id, 'refused', fromFailure(error));
    return false;
  }
}

/** It holds another document of this version, or of the one before, so that this one does not follow. */
const isFork = ({ code, details }: KeysagaError): boolean =>
  code === 'PolicyViolation' && (details.field === 'document' || details.field === 'previous');
