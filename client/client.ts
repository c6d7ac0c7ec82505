/** The SDK: starting sagas, deciding about them, following them. Everything that is shown was checked here first. */
import { Client, Connection, type WorkflowHandle } from '@temporalio/client';
import { parseSignedApproval } from '../core/approvals.ts';
import { intentDigest, parseIntent } from '../core/intent.ts';
import { parseWith } from '../core/parse.ts';
import { digestHex } from '../core/signed.ts';
import type { AccountsQuery } from '../schema/contracts/account.ts';
import type { SignedApproval } from '../schema/contracts/approval.ts';
import { isKeysagaError, KeysagaError } from '../schema/contracts/errors.ts';
import type { AnchorRequest, LeasedAnchor, TransferIntent } from '../schema/contracts/intent.ts';
import { GenerateKeyRequest } from '../schema/contracts/key.ts';
import type { PartyId } from '../schema/contracts/primitives.ts';
import {
  type ApprovalReceipt,
  type CancelReceipt,
  type GenerateKeyInput,
  KeygenStatus,
  type SagaLimits,
  type TransferInput,
  TransferResult,
  TransferStatus,
} from '../schema/contracts/saga.ts';
import { detailsOf, detailsOfKey, summaryOf, summaryOfKey } from '../schema/contracts/summaries.ts';
import { WORKFLOWS, workflowId } from '../schema/contracts/temporal.ts';
import { createDataConverter } from '../wire/data-converter.ts';
import { type AccountBalance, readBalances } from './accounts.ts';
import { type AddressCodecs, addressCodecs } from './addresses.ts';
import { giveAnchorBack, leaseAnchor } from './anchors.ts';
import { askStatus } from './ask.ts';
import { cancelSaga, decide, signalDecision } from './deciding.ts';
import { clientError } from './errors.ts';
import {
  type KeySummary,
  listKeys,
  listTransfers,
  type TransferFilter,
  type TransferSummary,
} from './lists.ts';
import type { ClientOptions } from './options.ts';
import { type PartyState, partyState } from './parties.ts';
import { PayoutClient } from './payout-client.ts';
import { asRequestId } from './request-id.ts';
import { CHAIN, PHASE, WALLET } from './search-attributes.ts';
import { pollersOf, serverInfo } from './server.ts';
import { type Started, startOnce } from './start.ts';
import { type CertifiedWallet, requireAsRequested, verifyWallet, type Wallet } from './wallet.ts';
import { type WatchOptions, watchSaga } from './watch.ts';

export type StartOptions = { readonly limits?: SagaLimits };

// A newer coordinator may say more than this client knows.
const LenientTransferStatus = TransferStatus.strip();
const LenientKeygenStatus = KeygenStatus.strip();

export class KeysagaClient extends PayoutClient {
  readonly #client: Client;
  readonly #identityKeys: ReadonlyMap<PartyId, string>;
  readonly #verify: (walletId: string, outcome: unknown) => Wallet;
  readonly #codecs: AddressCodecs;
  readonly #timeoutMs: number;

  /** Use `createClient`. */
  constructor(client: Client, options: ClientOptions) {
    const timeoutMs = options.timeoutMs ?? 15_000;
    const identityKeys = new Map(options.directory.map((one) => [one.party, one.publicKey]));
    super(client, { identityKeys, administrators: options.administrators }, timeoutMs);
    this.#client = client;
    this.#identityKeys = identityKeys;
    this.#codecs = options.codecs ?? addressCodecs;
    this.#verify = (walletId, outcome) =>
      verifyWallet(walletId, outcome, this.#codecs, identityKeys, options);
    this.#timeoutMs = timeoutMs;
  }

  /** Ends the connection. */
  close(): Promise<void> {
    return this.#client.connection.close();
  }

  #call<T>(subject: string, work: () => Promise<T>): Promise<T> {
    return this.#client.withDeadline(Date.now() + this.#timeoutMs, work).catch((error) => {
      throw clientError(error, subject);
    });
  }
  #transfer(requestId: string): WorkflowHandle {
    return this.#client.workflow.getHandle(workflowId.transfer(asRequestId(requestId)));
  }
  #keygen(requestId: string): WorkflowHandle {
    return this.#client.workflow.getHandle(workflowId.keygen(asRequestId(requestId)));
  }

  /**
   * Starts a key generation, or finds the one that this very request started. Throws `InvalidInput`, `RequestConflict`
   * (the id was used with another body), `PartFailed`.
   */
  async generateKey(request: GenerateKeyRequest, options: StartOptions = {}): Promise<Started> {
    const body = parseWith(GenerateKeyRequest, request, 'request');
    for (const party of body.parties)
      if (!this.#identityKeys.has(party))
        throw new KeysagaError('InvalidInput', `No key is pinned for party ${party}.`, {
          field: 'parties',
          party,
        });
    const input: GenerateKeyInput = { request: body, ...options };
    return this.#call(`wallet ${body.requestId}`, () =>
      startOnce(this.#client, {
        workflowType: WORKFLOWS.generateKey,
        workflowId: workflowId.keygen(body.requestId),
        input,
        digest: digestHex('request', body),
        memo: { request: body },
        staticSummary: summaryOfKey(body),
        staticDetails: detailsOfKey(body),
        searchAttributes: [
          { key: WALLET, value: body.requestId },
          { key: CHAIN, value: body.network },
          { key: PHASE, value: 'Reserving' },
        ],
      }),
    );
  }

  /**
   * Starts a transfer, or finds the one that this very intent started. The digest is computed here. Throws
   * `InvalidInput`, `RequestConflict`, `PartFailed`.
   */
  async transfer(intent: TransferIntent, options: StartOptions = {}): Promise<Started> {
    const body = parseIntent(intent);
    const digest = intentDigest(body);
    const input: TransferInput = { intent: body, intentDigest: digest, ...options };
    return this.#call(`transfer ${body.requestId}`, () =>
      startOnce(this.#client, {
        workflowType: WORKFLOWS.transfer,
        workflowId: workflowId.transfer(body.requestId),
        input,
        digest,
        memo: { intent: body },
        staticSummary: summaryOf(body),
        staticDetails: detailsOf(body, digest),
        searchAttributes: [
          { key: WALLET, value: body.walletId },
          { key: CHAIN, value: body.chain },
          { key: PHASE, value: 'Initiated' },
        ],
      }),
    );
  }

  /**
   * Leases what the transfer of this request id may name as its anchor, or finds what was leased for it; `anchoredOn` puts
   * it into the intent. Throws `InsufficientFunds`, `LeaseUnavailable`, `WalletNotActive`, `RequestConflict` (`requestId`),
   * `StateConflict` (`anchor`: it went back at its time), `IntentExpired`.
   */
  anchor(request: AnchorRequest): Promise<LeasedAnchor> {
    return leaseAnchor(this.#client, request, this.#timeoutMs);
  }
  /** Before its time, when no transfer will begin after all; one that has begun keeps it (`too-late`). */
  giveAnchorBack(requestId: string): Promise<CancelReceipt> {
    const id = asRequestId(requestId);
    return this.#call(`anchor of ${id}`, () => giveAnchorBack(this.#client, id));
  }

  /**
   * Hands in an approval and waits for the count. Throws why it does not count (`ApprovalInvalid`, `ApproverUnknown`,
   * `ApprovalDuplicate`, `ApprovalExpired`, `StateConflict`, `PivotPassed`). Repeating the same one is harmless.
   */
  approve(requestId: string, signed: SignedApproval): Promise<ApprovalReceipt> {
    return this.#decide(requestId, signed, 'approve');
  }
  /** Hands in a rejection, which ends the transfer unless a signature may be out. Throws as `approve`. */
  reject(requestId: string, signed: SignedApproval): Promise<ApprovalReceipt> {
    return this.#decide(requestId, signed, 'reject');
  }
  async #decide(
    requestId: string,
    signed: SignedApproval,
    decision: 'approve' | 'reject',
  ): Promise<ApprovalReceipt> {
    const body = this.#checkedDecision(signed, decision);
    return this.#call(`transfer ${requestId}`, () => decide(this.#transfer(requestId), body));
  }
  /**
   * The same as a Temporal signal: it is taken even while every coordinator is down, and whether it counts shows in the
   * status (`approvals`, `refusedMessages`).
   */
  async signalDecision(requestId: string, signed: SignedApproval): Promise<void> {
    const { decision } = signed.approval;
    const body = this.#checkedDecision(signed, decision);
    await this.#call(`transfer ${requestId}`, () =>
      signalDecision(this.#transfer(requestId), body),
    );
  }
  #checkedDecision(signed: SignedApproval, decision: 'approve' | 'reject'): SignedApproval {
    const body = parseSignedApproval(signed);
    if (body.approval.decision !== decision)
      throw new KeysagaError('InvalidInput', `This is no ${decision}.`, { field: 'decision' });
    return body;
  }

  /**
   * Asks for a transfer's end. Before the pivot its steps are undone; after it a void transaction is made and waited
   * for (`path: 'void'`), and the payment may still win; `too-late` when it has ended.
   */
  async cancel(requestId: string): Promise<CancelReceipt> {
    return this.#call(`transfer ${requestId}`, () =>
      cancelSaga(this.#transfer(requestId), 'The transfer'),
    );
  }

  /**
   * Where a transfer stands. The digest is computed here from the intent in the answer: an answer whose digest is
   * another one is refused (`ApprovalInvalid`, field `intentDigest`). Throws `NotFound`, `PartFailed`.
   */
  async status(requestId: string): Promise<TransferStatus> {
    const answer = await this.#call(`transfer ${requestId}`, () =>
      askStatus(this.#transfer(requestId)),
    );
    const status = parseWith(LenientTransferStatus, answer, 'status');
    if (
      status.intent.requestId !== requestId ||
      intentDigest(status.intent) !== status.intentDigest
    )
      throw new KeysagaError('ApprovalInvalid', 'The shown intent is not the one to be signed.', {
        field: 'intentDigest',
      });
    return status;
  }
  /** Each change of a transfer until it ends. Break off at any time. */
  watch(requestId: string, options: WatchOptions = {}): AsyncGenerator<TransferStatus, void, void> {
    return watchSaga<TransferStatus>(
      {
        look: () => this.status(requestId),
        ended: ({ phase }) => phase === 'Completed' || phase === 'Failed',
        closed: () => this.#closed(this.#transfer(requestId), `transfer ${requestId}`),
        subject: `Transfer ${requestId}`,
      },
      options,
    );
  }
  /** Waits for the end. Throws what the transfer failed with. */
  async result(requestId: string): Promise<TransferResult> {
    const answer: unknown = await this.#transfer(requestId)
      .result()
      .catch((error: unknown) => {
        throw clientError(error, `transfer ${requestId}`);
      });
    return parseWith(TransferResult, answer, 'result');
  }

  /** Where a key generation stands. Without an address, which only `wallet` gives out. Throws `NotFound`, `PartFailed`. */
  async keygenStatus(requestId: string): Promise<KeygenStatus> {
    const answer = await this.#call(`wallet ${requestId}`, () =>
      askStatus(this.#keygen(requestId)),
    );
    // The saga's own word about an address is nobody's certificate: see `wallet`.
    const { address: _, ...status } = parseWith(LenientKeygenStatus, answer, 'status');
    return status;
  }
  watchKeygen(
    requestId: string,
    options: WatchOptions = {},
  ): AsyncGenerator<KeygenStatus, void, void> {
    return watchSaga<KeygenStatus>(
      {
        look: () => this.keygenStatus(requestId),
        ended: ({ phase }) => phase === 'Active' || phase === 'Failed',
        closed: () => this.#closed(this.#keygen(requestId), `wallet ${requestId}`),
        subject: `Key generation ${requestId}`,
      },
      options,
    );
  }
  async #closed(handle: WorkflowHandle, subject: string): Promise<boolean> {
    const { status } = await this.#call(subject, () => handle.describe());
    return status.name !== 'RUNNING';
  }

  /**
   * A wallet with its address, which is given out only after the n certificates were verified against the pinned keys
   * and the address was derived from the public key. Waits while the key is being generated if `wait` is set; `as`: it
   * must be the key that was asked for. Throws `WalletUnknown`, `WalletNotActive` (still generating), what a failed generation failed with, `CertificateInvalid`.
   */
  async wallet(
    walletId: string,
    options: { readonly wait?: boolean; readonly as?: GenerateKeyRequest } = {},
  ): Promise<Wallet> {
    const handle = this.#keygen(walletId);
    if (options.wait !== true) {
      const running = await this.#closed(handle, `wallet ${walletId}`).then(
        (closed) => !closed,
        unknown,
      );
      if (running)
        throw new KeysagaError('WalletNotActive', `The key of ${walletId} is being generated.`, {
          walletId,
        });
    }
    const outcome: unknown = await handle.result().catch((error: unknown) => {
      return unknown(clientError(error, `wallet ${walletId}`));
    });
    const wallet = this.#verify(walletId, outcome);
    if (options.as !== undefined) requireAsRequested(wallet, options.as);
    return wallet;

    function unknown(error: unknown): never {
      if (isKeysagaError(error, 'NotFound'))
        throw new KeysagaError('WalletUnknown', `No wallet ${walletId}.`, { walletId });
      throw error;
    }
  }

  /**
   * What lies at accounts of a wallet (`m` its own, `m/0/7` a deposit address), by the coordinator's word; the addresses are
   * derived here and compared. Deposit addresses on Bitcoin are followed from the first question on; `history`: see
   * `AccountsQuery`. Throws `InvalidInput` (`paths`), `WalletUnknown`, `ChainUnavailable` (also while old blocks are being
   * read), `CertificateInvalid` (`address`), `PartFailed`.
   */
  balances(
    wallet: Pick<CertifiedWallet, 'walletId' | 'address' | 'key'>,
    paths: readonly string[],
    options: Pick<AccountsQuery, 'asset' | 'history'> = {},
  ): Promise<AccountBalance[]> {
    return readBalances(this.#client, wallet, paths, options, this.#timeoutMs, this.#codecs);
  }

  /** Key generations, newest first; from Temporal's visibility store, which follows within about a second. */
  keys(limit = 50): Promise<KeySummary[]> {
    return this.#call('the list', () => listKeys(this.#client, limit));
  }
  /** Transfers, newest first. Works while every coordinator is down. */
  transfers(filter: TransferFilter = {}): Promise<TransferSummary[]> {
    return this.#call('the list', () => listTransfers(this.#client, filter));
  }

  /** Every pinned party, asked directly. `limitMs`: how long one may take; default 3,000. */
  parties(limitMs = 3_000): Promise<PartyState[]> {
    return Promise.all(
      [...this.#identityKeys].map(([party, key]) => partyState(this.#client, party, key, limitMs)),
    );
  }
  /** Temporal's version and whether the namespace is there. Throws `PartFailed`, `NotFound`. */
  async temporal(): Promise<{ readonly version: string; readonly namespace: string }> {
    return this.#call(`namespace ${this.#client.options.namespace}`, () =>
      serverInfo(this.#client),
    );
  }
  /** Workers that poll a task queue now or did in the last minutes: identity and milliseconds since. */
  async pollers(
    queue: string,
    kind: 'workflow' | 'activity',
  ): Promise<{ identity: string; agoMs: number }[]> {
    return this.#call(`queue ${queue}`, () => pollersOf(this.#client, queue, kind));
  }
}

/** Connects. Throws `PartFailed` when Temporal does not answer, `InvalidInput` for unusable keys. */
export async function createClient(options: ClientOptions): Promise<KeysagaClient> {
  const { namespace, ...connection } = options.temporal;
  const dataConverter = createDataConverter({
    keys: options.payloadKeys,
    ...(options.externalStorage === undefined ? {} : { externalStorage: options.externalStorage }),
  });
  const made = await Connection.connect({
    connectTimeout: options.timeoutMs ?? 15_000,
    ...connection,
  }).catch((cause: unknown) => {
    // The SDK throws a plain error when the deadline passes; its text names hosts only, but says no more than this.
    throw new KeysagaError(
      'PartFailed',
      `Temporal does not answer at ${connection.address}.`,
      { part: 'temporal' },
      { cause },
    );
  });
  return new KeysagaClient(new Client({ connection: made, namespace, dataConverter }), options);
}
