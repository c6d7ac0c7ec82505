/**
 * JSON-RPC to an Ethereum node: reads that are repeated while nobody answers, a write that never is, answers checked.
 * The node's address may hold an access key, so no error repeats it. Nothing here subscribes: polling works everywhere.
 */
import { ExponentialBackoff, handleWhen, retry } from 'cockatiel';
import { getHttpRpcClient } from 'viem/utils';
import * as z from 'zod';
import { isKeysagaError, KeysagaError } from '../../schema/contracts/errors.ts';
import type { EthereumNetwork } from './networks.ts';

export type EthereumRpcOptions = {
  readonly network: EthereumNetwork;
  /** HTTP or HTTPS address. */
  readonly url: string;
  /** For one request, ms; default 10,000. Shorter gives up on busy providers, longer holds an activity. */
  readonly timeoutMs?: number;
  /** Repeats of a read after the first try; default 3. */
  readonly retries?: number;
};

/** A node's own answer: a result, or its refusal in its own words (one printable line). */
export type RpcAnswer =
  | { readonly ok: true; readonly result: unknown }
  | { readonly ok: false; readonly code: number; readonly reason: string };

/** Decimal block number, or what the node calls its newest block, or that with its mempool on top. */
export type BlockTag = bigint | 'latest' | 'pending';
export type Block = {
  readonly number: bigint;
  readonly hash: string;
  /** Wei per unit of gas that is burnt; undefined before EIP-1559. */
  readonly baseFee: bigint | undefined;
};
export type Log = { readonly address: string; readonly topics: readonly string[] };
export type Receipt = {
  readonly blockNumber: bigint;
  readonly blockHash: string;
  readonly succeeded: boolean;
  readonly logs: readonly Log[];
};
export type Call = {
  readonly from: string;
  readonly to: string;
  readonly value?: bigint;
  readonly data?: string;
};

const quantity = z
  .string()
  .regex(/^0x[0-9a-f]{1,64}$/i)
  .transform((hex) => BigInt(hex));
const Hash = z
  .string()
  .regex(/^0x[0-9a-f]{64}$/i)
  .transform((hash) => hash.toLowerCase());
const Data = z.string().regex(/^0x(?:[0-9a-f]{2})*$/i);
const BlockAnswer = z
  .object({ number: quantity, hash: Hash, baseFeePerGas: quantity.optional() })
  .nullable();
const Pending = z.object({ blockNumber: quantity.nullish() }).nullable();
const ReceiptAnswer = z
  .object({
    blockNumber: quantity,
    blockHash: Hash,
    status: quantity,
    logs: z.array(z.object({ address: Data, topics: z.array(Hash) })),
  })
  .nullable();
const BlockTransactions = z
  .object({ transactions: z.array(z.object({ hash: Hash, from: Data, nonce: quantity })) })
  .nullable();

export const hexQuantity = (value: bigint): string => `0x${value.toString(16)}`;
const tagOf = (tag: BlockTag): string => (typeof tag === 'bigint' ? hexQuantity(tag) : tag);

const line = (text: string): string =>
  text
    .replace(/[^\x20-\x7e]+/g, ' ')
    .trim()
    .slice(0, 300);

const unavailable = (method: string, reason: string, retryable = true): KeysagaError =>
  new KeysagaError(
    'ChainUnavailable',
    `the Ethereum node did not answer ${method}: ${reason}`,
    { method, reason },
    { retryable },
  );

/** Codes by which providers say "not now": limit exceeded (EIP-1474), and the rate limits of the large ones. */
const notNow = new Set([-32005, -32016, 429]);

export class EthereumRpc {
  readonly #network: EthereumNetwork;
  readonly #client: ReturnType<typeof getHttpRpcClient>;
  readonly #secrets: readonly string[];
  readonly #retries: number;
  #checked: Promise<void> | undefined;
  #ids = 0;

  /** @throws KeysagaError `InvalidInput` (`rpcUrl`). */
  constructor({ network, url, timeoutMs = 10_000, retries = 3 }: EthereumRpcOptions) {
    if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol)) {
      throw new KeysagaError('InvalidInput', 'the node address is not an http(s) URL', {
        field: 'rpcUrl',
      });
    }
    this.#network = network;
    this.#retries = retries;
    this.#client = getHttpRpcClient(url, {
      timeout: timeoutMs,
      fetchOptions: { redirect: 'error' },
    });
    const { host, pathname, search, username, password } = new URL(url);
    this.#secrets = [url, `${pathname}${search}`, host, username, password].filter(
      (secret) => secret.length > 1,
    );
  }

  block(tag: Exclude<BlockTag, 'pending'>): Promise<Block | undefined> {
    return this.#read('eth_getBlockByNumber', [tagOf(tag), false], BlockAnswer, (block) =>
      block === null
        ? undefined
        : { number: block.number, hash: block.hash, baseFee: block.baseFeePerGas },
    );
  }

  async latest(): Promise<Block> {
    const block = await this.block('latest');
    if (block === undefined) throw unavailable('eth_getBlockByNumber', 'it has no blocks');
    return block;
  }

  /** Transactions of the account that are in blocks up to the tag; its next nonce. */
  nonce(address: string, tag: BlockTag): Promise<bigint> {
    return this.#read('eth_getTransactionCount', [address, tagOf(tag)], quantity, (n) => n);
  }

  /** The same in the past; undefined where the node has forgotten that state. */
  async nonceThen(address: string, block: bigint): Promise<bigint | undefined> {
    const answer = await this.#ask('eth_getTransactionCount', [address, tagOf(block)]);
    const parsed = answer.ok ? quantity.safeParse(answer.result) : undefined;
    return parsed?.success ? parsed.data : undefined;
  }

  balance(address: string): Promise<bigint> {
    return this.#read('eth_getBalance', [address, 'latest'], quantity, (wei) => wei);
  }

  /** Has the account code? A transfer to it may run some. */
  hasCode(address: string): Promise<boolean> {
    return this.#read('eth_getCode', [address, 'latest'], Data, (code) => code !== '0x');
  }

  /** Gas that a call would need now, or the node's refusal (it would revert). */
  async estimateGas(
    call: Call,
  ): Promise<{ ok: true; gas: bigint } | { ok: false; reason: string }> {
    const answer = await this.#ask('eth_estimateGas', [callOf(call)]);
    if (!answer.ok) return { ok: false, reason: answer.reason };
    return { ok: true, gas: this.#parse('eth_estimateGas', quantity, answer.result) };
  }

  /** Result bytes of a read-only call as `0x…`, or the node's refusal. */
  async call(call: Call): Promise<{ ok: true; data: string } | { ok: false; reason: string }> {
    const answer = await this.#ask('eth_call', [callOf(call), 'latest']);
    if (!answer.ok) return { ok: false, reason: answer.reason };
    return { ok: true, data: this.#parse('eth_call', Data, answer.result) };
  }

  /** Wei per gas for those who propose blocks, as the node sees the market; undefined when it does not say. */
  async priorityFee(): Promise<bigint | undefined> {
    const answer = await this.#ask('eth_maxPriorityFeePerGas', []);
    return answer.ok ? this.#parse('eth_maxPriorityFeePerGas', quantity, answer.result) : undefined;
  }

  gasPrice(): Promise<bigint> {
    return this.#read('eth_gasPrice', [], quantity, (price) => price);
  }

  receipt(id: string): Promise<Receipt | undefined> {
    return this.#read('eth_getTransactionReceipt', [id], ReceiptAnswer, (receipt) =>
      receipt === null ? undefined : { ...receipt, succeeded: receipt.status === 1n },
    );
  }

  /** Does the node have it, in its mempool or in a block? */
  knows(id: string): Promise<boolean> {
    return this.#read('eth_getTransactionByHash', [id], Pending, (found) => found !== null);
  }

  /** Hash of the block's transaction that used this nonce of the account. */
  spenderIn(block: bigint, address: string, nonce: bigint): Promise<string | undefined> {
    return this.#read(
      'eth_getBlockByNumber',
      [tagOf(block), true],
      BlockTransactions,
      (found) =>
        found?.transactions.find(
          (one) => one.nonce === nonce && one.from.toLowerCase() === address.toLowerCase(),
        )?.hash,
    );
  }

  /** Sends once. @throws KeysagaError `ChainUnavailable` when no answer came: it may be out all the same; `ChainMismatch`. */
  async send(bytes: string): Promise<RpcAnswer> {
    await this.check();
    return this.#once('eth_sendRawTransaction', [`0x${bytes}`]);
  }

  /** Makes sure that the node serves this network; again after it was out of reach, as another may answer then. */
  check(): Promise<void> {
    this.#checked ??= this.#retry(() => this.#once('eth_chainId', [])).then((answer) => {
      const actual = answer.ok ? this.#parse('eth_chainId', quantity, answer.result) : undefined;
      if (actual === this.#network.chainId) return;
      if (actual === undefined) throw unavailable('eth_chainId', 'it does not say its chain id');
      throw new KeysagaError('ChainMismatch', `the node does not serve ${this.#network.id}`, {
        field: 'rpcUrl',
        expected: this.#network.id,
        actual: `eip155:${actual}`,
      });
    });
    this.#checked.catch(() => {
      this.#checked = undefined;
    });
    return this.#checked;
  }

  async #read<T, R>(
    method: string,
    params: readonly unknown[],
    schema: z.ZodType<T>,
    use: (value: T) => R,
  ): Promise<R> {
    const answer = await this.#ask(method, params);
    if (answer.ok) return use(this.#parse(method, schema, answer.result));
    throw unavailable(method, `it refuses: ${answer.reason} (${answer.code})`);
  }

  async #ask(method: string, params: readonly unknown[]): Promise<RpcAnswer> {
    await this.check();
    try {
      return await this.#retry(() => this.#once(method, params));
    } catch (error) {
      this.#checked = undefined;
      throw error;
    }
  }

  #retry<T>(work: () => Promise<T>): Promise<T> {
    return retry(
      handleWhen((error) => isKeysagaError(error, 'ChainUnavailable') && error.retryable),
      {
        maxAttempts: this.#retries,
        backoff: new ExponentialBackoff({ initialDelay: 100, maxDelay: 2000 }),
      },
    ).execute(work);
  }

  async #once(method: string, params: readonly unknown[]): Promise<RpcAnswer> {
    const id = ++this.#ids;
    let answer: { id?: unknown; result?: unknown; error?: { code?: unknown; message?: unknown } };
    try {
      answer = (await this.#client.request({ body: { id, method, params } })) as typeof answer;
    } catch (error) {
      throw this.#failure(method, error);
    }
    if (typeof answer !== 'object' || answer === null || answer.id !== id)
      throw unavailable(method, 'an answer that is not to this request');
    if (answer.error === undefined || answer.error === null)
      return { ok: true, result: answer.result ?? null };
    return this.#refusal(method, answer.error);
  }

  #refusal(method: string, { code, message }: { code?: unknown; message?: unknown }): RpcAnswer {
    const number = typeof code === 'number' ? code : 0;
    const reason = this.#clean(typeof message === 'string' ? message : 'an error without words');
    if (notNow.has(number)) throw unavailable(method, reason);
    return { ok: false, code: number, reason };
  }

  /** Without the original error as cause: it holds the node's address. */
  #failure(method: string, error: unknown): KeysagaError {
    const name = error instanceof Error ? error.name : '';
    const { status, code } = (error ?? {}) as { status?: unknown; code?: unknown };
    if (name === 'TimeoutError') return unavailable(method, 'it took too long');
    if (status === 401 || status === 403)
      return unavailable(method, `HTTP ${status}: it refuses the access key`, false);
    if (typeof status === 'number') return unavailable(method, `HTTP ${status}`);
    return unavailable(method, typeof code === 'string' ? code : 'the connection failed');
  }

  #clean(text: string): string {
    return this.#secrets.reduce((cleaned, secret) => cleaned.replaceAll(secret, '…'), line(text));
  }

  #parse<T>(method: string, schema: z.ZodType<T>, value: unknown): T {
    const result = schema.safeParse(value);
    if (result.success) return result.data;
    throw unavailable(method, 'an answer that makes no sense');
  }
}

const callOf = ({ from, to, value, data }: Call) => ({
  from,
  to,
  ...(value === undefined ? {} : { value: hexQuantity(value) }),
  ...(data === undefined ? {} : { data }),
});
