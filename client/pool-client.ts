/** The SDK's part about presignature pools: having one filled, reading what it holds, ending it. See docs/pools.md. */
import type { Client, WorkflowHandle } from '@temporalio/client';
import { parseWith } from '../core/parse.ts';
import { KeysagaError } from '../schema/contracts/errors.ts';
import {
  DEFAULT_MARKS,
  PoolInput,
  type PoolMarks,
  PoolName,
  PoolQuery,
  PoolStatus,
  type PoolStock,
  PoolView,
} from '../schema/contracts/pool.ts';
import type { PartyId } from '../schema/contracts/primitives.ts';
import { detailsOfPool, summaryOfPool } from '../schema/contracts/summaries.ts';
import { MESSAGES, TASK_QUEUES, WORKFLOWS, workflowId } from '../schema/contracts/temporal.ts';
import { askCoordinator, askStatus } from './ask.ts';
import { clientError } from './errors.ts';
import type { Pins } from './policies.ts';
import { PolicyClient } from './policy-client.ts';
import { PHASE, WALLET } from './search-attributes.ts';
import type { CertifiedWallet } from './wallet.ts';

// A newer coordinator may say more than this client knows.
const LenientPoolStatus = PoolStatus.strip();

export class PoolClient extends PolicyClient {
  readonly #client: Client;
  readonly #limitMs: number;

  constructor(client: Client, pins: Pins, limitMs: number) {
    super(client, pins, limitMs);
    this.#client = client;
    this.#limitMs = limitMs;
  }
  #bounded<T>(subject: string, work: () => Promise<T>): Promise<T> {
    return this.#client.withDeadline(Date.now() + this.#limitMs, work).catch((error) => {
      throw clientError(error, subject);
    });
  }
  #pool(walletId: string, signers: readonly string[]): WorkflowHandle {
    const name = parseWith(PoolName, { walletId, signers }, 'pool');
    return this.#client.workflow.getHandle(workflowId.pool(name.walletId, name.signers));
  }

  /**
   * Keeps a pool of presignatures for these signers between its marks, from now on; one that runs takes the new marks.
   * `signers`: exactly the threshold of the wallet's parties; default: the first of them. Throws `InvalidInput` (`signers`,
   * `marks.…`).
   */
  async fillPool(
    { key }: Pick<CertifiedWallet, 'key'>,
    options: { readonly signers?: readonly string[]; readonly marks?: Partial<PoolMarks> } = {},
  ): Promise<{ readonly workflowId: string; readonly signers: readonly PartyId[] }> {
    const wanted = options.signers ?? key.parties.slice(0, key.threshold);
    const signers = key.parties.filter((party) => wanted.includes(party));
    if (signers.length !== key.threshold || new Set(wanted).size !== signers.length)
      throw new KeysagaError(
        'InvalidInput',
        `signers: exactly ${key.threshold} of ${key.parties.join(', ')}.`,
        { field: 'signers' },
      );
    const input = parseWith(
      PoolInput,
      { walletId: key.walletId, signers, marks: { ...DEFAULT_MARKS, ...options.marks } },
      'pool',
    );
    const id = workflowId.pool(key.keyId, signers);
    await this.#bounded(id, () =>
      this.#client.workflow.signalWithStart(WORKFLOWS.presignaturePool, {
        taskQueue: TASK_QUEUES.sagas,
        workflowId: id,
        args: [input],
        signal: MESSAGES.fillPool,
        signalArgs: [input.marks],
        staticSummary: summaryOfPool(input),
        staticDetails: detailsOfPool(input),
        typedSearchAttributes: [
          { key: WALLET, value: key.walletId },
          { key: PHASE, value: 'Starting' },
        ],
      }),
    );
    return { workflowId: id, signers };
  }

  /** What the ledger counts, of one wallet or of all. Throws `PartFailed` (no coordinator). */
  async pools(walletId?: string): Promise<readonly PoolStock[]> {
    const query = parseWith(PoolQuery, walletId === undefined ? {} : { keyId: walletId }, 'pools');
    const answer = await askCoordinator(this.#client, 'readPools', {
      taskQueue: TASK_QUEUES.ledger,
      query,
      limitMs: this.#limitMs,
      subject: 'the pools',
    });
    return parseWith(PoolView, answer, 'pools').pools;
  }

  /** Of the workflow that fills it, running or ended. Throws `NotFound`. */
  poolStatus(walletId: string, signers: readonly string[]): Promise<PoolStatus> {
    const handle = this.#pool(walletId, signers);
    return this.#bounded(`pool of ${walletId}`, async () =>
      parseWith(LenientPoolStatus, await askStatus(handle), 'status'),
    );
  }

  /**
   * Ends a pool: nothing of it is lent any more. What the parties hold of it they erase at its end of life. Answers with how
   * many were in stock. Throws `NotFound`.
   */
  dropPool(walletId: string, signers: readonly string[], reason: string): Promise<number> {
    const handle = this.#pool(walletId, signers);
    return this.#bounded(`pool of ${walletId}`, async () => {
      await handle.signal(MESSAGES.dropPool, reason);
      const { dropped } = (await handle.result()) as { readonly dropped: number };
      return dropped;
    });
  }
}
