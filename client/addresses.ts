/**
 * Addresses from public keys, derived here and compared with what the parties certified: a second implementation next
 * to the coordinator's, so that a fault in one does not show money an address that nobody can spend from.
 */
import { base58, bech32m } from '@scure/base';
import { KeysagaError } from '../schema/contracts/errors.ts';

export type AddressCodecs = {
  /** The address of a public key on a CAIP-2 network. Throws `ChainUnsupported` or `InvalidInput` (`publicKey`). */
  address(network: string, publicKey: Uint8Array): string;
};

/** Human-readable parts of segwit addresses (BIP-173) by CAIP-2 id. */
const PREFIXES: Readonly<Record<string, string>> = {
  'bip122:000000000019d6689c085ae165831e93': 'bc',
  'bip122:000000000933ea01ad0ee984209779ba': 'tb',
  'bip122:00000000da84f2bafbbc53dee25a72ae': 'tb',
  'bip122:00000008819873e925422c1ff0f99f7c': 'tb',
  'bip122:0f9188f13cb7b2c71f2a335e3a4fc328': 'bcrt',
};

/**
 * Bitcoin: P2TR of the x-only output key (BIP-341, bech32m by BIP-350; the key already carries the tweak). Solana: the
 * Ed25519 key in base58.
 */
export const addressCodecs: AddressCodecs = {
  address(network, publicKey) {
    const prefix = Object.hasOwn(PREFIXES, network) ? PREFIXES[network] : undefined;
    const solana = network.startsWith('solana:');
    if (prefix === undefined && !solana)
      throw new KeysagaError('ChainUnsupported', `No address rule for ${network}.`, {
        field: 'network',
      });
    if (publicKey.length !== 32)
      throw new KeysagaError('InvalidInput', 'The public key must have 32 bytes.', {
        field: 'publicKey',
      });
    if (prefix === undefined) return base58.encode(publicKey);
    return bech32m.encode(prefix, [1, ...bech32m.toWords(publicKey)]);
  },
};
