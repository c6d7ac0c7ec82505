/**
 * Accounts of a wallet: its key's own, and one for each non-hardened BIP-32 path below the key (docs/deposits.md). A child's
 * private key exists nowhere: its shares are the wallet's, and signers add a public scalar to them. Clients, the coordinator
 * and every party find the account by themselves, from the certified key and the path that approvers signed.
 *
 * An ECDSA child is BIP-32's. A Taproot child is the output key (BIP-341, no scripts) of BIP-32's child as its internal key,
 * what the descriptor `tr(<xpub>/0/*)` means (BIP-386); the key at the root is the wallet's output key, with its even y.
 */
import { schnorr, secp256k1 } from '@noble/curves/secp256k1.js';
import { concatBytes } from '@noble/hashes/utils.js';
import { KeysagaError } from '../schema/contracts/errors.ts';
import type { KeyDescriptor } from '../schema/contracts/key.ts';
import { AccountPath } from '../schema/contracts/primitives.ts';
import { networkFamily } from './assets.ts';
import { deriveKey, type ExtendedKey, encodeXpub, extendedKey, parsePath } from './derivation.ts';
import { parseWith } from './parse.ts';
import type { TransactionCodec } from './ports/blockchain.ts';
import { bytesToHex, digestBytes, hexToBytes } from './signed.ts';

const { Point } = secp256k1;
const { Fn } = Point;
const MAINNET = 'bip122:000000000019d6689c085ae165831e93';

/** What every party certifies of a key and a refresh does not change. */
export type AccountRoot = Pick<KeyDescriptor, 'keyId' | 'network' | 'publicKey'>;

/**
 * BIP-32's chain code: SHA-256 of the signed form `keysaga/chain-code/v1` of key id, network and public key. It is no secret
 * and nobody's choice: whoever holds the certificates computes it.
 */
export const chainCodeOf = ({ keyId, network, publicKey }: AccountRoot): Uint8Array =>
  digestBytes('chain-code', { keyId, network, publicKey });

/** The root of a wallet's accounts. Throws `InvalidInput` (`path`) for Ed25519, whose keys have no public derivation. */
export function accountRoot(key: AccountRoot): ExtendedKey {
  const family = networkFamily(key.network);
  if (family !== 'bitcoin' && family !== 'ethereum')
    throw new KeysagaError(
      'InvalidInput',
      'path: only secp256k1 keys have child keys (BIP-32); this wallet has one address',
      { field: 'path', rule: 'curve', network: key.network },
    );
  const bytes = hexToBytes(key.publicKey);
  // BIP-340 keys are x coordinates, of the point with even y.
  const compressed = bytes.length === 32 ? concatBytes(Uint8Array.of(2), bytes) : bytes;
  const isTest = family === 'bitcoin' && key.network !== MAINNET;
  return extendedKey(compressed, chainCodeOf(key), isTest ? 'test' : 'main');
}

/** BIP-32's serialisation: `xpub…`, or `tpub…` on Bitcoin's test networks. Throws as `accountRoot`. */
export const xpubOf = (key: AccountRoot): string => encodeXpub(accountRoot(key));

export type ChildKey = {
  /** As the chain sees it: x-only output key of a Taproot wallet, compressed otherwise. */
  readonly publicKey: Uint8Array;
  /** Scalar that leads from the wallet's key to it (a BIP-340 key taken with even y), 32 bytes. */
  readonly tweak: Uint8Array;
};

/** Throws `InvalidInput` (`path`): not 1 to 5 steps below 2^31, or a wallet without children. */
export function childKey(key: AccountRoot, path: string): ChildKey {
  const steps = parsePath(parseWith(AccountPath, path, 'path'));
  const child = deriveKey(accountRoot(key), steps);
  if (key.publicKey.length !== 64) return { publicKey: child.publicKey, tweak: child.tweak };
  const internal = child.publicKey.subarray(1);
  const tapTweak = Fn.fromBytes(schnorr.utils.taggedHash('TapTweak', internal), true);
  // Probability 2^-128.
  if (tapTweak >= Fn.ORDER) throw nowhere();
  // BIP-341 adds its tweak to the point with even y. Turned around, the sum has the same x: so this adds to the other.
  const isOdd = child.publicKey[0] === 3;
  const added = isOdd ? Fn.neg(tapTweak) : tapTweak;
  const output = Point.fromBytes(child.publicKey).add(Point.BASE.multiplyUnsafe(added));
  if (output.is0()) throw nowhere();
  return {
    publicKey: output.toBytes(true).slice(1),
    tweak: Fn.toBytes(Fn.add(Fn.fromBytes(child.tweak), added)),
  };
}

const nowhere = (): KeysagaError =>
  new KeysagaError('InvalidInput', 'path: this index has no key', { field: 'path' });

export type Account = {
  /** The wallet's key with the public key and the address of the account: what a chain is asked about. */
  readonly key: KeyDescriptor;
  /** What signers add (`SignParams.tweak`); absent for the wallet's own account. */
  readonly tweak?: Uint8Array;
};

/** The account at `path`; without one the wallet's own. Throws as `childKey`. */
export function accountOf(
  key: KeyDescriptor,
  path: string | undefined,
  codec: Pick<TransactionCodec, 'address'>,
): Account {
  if (path === undefined) return { key };
  const { publicKey, tweak } = childKey(key, path);
  const address = codec.address(publicKey);
  return { key: { ...key, publicKey: bytesToHex(publicKey), address }, tweak };
}
