/** What the coordinator's activities are given, and how each of them commits. */

import type { Chains } from '../../core/ports/blockchain.ts';
import type { Clock, FailPoints } from '../../core/ports/clock.ts';
import type { Transaction, UnitOfWork } from '../../core/ports/ledger.ts';
import type { PolicySource, PolicySubjects } from '../../core/ports/policy-source.ts';
import type { ProtocolRegistry } from '../../core/ports/protocol.ts';
import type { VerifySignature } from '../../core/signed.ts';
import { isKeysagaError } from '../../schema/contracts/errors.ts';
import type { SignedPolicy } from '../../schema/contracts/policy.ts';

export type CoordinatorDeps = {
  readonly uow: UnitOfWork;
  readonly chains: Chains;
  readonly protocols: ProtocolRegistry;
  readonly policies: PolicySource;
  readonly subjects: PolicySubjects;
  /** Checks a document and its administrators' signatures, answers with its hash; throws what is wrong with it. */
  readonly verifyPolicy: (signed: SignedPolicy) => string;
  readonly clock: Clock;
  readonly failPoints: FailPoints;
  /** Party id → its Ed25519 identity key, hex: pinned in the coordinator's own configuration. */
  readonly directory: ReadonlyMap<string, string>;
  /** A faster Ed25519 verifier with the same answers as the pure one, which is the default. */
  readonly verify?: VerifySignature;
};

/** Optimistic writers of one stream meet rarely; ten tries outlast any real contention. */
const TRIES = 10;

/**
 * Runs `work` in one transaction between the fail points `<activity>:before-commit` (everything written, nothing
 * committed) and `<activity>:after-commit` (committed, not yet answered). Another writer's first move
 * (`VersionConflict`) means looking again.
 */
export async function commit<T>(
  deps: Pick<CoordinatorDeps, 'uow' | 'failPoints'>,
  activity: string,
  work: (tx: Transaction) => Promise<T>,
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      const result = await deps.uow.transaction(async (tx) => {
        const answer = await work(tx);
        await deps.failPoints.at(`${activity}:before-commit`);
        return answer;
      });
      await deps.failPoints.at(`${activity}:after-commit`);
      return result;
    } catch (error) {
      if (attempt < TRIES && isKeysagaError(error, 'VersionConflict')) continue;
      throw error;
    }
  }
}

export const failPointsOf = (activities: readonly string[]): readonly string[] =>
  activities.flatMap((name) => [`${name}:before-commit`, `${name}:after-commit`]);
