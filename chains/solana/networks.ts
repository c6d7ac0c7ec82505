/**
 * Solana's networks by CAIP-2 id. The reference is the first 32 characters of the genesis hash in base58
 * (the `solana` namespace of CAIP); a local runtime has a new genesis hash with each start, so its id is a name.
 */
import { KeysagaError } from '../../schema/contracts/errors.ts';

export type SolanaNetwork = {
  readonly id: string;
  readonly name: string;
  /** What the genesis hash must begin with; null: anything but a public network's. */
  readonly genesis: string | null;
  /**
   * A local runtime: its history dies with its process, and a transaction that lands but fails does not advance its
   * nonce there (measured on surfpool 1.5.0; on the real network it does).
   */
  readonly ephemeral: boolean;
};

const publicNetwork = (name: string, reference: string): SolanaNetwork => ({
  id: `solana:${reference}`,
  name,
  genesis: reference,
  ephemeral: false,
});

export const solanaMainnet = publicNetwork('mainnet', '5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp');
export const solanaDevnet = publicNetwork('devnet', 'EtWTRABZaYq6iMfeYKouRu166VU2xqa1');
export const solanaTestnet = publicNetwork('testnet', '4uhcVJyU9pJkvQyS88uRDiswHXSCkY3z');
export const solanaLocal: SolanaNetwork = {
  id: 'solana:surfnet-local',
  name: 'local',
  genesis: null,
  ephemeral: true,
};

export const solanaNetworks: readonly SolanaNetwork[] = [
  solanaMainnet,
  solanaDevnet,
  solanaTestnet,
  solanaLocal,
];

/** @throws KeysagaError `ChainUnsupported`. */
export function solanaNetwork(id: string): SolanaNetwork {
  const network = solanaNetworks.find((known) => known.id === id);
  if (network) return network;
  throw new KeysagaError('ChainUnsupported', `no Solana network ${id.slice(0, 64)} is known`, {
    field: 'network',
  });
}

/** Does a node with this genesis hash (base58) serve the network? */
export const servesNetwork = (network: SolanaNetwork, genesisHash: string): boolean =>
  network.genesis === null
    ? !solanaNetworks.some(({ genesis }) => genesis !== null && genesisHash.startsWith(genesis))
    : genesisHash.startsWith(network.genesis);
