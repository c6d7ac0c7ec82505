/** What the P2WPKH tests share: BIP-143's digest written from the BIP, previous transactions, a raw PSBT writer, a signer. */
import { createHash } from 'node:crypto';
import { secp256k1 } from '@noble/curves/secp256k1.js';
import { hex, sha256, sized, type TxOut, txOut, varint } from './support.ts';

const u32 = (n: number): Buffer => {
  const out = Buffer.alloc(4);
  out.writeUInt32LE(n >>> 0);
  return out;
};
const u64 = (n: bigint): Buffer => {
  const out = Buffer.alloc(8);
  out.writeBigUInt64LE(n);
  return out;
};
const twice = (...parts: readonly Uint8Array[]): Buffer => sha256(sha256(...parts));
export const outpointBytes = ({ txid, vout }: { txid: string; vout: number }): Buffer =>
  Buffer.concat([Buffer.from(txid, 'hex').reverse(), u32(vout)]);

/** 20 bytes. */
export const hash160 = (bytes: Uint8Array): Uint8Array =>
  Uint8Array.from(createHash('ripemd160').update(sha256(bytes)).digest());

export type SpentInput = {
  readonly txid: string;
  readonly vout: number;
  readonly sequence: number;
};

/** BIP-143, SIGHASH_ALL, P2WPKH: the digest of input `index`, which spends `amount` under the key with this hash. */
export function bip143Digest(
  index: number,
  keyHash: Uint8Array,
  amount: bigint,
  inputs: readonly SpentInput[],
  outputs: readonly TxOut[],
  { version = 2, lockTime = 0 } = {},
): Uint8Array {
  const input = inputs[index] as SpentInput;
  return twice(
    u32(version),
    twice(...inputs.map(outpointBytes)),
    twice(...inputs.map(({ sequence }) => u32(sequence))),
    outpointBytes(input),
    Buffer.from(`1976a914${hex(keyHash)}88ac`, 'hex'),
    u64(amount),
    u32(input.sequence),
    twice(...outputs.map(txOut)),
    u32(lockTime),
    u32(1),
  );
}

export type EcdsaKey = {
  readonly publicKey: Uint8Array;
  readonly script: Uint8Array;
  readonly keyHash: Uint8Array;
  sign(digest: Uint8Array): Uint8Array;
};
export function ecdsaKey(secret: Uint8Array = secp256k1.utils.randomSecretKey()): EcdsaKey {
  const publicKey = secp256k1.getPublicKey(secret);
  const keyHash = hash160(publicKey);
  return {
    publicKey,
    keyHash,
    script: Uint8Array.from([0x00, 0x14, ...keyHash]),
    sign: (digest) => secp256k1.sign(digest, secret, { prehash: false }),
  };
}

/** A transaction with one input and these outputs, without witnesses; and its id. */
export function previousTransaction(
  outputs: readonly TxOut[],
  seed: number,
): { bytes: Uint8Array; txid: string } {
  const bytes = Uint8Array.from(
    Buffer.concat([
      u32(2),
      varint(1),
      Buffer.alloc(32, seed),
      u32(seed),
      varint(0),
      u32(0xfffffffd),
      varint(outputs.length),
      ...outputs.map(txOut),
      u32(0),
    ]),
  );
  return { bytes, txid: hex(twice(bytes).reverse()) };
}

/** The same with a witness of one byte (BIP-144); the id does not change. */
export const withWitness = (bytes: Uint8Array): Uint8Array =>
  Uint8Array.from([
    ...bytes.subarray(0, 4),
    0,
    1,
    ...bytes.subarray(4, -4),
    1,
    1,
    7,
    ...bytes.subarray(-4),
  ]);

export type KeyValue = readonly [Uint8Array, Uint8Array];
const entry = ([key, value]: KeyValue): Buffer => Buffer.concat([sized(key), sized(value)]);

/** A PSBT byte by byte: each input with exactly the entries given. */
export function psbtOf(
  inputs: readonly { txid: string; vout: number; map: readonly KeyValue[] }[],
  outputs: readonly TxOut[],
): Uint8Array {
  const tx = Buffer.concat([
    u32(2),
    varint(inputs.length),
    ...inputs.map((input) => Buffer.concat([outpointBytes(input), varint(0), u32(0xfffffffd)])),
    varint(outputs.length),
    ...outputs.map(txOut),
    u32(0),
  ]);
  const end = Buffer.from([0]);
  return Uint8Array.from(
    Buffer.concat([
      Buffer.from('70736274ff', 'hex'),
      entry([Uint8Array.of(0), tx]),
      end,
      ...inputs.flatMap(({ map }) => [...map.map(entry), end]),
      ...outputs.map(() => end),
    ]),
  );
}

/** SIGHASH_TYPE. */
export const sighash = (type: number): KeyValue => [Uint8Array.of(3), Uint8Array.from(u32(type))];
