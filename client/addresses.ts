/**
 * Addresses from public keys, derived here and compared with what the parties certified: a second implementation next
 * to the coordinator's, so that a fault in one does not show money an address that nobody can spend from.
 */
import { secp256k1 } from '@noble/curves/secp256k1.js';
import { ripemd160 } from '@noble/hashes/legacy.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { keccak_256 } from '@noble/hashes/sha3.js';
import { base58, bech32, bech32m } from '@scure/base';
import { eip55 } from '../schema/contracts/asset.ts';
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

/** The networks that `chains/ethereum` knows; elsewhere an address of the same key may mean another account. */
const ETHEREUM: ReadonlySet<string> = new Set([
  'eip155:1',
  'eip155:11155111',
  'eip155:560048',
  'eip155:31337',
]);

const refuse = (message: string): never => {
  throw new KeysagaError('InvalidInput', message, { field: 'publicKey' });
};

/** A compressed secp256k1 point, 33 bytes. */
function pointOf(publicKey: Uint8Array): InstanceType<typeof secp256k1.Point> {
  if (publicKey.length !== 33) return refuse('The public key must have 33 bytes.');
  try {
    return secp256k1.Point.fromBytes(publicKey);
  } catch {
    return refuse('The public key is no point of secp256k1.');
  }
}

/** P2TR for x-only keys (32 bytes), P2WPKH for ECDSA keys (33). */
function bitcoin(prefix: string, publicKey: Uint8Array): string {
  if (publicKey.length === 32) return bech32m.encode(prefix, [1, ...bech32m.toWords(publicKey)]);
  if (publicKey.length !== 33) return refuse('The public key must have 32 or 33 bytes.');
  pointOf(publicKey);
  return bech32.encode(prefix, [0, ...bech32.toWords(ripemd160(sha256(publicKey)))]);
}

/**
 * Bitcoin: P2TR of the x-only output key (BIP-341, bech32m by BIP-350; the key already carries the tweak), or P2WPKH of an
 * ECDSA key (BIP-141, bech32 by BIP-173). Ethereum: the last 20 bytes of keccak-256 over the uncompressed key, in EIP-55
 * spelling. Solana: the Ed25519 key in base58.
 */
export const addressCodecs: AddressCodecs = {
  address(network, publicKey) {
    const prefix = Object.hasOwn(PREFIXES, network) ? PREFIXES[network] : undefined;
    if (prefix !== undefined) return bitcoin(prefix, publicKey);
    if (ETHEREUM.has(network))
      return eip55(keccak_256(pointOf(publicKey).toBytes(false).subarray(1)).subarray(12));
    if (!network.startsWith('solana:'))
      throw new KeysagaError('ChainUnsupported', `No address rule for ${network}.`, {
        field: 'network',
      });
    if (publicKey.length !== 32) return refuse('The public key must have 32 bytes.');
    return base58.encode(publicKey);
  },
};
