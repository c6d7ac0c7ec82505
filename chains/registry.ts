/** Adapters by CAIP-2 id: what a composition root makes is looked up here and nowhere else. */
import type { Blockchain, Chains, Codecs, TransactionCodec } from '../core/ports/blockchain.ts';
import { KeysagaError } from '../schema/contracts/errors.ts';
import { createBitcoinCodec } from './bitcoin/codec.ts';
import { createEthereumCodec } from './ethereum/codec.ts';
import { createSolanaCodec } from './solana/codec.ts';

const unsupported = (network: string): KeysagaError =>
  new KeysagaError('ChainUnsupported', `no strategy is registered for ${network.slice(0, 64)}`, {
    field: 'network',
    network: network.slice(0, 64),
  });

function registry<T>(entries: readonly T[], networkOf: (entry: T) => string) {
  const byNetwork = new Map<string, T>();
  for (const entry of entries) {
    const network = networkOf(entry);
    if (byNetwork.has(network)) {
      throw new KeysagaError('InvalidInput', `${network} is registered twice`, {
        field: 'network',
      });
    }
    byNetwork.set(network, entry);
  }
  return {
    /** @throws KeysagaError `ChainUnsupported`. */
    get(network: string): T {
      const entry = byNetwork.get(network);
      if (entry === undefined) throw unsupported(network);
      return entry;
    },
    list: (): readonly T[] => [...byNetwork.values()],
  };
}

/** @throws KeysagaError `InvalidInput` (`network`) when two serve the same network. */
export const createChains = (chains: readonly Blockchain[]): Chains =>
  registry(chains, ({ codec }) => codec.network);

/** @throws KeysagaError `InvalidInput` (`network`) when two serve the same network. */
export const createCodecs = (codecs: readonly TransactionCodec[]): Codecs =>
  registry(codecs, ({ network }) => network);

const families: Readonly<Record<string, (network: string) => TransactionCodec>> = {
  bip122: createBitcoinCodec,
  eip155: createEthereumCodec,
  solana: createSolanaCodec,
};

/** The codec of a network; pure, for parties and clients. @throws KeysagaError `ChainUnsupported`. */
export function codecFor(network: string): TransactionCodec {
  const family = network.split(':', 1)[0] ?? '';
  const create = Object.hasOwn(families, family) ? families[family] : undefined;
  if (create === undefined) throw unsupported(network);
  return create(network);
}

/** Codecs of these networks. @throws KeysagaError `ChainUnsupported`, `InvalidInput` (`network`). */
export const codecsFor = (networks: readonly string[]): Codecs =>
  createCodecs(networks.map(codecFor));
