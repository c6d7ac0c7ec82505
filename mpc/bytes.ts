/**
 * Fixed layouts, written and read strictly. Every variable part has its length in front, so that no two different
 * values share an encoding, and a reader takes exactly what is there: nothing missing, nothing left over.
 */
import { concatBytes, utf8ToBytes } from '@noble/hashes/utils.js';
import { sha256Of } from './hashing.ts';

export { concatBytes, utf8ToBytes } from '@noble/hashes/utils.js';

/** Bytes with a buffer of their own, as the curve library wants them. */
export type Bytes = Uint8Array<ArrayBuffer>;

/** A copy of its own. `slice` would not do: of a `Buffer` it is a view, and wiping it would wipe the caller's. */
export const copy = (bytes: Uint8Array): Bytes => new Uint8Array(bytes);

const unsigned = (value: number, bytes: number): Uint8Array => {
  const out = new Uint8Array(bytes);
  let rest = value;
  for (let i = bytes - 1; i >= 0; i--) {
    out[i] = rest % 256;
    rest = Math.floor(rest / 256);
  }
  return out;
};
/** Big-endian, 1, 2 and 4 bytes; the callers' values are bounded long before. */
export const u8 = (value: number): Uint8Array => unsigned(value, 1);
export const u16 = (value: number): Uint8Array => unsigned(value, 2);
export const u32 = (value: number): Uint8Array => unsigned(value, 4);

/** The part behind its length (u32). */
export const prefixed = (part: Uint8Array): Uint8Array => concatBytes(u32(part.length), part);

/** SHA-256 over the domain and the parts, each behind its length, and their count. 32 bytes. */
export function domainHash(domain: string, ...parts: readonly Uint8Array[]): Uint8Array {
  const input = [prefixed(utf8ToBytes(domain)), u32(parts.length)];
  for (const part of parts) input.push(u32(part.length), part);
  return sha256Of(input);
}

/** Whether two public values are equal; time depends on the lengths only. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  let difference = 0;
  for (let i = 0; i < a.length; i++) difference |= (a[i] ?? 0) ^ (b[i] ?? 0);
  return difference === 0;
}

/** Called with the field that does not decode; must throw. */
export type Refuse = (field: string) => never;

/** Reads one layout from front to back. Slices are copies: they never alias what a caller may change later. */
export class Reader {
  readonly #bytes: Uint8Array;
  readonly #refuse: Refuse;
  #at = 0;
  constructor(bytes: Uint8Array, refuse: Refuse) {
    this.#bytes = bytes;
    this.#refuse = refuse;
  }
  take(length: number, field: string): Bytes {
    if (this.#at + length > this.#bytes.length) this.#refuse(field);
    const part = copy(this.#bytes.subarray(this.#at, this.#at + length));
    this.#at += length;
    return part;
  }
  u8(field: string): number {
    return this.take(1, field)[0] ?? this.#refuse(field);
  }
  u16(field: string): number {
    return this.u8(field) * 256 + this.u8(field);
  }
  /** Takes one byte or two and refuses all values but the expected one. */
  expectU8(value: number, field: string): void {
    if (this.u8(field) !== value) this.#refuse(field);
  }
  expectU16(value: number, field: string): void {
    if (this.u16(field) !== value) this.#refuse(field);
  }
  expect(value: Uint8Array, field: string): void {
    if (!equalBytes(this.take(value.length, field), value)) this.#refuse(field);
  }
  many(count: number, length: number, field: string): Bytes[] {
    return Array.from({ length: count }, (_, i) => this.take(length, `${field}[${i}]`));
  }
  end(): void {
    if (this.#at !== this.#bytes.length) this.#refuse('length');
  }
}
