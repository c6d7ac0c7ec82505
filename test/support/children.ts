/** Children of a key by other software than ours: BIP-32 of viem, Taproot outputs of @scure/btc-signer. */
import { p2tr } from '@scure/btc-signer';
import { HDKey } from 'viem/accounts';

/** The child as its chain sees it. 32 bytes in: a Taproot output key, out: that of `tr(<xpub>/path)`. */
export function childKeyOf(publicKey: Uint8Array, chainCode: Uint8Array, path: string): Uint8Array {
  const compressed = publicKey.length === 32 ? Uint8Array.from([2, ...publicKey]) : publicKey;
  const child = new HDKey({ publicKey: compressed, chainCode }).derive(path).publicKey;
  if (child === null) throw new Error(`no key at ${path}`);
  return publicKey.length === 32 ? p2tr(child.slice(1)).tweakedPubkey : child;
}
