/** Names and units of what is paid, for people; CAIP-2 namespaces are the key (namespaces.chainagnostic.org). */
import { parseAsset } from '../schema/contracts/asset.ts';

export type NetworkFamily = 'bitcoin' | 'solana' | 'ethereum';

type Unit = {
  readonly coin: string;
  readonly smallest: string;
  readonly decimals: number;
  readonly title: string;
};

const UNITS: Readonly<Record<NetworkFamily, Unit>> = {
  bitcoin: { coin: 'BTC', smallest: 'sats', decimals: 8, title: 'Bitcoin' },
  solana: { coin: 'SOL', smallest: 'lamports', decimals: 9, title: 'Solana' },
  ethereum: { coin: 'ETH', smallest: 'wei', decimals: 18, title: 'Ethereum' },
};
const FAMILIES: ReadonlyMap<string, NetworkFamily> = new Map([
  ['bip122', 'bitcoin'],
  ['solana', 'solana'],
  ['eip155', 'ethereum'],
]);
/** Genesis hashes (first 32 characters) and chain ids of public networks. */
const NAMES: ReadonlyMap<string, string> = new Map([
  ['bip122:000000000019d6689c085ae165831e93', 'Bitcoin mainnet'],
  ['bip122:000000000933ea01ad0ee984209779ba', 'Bitcoin testnet3'],
  ['bip122:00000000da84f2bafbbc53dee25a72ae', 'Bitcoin testnet4'],
  ['bip122:00000008819873e925422c1ff0f99f7c', 'Bitcoin signet'],
  ['bip122:0f9188f13cb7b2c71f2a335e3a4fc328', 'Bitcoin regtest'],
  ['solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp', 'Solana mainnet'],
  ['solana:EtWTRABZaYq6iMfeYKouRu166VU2xqa1', 'Solana devnet'],
  ['solana:4uhcVJyU9pJkvQyS88uRDiswHXSCkY3z', 'Solana testnet'],
  ['solana:surfnet-local', 'local Solana runtime'],
  ['eip155:1', 'Ethereum mainnet'],
  ['eip155:11155111', 'Ethereum Sepolia'],
  ['eip155:560048', 'Ethereum Hoodi'],
  ['eip155:31337', 'local Ethereum node'],
]);
/** Well-known tokens by CAIP-19 id. Others are shown by their contract: a symbol that a contract gives itself proves nothing. */
const TOKENS: ReadonlyMap<string, Pick<Unit, 'coin' | 'decimals'>> = new Map([
  ['eip155:1/erc20:0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48', { coin: 'USDC', decimals: 6 }],
  ['eip155:1/erc20:0xdAC17F958D2ee523a2206206994597C13D831ec7', { coin: 'USDT', decimals: 6 }],
  ['eip155:1/erc20:0x6B175474E89094C44Da98b954EedeAC495271d0F', { coin: 'DAI', decimals: 18 }],
  ['eip155:1/erc20:0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2', { coin: 'WETH', decimals: 18 }],
]);

/** The family of a CAIP-2 id, `undefined` for a namespace that this version does not know. */
export const networkFamily = (network: string): NetworkFamily | undefined =>
  FAMILIES.get(network.slice(0, network.indexOf(':')));

export function networkName(network: string): string {
  const known = NAMES.get(network);
  if (known !== undefined) return known;
  const family = networkFamily(network);
  return family === undefined
    ? 'Unknown network'
    : `Private or unlisted ${UNITS[family].title} network`;
}

/** `BTC` for the native coin, `USDC (<id>)` for a well-known token, `ERC-20 token <contract>`; else its own name. */
export function assetName(network: string, asset: string): string {
  const family = networkFamily(network);
  if (asset === 'native' && family !== undefined) return UNITS[family].coin;
  const known = TOKENS.get(asset);
  if (known !== undefined) return `${known.coin} (${asset})`;
  const token = parseAsset(asset);
  return token?.kind === 'token' && token.namespace === 'erc20'
    ? `ERC-20 token ${token.reference} on ${networkName(token.network)}`
    : asset;
}

/** `0.015 BTC (1500000 sats)`; an asset whose decimals are not known shows the smallest units only. */
export function formatAmount(network: string, asset: string, amount: string): string {
  const family = networkFamily(network);
  const unit = asset === 'native' && family !== undefined ? UNITS[family] : TOKENS.get(asset);
  if (unit === undefined) return `${amount} smallest units of ${asset}`;
  const digits = amount.padStart(unit.decimals + 1, '0');
  const whole = digits.slice(0, -unit.decimals);
  const fraction = digits.slice(-unit.decimals).replace(/0+$/, '');
  return `${whole}${fraction === '' ? '' : `.${fraction}`} ${unit.coin} (${amount} ${'smallest' in unit ? unit.smallest : 'smallest units'})`;
}
