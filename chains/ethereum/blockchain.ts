/** `Blockchain` of one Ethereum network: transfers of ether and ERC-20 tokens, one nonce each. See README.md. */
import { setTimeout as sleep } from 'node:timers/promises';
import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js';
import type { Blockchain, BuildResult, Leaser } from '../../core/ports/blockchain.ts';
import type { Clock } from '../../core/ports/clock.ts';
import { type EthereumNonces, nonceOfResource } from '../../core/ports/ethereum-nonces.ts';
import { type PaymentIntent, requireTransfer } from '../../core/ports/payment.ts';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import type { TransferIntent } from '../../schema/contracts/intent.ts';
import type { KeyDescriptor } from '../../schema/contracts/key.ts';
import type { UnsignedTransaction } from '../../schema/contracts/transaction.ts';
import { agreedStatus, supported } from '../agreement.ts';
import type { ProviderOptions } from '../providers.ts';
import { addressBytes, checksummed } from './address.ts';
import { outcomeOf } from './broadcast.ts';
import { createEthereumCodec, type EthereumCodec, readUnsigned } from './codec.ts';
import { encodeTransfer, tokenOf } from './erc20.ts';
import { paymentFees, replacementFees } from './fees.ts';
import { leaseNonce, leaseOf } from './lease.ts';
import { lookUp } from './lookup.ts';
import { ethereumNetwork } from './networks.ts';
import { createPool } from './providers.ts';
import type { EthereumRpc } from './rpc.ts';
import { type Fees, feeOf, serialize, type Transaction } from './transaction.ts';

export type Logger = {
  warn(details: Readonly<Record<string, unknown>>, message: string): void;
};

export type EthereumOptions = ProviderOptions & {
  /** CAIP-2 id; checked against the node's chain id. */
  readonly network: string;
  /** The record of accounts in the coordinator's database (`createEthereumNonces` of `storage`). */
  readonly nonces: EthereumNonces;
  /** Blocks, its own among them, after which a transaction is final; default by network (64 public, 2 local). */
  readonly finality?: number;
  /** Builds EIP-155 transactions with one gas price instead of EIP-1559 ones; default: where blocks have no base fee. */
  readonly legacy?: boolean;
  /**
   * Which wallets are serial: their transfers may be anchored to a nonce before they are approved, at the price that
   * everything after waits for those approvals. Default: none.
   */
  readonly serial?: (walletId: string) => boolean;
  /** Time for one request to the node, ms; default 10,000. */
  readonly requestTimeoutMs?: number;
  readonly clock: Clock;
  readonly logger?: Logger;
};

export type EthereumBlockchain = Blockchain & {
  readonly codec: EthereumCodec;
  /**
   * The payment of `released` once more, with at least 10 % more on both fee fields than each of them, the fee at most
   * `feeCap`. Throws `FeeAboveCap`, `ConflictRule`.
   */
  buildReplacement(
    key: KeyDescriptor,
    released: readonly UnsignedTransaction[],
    feeCap: bigint,
  ): Promise<BuildResult>;
  /** Reads the counts of every account anew. @throws KeysagaError `ChainUnavailable`. */
  syncNonces(): Promise<void>;
  /** Does so every `pollMs` (default 2,000) until `stop`. Several coordinators may do so at once. */
  start(options?: { pollMs?: number }): void;
  /** Resolves once the pass under way has ended. */
  stop(): Promise<void>;
};

/** Gas of a transfer between accounts without code. */
const PLAIN_GAS = 21_000n;
/** A token may need more gas when the transaction is mined than now; what is not used is not paid. */
const withMargin = (gas: bigint): bigint => (gas * 5n + 3n) / 4n;

const larger = (a: bigint, b: bigint): bigint => (a > b ? a : b);

const invalid = (field: string, message: string): KeysagaError =>
  new KeysagaError('InvalidInput', message, { field });

/** @throws KeysagaError `ChainUnsupported`, `InvalidInput` (`rpcUrl`, `finality`). No I/O. */
export function createEthereum(options: EthereumOptions): EthereumBlockchain {
  const network = ethereumNetwork(options.network);
  const { clock, nonces, logger = { warn: () => {} } } = options;
  const finality = options.finality ?? network.finality;
  if (!Number.isSafeInteger(finality) || finality < 1)
    throw invalid('finality', 'finality must be a positive integer');
  const codec = createEthereumCodec(network.id);
  const pool = createPool({ ...options, network, finality, logger });
  const { providers, amount, countsOf, marketOf, tokenBalance } = pool;

  function walletOf(key: KeyDescriptor): { address: string; publicKey: Uint8Array } {
    if (key.network !== network.id) {
      throw new KeysagaError('ChainMismatch', 'the key belongs to another network', {
        field: 'network',
        expected: network.id,
      });
    }
    const publicKey = hexToBytes(key.publicKey);
    const address = codec.address(publicKey);
    if (address !== key.address) throw invalid('address', "the address is not the key's");
    return { address, publicKey };
  }

  /** What is called, with how much gas. Checked before a nonce is lent. */
  async function callOf(
    intent: TransferIntent,
    from: string,
  ): Promise<Pick<Transaction, 'to' | 'value' | 'data' | 'gasLimit'>> {
    const token = tokenOf(network, intent.asset);
    codec.checkAddress(intent.destination);
    const destination = addressBytes(intent.destination, 'destination');
    const wanted = BigInt(intent.amount);
    if (intent.destination === from) throw invalid('destination', 'the wallet would pay itself');
    if (token === undefined) {
      const data = new Uint8Array();
      if (!(await providers.first((rpc) => rpc.hasCode(intent.destination))))
        return { to: destination, value: wanted, data, gasLimit: PLAIN_GAS };
      const call = { from, to: intent.destination, value: wanted };
      const gas = await gasOf(call, 'destination', 'the destination refuses the payment');
      return { to: destination, value: wanted, data, gasLimit: gas };
    }
    const to = checksummed(token);
    if (intent.destination === to)
      throw invalid('destination', "tokens to the token's own contract are lost");
    const balance = await tokenBalance(token, from);
    if (balance < wanted) throw insufficient(balance, wanted, intent.asset);
    const data = encodeTransfer(destination, wanted);
    const call = { from, to, data: `0x${bytesToHex(data)}` };
    const gas = await gasOf(call, 'destination', 'the token refuses the transfer');
    return { to: token, value: 0n, data, gasLimit: gas };
  }

  async function gasOf(
    call: Parameters<EthereumRpc['estimateGas']>[0],
    field: string,
    message: string,
  ): Promise<bigint> {
    const estimate = await providers.first((rpc) => rpc.estimateGas(call));
    if (estimate.ok) return withMargin(estimate.gas);
    // The estimate also fails for want of ether, which is another matter than a refusal.
    if (/insufficient funds|out of gas|gas required exceeds/i.test(estimate.reason))
      throw new KeysagaError('InsufficientFunds', 'the wallet cannot pay amount and fee', {
        field: 'amount',
        reason: estimate.reason,
      });
    throw invalid(field, `${message}: ${estimate.reason}`);
  }

  const insufficient = (available: bigint, needed: bigint, asset: string): KeysagaError =>
    new KeysagaError('InsufficientFunds', 'the wallet cannot pay amount and fee', {
      field: 'amount',
      asset,
      available: available.toString(),
      needed: needed.toString(),
    });

  const result = (address: string, transaction: Transaction): BuildResult => ({
    unsigned: {
      network: network.id,
      format: 'ethereum-rlp',
      bytes: bytesToHex(serialize(transaction)),
    },
    fee: feeOf(transaction),
    leases: [leaseOf(network.id, address, transaction.nonce)],
  });

  async function build(
    asked: PaymentIntent,
    key: KeyDescriptor,
    leaser: Leaser,
  ): Promise<BuildResult> {
    const intent = requireTransfer(asked);
    const { address } = walletOf(key);
    if (intent.chain !== network.id)
      throw new KeysagaError('ChainMismatch', 'the intent is for another network', {
        field: 'chain',
        expected: network.id,
      });
    if (intent.walletId !== key.walletId)
      throw invalid('walletId', 'the intent is about another wallet');
    const call = await callOf(intent, address);
    const fees = paymentFees(await marketOf(), call.gasLimit, BigInt(intent.feeCap));
    const [wei, counts] = await Promise.all([
      amount((rpc) => rpc.balance(address)),
      countsOf(address),
    ]);
    const planned = { ...call, chainId: network.chainId, fees };
    const fee = feeOf({ ...planned, nonce: 0n });
    if (wei < call.value + fee) throw insufficient(wei, call.value + fee, 'native');
    const source = { network: network.id, address, nonces, counts, now: clock.now() };
    const { nonce } = await leaseNonce(source, intent, leaser);
    return result(address, { ...planned, nonce });
  }

  /** The transactions with their one nonce. @throws KeysagaError `ConflictRule`, `InvalidInput` (`released`). */
  function sameNonce(
    released: readonly UnsignedTransaction[],
    publicKey: Uint8Array,
  ): readonly [Transaction, ...Transaction[]] {
    const [first, ...rest] = released.map((unsigned) => {
      codec.decode(unsigned, publicKey);
      return readUnsigned(network, unsigned);
    });
    if (first === undefined) throw invalid('released', 'there is nothing to replace');
    if (rest.some(({ nonce }) => nonce !== first.nonce))
      throw new KeysagaError(
        'ConflictRule',
        'no one transaction conflicts with all that were released',
        { field: 'released' },
      );
    return [first, ...rest];
  }

  /** Uses the nonce and does nothing else. */
  const toItself = (address: string, nonce: bigint, fees: Fees): Transaction => ({
    chainId: network.chainId,
    nonce,
    gasLimit: PLAIN_GAS,
    to: addressBytes(address, 'address'),
    value: 0n,
    data: new Uint8Array(),
    fees,
  });

  /** One pass over all accounts; a failure of one does not keep the others from being read. */
  async function syncNonces(): Promise<void> {
    const failures: unknown[] = [];
    for (const { address } of await nonces.accounts(network.id)) {
      try {
        await nonces.record(network.id, address, await countsOf(address), clock.now());
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
  }

  let running: { abort: AbortController; done: Promise<void> } | undefined;
  async function follow(pollMs: number, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        await syncNonces();
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        logger.warn({ network: network.id, reason }, 'the account nonces could not be read');
      }
      await sleep(pollMs, undefined, { signal, ref: false }).catch(() => {});
    }
  }

  return {
    codec,
    finality,

    async balance(address, asset) {
      addressBytes(address, 'address');
      const token = tokenOf(network, asset);
      return token === undefined
        ? amount((rpc) => rpc.balance(address))
        : tokenBalance(token, address);
    },

    build,

    async buildReplacement(key, released, feeCap) {
      const { address, publicKey } = walletOf(key);
      const [first, ...rest] = sameNonce(released, publicKey);
      const same = ({ to, value, data }: Transaction) =>
        [bytesToHex(to), value.toString(), bytesToHex(data)].join();
      if (rest.some((one) => same(one) !== same(first)))
        throw new KeysagaError('ConflictRule', 'the released transactions pay differently', {
          field: 'released',
        });
      const gasLimit = rest.reduce((most, one) => larger(one.gasLimit, most), first.gasLimit);
      const paid = [first, ...rest].map(({ fees }) => fees);
      const fees = replacementFees(await marketOf(), paid, gasLimit, feeCap);
      return result(address, { ...first, gasLimit, fees });
    },

    async buildVoid(key, released, feeCap, anchor) {
      const { address, publicKey } = walletOf(key);
      const transactions = sameNonce(released, publicKey);
      const { nonce } = transactions[0];
      if (anchor !== undefined && (anchor.kind !== 'ethereum-nonce' || anchor.nonce !== `${nonce}`))
        throw new KeysagaError('ConflictRule', 'what was released is not on the anchored nonce', {
          field: 'anchor',
        });
      const paid = transactions.map(({ fees }) => fees);
      const fees = replacementFees(await marketOf(), paid, PLAIN_GAS, feeCap);
      return result(address, toItself(address, nonce, fees));
    },

    async fillGap(key, resource, feeCap) {
      const { address } = walletOf(key);
      const named = nonceOfResource(resource);
      if (named?.network !== network.id || named.address !== address)
        throw invalid('resource', "not a nonce of the wallet's account");
      const fees = replacementFees(await marketOf(), [], PLAIN_GAS, feeCap);
      return result(address, toItself(address, named.nonce, fees));
    },

    async anchors(key) {
      const { address } = walletOf(key);
      if (!options.serial?.(key.walletId))
        throw invalid('anchor', 'only transfers of a wallet marked serial are anchored to a nonce');
      const counts = await countsOf(address);
      const look = async () => true;
      const nonce = await nonces.lend(network.id, address, counts, clock.now(), look);
      if (nonce === undefined) return [];
      const anchor = { kind: 'ethereum-nonce' as const, nonce: nonce.toString() };
      return [{ anchor, lease: leaseOf(network.id, address, nonce) }];
    },

    broadcast(signed) {
      if (signed.network !== network.id)
        throw new KeysagaError('ChainMismatch', 'the transaction is for another network', {
          field: 'network',
          expected: network.id,
        });
      return providers.send(async (rpc) => outcomeOf(await rpc.send(signed.bytes), signed.id));
    },

    async lookup(id, unsigned, publicKey) {
      const { from } = codec.decode(unsigned, publicKey);
      if (!/^0x[0-9a-f]{64}$/.test(id)) throw invalid('id', 'not the id of a transaction');
      const transaction = readUnsigned(network, unsigned);
      const sender = addressBytes(from, 'address');
      // Each provider's own view: answers of several in one would be of no chain that ever was.
      const views = await providers.views((rpc) =>
        lookUp({ rpc, finality: BigInt(finality) }, id, sender, transaction),
      );
      return agreedStatus(views, providers.agreement);
    },

    async provision(key) {
      const { address } = walletOf(key);
      const { walletId } = key;
      await nonces.open({ network: network.id, walletId, address, at: clock.now() });
      await nonces.record(network.id, address, await countsOf(address), clock.now());
    },

    async tip() {
      const tips = await providers.views((rpc) => rpc.latest());
      const height = supported(
        tips.map(({ number }) => number),
        providers.agreement,
      );
      const tip = tips.find(({ number }) => number === height);
      return { height: Number(height), id: tip?.hash ?? '' };
    },

    providers: providers.health,

    syncNonces,
    start({ pollMs = 2000 } = {}) {
      if (running !== undefined) return;
      const abort = new AbortController();
      running = { abort, done: follow(pollMs, abort.signal) };
    },
    async stop() {
      running?.abort.abort();
      await running?.done;
      running = undefined;
    },
  };
}
