/**
 * The legacy message of a Solana transaction: header, account keys, recent blockhash, compiled instructions.
 * `parseMessage` takes one spelling only; `compileMessage` writes it. Versioned messages (first bit set) are refused,
 * since an address lookup table would hide the accounts from whoever judges the bytes.
 */
import { KeysagaError } from '../../schema/contracts/errors.ts';

/** A packet is 1232 bytes; one signature and its count take 65 of them. */
export const maxMessageBytes = 1232 - 65;
export const keyBytes = 32;

export type AccountMeta = {
  readonly key: Uint8Array;
  readonly signer: boolean;
  readonly writable: boolean;
};
export type Instruction = {
  readonly program: Uint8Array;
  readonly accounts: readonly AccountMeta[];
  readonly data: Uint8Array;
};
export type ParsedInstruction = {
  readonly program: Uint8Array;
  readonly accounts: readonly Uint8Array[];
  readonly data: Uint8Array;
};
export type Message = {
  /** The one signer, who pays the fee. */
  readonly feePayer: Uint8Array;
  readonly recentBlockhash: Uint8Array;
  readonly instructions: readonly ParsedInstruction[];
};

export const malformed = (field: string, message: string): KeysagaError =>
  new KeysagaError('TransactionMalformed', message, { field });

export const sameBytes = (a: Uint8Array, b: Uint8Array): boolean =>
  a.length === b.length && a.every((byte, i) => byte === b[i]);

class Reader {
  readonly #bytes: Uint8Array;
  #at = 0;
  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }
  get left(): number {
    return this.#bytes.length - this.#at;
  }
  take(count: number, field: string): Uint8Array {
    if (count > this.left) throw malformed(field, `the message ends within ${field}`);
    this.#at += count;
    return this.#bytes.slice(this.#at - count, this.#at);
  }
  byte(field: string): number {
    return this.take(1, field)[0] ?? 0;
  }
  /** compact-u16: seven bits a byte, low first, at most three bytes, shortest form only. */
  length(field: string): number {
    let value = 0;
    for (let i = 0; i < 3; i++) {
      const byte = this.byte(field);
      if (i > 0 && byte === 0)
        throw malformed(field, `the length of ${field} is not in its shortest form`);
      value |= (byte & 0x7f) << (7 * i);
      if ((byte & 0x80) === 0) {
        if (value > 0xffff) break;
        return value;
      }
    }
    throw malformed(field, `the length of ${field} is out of range`);
  }
}

/** @throws KeysagaError `TransactionMalformed`; `field` says where. */
export function parseMessage(bytes: Uint8Array): Message {
  if (bytes.length > maxMessageBytes)
    throw malformed('bytes', 'the message is too long for a packet');
  const reader = new Reader(bytes);
  const signers = reader.byte('header');
  if ((signers & 0x80) !== 0) {
    throw malformed('version', 'versioned messages and their lookup tables are not taken');
  }
  const readonlySigners = reader.byte('header');
  const readonlyOthers = reader.byte('header');
  if (signers !== 1) throw malformed('header', `exactly one signature is expected, not ${signers}`);
  if (readonlySigners !== 0) throw malformed('header', 'the fee payer must be writable');
  const keys: Uint8Array[] = [];
  for (let left = reader.length('keys'); left > 0; left--) keys.push(reader.take(keyBytes, 'keys'));
  const [feePayer] = keys;
  if (feePayer === undefined || 1 + readonlyOthers > keys.length) {
    throw malformed('header', 'the header counts more accounts than there are');
  }
  if (keys.some((key, i) => keys.slice(0, i).some((other) => sameBytes(key, other)))) {
    throw malformed('keys', 'an account is listed twice');
  }
  const recentBlockhash = reader.take(keyBytes, 'recentBlockhash');
  const key = (index: number, field: string): Uint8Array => {
    const found = keys[index];
    if (found === undefined)
      throw malformed(field, 'an instruction names an account that is not listed');
    return found;
  };
  const instructions: ParsedInstruction[] = [];
  for (let left = reader.length('instructions'), i = 0; left > 0; left--, i++) {
    const field = `instructions[${i}]`;
    const program = key(reader.byte(field), field);
    const accounts = [...reader.take(reader.length(field), field)].map((index) =>
      key(index, field),
    );
    instructions.push({ program, accounts, data: reader.take(reader.length(field), field) });
  }
  if (reader.left > 0) throw malformed('bytes', `${reader.left} bytes follow the message`);
  return { feePayer, recentBlockhash, instructions };
}

function compareKeys(a: Uint8Array, b: Uint8Array): number {
  for (let i = 0; i < keyBytes; i++) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

function compactLength(value: number): number[] {
  const bytes: number[] = [];
  for (let rest = value; ; rest >>= 7) {
    if (rest < 0x80) return [...bytes, rest];
    bytes.push((rest & 0x7f) | 0x80);
  }
}

/**
 * The canonical message of these instructions: accounts are merged, ordered fee payer, writable, read-only, and by
 * bytes within each class. The fee payer is the only signer.
 * @throws KeysagaError `TransactionMalformed` when another account would have to sign.
 */
export function compileMessage(
  feePayer: Uint8Array,
  recentBlockhash: Uint8Array,
  instructions: readonly Instruction[],
): Uint8Array {
  const others = new Map<string, { key: Uint8Array; writable: boolean }>();
  const mention = (key: Uint8Array, writable: boolean) => {
    if (sameBytes(key, feePayer)) return;
    const name = key.join();
    others.set(name, { key, writable: writable || (others.get(name)?.writable ?? false) });
  };
  for (const { program, accounts } of instructions) {
    for (const { key, signer, writable } of accounts) {
      if (signer && !sameBytes(key, feePayer)) throw malformed('signers', 'only the wallet signs');
      mention(key, writable);
    }
    mention(program, false);
  }
  const sorted = [...others.values()].sort(
    (a, b) => Number(b.writable) - Number(a.writable) || compareKeys(a.key, b.key),
  );
  const keys = [feePayer, ...sorted.map(({ key }) => key)];
  const index = (key: Uint8Array) => keys.findIndex((other) => sameBytes(key, other));
  return Uint8Array.from([
    1,
    0,
    sorted.filter(({ writable }) => !writable).length,
    ...compactLength(keys.length),
    ...keys.flatMap((key) => [...key]),
    ...recentBlockhash,
    ...compactLength(instructions.length),
    ...instructions.flatMap(({ program, accounts, data }) => [
      index(program),
      ...compactLength(accounts.length),
      ...accounts.map(({ key }) => index(key)),
      ...compactLength(data.length),
      ...data,
    ]),
  ]);
}
