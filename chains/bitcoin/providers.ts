/**
 * Several Bitcoin nodes as one chain to follow. Blocks and transactions prove themselves by their hashes, so anybody's will
 * do; which blocks are the chain does not, so the tip is the highest block that enough of those who answer have in common.
 */
import { KeysagaError } from '../../schema/contracts/errors.ts';
import { agreed, supported } from '../agreement.ts';
import { createProviders, type ProviderOptions, type Providers } from '../providers.ts';
import type { Logger } from './follower.ts';
import type { BitcoinNetwork } from './networks.ts';
import { type BitcoinNode, createNode, type Tip } from './node.ts';
import { type CallOptions, createRpc } from './rpc.ts';

/** What is not about one transaction's standing, which each node is asked by itself. */
export type BitcoinPool = Omit<BitcoinNode, 'transaction' | 'spender' | 'send'>;

/** Blocks below the lowest tip that are looked through for one in common; deeper forks are no everyday matter. */
const FORK_LOOKS = 100;
/** Transactions without witnesses, some hundred bytes each as a rule. */
const KEPT = 256;

type ConnectOptions = ProviderOptions & { readonly timeoutMs?: number; readonly logger?: Logger };

/** @throws KeysagaError `InvalidInput` (`rpcUrl`, `agreement`). No I/O. */
export const connectNodes = (
  network: BitcoinNetwork,
  options: ConnectOptions,
): Providers<BitcoinNode> =>
  createProviders({
    ...options,
    network: network.id,
    connect(url, retries) {
      const { timeoutMs } = options;
      const limit = timeoutMs === undefined ? {} : { timeoutMs };
      return createNode(createRpc({ url, retries, ...limit }), network);
    },
  });

/** Answers that need not agree with what a chain looked like a second ago: those of whoever answers first. */
export function createPool(providers: Providers<BitcoinNode>): BitcoinPool {
  const { count, agreement, first, views } = providers;
  const transactions = new Map<string, Uint8Array>();

  const disagreement = (height: number): KeysagaError =>
    new KeysagaError('ChainUnavailable', 'the Bitcoin nodes do not agree on a block', {
      method: 'getblockhash',
      height,
    });

  /** Undefined without agreement, null where enough of them have no such block. */
  async function common(height: number, options?: CallOptions): Promise<string | null | undefined> {
    const hashes = await views((node) => node.blockHash(height, options));
    const support = Math.min(agreement, hashes.length);
    const found = agreed(hashes, support, (hash) => hash ?? '');
    return found ?? (hashes.filter((hash) => hash === undefined).length >= support ? null : found);
  }

  async function commonTip(options?: CallOptions): Promise<Tip> {
    const tips = await views((node) => node.tip(options));
    const heights = tips.map(({ height }) => BigInt(height));
    const top = Number(supported(heights, agreement));
    const support = Math.min(agreement, tips.length);
    const here = tips.filter(({ height }) => height === top);
    const id = agreed(here, support, (tip) => tip.id)?.id;
    if (id !== undefined) return { height: top, id };
    for (let height = top; height >= 0 && height > top - FORK_LOOKS; height--) {
      const hash = await common(height, options);
      if (typeof hash === 'string') return { height, id: hash };
    }
    throw disagreement(top);
  }

  return {
    tip: (options) => (count === 1 ? first((node) => node.tip(options)) : commonTip(options)),

    async blockHash(height, options) {
      if (count === 1) return first((node) => node.blockHash(height, options));
      const hash = await common(height, options);
      if (hash === undefined) throw disagreement(height);
      return hash ?? undefined;
    },

    async block(hash, options) {
      let lacking = false;
      try {
        return await first(async (node) => {
          const block = await node.block(hash, options);
          if (block !== undefined) return block;
          lacking = true;
          throw new KeysagaError('ChainUnavailable', 'the Bitcoin node lacks a block', { hash });
        });
      } catch (error) {
        if (lacking) return undefined;
        throw error;
      }
    },

    feeRate: (blocks, options) => first((node) => node.feeRate(blocks, options)),
    relay: (options) => first((node) => node.relay(options)),

    async rawTransaction(txid, block, options) {
      const known = transactions.get(txid);
      if (known !== undefined) return known;
      const raw = await first((node) => node.rawTransaction(txid, block, options));
      if (transactions.size >= KEPT) transactions.clear();
      transactions.set(txid, raw);
      return raw;
    },
  };
}
