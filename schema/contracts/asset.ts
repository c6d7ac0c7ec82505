/**
 * Names of assets within a network: `native` (sats, lamports, wei), or the CAIP-19 id of a token, e.g.
 * `eip155:1/erc20:0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48` (chainagnostic.org, CAIP-19). The reference is written as
 * addresses of the network are, so that one asset has one name: limits and records are kept by it.
 */
import { keccak_256 } from '@noble/hashes/sha3.js';
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js';

export type Asset =
  | { readonly kind: 'native' }
  | {
      readonly kind: 'token';
      /** CAIP-2. */
      readonly network: string;
      /** e.g. `erc20`. */
      readonly namespace: string;
      /** e.g. the contract's address. */
      readonly reference: string;
    };

const CAIP19 = /^([-a-z0-9]{3,8}:[-_a-zA-Z0-9]{1,32})\/([-a-z0-9]{3,8}):([-.a-zA-Z0-9]{1,128})$/;

/** Undefined for what is no asset's name. */
export function parseAsset(asset: string): Asset | undefined {
  if (asset === 'native') return { kind: 'native' };
  const [, network, namespace, reference] = CAIP19.exec(asset) ?? [];
  if (network === undefined || namespace === undefined || reference === undefined) return undefined;
  return { kind: 'token', network, namespace, reference };
}

/** CAIP-19 id of an ERC-20 token; `contract` in EIP-55 spelling. */
export const erc20Asset = (network: string, contract: string): string =>
  `${network}/erc20:${contract}`;

/** EIP-55: an address of 20 bytes with the checksum in its upper and lower case. */
export function eip55(address: Uint8Array): string {
  const lower = bytesToHex(address);
  const hash = bytesToHex(keccak_256(utf8ToBytes(lower)));
  const mixed = [...lower].map((char, i) =>
    Number.parseInt(hash[i] ?? '0', 16) >= 8 ? char.toUpperCase() : char,
  );
  return `0x${mixed.join('')}`;
}
