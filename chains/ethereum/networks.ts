/**
 * Ethereum networks by CAIP-2 id (`eip155:<chain id>`). A closed list: elsewhere, notably on rollups that charge for
 * their data on another layer, gas limit × fee is not the most that a transaction can cost, so no cap would hold.
 */
import { KeysagaError } from '../../schema/contracts/errors.ts';

export type EthereumNetwork = {
  /** CAIP-2 id. */
  readonly id: string;
  readonly name: string;
  readonly chainId: bigint;
  /**
   * Blocks, its own among them, after which a transaction is final, unless the operator says otherwise. Two epochs on the
   * public networks: a block that old is finalised by proof of stake when the chain is healthy.
   */
  readonly finality: number;
};

const network = (chainId: bigint, name: string, finality: number): EthereumNetwork => ({
  id: `eip155:${chainId}`,
  name,
  chainId,
  finality,
});

export const ETHEREUM_NETWORKS: readonly EthereumNetwork[] = [
  network(1n, 'mainnet', 64),
  network(11_155_111n, 'Sepolia', 64),
  network(560_048n, 'Hoodi', 64),
  network(31_337n, 'local', 2),
];

/** @throws KeysagaError `ChainUnsupported` for an id that is not in the table. */
export function ethereumNetwork(id: string): EthereumNetwork {
  const found = ETHEREUM_NETWORKS.find((known) => known.id === id);
  if (found !== undefined) return found;
  throw new KeysagaError('ChainUnsupported', `no Ethereum network ${id.slice(0, 64)} is known`, {
    field: 'network',
  });
}
