/**
 * Addresses: 32 bytes in base58. A destination off the curve (an address that a program derived and owns) is taken: a
 * System Transfer to it is legitimate. Programs and sysvars are not: lamports sent there are lost, or the runtime refuses.
 */
import { base58 } from '@scure/base';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import { isPublicKey } from './ed25519.ts';

/** @throws KeysagaError `InvalidInput` (`field`). */
export function addressBytes(address: string, field: string): Uint8Array {
  const refuse = (cause?: unknown) =>
    new KeysagaError('InvalidInput', `not a Solana address: ${field}`, { field }, { cause });
  // Checked first: decoding takes time quadratic in the length.
  if (address.length < 32 || address.length > 44) throw refuse();
  let bytes: Uint8Array;
  try {
    bytes = base58.decode(address);
  } catch (cause) {
    throw refuse(cause);
  }
  if (bytes.length !== 32) throw refuse();
  return bytes;
}

/** The wallet's address. @throws KeysagaError `InvalidInput` (`publicKey`). */
export function addressOf(publicKey: Uint8Array): string {
  if (!isPublicKey(publicKey)) {
    throw new KeysagaError('InvalidInput', 'not an Ed25519 public key', { field: 'publicKey' });
  }
  return base58.encode(publicKey);
}

/** Builtin programs and sysvars, whose accounts the runtime never lets a transaction write. */
const reserved = new Set([
  '11111111111111111111111111111111',
  'AddressLookupTab1e1111111111111111111111111',
  'BPFLoader1111111111111111111111111111111111',
  'BPFLoader2111111111111111111111111111111111',
  'BPFLoaderUpgradeab1e11111111111111111111111',
  'ComputeBudget111111111111111111111111111111',
  'Config1111111111111111111111111111111111111',
  'Ed25519SigVerify111111111111111111111111111',
  'Feature111111111111111111111111111111111111',
  'KeccakSecp256k11111111111111111111111111111',
  'LoaderV411111111111111111111111111111111111',
  'NativeLoader1111111111111111111111111111111',
  'Secp256r1SigVerify1111111111111111111111111',
  'Stake11111111111111111111111111111111111111',
  'StakeConfig11111111111111111111111111111111',
  'Sysvar1111111111111111111111111111111111111',
  'SysvarC1ock11111111111111111111111111111111',
  'SysvarEpochRewards1111111111111111111111111',
  'SysvarEpochSchedu1e111111111111111111111111',
  'SysvarFees111111111111111111111111111111111',
  'Sysvar1nstructions1111111111111111111111111',
  'SysvarLastRestartS1ot1111111111111111111111',
  'SysvarRecentB1ockHashes11111111111111111111',
  'SysvarRent111111111111111111111111111111111',
  'SysvarRewards111111111111111111111111111111',
  'SysvarS1otHashes111111111111111111111111111',
  'SysvarS1otHistory11111111111111111111111111',
  'SysvarStakeHistory1111111111111111111111111',
  'Vote111111111111111111111111111111111111111',
  'ZkE1Gama1Proof11111111111111111111111111111',
  'ZkTokenProof1111111111111111111111111111111',
]);
export const isReserved = (key: Uint8Array): boolean => reserved.has(base58.encode(key));
