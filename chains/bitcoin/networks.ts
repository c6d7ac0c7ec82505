/** Bitcoin networks by CAIP-2 id (bip122: the first 32 hex digits of the genesis block's hash). */
import { KeysagaError } from '../../schema/contracts/errors.ts';

/** Address parameters in the shape that `@scure/btc-signer` takes. */
export type AddressParams = {
  readonly bech32: string;
  readonly pubKeyHash: number;
  readonly scriptHash: number;
  readonly wif: number;
};

export type BitcoinNetwork = {
  /** CAIP-2 id. */
  readonly id: string;
  readonly name: 'mainnet' | 'testnet' | 'testnet4' | 'signet' | 'regtest';
  readonly params: AddressParams;
  /** First 32 hex digits of the genesis block's hash, display order. */
  readonly genesis: string;
  /** Confirmations after which a transaction counts as final, unless the operator says otherwise. */
  readonly finality: number;
  /** Confirmations that an output needs before it is spent, unless the operator says otherwise. */
  readonly inputConfirmations: number;
};

const main: AddressParams = { bech32: 'bc', pubKeyHash: 0x00, scriptHash: 0x05, wif: 0x80 };
const test: AddressParams = { bech32: 'tb', pubKeyHash: 0x6f, scriptHash: 0xc4, wif: 0xef };
const regtest: AddressParams = { ...test, bech32: 'bcrt' };

// Elsewhere than on regtest an input must be as deep as a final transaction: were it reorganised away after a
// share is released, neither a conflicting payment nor a void could be made any more.
const table = [
  ['mainnet', '000000000019d6689c085ae165831e93', main, 6, 6],
  ['testnet', '000000000933ea01ad0ee984209779ba', test, 6, 6],
  ['testnet4', '00000000da84f2bafbbc53dee25a72ae', test, 6, 6],
  ['signet', '00000008819873e925422c1ff0f99f7c', test, 3, 3],
  ['regtest', '0f9188f13cb7b2c71f2a335e3a4fc328', regtest, 2, 1],
] as const;

export const BITCOIN_NETWORKS: readonly BitcoinNetwork[] = table.map(
  ([name, genesis, params, finality, inputConfirmations]) => ({
    id: `bip122:${genesis}`,
    name,
    params,
    genesis,
    finality,
    inputConfirmations,
  }),
);

/** @throws KeysagaError `ChainUnsupported` for an id that is not in the table. */
export function bitcoinNetwork(id: string): BitcoinNetwork {
  const found = BITCOIN_NETWORKS.find((network) => network.id === id);
  if (found === undefined) {
    throw new KeysagaError('ChainUnsupported', `${id} is no known Bitcoin network`, {
      field: 'network',
    });
  }
  return found;
}
