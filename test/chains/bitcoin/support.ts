/** What the Bitcoin tests share: an independent BIP-341 digest, a raw PSBT writer and a plain signer. */
import { createHash, randomBytes } from 'node:crypto';
import { schnorr, secp256k1 } from '@noble/curves/secp256k1.js';
import type { UnsignedTransaction } from '../../../schema/contracts/transaction.ts';

export const REGTEST = 'bip122:0f9188f13cb7b2c71f2a335e3a4fc328';
export const MAINNET = 'bip122:000000000019d6689c085ae165831e93';

export const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
export const unhex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'hex'));
export const sha256 = (...parts: readonly Uint8Array[]): Buffer => {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest();
};

export type TxIn = { txid: string; vout: number; amount: bigint; script: Uint8Array };
export type TxOut = { amount: bigint; script: Uint8Array };

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
export const varint = (n: number): Buffer => {
  if (n < 0xfd) return Buffer.from([n]);
  const out = Buffer.alloc(3, 0xfd);
  out.writeUInt16LE(n, 1);
  return out;
};
export const sized = (bytes: Uint8Array): Buffer => Buffer.concat([varint(bytes.length), bytes]);
const outpoint = ({ txid, vout }: { txid: string; vout: number }): Buffer =>
  Buffer.concat([Buffer.from(txid, 'hex').reverse(), u32(vout)]);
export const txOut = ({ amount, script }: TxOut): Buffer =>
  Buffer.concat([u64(amount), sized(script)]);

/** BIP-341 "Common signature message" for SIGHASH_DEFAULT, key path, no annex, written from the BIP alone. */
export function taprootDigest(
  index: number,
  inputs: readonly (TxIn & { sequence?: number })[],
  outputs: readonly TxOut[],
  { version = 2, lockTime = 0 } = {},
): Uint8Array {
  const tag = sha256(Buffer.from('TapSighash'));
  return sha256(
    tag,
    tag,
    Buffer.from([0, 0]), // epoch, hash_type
    u32(version),
    u32(lockTime),
    sha256(...inputs.map(outpoint)),
    sha256(...inputs.map(({ amount }) => u64(amount))),
    sha256(...inputs.map(({ script }) => sized(script))),
    sha256(...inputs.map(({ sequence }) => u32(sequence ?? 0xfffffffd))),
    sha256(...outputs.map(txOut)),
    Buffer.from([0]), // spend_type
    u32(index),
  );
}

export type RawPsbt = {
  version?: number;
  lockTime?: number;
  sequence?: number;
  scriptSig?: Uint8Array;
  inputs: readonly TxIn[];
  outputs: readonly TxOut[];
  /** Extra entries [key, value]; input and output ones go to the first map. */
  global?: readonly (readonly [Uint8Array, Uint8Array])[];
  input?: readonly (readonly [Uint8Array, Uint8Array])[];
  output?: readonly (readonly [Uint8Array, Uint8Array])[];
  omitWitnessUtxo?: boolean;
  trailing?: Uint8Array;
};

const entry = (key: Uint8Array, value: Uint8Array): Buffer =>
  Buffer.concat([sized(key), sized(value)]);
const extras = (list: RawPsbt['global'] = []): Buffer[] => list.map(([k, v]) => entry(k, v));

/** A PSBT written byte by byte (BIP-174), so that malformed ones can be made too. */
export function rawPsbt(psbt: RawPsbt): Uint8Array {
  const { inputs, outputs } = psbt;
  const tx = Buffer.concat([
    u32(psbt.version ?? 2),
    varint(inputs.length),
    ...inputs.map((input) =>
      Buffer.concat([
        outpoint(input),
        sized(psbt.scriptSig ?? new Uint8Array()),
        u32(psbt.sequence ?? 0xfffffffd),
      ]),
    ),
    varint(outputs.length),
    ...outputs.map(txOut),
    u32(psbt.lockTime ?? 0),
  ]);
  const end = Buffer.from([0]);
  return Uint8Array.from(
    Buffer.concat([
      Buffer.from('70736274ff', 'hex'),
      entry(Buffer.from([0x00]), tx),
      ...extras(psbt.global),
      end,
      ...inputs.flatMap((input, i) => [
        ...(psbt.omitWitnessUtxo ? [] : [entry(Buffer.from([0x01]), txOut(input))]),
        ...(i === 0 ? extras(psbt.input) : []),
        end,
      ]),
      ...outputs.flatMap((_, i) => [...(i === 0 ? extras(psbt.output) : []), end]),
      psbt.trailing ?? new Uint8Array(),
    ]),
  );
}

export const unsignedOf = (bytes: Uint8Array, network = REGTEST): UnsignedTransaction => ({
  network,
  format: 'bitcoin-psbt',
  bytes: hex(bytes),
});

/** One key that stands for the group's: its output key is taken as it is, as the codec does. */
export type TestKey = {
  readonly publicKey: Uint8Array;
  readonly script: Uint8Array;
  sign(message: Uint8Array): Uint8Array;
};
export function testKey(secret: Uint8Array = secp256k1.utils.randomSecretKey()): TestKey {
  const publicKey = schnorr.getPublicKey(secret);
  return {
    publicKey,
    script: Uint8Array.from([0x51, 0x20, ...publicKey]),
    sign: (message) => schnorr.sign(message, secret),
  };
}

export const randomTxid = (): string => randomBytes(32).toString('hex');
