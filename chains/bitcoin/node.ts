/**
 * What keysaga asks of a Bitcoin node, and the only file that knows how bitcoind and btcd differ:
 *
 * - fee estimate: bitcoind `estimatesmartfee`, btcd `estimatefee` (which errs until it has seen enough blocks);
 * - relay floor: bitcoind `getmempoolinfo`, btcd `getinfo` (its `getmempoolinfo` has no fees);
 * - a missing method is -32601, or -1 ("Command unimplemented") on btcd for what it knows by name only;
 * - `getblock` is asked for the raw block, since btcd's verbosity 2 has no `tx`;
 * - `getrawtransaction` finds a mined transaction only with an index, so callers look into the wallet's records first.
 */
import { hexToBytes } from '@noble/hashes/utils.js';
import * as z from 'zod';
import type { BitcoinBlock } from '../../core/ports/bitcoin-outputs.ts';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import { Hex, Hex32 } from '../../schema/contracts/primitives.ts';
import { parseBlock, transactionIn, withoutWitness } from './block.ts';
import type { BitcoinNetwork } from './networks.ts';
import type { CallOptions, RpcAnswer, RpcClient } from './rpc.ts';

export type Tip = { readonly height: number; readonly id: string };
/** `confirmations` 0: in the mempool. */
export type SeenTransaction = { readonly confirmations: number; readonly block?: string };

export interface BitcoinNode {
  tip(options?: CallOptions): Promise<Tip>;
  /** Hash of the active chain's block at a height; undefined above its tip. */
  blockHash(height: number, options?: CallOptions): Promise<string | undefined>;
  /** The block, its hash and merkle root checked; undefined when the node does not have it. */
  block(hash: string, options?: CallOptions): Promise<BitcoinBlock | undefined>;
  /** Sats per 1000 virtual bytes for inclusion within `blocks`; undefined when the node cannot say. */
  feeRate(blocks: number, options?: CallOptions): Promise<bigint | undefined>;
  /** Sats per 1000 virtual bytes below which the node relays nothing, and by which a replacement must add. */
  relay(options?: CallOptions): Promise<{ floor: bigint; increment: bigint }>;
  transaction(txid: string, options?: CallOptions): Promise<SeenTransaction | undefined>;
  /**
   * A mined transaction without its witnesses, its id checked: from the node's index, or from its block.
   * @throws KeysagaError `ChainUnavailable` when the node has neither (a pruned block).
   */
  rawTransaction(txid: string, block: string, options?: CallOptions): Promise<Uint8Array>;
  /** Mempool transaction that spends an outpoint; undefined for none, and where the node cannot tell. */
  spender(txid: string, vout: number, options?: CallOptions): Promise<string | undefined>;
  /** One try, the node's answer as it is. @throws KeysagaError `ChainUnavailable` when none came. */
  send(transaction: string, options?: CallOptions): Promise<RpcAnswer>;
}

const METHOD_MISSING = new Set([-32601, -1]);
const NOT_FOUND = -5;
const OUT_OF_RANGE = new Set([-8, -1]);
const DEFAULT_RELAY = 1_000n;
/** A node may lose its tip between two questions, but not again and again. */
const TIP_LOOKS = 5;

/** BTC per 1000 vB as JSON number → sats, rounded up. toFixed first: 0.00001 × 10⁸ is not 1000 in binary. */
const satsPerKvb = (btc: number): bigint => BigInt(Math.ceil(Number((btc * 1e8).toFixed(3))));

const Count = z.int().nonnegative();
const MempoolInfo = z.object({
  mempoolminfee: z.number().nonnegative().optional(),
  minrelaytxfee: z.number().nonnegative().optional(),
  incrementalrelayfee: z.number().nonnegative().optional(),
});
const Seen = z.object({ confirmations: Count.optional(), blockhash: Hex32.optional() });
const Spenders = z.array(z.object({ spendingtxid: Hex32.optional() }));

function parsed<T>(method: string, schema: z.ZodType<T>, value: unknown): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw new KeysagaError(
    'ChainUnavailable',
    `the Bitcoin node's answer to ${method} makes no sense`,
    {
      method,
      reason: result.error.issues[0]?.message ?? 'malformed',
    },
  );
}

const refused = (
  method: string,
  { code, message }: { code: number; message: string },
): KeysagaError =>
  new KeysagaError('ChainUnavailable', `the Bitcoin node refuses ${method}: ${message}`, {
    method,
    rpcCode: code,
    reason: message,
  });

/** The genesis hash is compared with the network's id before the first use, and again after every lost connection. */
export function createNode(rpc: RpcClient, network: BitcoinNetwork): BitcoinNode {
  let checked: Promise<void> | undefined;

  async function checkGenesis(): Promise<void> {
    const answer = await rpc.read('getblockhash', [0]);
    if (!answer.ok) throw refused('getblockhash', answer);
    const genesis = parsed('getblockhash', Hex32, answer.result);
    if (!genesis.startsWith(network.genesis)) {
      throw new KeysagaError('ChainMismatch', `the Bitcoin node does not serve ${network.name}`, {
        field: 'rpcUrl',
        expected: network.id,
        actual: `bip122:${genesis.slice(0, 32)}`,
      });
    }
  }

  /** Another node may answer after a lost connection, so whatever fails makes the check due again. */
  async function guarded(ask: () => Promise<RpcAnswer>): Promise<RpcAnswer> {
    checked ??= checkGenesis();
    try {
      await checked;
      return await ask();
    } catch (error) {
      checked = undefined;
      throw error;
    }
  }
  const ask = (method: string, params: readonly unknown[], options?: CallOptions) =>
    guarded(() => rpc.read(method, params, options));
  async function result<T>(
    schema: z.ZodType<T>,
    method: string,
    params: readonly unknown[],
    options?: CallOptions,
  ): Promise<T> {
    const answer = await ask(method, params, options);
    if (!answer.ok) throw refused(method, answer);
    return parsed(method, schema, answer.result);
  }

  const blockHash: BitcoinNode['blockHash'] = async (height, options) => {
    const answer = await ask('getblockhash', [height], options);
    if (answer.ok) return parsed('getblockhash', Hex32, answer.result);
    if (OUT_OF_RANGE.has(answer.code)) return undefined;
    throw refused('getblockhash', answer);
  };

  return {
    async tip(options) {
      // Two questions, for neither node answers both in one; asked again when a block fell between them.
      for (let look = 0; look < TIP_LOOKS; look++) {
        const height = await result(Count, 'getblockcount', [], options);
        const id = await blockHash(height, options);
        if (id !== undefined) return { height, id };
      }
      throw new KeysagaError('ChainUnavailable', 'the Bitcoin node has no block at its own tip', {
        method: 'getblockhash',
      });
    },
    blockHash,

    async block(hash, options) {
      const answer = await ask('getblock', [hash, 0], options);
      if (answer.ok) return parseBlock(hash, hexToBytes(parsed('getblock', Hex, answer.result)));
      if (answer.code === NOT_FOUND) return undefined;
      throw refused('getblock', answer);
    },

    async feeRate(blocks, options) {
      const smart = await ask('estimatesmartfee', [blocks], options);
      if (smart.ok) {
        const { feerate } = parsed(
          'estimatesmartfee',
          z.object({ feerate: z.number().positive().optional() }),
          smart.result,
        );
        return feerate === undefined ? undefined : satsPerKvb(feerate);
      }
      if (!METHOD_MISSING.has(smart.code)) throw refused('estimatesmartfee', smart);
      const plain = await ask('estimatefee', [blocks], options);
      if (!plain.ok) return undefined;
      const rate = parsed('estimatefee', z.number(), plain.result);
      return rate > 0 ? satsPerKvb(rate) : undefined;
    },

    async relay(options) {
      const pool = await result(MempoolInfo, 'getmempoolinfo', [], options);
      const known = [pool.mempoolminfee, pool.minrelaytxfee].filter((fee) => fee !== undefined);
      if (known.length > 0) {
        return {
          floor: satsPerKvb(Math.max(...known)),
          increment: satsPerKvb(pool.incrementalrelayfee ?? Math.max(...known)),
        };
      }
      const info = await ask('getinfo', [], options);
      if (!info.ok) return { floor: DEFAULT_RELAY, increment: DEFAULT_RELAY };
      const { relayfee } = parsed(
        'getinfo',
        z.object({ relayfee: z.number().nonnegative() }),
        info.result,
      );
      return { floor: satsPerKvb(relayfee), increment: satsPerKvb(relayfee) };
    },

    async transaction(txid, options) {
      const answer = await ask('getrawtransaction', [txid, 1], options);
      if (!answer.ok) {
        // -5 also when there is no index: "not in the mempool" is then all it says.
        if (answer.code === NOT_FOUND) return undefined;
        throw refused('getrawtransaction', answer);
      }
      const seen = parsed('getrawtransaction', Seen, answer.result);
      return {
        confirmations: seen.confirmations ?? 0,
        ...(seen.blockhash === undefined ? {} : { block: seen.blockhash }),
      };
    },

    async rawTransaction(txid, block, options) {
      const indexed = await ask('getrawtransaction', [txid, 0], options);
      if (indexed.ok)
        return withoutWitness(hexToBytes(parsed('getrawtransaction', Hex, indexed.result)), txid);
      const answer = await ask('getblock', [block, 0], options);
      if (!answer.ok) throw refused('getblock', answer);
      const bytes = hexToBytes(parsed('getblock', Hex, answer.result));
      const found = transactionIn(block, bytes, txid);
      if (found !== undefined) return found;
      throw new KeysagaError('ChainUnavailable', 'the Bitcoin node has lost a transaction', {
        method: 'getblock',
        txid,
      });
    },

    async spender(txid, vout, options) {
      const answer = await ask('gettxspendingprevout', [[{ txid, vout }]], options);
      if (answer.ok)
        return parsed('gettxspendingprevout', Spenders, answer.result)[0]?.spendingtxid;
      if (METHOD_MISSING.has(answer.code)) return undefined;
      throw refused('gettxspendingprevout', answer);
    },

    send: (transaction, options) =>
      guarded(() => rpc.once('sendrawtransaction', [transaction], options)),
  };
}
