/**
 * Reader of raw blocks (BIP-144 serialisation): the ids, spent outpoints and outputs of each transaction, no copies.
 * The proof of work is the node's business; that the bytes are the block asked for is checked here, by its hash and
 * its merkle root, since a truncated or mixed-up answer would silently lose somebody's outputs.
 */
import type { BitcoinBlock } from '../../core/ports/bitcoin-outputs.ts';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import { displayHash, doubleSha256 } from './psbt.ts';

type BlockTransaction = BitcoinBlock['transactions'][number];

const broken = (why: string): KeysagaError =>
  new KeysagaError('ChainUnavailable', `the Bitcoin node gave a broken block: ${why}`, {
    method: 'getblock',
    reason: why,
  });

class Reader {
  readonly bytes: Uint8Array;
  readonly #view: DataView;
  at = 0;
  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }
  /** Position of the next `n` bytes, which are skipped. */
  skip(n: number): number {
    const from = this.at;
    if (n > this.bytes.length - from) throw broken('it ends too early');
    this.at = from + n;
    return from;
  }
  take(n: number): Uint8Array {
    const from = this.skip(n);
    return this.bytes.subarray(from, this.at);
  }
  u32(): number {
    return this.#view.getUint32(this.skip(4), true);
  }
  u64(): bigint {
    return this.#view.getBigUint64(this.skip(8), true);
  }
  compactSize(): number {
    const first = this.#view.getUint8(this.skip(1));
    if (first < 0xfd) return first;
    if (first === 0xfd) return this.#view.getUint16(this.skip(2), true);
    if (first === 0xfe) return this.u32();
    const long = this.u64();
    if (long > BigInt(this.bytes.length)) throw broken('a length beyond its end');
    return Number(long);
  }
}

const display = (hash: Uint8Array): string => Buffer.from(hash).reverse().toString('hex');

/** `bytes`: the transaction without witnesses, whose hash is its id. */
function readTransaction(reader: Reader): {
  tx: BlockTransaction;
  id: Uint8Array;
  bytes: Uint8Array;
} {
  const start = reader.at;
  reader.skip(4);
  const afterVersion = reader.at;
  // BIP-144: marker 0 where the input count would be, flag 1. No transaction in a block has zero inputs.
  const segwit = reader.bytes[reader.at] === 0;
  if (segwit && reader.take(2)[1] !== 1) throw broken('an unknown transaction flag');
  const body = reader.at;
  const spends: { txid: string; vout: number }[] = [];
  const inputs = reader.compactSize();
  for (let i = 0; i < inputs; i++) {
    const txid = display(reader.take(32));
    spends.push({ txid, vout: reader.u32() });
    reader.skip(reader.compactSize() + 4);
  }
  const outputs: { amount: bigint; script: Uint8Array }[] = [];
  const count = reader.compactSize();
  for (let i = 0; i < count; i++) {
    const amount = reader.u64();
    outputs.push({ amount, script: reader.take(reader.compactSize()) });
  }
  const bodyEnd = reader.at;
  if (segwit) {
    for (let i = 0; i < inputs; i++) {
      const items = reader.compactSize();
      for (let j = 0; j < items; j++) reader.skip(reader.compactSize());
    }
  }
  const lockTime = reader.take(4);
  const bytes = segwit
    ? Buffer.concat([
        reader.bytes.subarray(start, afterVersion),
        reader.bytes.subarray(body, bodyEnd),
        lockTime,
      ])
    : reader.bytes.subarray(start, reader.at);
  const id = doubleSha256(bytes);
  const [first] = spends;
  const coinbase = spends.length === 1 && first?.vout === 0xffffffff && /^0{64}$/.test(first.txid);
  return {
    tx: { txid: display(id), coinbase, spends: coinbase ? [] : spends, outputs },
    id,
    bytes,
  };
}

function merkleRoot(ids: readonly Uint8Array[]): string {
  let level = [...ids];
  while (level.length > 1) {
    const next: Uint8Array[] = [];
    for (let i = 0; i < level.length; i += 2) {
      const left = level[i] as Uint8Array;
      next.push(doubleSha256(Buffer.concat([left, level[i + 1] ?? left])));
    }
    level = next;
  }
  return level[0] === undefined ? '' : display(level[0]);
}

/** @throws KeysagaError `ChainUnavailable` when the bytes are not the block with that hash. */
export function parseBlock(hash: string, bytes: Uint8Array): BitcoinBlock {
  const reader = new Reader(bytes);
  const header = reader.take(80);
  if (displayHash(header) !== hash) throw broken('it has another hash');
  const count = reader.compactSize();
  const transactions: BlockTransaction[] = [];
  const ids: Uint8Array[] = [];
  for (let i = 0; i < count; i++) {
    const { tx, id } = readTransaction(reader);
    transactions.push(tx);
    ids.push(id);
  }
  if (reader.at !== bytes.length) throw broken('bytes are left over');
  if (merkleRoot(ids) !== display(header.subarray(36, 68))) throw broken('another merkle root');
  return { hash, previous: display(header.subarray(4, 36)), transactions };
}

/** The transaction of a block without its witnesses; undefined when it is not in there. Errors as of `parseBlock`. */
export function transactionIn(
  hash: string,
  block: Uint8Array,
  txid: string,
): Uint8Array | undefined {
  const reader = new Reader(block);
  if (displayHash(reader.take(80)) !== hash) throw broken('it has another hash');
  const count = reader.compactSize();
  for (let i = 0; i < count; i++) {
    const { tx, bytes } = readTransaction(reader);
    if (tx.txid === txid) return Uint8Array.from(bytes);
  }
  return undefined;
}

/** A transaction by itself, without its witnesses. @throws KeysagaError `ChainUnavailable` when it has another id. */
export function withoutWitness(raw: Uint8Array, txid: string): Uint8Array {
  const reader = new Reader(raw);
  const { tx, bytes } = readTransaction(reader);
  if (reader.at !== raw.length || tx.txid !== txid) throw broken('a transaction has another id');
  return Uint8Array.from(bytes);
}
