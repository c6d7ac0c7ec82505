/** The `Blockchain` port for Bitcoin wallets, Taproot and P2WPKH: see README.md for where to start. */
import { setTimeout as sleep } from 'node:timers/promises';
import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js';
import type { BitcoinOutputs, WatchedOutput } from '../../core/ports/bitcoin-outputs.ts';
import type { Blockchain, BuildResult, LeaseRequest, Leaser } from '../../core/ports/blockchain.ts';
import { linesOf, type NamedLine } from '../../core/ports/payment.ts';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import type { TransferIntent } from '../../schema/contracts/intent.ts';
import type { KeyDescriptor } from '../../schema/contracts/key.ts';
import type {
  BroadcastOutcome,
  SignedTransaction,
  TransactionStatus,
  UnsignedTransaction,
} from '../../schema/contracts/transaction.ts';
import { agreedStatus } from '../agreement.ts';
import type { ProviderOptions } from '../providers.ts';
import { outcomeOf } from './broadcast.ts';
import { type BitcoinCodec, createBitcoinCodec, readPsbt } from './codec.ts';
import { type FeeOptions, feeFor, feeRates } from './fees.ts';
import { type BitcoinFollower, createFollower, type Logger } from './follower.ts';
import { lookUp, spentIn } from './lookup.ts';
import { bitcoinNetwork } from './networks.ts';
import { connectNodes, createPool } from './providers.ts';
import { encodePsbt, outpoint, type PsbtInput, type PsbtOutput } from './psbt.ts';
import { addressScript, dustLimit, isWitnessKeyHash, virtualSize, walletScript } from './script.ts';
import {
  anchorable,
  anchorOf,
  insufficient,
  type Payment,
  type Plan,
  planPayment,
  selectCoins,
} from './selection.ts';
import { planVoid, threatening } from './void.ts';

/** `rpcUrl`: `http://user:password@host:port`, or several. */
export type BitcoinOptions = ProviderOptions & {
  /** CAIP-2 id; decides the address format and is checked against the node's genesis block. */
  readonly network: string;
  /** What the follower keeps, for the same network (`createBitcoinOutputs` of `storage`). */
  readonly outputs: BitcoinOutputs;
  /** Confirmations after which a transaction is final; default by network (6 mainnet, 2 regtest). */
  readonly finality?: number;
  /**
   * Confirmations that an output needs before it is spent; default by network (6 mainnet, 1 regtest). Fewer frees money
   * earlier, but an input that a reorganisation removes leaves a released payment that nothing can exclude.
   */
  readonly inputConfirmations?: number;
  readonly fees?: FeeOptions;
  /** Time for one request to the node, ms; default 10,000. */
  readonly timeoutMs?: number;
  readonly logger?: Logger;
};

export type BitcoinBlockchain = Blockchain & {
  readonly codec: BitcoinCodec;
  /** The composition root starts and stops it; build, balance and lookup also sync by themselves. */
  readonly follower: BitcoinFollower;
  /** Watches a key from an earlier height, e.g. for a restored database. Idempotent. */
  watch(key: Pick<KeyDescriptor, 'walletId' | 'publicKey'>, fromHeight: number): Promise<void>;
};

/** Consensus: a coinbase output may be spent by a block 100 above its own. */
const COINBASE_MATURITY = 100;

/** A follower at work is waited for this long, about 10 s; then the caller tries again later. */
const SYNC_LOOKS = 200;
const SYNC_PAUSE_MS = 50;

const native = (asset: string): void => {
  if (asset !== 'native') {
    throw new KeysagaError('InvalidInput', 'a Bitcoin network knows only the asset native', {
      field: 'asset',
    });
  }
};

/** @throws KeysagaError `ChainUnsupported`, `InvalidInput` (`rpcUrl`, `finality`, `inputConfirmations`). No I/O. */
export function createBitcoin(options: BitcoinOptions): BitcoinBlockchain {
  const network = bitcoinNetwork(options.network);
  const positive = (field: 'finality' | 'inputConfirmations'): number => {
    const value = options[field] ?? network[field];
    if (!Number.isSafeInteger(value) || value < 1) {
      throw new KeysagaError('InvalidInput', `${field} must be a positive integer`, { field });
    }
    return value;
  };
  const finality = positive('finality');
  const inputConfirmations = positive('inputConfirmations');
  const { outputs } = options;
  const codec = createBitcoinCodec(network.id);
  const providers = connectNodes(network, options);
  const node = createPool(providers);
  const follower = createFollower({
    network: network.id,
    node,
    outputs,
    ...(options.logger === undefined ? {} : { logger: options.logger }),
  });

  const leasePrefix = `bitcoin:${network.id}:`;
  const leaseOf = (output: WatchedOutput): LeaseRequest => ({
    resource: `${leasePrefix}${output.txid}:${output.vout}`,
    detail: { txid: output.txid, vout: String(output.vout), amount: output.amount.toString() },
  });
  const outpointOf = (lease: LeaseRequest): { txid: string; vout: number } => {
    const match = /^([0-9a-f]{64}):(\d{1,10})$/.exec(lease.resource.slice(leasePrefix.length));
    if (!lease.resource.startsWith(leasePrefix) || match?.[1] === undefined) {
      throw new KeysagaError('StateConflict', 'a lease of this transfer is no output here', {
        field: 'leases',
        resource: lease.resource,
      });
    }
    return { txid: match[1], vout: Number(match[2]) };
  };

  const spendable = (output: WatchedOutput, tip: number): boolean => {
    const confirmations = tip - output.blockHeight + 1;
    return (
      confirmations >= inputConfirmations &&
      (!output.coinbase || confirmations >= COINBASE_MATURITY)
    );
  };

  /** Waits for whoever follows at the moment: an answer from before the tip would miss money that has arrived. */
  const syncedTip = async () => {
    for (let look = 0; look < SYNC_LOOKS; look++) {
      const { worked, tip } = await follower.syncOnce();
      if (worked) return tip;
      await sleep(SYNC_PAUSE_MS);
    }
    throw new KeysagaError('ChainUnavailable', 'the wallets are not followed up to the tip yet', {
      network: network.id,
    });
  };

  const watch: BitcoinBlockchain['watch'] = (key, fromHeight) =>
    outputs.watch({
      script: bytesToHex(walletScript(hexToBytes(key.publicKey))),
      walletId: key.walletId,
      fromHeight,
    });

  const unfollowed = (): KeysagaError =>
    new KeysagaError('WalletUnknown', 'the wallet is not followed: provision it first', {
      network: network.id,
    });

  /**
   * Birth of a script that nobody knows yet: a few blocks below the tip, which a reorganisation may replace by others that
   * pay it already. An earlier birth that is known stays.
   */
  const newborn = async (): Promise<number> => Math.max(0, (await node.tip()).height - finality);

  async function follow(
    children: readonly KeyDescriptor[],
    wallet: KeyDescriptor,
    history?: 'none' | 'all',
  ): Promise<void> {
    const born = await outputs.watchedFrom(bytesToHex(ownScript(wallet)));
    if (born === undefined) throw unfollowed();
    const from = history === 'none' ? Math.max(born, await newborn()) : born;
    for (const child of children) {
      const known = await outputs.watchedFrom(bytesToHex(ownScript(child)));
      if (known === undefined || (history === 'all' && known > born)) await watch(child, from);
    }
  }

  async function spendableOf(script: Uint8Array): Promise<WatchedOutput[]> {
    const hex = bytesToHex(script);
    const tip = await syncedTip();
    if ((await outputs.watchedFrom(hex)) === undefined) {
      throw unfollowed();
    }
    return (await outputs.unspent(hex)).filter((output) => spendable(output, tip.height));
  }

  function ownScript(key: KeyDescriptor): Uint8Array {
    if (key.network !== network.id) {
      throw new KeysagaError('ChainMismatch', 'the key belongs to another network', {
        field: 'network',
        expected: network.id,
        actual: key.network,
      });
    }
    return walletScript(hexToBytes(key.publicKey));
  }

  /** P2WPKH inputs with the transactions that made them, from which parties take amounts and scripts. */
  async function withPrevious(inputs: readonly PsbtInput[]): Promise<readonly PsbtInput[]> {
    const fetched = new Map<string, Uint8Array>();
    const complete: PsbtInput[] = [];
    for (const input of inputs) {
      if (!isWitnessKeyHash(input.script)) {
        complete.push(input);
        continue;
      }
      const output = await outputs.at(input);
      if (output === undefined) throw gone(`${leasePrefix}${outpoint(input)}`);
      const known = fetched.get(input.txid);
      const previous = known ?? (await node.rawTransaction(input.txid, output.blockHash));
      fetched.set(input.txid, previous);
      complete.push({ ...input, previous });
    }
    return complete;
  }
  const gone = (resource: string): KeysagaError =>
    new KeysagaError('StateConflict', 'a leased output is spent or gone', {
      field: 'leases',
      resource,
    });

  const result = async (plan: Plan, leases: readonly LeaseRequest[]): Promise<BuildResult> => ({
    unsigned: {
      network: network.id,
      format: 'bitcoin-psbt',
      bytes: bytesToHex(encodePsbt(await withPrevious(plan.inputs), plan.outputs)),
    },
    fee: plan.fee,
    leases,
  });

  /** The leased outputs of a repeat; they stay usable until a block spends them. */
  async function heldOutputs(
    held: readonly LeaseRequest[],
    own: Uint8Array,
    anchor: TransferIntent['anchor'],
  ): Promise<WatchedOutput[]> {
    const named = anchor?.kind === 'bitcoin-outpoint' ? `${anchor.txid}:${anchor.vout}` : '';
    return Promise.all(
      held.map(async (lease) => {
        const output = await outputs.at(outpointOf(lease));
        if (output?.script !== bytesToHex(own) || output.spentBy !== null) {
          // For an anchored transfer that is the end: nothing else may pay it.
          throw new KeysagaError('StateConflict', 'a leased output is spent or gone', {
            field: lease.resource === `${leasePrefix}${named}` ? 'anchor' : 'leases',
            resource: lease.resource,
            ...(output?.spentBy ? { spentBy: output.spentBy } : {}),
          });
        }
        return output;
      }),
    );
  }

  function outputOf({ destination, amount, prefix }: NamedLine): PsbtOutput {
    const output = { script: addressScript(network, destination), amount: BigInt(amount) };
    const least = dustLimit(output.script);
    if (output.amount < least)
      throw new KeysagaError('InvalidInput', 'nodes do not relay an output this small', {
        field: `${prefix}amount`,
        least: least.toString(),
      });
    return output;
  }

  return {
    codec,
    finality,
    follower,

    async balance(address, asset) {
      native(asset);
      const spendables = await spendableOf(addressScript(network, address));
      return spendables.reduce((sum, { amount }) => sum + amount, 0n);
    },

    async build(intent, key, leaser: Leaser) {
      native(intent.asset);
      if (intent.chain !== network.id) {
        throw new KeysagaError('ChainMismatch', 'the intent is for another network', {
          field: 'chain',
          expected: network.id,
        });
      }
      const own = ownScript(key);
      const to = linesOf(intent).map((line) => outputOf(line));
      const spendables = await spendableOf(own);
      const rates = await feeRates(node, options.fees ?? {});
      const payment: Payment = { to, own, feeCap: BigInt(intent.feeCap), rates };

      // The ledger's rows hold more than a request does; an answer carries no more than that.
      const leases = leaser.held.map(
        ({ resource, detail }): LeaseRequest => ({ resource, detail }),
      );
      const tryTake = async (output: WatchedOutput): Promise<boolean> => {
        const lease = leaseOf(output);
        if (!(await leaser.tryTake(lease.resource, lease.detail))) return false;
        leases.push(lease);
        return true;
      };
      const held = await heldOutputs(leaser.held, own, intent.anchor);
      const anchor = anchorOf(intent.anchor, [...held, ...spendables]);
      if (held.length > 0) {
        if (anchor !== undefined && !held.some((output) => outpoint(output) === outpoint(anchor))) {
          throw new KeysagaError(
            'StateConflict',
            'this transfer holds outputs, but not its anchor',
            {
              field: 'anchor',
            },
          );
        }
        const again = planPayment(held, payment);
        if (again !== undefined) return result(again, leases);
        // An anchor is leased before the approvals, so holding only it means that nothing was built yet.
        if (anchor === undefined || held.length > 1) throw insufficient(held, payment);
      } else if (anchor !== undefined && !(await tryTake(anchor))) {
        throw new KeysagaError('LeaseUnavailable', 'another transfer holds the anchor', {
          field: 'anchor',
        });
      }
      const required = anchor === undefined ? [] : [anchor];
      const plan = await selectCoins(spendables, required, payment, tryTake);
      return result(plan, leases);
    },

    async buildVoid(key, released, feeCap, anchor) {
      const own = ownScript(key);
      if (released.length === 0) {
        throw new KeysagaError('InvalidInput', 'nothing was released, so nothing is to be voided', {
          field: 'released',
        });
      }
      const publicKey = hexToBytes(key.publicKey);
      const psbts = released.map((unsigned) => readPsbt(network, unsigned, publicKey));
      const tip = await syncedTip();
      const known = await Promise.all(
        psbts.map(async (psbt) => ({
          psbt,
          spent: await Promise.all(psbt.inputs.map((input) => outputs.at(input))),
        })),
      );
      const alive = threatening(known, (height) => tip.height - height + 1 >= finality);
      const rates = await feeRates(node, options.fees ?? {});
      const plan = planVoid(alive, own, rates, feeCap, anchor);
      const leases = plan.inputs.map(({ txid, vout, amount }) => ({
        resource: `${leasePrefix}${txid}:${vout}`,
        detail: { txid, vout: String(vout), amount: amount.toString() },
      }));
      return result(plan, leases);
    },

    async anchors(key, { amount, feeCap }) {
      const own = ownScript(key);
      const rates = await feeRates(node, options.fees ?? {});
      // Worth naming is what could pay for a void of its own.
      const least = dustLimit(own) + feeFor(rates.wanted, virtualSize(1, [own], own));
      const able = anchorable(await spendableOf(own), least, amount + feeCap);
      return able.map((output) => ({
        anchor: { kind: 'bitcoin-outpoint', txid: output.txid, vout: String(output.vout) } as const,
        lease: leaseOf(output),
      }));
    },

    async broadcast(signed: SignedTransaction): Promise<BroadcastOutcome> {
      if (signed.network !== network.id) {
        throw new KeysagaError('ChainMismatch', 'the transaction is for another network', {
          field: 'network',
          expected: network.id,
        });
      }
      return providers.send(async (one) => outcomeOf(await one.send(signed.bytes), signed.id));
    },

    async lookup(id, unsigned: UnsignedTransaction, publicKey): Promise<TransactionStatus> {
      const psbt = readPsbt(network, unsigned, publicKey);
      if (psbt.txid !== id) {
        throw new KeysagaError('InvalidInput', 'the id is not that of the transaction', {
          field: 'id',
        });
      }
      await syncedTip();
      const spent = await spentIn(psbt, outputs);
      const views = await providers.views((one) => lookUp(psbt, spent, { node: one, finality }));
      return agreedStatus(views, providers.agreement);
    },

    async provision(key, wallet) {
      if (wallet !== undefined) return follow([key], wallet);
      ownScript(key);
      await watch(key, await newborn());
    },

    follow,

    watch,

    providers: providers.health,

    tip: () => node.tip(),
  };
}
