/** Names and units of what is paid, for people; CAIP-2 namespaces are the key (namespaces.chainagnostic.org). */

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

/** `BTC` for the native coin; any other asset by its own name. */
export function assetName(network: string, asset: string): string {
  const family = networkFamily(network);
  return asset === 'native' && family !== undefined ? UNITS[family].coin : asset;
}

/** `0.015 BTC (1500000 sats)`; an asset whose decimals are not known shows the smallest units only. */
export function formatAmount(network: string, asset: string, amount: string): string {
  const family = networkFamily(network);
  if (asset !== 'native' || family === undefined) return `${amount} smallest units of ${asset}`;
  const unit = UNITS[family];
  const digits = amount.padStart(unit.decimals + 1, '0');
  const whole = digits.slice(0, -unit.decimals);
  const fraction = digits.slice(-unit.decimals).replace(/0+$/, '');
  return `${whole}${fraction === '' ? '' : `.${fraction}`} ${unit.coin} (${amount} ${unit.smallest})`;
}
