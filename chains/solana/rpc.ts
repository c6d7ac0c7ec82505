/**
 * A Solana node behind web3.js's `Connection`, as this project sees it: bytes, strings and bigints, `KeysagaError`s, reads
 * that are repeated while nobody answers, writes that never are. The node's address may hold an access key, so no error
 * repeats it. Nothing here subscribes: polling works the same on every provider.
 */
import { Connection, PublicKey, SolanaJSONRPCError } from '@solana/web3.js';
import { ExponentialBackoff, handleWhen, retry } from 'cockatiel';
import { isKeysagaError, KeysagaError } from '../../schema/contracts/errors.ts';
import { recentBlockhashesSysvar } from './instructions.ts';
import { type SolanaNetwork, servesNetwork } from './networks.ts';

export type SolanaRpcOptions = {
  readonly network: SolanaNetwork;
  /** HTTP or HTTPS address. */
  readonly url: string;
  /** For one request, ms; default 10,000. Shorter gives up on busy providers, longer holds an activity. */
  readonly timeoutMs?: number;
  /** Repeats of a read after the first try; default 3. */
  readonly retries?: number;
};

export type Commitment = 'processed' | 'confirmed' | 'finalized';
export type AccountReading = {
  readonly lamports: bigint;
  readonly owner: Uint8Array;
  readonly data: Uint8Array;
  readonly executable: boolean;
};
export type SignatureStatus = {
  readonly slot: number;
  readonly commitment: Commitment;
  /** The runtime's error as JSON; null when it succeeded. */
  readonly error: string | null;
};
/** A node's refusal to take a transaction: its own words, with control characters removed. */
export type SendAnswer = { readonly ok: true } | { readonly ok: false; readonly reason: string };

const unavailable = (method: string, reason: string, retryable = true) =>
  // Without the original error as cause: it may hold the node's address, also in nested causes.
  new KeysagaError(
    'ChainUnavailable',
    `the Solana node did not answer ${method}: ${reason}`,
    { method, reason },
    { retryable },
  );

const MINIMUM_KEPT_MS = 600_000;
const MOST_KEPT = 512;

/** One printable line. */
const line = (text: string): string =>
  text
    .replace(/[^\x20-\x7e]+/g, ' ')
    .trim()
    .slice(0, 300);

/** The JSON-RPC codes by which a node says that it cannot answer now: unhealthy, behind, or without that slot yet. */
const notNow = new Set([-32004, -32005, -32014, -32016]);

/**
 * The client library takes any answer for its own, so a proxy that mixes up two would have one transaction's status told for
 * another's: the ids are compared here. The answer's body is read under the same limit as its head.
 */
async function answered(url: string, init: RequestInit, timeoutMs: number): Promise<Response> {
  const response = await fetch(url, { ...init, signal: AbortSignal.timeout(timeoutMs) });
  const text = await response.text();
  if (response.ok && idOf(text) !== idOf(String(init.body)))
    throw new Error('an answer that is not to this request');
  const { status, statusText } = response;
  return new Response(status === 204 || status === 304 ? null : text, { status, statusText });
}

function idOf(text: string): unknown {
  try {
    return (JSON.parse(text) as { id?: unknown } | null)?.id;
  } catch {
    return undefined;
  }
}

/** Finalized blocks and transactions do not change any more. Keeps the newest few hundred answers of one node. */
class Immutable<K, V> {
  readonly #known = new Map<K, V>();
  async get(key: K, load: () => Promise<V | undefined>): Promise<V | undefined> {
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const loaded = await load();
    if (loaded === undefined) return undefined;
    if (this.#known.size >= MOST_KEPT) this.#known.clear();
    this.#known.set(key, loaded);
    return loaded;
  }
}

export class SolanaRpc {
  readonly network: SolanaNetwork;
  readonly #connection: Connection;
  readonly #url: string;
  readonly #retries: number;
  readonly #minimums = new Map<number, { readonly at: number; readonly lamports: bigint }>();
  readonly #fields = new Immutable<string, string>();
  readonly #blocks = new Immutable<number, readonly string[]>();
  #checked: Promise<void> | undefined;

  /** @throws KeysagaError `InvalidInput` (`rpcUrl`). */
  constructor({ network, url, timeoutMs = 10_000, retries = 3 }: SolanaRpcOptions) {
    if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol)) {
      throw new KeysagaError('InvalidInput', 'the node address is not an http(s) URL', {
        field: 'rpcUrl',
      });
    }
    this.network = network;
    this.#url = url;
    this.#retries = retries;
    this.#connection = new Connection(url, {
      commitment: 'confirmed',
      disableRetryOnRateLimit: true,
      fetch: (input, init) => answered(input as string, init as RequestInit, timeoutMs) as never,
    });
  }

  /** Makes sure, once, that the node serves this network. @throws KeysagaError `ChainMismatch`, `ChainUnavailable`. */
  check(): Promise<void> {
    this.#checked ??= this.#read('getGenesisHash', () => this.#connection.getGenesisHash()).then(
      (genesis) => {
        if (servesNetwork(this.network, genesis)) return;
        throw new KeysagaError('ChainMismatch', `the node does not serve ${this.network.id}`, {
          field: 'rpcUrl',
          expected: this.network.id,
          genesis: line(genesis),
        });
      },
    );
    // A failed check is tried again by the next call.
    this.#checked.catch(() => {
      this.#checked = undefined;
    });
    return this.#checked;
  }

  slot(commitment: Commitment = 'confirmed'): Promise<number> {
    return this.#checkedRead('getSlot', () => this.#connection.getSlot(commitment));
  }

  /** Lamports that an account of this size must hold to exist. The network hardly ever changes it: kept for ten minutes. */
  async minimumBalance(bytes: number): Promise<bigint> {
    const now = performance.now();
    const known = this.#minimums.get(bytes);
    if (known !== undefined && now - known.at < MINIMUM_KEPT_MS) return known.lamports;
    const lamports = await this.#checkedRead('getMinimumBalanceForRentExemption', async () =>
      BigInt(await this.#connection.getMinimumBalanceForRentExemption(bytes)),
    );
    // Sizes come from accounts that anyone may make.
    if (this.#minimums.size >= 64) this.#minimums.clear();
    this.#minimums.set(bytes, { at: now, lamports });
    return lamports;
  }

  /** Accounts in the order asked for, undefined where there is none, and the slot of the read. */
  accounts(
    keys: readonly Uint8Array[],
    commitment: Commitment,
  ): Promise<{ slot: number; accounts: readonly (AccountReading | undefined)[] }> {
    return this.#checkedRead('getMultipleAccounts', async () => {
      const slots: number[] = [];
      const accounts: (AccountReading | undefined)[] = [];
      // 100 accounts are a request's limit.
      for (let i = 0; i < keys.length; i += 100) {
        const page = keys.slice(i, i + 100).map((key) => new PublicKey(key));
        const { context, value } = await this.#connection.getMultipleAccountsInfoAndContext(page, {
          commitment,
        });
        slots.push(context.slot);
        for (const account of value) {
          accounts.push(
            account === null
              ? undefined
              : {
                  lamports: BigInt(account.lamports),
                  owner: account.owner.toBytes(),
                  data: Uint8Array.from(account.data),
                  executable: account.executable,
                },
          );
        }
      }
      return { slot: Math.min(...slots), accounts };
    });
  }

  async account(key: Uint8Array, commitment: Commitment): Promise<AccountReading | undefined> {
    return (await this.accounts([key], commitment)).accounts[0];
  }

  /** `slot`: how far the answering node is. */
  status(id: string): Promise<{ slot: number; status: SignatureStatus | undefined }> {
    return this.#checkedRead('getSignatureStatuses', async () => {
      const { context, value } = await this.#connection.getSignatureStatuses([id], {
        searchTransactionHistory: true,
      });
      const [found] = value;
      if (found === null || found === undefined) return { slot: context.slot, status: undefined };
      return {
        slot: context.slot,
        status: {
          slot: found.slot,
          // Nodes leave it out for transactions that are rooted since long.
          commitment:
            found.confirmationStatus ?? (found.confirmations === null ? 'finalized' : 'processed'),
          error: found.err === null ? null : line(JSON.stringify(found.err)),
        },
      };
    });
  }

  /** The newest transactions that name the account, newest first; empty where the node keeps no such index. */
  async signaturesFor(
    key: Uint8Array,
    limit: number,
  ): Promise<readonly { id: string; slot: number }[]> {
    const found = await this.#checkedRead('getSignaturesForAddress', () =>
      this.#ifAnswered(() =>
        this.#connection.getSignaturesForAddress(new PublicKey(key), { limit }, 'finalized'),
      ),
    );
    return (
      (found ?? [])
        // Not in any block: surfpool 1.5.0 lists what it dropped for a wrong blockhash, under an all-zero signature.
        .filter(({ err }) => err !== 'BlockhashNotFound')
        .map(({ signature, slot }) => ({ id: signature, slot }))
    );
  }

  /** The blockhash field (base58) of a transaction; undefined when the node does not have it. */
  blockhashOf(id: string): Promise<string | undefined> {
    return this.#fields.get(id, () => this.#blockhashOf(id));
  }

  async #blockhashOf(id: string): Promise<string | undefined> {
    const found = await this.#checkedRead('getTransaction', () =>
      this.#ifAnswered(() =>
        this.#connection.getTransaction(id, {
          commitment: 'finalized',
          maxSupportedTransactionVersion: 0,
        }),
      ),
    );
    return found?.transaction.message.recentBlockhash;
  }

  /** Blockhashes (base58) of a slot's block and of its parent; empty when the node does not have it. */
  async blockhashes(slot: number): Promise<readonly string[]> {
    return (await this.#blocks.get(slot, () => this.#blockhashes(slot))) ?? [];
  }

  async #blockhashes(slot: number): Promise<readonly string[] | undefined> {
    const block = await this.#checkedRead('getBlock', () =>
      this.#ifAnswered(() =>
        this.#connection.getBlock(slot, {
          commitment: 'finalized',
          maxSupportedTransactionVersion: 0,
          transactionDetails: 'none',
          rewards: false,
        }),
      ),
    );
    return block === null || block === undefined
      ? undefined
      : [block.previousBlockhash, block.blockhash];
  }

  /** The blockhashes that the runtime itself lists, newest first: up to the last 150. */
  async recentBlockhashes(): Promise<readonly Uint8Array[]> {
    const sysvar = await this.account(recentBlockhashesSysvar, 'confirmed');
    if (sysvar === undefined || sysvar.data.length < 8) return [];
    // u64 count, then 32 bytes of blockhash and u64 of fee for each.
    const count = Math.min(Number(new DataView(sysvar.data.buffer).getBigUint64(0, true)), 300);
    const hashes: Uint8Array[] = [];
    for (let at = 8; hashes.length < count && at + 40 <= sysvar.data.length; at += 40) {
      hashes.push(sysvar.data.slice(at, at + 32));
    }
    return hashes;
  }

  /** Base58, with the last block height at which it is taken. */
  latestBlockhash(): Promise<{ blockhash: string; lastValidBlockHeight: number }> {
    return this.#checkedRead('getLatestBlockhash', () =>
      this.#connection.getLatestBlockhash('confirmed'),
    );
  }

  /** What others paid lately for these accounts, in millionths of a lamport per compute unit; empty when unknown. */
  async priorityFees(keys: readonly Uint8Array[]): Promise<readonly bigint[]> {
    const fees = await this.#checkedRead('getRecentPrioritizationFees', () =>
      this.#ifAnswered(() =>
        this.#connection.getRecentPrioritizationFees({
          lockedWritableAccounts: keys.map((key) => new PublicKey(key)),
        }),
      ),
    );
    return (fees ?? []).map(({ prioritizationFee }) => BigInt(prioritizationFee));
  }

  /**
   * Sends once, after the node's own simulation. A refusal is the node's opinion, not the chain's verdict.
   * @throws KeysagaError `ChainUnavailable` when no answer came: the transaction may be out all the same.
   */
  async send(bytes: Uint8Array): Promise<SendAnswer> {
    await this.check();
    try {
      // maxRetries stays unset: the node then forwards it until it lands or its nonce is gone.
      await this.#connection.sendRawTransaction(bytes, {
        skipPreflight: false,
        preflightCommitment: 'confirmed',
      });
      return { ok: true };
    } catch (error) {
      const answer = refusal(error);
      if (answer !== undefined) return { ok: false, reason: this.#clean(answer) };
      throw unavailable('sendTransaction', this.#reason(error));
    }
  }

  async #checkedRead<T>(what: string, call: () => Promise<T>): Promise<T> {
    await this.check();
    return this.#read(what, call);
  }

  #read<T>(what: string, call: () => Promise<T>): Promise<T> {
    const policy = retry(
      handleWhen((error) => isKeysagaError(error, 'ChainUnavailable') && error.retryable),
      {
        maxAttempts: this.#retries,
        backoff: new ExponentialBackoff({ initialDelay: 100, maxDelay: 2000 }),
      },
    );
    return policy.execute(async () => {
      try {
        return await call();
      } catch (error) {
        if (isKeysagaError(error)) throw error;
        const denied = error instanceof Error && /^(401|403) /.test(error.message);
        throw unavailable(what, this.#reason(error), !denied);
      }
    });
  }

  /** Undefined when the node answered that it cannot tell (pruned, no such index), in contrast to no answer. */
  async #ifAnswered<T>(call: () => Promise<T>): Promise<T | undefined> {
    try {
      return await call();
    } catch (error) {
      if (error instanceof SolanaJSONRPCError && !notNow.has(Number(error.code))) return undefined;
      throw error;
    }
  }

  #clean(text: string): string {
    const { host, pathname, search } = new URL(this.#url);
    return [this.#url, `${pathname}${search}`, host]
      .filter((secret) => secret.length > 1)
      .reduce((cleaned, secret) => cleaned.replaceAll(secret, '…'), line(text));
  }

  #reason(error: unknown): string {
    if (error instanceof Error && error.name === 'TimeoutError') return 'it took too long';
    return this.#clean(error instanceof Error ? error.message : String(error));
  }
}

/** The node's answer in an error of `sendRawTransaction`, or undefined when the error is about the way to it. */
function refusal(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  // SendTransactionError wraps the node's own message with advice for people.
  const inner = (error as { transactionError?: { message?: unknown } }).transactionError?.message;
  if (typeof inner === 'string') return inner;
  return error instanceof SolanaJSONRPCError ? error.message : undefined;
}
