/** What the Ethereum tests share: a single key that stands for the group's, and an RLP writer of their own. */
import { secp256k1 } from '@noble/curves/secp256k1.js';
import { createEthereumCodec } from '../../../chains/ethereum/codec.ts';
import { isKeysagaError, type KeysagaError } from '../../../schema/contracts/errors.ts';
import type { UnsignedTransaction } from '../../../schema/contracts/transaction.ts';

export const LOCAL = 'eip155:31337';
export const MAINNET = 'eip155:1';
export const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
export const unhex = (text: string): Uint8Array =>
  Uint8Array.from(Buffer.from(text.replace(/^0x/, ''), 'hex'));

export type TestKey = {
  readonly publicKey: Uint8Array;
  readonly address: string;
  /** r ‖ s, low s, RFC 6979. */
  sign(digest: Uint8Array): Uint8Array;
};
export function testKey(secret: Uint8Array = secp256k1.utils.randomSecretKey()): TestKey {
  const publicKey = secp256k1.getPublicKey(secret);
  return {
    publicKey,
    address: createEthereumCodec(LOCAL).address(publicKey),
    sign: (digest) => secp256k1.sign(digest, secret, { prehash: false }),
  };
}

export type Rlp = Uint8Array | readonly Rlp[];
function header(length: number, short: number): number[] {
  if (length <= 55) return [short + length];
  const size: number[] = [];
  for (let rest = length; rest > 0; rest >>= 8) size.unshift(rest & 0xff);
  return [short + 55 + size.length, ...size];
}
/** Written from the Yellow Paper, appendix B. */
export function rlp(item: Rlp): Uint8Array {
  if (item instanceof Uint8Array) {
    const [only] = item;
    if (item.length === 1 && only !== undefined && only < 0x80) return item;
    return Uint8Array.from([...header(item.length, 0x80), ...item]);
  }
  const body = item.flatMap((one) => [...rlp(one)]);
  return Uint8Array.from([...header(body.length, 0xc0), ...body]);
}
export const int = (value: bigint): Uint8Array => {
  if (value === 0n) return new Uint8Array();
  const text = value.toString(16);
  return unhex(text.length % 2 === 0 ? text : `0${text}`);
};
export const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);

export const unsignedOf = (payload: Uint8Array, network = LOCAL): UnsignedTransaction => ({
  network,
  format: 'ethereum-rlp',
  bytes: hex(payload),
});

export function failure(work: () => unknown): KeysagaError | undefined {
  try {
    work();
  } catch (error) {
    if (isKeysagaError(error)) return error;
    throw error;
  }
  return undefined;
}
