/** The SDK's part about policies: reading, changing, following a change. */
import type { Client } from '@temporalio/client';
import type { SignedPolicy } from '../schema/contracts/policy.ts';
import type { PolicyChangeStatus, PolicyQuery } from '../schema/contracts/policy-change.ts';
import { clientError } from './errors.ts';
import { partyState } from './parties.ts';
import {
  type Pins,
  type PolicyInfo,
  type PolicyStatus,
  policyChangeStatus,
  policyHandle,
  policyStatus,
  readPolicy,
  startPolicyChange,
} from './policies.ts';
import type { Started } from './start.ts';
import { type WatchOptions, watchSaga } from './watch.ts';

/** How long a party may take to say what it holds, in milliseconds. */
const ASK_MS = 3_000;

export class PolicyClient {
  readonly #client: Client;
  readonly #pins: Pins;
  readonly #limitMs: number;

  constructor(client: Client, pins: Pins, limitMs: number) {
    this.#client = client;
    this.#pins = pins;
    this.#limitMs = limitMs;
  }
  #limited<T>(subject: string, work: () => Promise<T>): Promise<T> {
    return this.#client.withDeadline(Date.now() + this.#limitMs, work).catch((error) => {
      throw clientError(error, subject);
    });
  }

  /**
   * The policy of a wallet, or one by its id: the version in force and those on their way, checked against the pinned
   * administrators and party keys. Throws `PolicyUnknown`, `WalletUnknown`, `PartFailed`.
   */
  async policy(of: PolicyQuery): Promise<PolicyInfo> {
    return readPolicy(this.#client, of, this.#pins, this.#limitMs);
  }
  /** The same, with what each party holds and how far a change is. */
  async policyStatus(of: PolicyQuery): Promise<PolicyStatus> {
    const [info, parties] = await Promise.all([
      this.policy(of),
      Promise.all(
        [...this.#pins.identityKeys].map(([party, key]) =>
          partyState(this.#client, party, key, ASK_MS),
        ),
      ),
    ]);
    return policyStatus(this.#client, info, parties);
  }
  /**
   * Starts the saga that brings a signed policy to every party, or finds the one that this document started; one that
   * failed may be started again. Throws `InvalidInput`, `ApprovalInvalid`, `QuorumMissing`, `RequestConflict` (another
   * document of this version is on its way). `redeliver`: to every party once more, also to those whose receipt stands,
   * for one that was restored from a copy.
   */
  async changePolicy(
    signed: SignedPolicy,
    options: { readonly redeliver?: boolean } = {},
  ): Promise<Started> {
    return this.#limited(`policy ${signed.policy.policyId}`, () =>
      startPolicyChange(this.#client, signed, this.#pins, options.redeliver),
    );
  }
  /** Each step of a policy change until every party has it, or it failed. Break off at any time: the saga goes on. */
  watchPolicyChange(
    policyId: string,
    version: number,
    options: WatchOptions = {},
  ): AsyncGenerator<PolicyChangeStatus, void, void> {
    const handle = policyHandle(this.#client, policyId, version);
    const subject = `policy ${policyId} version ${version}`;
    return watchSaga<PolicyChangeStatus>(
      {
        look: () => this.#limited(subject, () => policyChangeStatus(handle)),
        ended: ({ phase }) => phase === 'Complete' || phase === 'Failed',
        closed: async () => {
          const { status } = await this.#limited(subject, () => handle.describe());
          return status.name !== 'RUNNING';
        },
        subject,
      },
      options,
    );
  }
}
