/** ERC-20 `transfer(address,uint256)`: its call data (Solidity ABI), and tokens as assets. */
import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js';
import { parseAsset } from '../../schema/contracts/asset.ts';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import { addressBytes } from './address.ts';
import type { EthereumNetwork } from './networks.ts';

/** First four bytes of keccak-256(`transfer(address,uint256)`). */
const TRANSFER = 'a9059cbb';
/** keccak-256(`Transfer(address,address,uint256)`). */
export const TRANSFER_EVENT = '0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef';
/** First four bytes of keccak-256(`balanceOf(address)`). */
const BALANCE_OF = '70a08231';

const word = (value: bigint): string => value.toString(16).padStart(64, '0');

export const encodeTransfer = (to: Uint8Array, amount: bigint): Uint8Array =>
  hexToBytes(TRANSFER + bytesToHex(to).padStart(64, '0') + word(amount));

/** `0x…`: 32-byte topic of an address. */
export const addressTopic = (address: Uint8Array): string =>
  `0x${bytesToHex(address).padStart(64, '0')}`;

export const encodeBalanceOf = (account: Uint8Array): string =>
  `0x${BALANCE_OF}${bytesToHex(account).padStart(64, '0')}`;

export type TokenTransfer = { readonly to: Uint8Array; readonly amount: bigint };
export type TransferFault = 'call-data-selector' | 'call-data-length' | 'call-data-padding';

/**
 * Exactly the selector, an address padded with twelve zero bytes, and an amount: 68 bytes. Tokens read past a dirty
 * padding in different ways, and what trails is seen by some contracts, so neither is taken.
 */
export function decodeTransfer(data: Uint8Array): TokenTransfer | TransferFault {
  if (bytesToHex(data.subarray(0, 4)) !== TRANSFER) return 'call-data-selector';
  if (data.length !== 68) return 'call-data-length';
  if (data.subarray(4, 16).some((byte) => byte !== 0)) return 'call-data-padding';
  return { to: data.slice(16, 36), amount: BigInt(`0x${bytesToHex(data.subarray(36))}`) };
}

/** The token's address, undefined for the native coin. @throws KeysagaError `InvalidInput` (`asset`). */
export function tokenOf(network: EthereumNetwork, asset: string): Uint8Array | undefined {
  const parsed = parseAsset(asset);
  if (parsed?.kind === 'native') return undefined;
  if (parsed?.kind === 'token' && parsed.network === network.id && parsed.namespace === 'erc20')
    return addressBytes(parsed.reference, 'asset');
  throw new KeysagaError(
    'InvalidInput',
    `an asset here is native or ${network.id}/erc20:<contract>`,
    { field: 'asset' },
  );
}
