/** `Blockchain` of one Solana network: System transfers on durable nonces that the operator's sponsor paid for. */
import { setTimeout as sleep } from 'node:timers/promises';
import { hexToBytes } from '@noble/hashes/utils.js';
import { base58 } from '@scure/base';
import type { Blockchain, BuildResult, Leaser } from '../../core/ports/blockchain.ts';
import type { Clock } from '../../core/ports/clock.ts';
import type { NonceAccounts } from '../../core/ports/nonce-accounts.ts';
import { type PaymentIntent, requireTransfer } from '../../core/ports/payment.ts';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import type { KeyDescriptor } from '../../schema/contracts/key.ts';
import type { SignedTransaction, UnsignedTransaction } from '../../schema/contracts/transaction.ts';
import { agreedStatus } from '../agreement.ts';
import { createProviders, type ProviderOptions } from '../providers.ts';
import { addressBytes } from './address.ts';
import { outcomeOf } from './broadcast.ts';
import { createSolanaCodec, type DurableNonce, encodeTransfer, feeOf } from './codec.ts';
import { chooseUnitPrice, transferUnits } from './fees.ts';
import { leaseNonce, nonceAnchors } from './lease.ts';
import { lookup } from './lookup.ts';
import { solanaNetwork } from './networks.ts';
import { type Logger, NoncePool } from './nonce-pool.ts';
import { createPool } from './providers.ts';
import { type AccountReading, SolanaRpc } from './rpc.ts';
import { readSponsor, type Sponsor } from './sponsor.ts';

/** Nodes should keep their transaction history. */
export type SolanaOptions = ProviderOptions & {
  /** CAIP-2 id. */
  readonly network: string;
  /**
   * The record of nonce accounts in the coordinator's database. `build` uses it while its caller's transaction is open, so
   * give it connections of its own: a shared pool could run dry with every connection waiting for one more.
   */
  readonly nonces: NonceAccounts;
  /**
   * Path of the sponsor's key file (a JSON array of 64 bytes), read when it is first needed; null: this coordinator makes
   * no nonce accounts, and wallets that lack them cannot send.
   */
  readonly sponsor: string | null;
  /** Slots on top before a transaction is final, besides `finalized`; default 32. More waits longer for no more safety. */
  readonly finality?: number;
  /** Nonce accounts per wallet, and so transfers under way at once; default 4. Each costs the sponsor about 0.0015 SOL. */
  readonly poolSize?: number;
  /** How long `provision` waits, ms; default 120,000. Final takes some 15 s on the real network. */
  readonly provisionTimeoutMs?: number;
  /** For one request to the node, ms; default 10,000. */
  readonly requestTimeoutMs?: number;
  readonly clock: Clock;
  readonly logger?: Logger;
};

export type SolanaChain = Blockchain & {
  /** Brings the record of nonce accounts up to date. @throws KeysagaError `ChainUnavailable`. */
  syncNonces(): Promise<void>;
  /** Follows the nonce accounts and replaces lost ones until `stop`. Several coordinators may do so at once. */
  start(options?: { pollMs?: number }): void;
  /** Resolves once the pass under way has ended. */
  stop(): Promise<void>;
};

const onlyNative = (asset: string): void => {
  if (asset !== 'native') {
    throw new KeysagaError(
      'InvalidInput',
      'only native transfers (lamports) exist on Solana so far',
      {
        field: 'asset',
      },
    );
  }
};

/** A transaction's id is its signature. */
const checkId = (id: string): void => {
  const shaped = /^[1-9A-HJ-NP-Za-km-z]{64,88}$/.test(id);
  if (shaped && base58.decode(id).length === 64) return;
  throw new KeysagaError('InvalidInput', 'not the id of a Solana transaction', { field: 'id' });
};

/** @throws KeysagaError `ChainUnsupported`, `InvalidInput` (`rpcUrl`). */
export function createSolana(options: SolanaOptions): SolanaChain {
  const { clock, finality = 32, logger = { warn: () => {} }, nonces } = options;
  const network = solanaNetwork(options.network);
  const codec = createSolanaCodec(network.id);
  const providers = createProviders({
    ...options,
    network: network.id,
    logger,
    connect: (url, retries) =>
      new SolanaRpc({
        network,
        url,
        retries,
        ...(options.requestTimeoutMs === undefined ? {} : { timeoutMs: options.requestTimeoutMs }),
      }),
  });
  const rpc = createPool(network, providers);
  const { sponsor: sponsorFile } = options;
  let sponsor: Sponsor | undefined;
  const pool = new NoncePool({
    rpc,
    accounts: nonces,
    sponsor:
      sponsorFile === null
        ? null
        : () => {
            sponsor ??= readSponsor(sponsorFile);
            return sponsor;
          },
    size: options.poolSize ?? 4,
    provisionTimeoutMs: options.provisionTimeoutMs ?? 120_000,
    clock,
    logger,
  });

  const walletKey = (key: KeyDescriptor): Uint8Array => {
    if (key.network !== network.id) {
      throw new KeysagaError('ChainMismatch', 'the key belongs to another network', {
        field: 'network',
        expected: network.id,
      });
    }
    const publicKey = hexToBytes(key.publicKey);
    if (codec.address(publicKey) !== key.address) {
      throw new KeysagaError('InvalidInput', "the address is not the key's", { field: 'address' });
    }
    return publicKey;
  };

  /** What the wallet can spend: its lamports but for the rent-exempt minimum. */
  const spendableOf = (account: AccountReading | undefined, reserve: bigint): bigint => {
    const lamports = account?.lamports ?? 0n;
    return lamports > reserve ? lamports - reserve : 0n;
  };
  const spendable = async (address: Uint8Array): Promise<bigint> => {
    const [account, reserve] = await Promise.all([
      rpc.account(address, 'confirmed'),
      rpc.minimumBalance(0),
    ]);
    return spendableOf(account, reserve);
  };

  const unitPrice = async (wallet: Uint8Array, feeCap: bigint) =>
    chooseUnitPrice(await rpc.priorityFees([wallet]), feeCap);

  /** What would make the chain refuse the payment, checked before anything is leased. */
  const checkDestination = async (
    account: AccountReading | undefined,
    amount: bigint,
  ): Promise<void> => {
    if (account?.executable) {
      throw new KeysagaError('InvalidInput', 'the destination is a program', {
        field: 'destination',
      });
    }
    const minimum = await rpc.minimumBalance(account?.data.length ?? 0);
    const after = (account?.lamports ?? 0n) + amount;
    if (after < minimum) {
      throw new KeysagaError(
        'InvalidInput',
        `the destination would hold ${after} lamports, less than the ${minimum} that an account must hold to exist`,
        { field: 'amount', minimum: (minimum - (account?.lamports ?? 0n)).toString() },
      );
    }
  };

  async function build(
    asked: PaymentIntent,
    key: KeyDescriptor,
    leaser: Leaser,
  ): Promise<BuildResult> {
    const intent = requireTransfer(asked);
    const wallet = walletKey(key);
    if (intent.chain !== network.id) {
      throw new KeysagaError('ChainMismatch', 'the intent is for another network', {
        field: 'chain',
      });
    }
    if (intent.walletId !== key.walletId) {
      throw new KeysagaError('InvalidInput', 'the intent is about another wallet', {
        field: 'walletId',
      });
    }
    onlyNative(intent.asset);
    codec.checkAddress(intent.destination);
    if (intent.destination === key.address) {
      throw new KeysagaError('InvalidInput', 'the wallet would pay itself', {
        field: 'destination',
      });
    }
    const lamports = BigInt(intent.amount);
    const feeCap = BigInt(intent.feeCap);
    chooseUnitPrice([], feeCap); // a cap below the least fee is refused before the node is asked anything
    const destination = addressBytes(intent.destination, 'destination');
    // Independent of one another, so all are asked at once.
    const [read, microLamports, reserve, proven] = await Promise.all([
      rpc.accounts([destination, wallet], 'confirmed'),
      unitPrice(wallet, feeCap),
      rpc.minimumBalance(0),
      pool.proven(intent.walletId),
    ]);
    const [paid, own] = read.accounts;
    await checkDestination(paid, lamports);
    const fee = feeOf(transferUnits, microLamports);
    const available = spendableOf(own, reserve);
    if (available < lamports + fee) {
      throw new KeysagaError('InsufficientFunds', 'the wallet cannot pay amount and fee', {
        field: 'amount',
        available: available.toString(),
        needed: (lamports + fee).toString(),
      });
    }
    const nonce = await leaseNonce(network.id, { proven: async () => proven }, intent, leaser);
    const unsigned = encodeTransfer(network.id, {
      wallet,
      nonce,
      units: transferUnits,
      microLamports,
      payment: { destination: intent.destination, lamports },
    });
    return { unsigned, fee, leases: [nonce.lease] };
  }

  async function buildVoid(
    key: KeyDescriptor,
    released: readonly UnsignedTransaction[],
    feeCap: bigint,
  ): Promise<BuildResult> {
    const wallet = walletKey(key);
    const [first] = released;
    if (first === undefined) {
      throw new KeysagaError('InvalidInput', 'there is nothing to void', { field: 'released' });
    }
    const keys = new Set(
      released.flatMap((unsigned) => codec.decode(unsigned, wallet).conflictKeys),
    );
    const nonce: DurableNonce | undefined = first.nonceProof;
    if (keys.size !== 1 || nonce === undefined) {
      throw new KeysagaError(
        'ConflictRule',
        'no one transaction conflicts with all that were released',
        {
          field: 'released',
        },
      );
    }
    const microLamports = await unitPrice(wallet, feeCap);
    const unsigned = encodeTransfer(network.id, {
      wallet,
      nonce,
      units: transferUnits,
      microLamports,
    });
    // The transfer holds the lease of this nonce already.
    return { unsigned, fee: feeOf(transferUnits, microLamports), leases: [] };
  }

  let running: { abort: AbortController; done: Promise<void> } | undefined;
  async function follow(pollMs: number, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        await pool.tend();
      } catch (error) {
        logger.warn(
          { network: network.id, error: error instanceof Error ? error.message : String(error) },
          'the nonce accounts could not be read',
        );
      }
      await sleep(pollMs, undefined, { signal, ref: false }).catch(() => {});
    }
  }

  return {
    codec,
    finality,
    async balance(address, asset) {
      onlyNative(asset);
      return spendable(addressBytes(address, 'address'));
    },
    build,
    // Every released transaction of an anchored intent is on its anchor's nonce, and so is their void.
    buildVoid,
    async anchors(key) {
      walletKey(key);
      return nonceAnchors(network.id, pool, key.walletId);
    },
    broadcast: (signed: SignedTransaction) => {
      if (signed.network !== network.id) {
        throw new KeysagaError('ChainMismatch', 'the transaction is for another network', {
          field: 'network',
        });
      }
      const bytes = hexToBytes(signed.bytes);
      return providers.send(async (node) => outcomeOf(await node.send(bytes)));
    },
    async lookup(id, unsigned, publicKey) {
      codec.decode(unsigned, publicKey);
      checkId(id);
      const proof = unsigned.nonceProof;
      if (proof === undefined)
        throw new KeysagaError('NonceUnproven', 'no nonce', { field: 'nonceProof' });
      // Each node's own view: answers of several in one would be of no chain that ever was.
      let stuck: string | undefined;
      const retire = async (account: string) => {
        stuck = account;
      };
      const views = await providers.views((node) =>
        lookup({ rpc: node, finality, retire }, id, proof),
      );
      const status = agreedStatus(views, providers.agreement);
      if (stuck !== undefined && status.status === 'failed' && status.final)
        await nonces.retire(network.id, stuck, clock.now());
      return status;
    },
    async provision(key) {
      walletKey(key);
      await pool.provision({ walletId: key.walletId, address: key.address });
    },
    async tip() {
      const [height, { blockhash }] = await Promise.all([rpc.slot(), rpc.latestBlockhash()]);
      return { height, id: blockhash };
    },
    providers: providers.health,
    syncNonces: () => pool.sync(),
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
