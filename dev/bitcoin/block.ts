/** Reads the transactions of a serialised block (Bitcoin's network encoding, witnesses by BIP-144). */
import { sha256 } from '@noble/hashes/sha2.js';
import { KeysagaError } from '../../schema/contracts/errors.ts';

export interface ParsedTransaction {
  /** As nodes print it: byte-reversed double SHA-256 without witnesses. */
  readonly txid: string;
  readonly inputs: readonly { readonly txid: string; readonly vout: number }[];
  readonly outputs: readonly { readonly amount: bigint; readonly script: string }[];
}

class Cursor {
  readonly bytes: Buffer;
  at = 0;
  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }
  take(length: number): Buffer {
    if (this.at + length > this.bytes.length) {
      throw new KeysagaError('TransactionMalformed', 'a block from the node ends too early', {
        field: 'block',
      });
    }
    this.at += length;
    return this.bytes.subarray(this.at - length, this.at);
  }
  /** Compact size; lengths above 2^32 do not occur in a block. */
  size(): number {
    const first = this.take(1).readUInt8();
    if (first < 0xfd) return first;
    if (first === 0xfd) return this.take(2).readUInt16LE();
    if (first === 0xfe) return this.take(4).readUInt32LE();
    return Number(this.take(8).readBigUInt64LE());
  }
  hash(): string {
    return Buffer.from(this.take(32)).reverse().toString('hex');
  }
  many<T>(read: () => T): T[] {
    return Array.from({ length: this.size() }, read);
  }
}

function readTransaction(cursor: Cursor): ParsedTransaction {
  const version = cursor.take(4);
  const segwit = cursor.bytes[cursor.at] === 0;
  if (segwit) cursor.take(2); // marker 0, flag 1
  const bodyFrom = cursor.at;
  const inputs = cursor.many(() => {
    const txid = cursor.hash();
    const vout = cursor.take(4).readUInt32LE();
    cursor.take(cursor.size());
    cursor.take(4); // sequence
    return { txid, vout };
  });
  const outputs = cursor.many(() => {
    const amount = cursor.take(8).readBigUInt64LE();
    return { amount, script: cursor.take(cursor.size()).toString('hex') };
  });
  const body = cursor.bytes.subarray(bodyFrom, cursor.at);
  if (segwit) for (const _ of inputs) cursor.many(() => cursor.take(cursor.size()));
  const lockTime = cursor.take(4);
  const hash = sha256(sha256(Buffer.concat([version, body, lockTime])));
  return { txid: Buffer.from(hash).reverse().toString('hex'), inputs, outputs };
}

export const parseTransaction = (hex: string): ParsedTransaction =>
  readTransaction(new Cursor(Buffer.from(hex, 'hex')));

/** `hex` is the answer of `getblock <hash> 0`. The first transaction is the coinbase. */
export function parseBlock(hex: string): ParsedTransaction[] {
  const cursor = new Cursor(Buffer.from(hex, 'hex'));
  cursor.take(80); // header
  return cursor.many(() => readTransaction(cursor));
}
