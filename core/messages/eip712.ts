/**
 * EIP-712: typed data, read strictly, hashed, and shown in words. One reading gives both the digest and the words, and every
 * member of the message is in both: nothing is signed that is not shown.
 */
import { keccak_256 } from '@noble/hashes/sha3.js';
import { concatBytes, hexToBytes, utf8ToBytes } from '@noble/hashes/utils.js';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import { requireReadable } from './text.ts';

export type Member = { readonly name: string; readonly type: string };
export type Types = Readonly<Record<string, readonly Member[]>>;
/** A value as it was read: numbers as bigint, addresses and byte strings as lower-case `0x…`. */
export type TypedValue =
  | string
  | bigint
  | boolean
  | readonly TypedValue[]
  | { readonly [member: string]: TypedValue };
export type TypedStruct = { readonly [member: string]: TypedValue };

export type TypedData = {
  readonly primaryType: string;
  readonly types: Types;
  readonly domain: {
    readonly name?: string;
    readonly version?: string;
    readonly chainId: bigint;
    /** Lower-case `0x…`. */
    readonly verifyingContract: string;
    readonly salt?: string;
  };
  readonly message: TypedStruct;
  /** keccak-256(0x19 0x01 ‖ domain separator ‖ hash of the message). */
  readonly digest: Uint8Array;
  /** Path of each leaf in the message, e.g. `to.wallets[0]`, and its value. */
  readonly words: readonly { readonly label: string; readonly value: string }[];
};

const refuse = (field: string, why: string): KeysagaError =>
  new KeysagaError('InvalidInput', `typed data: ${field}: ${why}`.slice(0, 300), {
    field: field.slice(0, 200),
  });

const IDENTIFIER = /^[A-Za-z_][A-Za-z0-9_]{0,127}$/;
const ARRAY = /^(.*)\[(0|[1-9]\d{0,3})?\]$/;
const INTEGER =
  /^(u?)int(8|16|24|32|40|48|56|64|72|80|88|96|104|112|120|128|136|144|152|160|168|176|184|192|200|208|216|224|232|240|248|256)$/;
const FIXED = /^bytes([1-9]|[12]\d|3[0-2])$/;
const MAX_DEPTH = 16;
const MAX_LEAVES = 512;
/** EIP-712's order. */
const DOMAIN: readonly Member[] = [
  { name: 'name', type: 'string' },
  { name: 'version', type: 'string' },
  { name: 'chainId', type: 'uint256' },
  { name: 'verifyingContract', type: 'address' },
  { name: 'salt', type: 'bytes32' },
];

type Json = Record<string, unknown>;
function object(value: unknown, field: string): Json {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Json;
  throw refuse(field, 'must be an object');
}
function exactly(value: Json, names: readonly string[], field: string): void {
  for (const name of Object.keys(value))
    if (!names.includes(name)) throw refuse(`${field}.${name}`, 'is not part of the type');
  for (const name of names)
    if (!Object.hasOwn(value, name)) throw refuse(`${field}.${name}`, 'is missing');
}

function readTypes(value: unknown): Types {
  const types: Record<string, Member[]> = Object.create(null);
  for (const [name, members] of Object.entries(object(value, 'types'))) {
    const field = `types.${name}`;
    if (!IDENTIFIER.test(name) || isAtomic(name)) throw refuse(field, 'is no name of a type');
    if (!Array.isArray(members)) throw refuse(field, 'must be a list of members');
    const seen = new Set<string>();
    types[name] = members.map((member, i) => {
      const one = object(member, `${field}.${i}`);
      exactly(one, ['name', 'type'], `${field}.${i}`);
      if (typeof one.name !== 'string' || !IDENTIFIER.test(one.name) || seen.has(one.name))
        throw refuse(`${field}.${i}.name`, 'must be a name, used once');
      if (typeof one.type !== 'string') throw refuse(`${field}.${i}.type`, 'must be a type');
      seen.add(one.name);
      return { name: one.name, type: one.type };
    });
  }
  return types;
}

const isAtomic = (type: string): boolean =>
  INTEGER.test(type) || FIXED.test(type) || ['address', 'bool', 'string', 'bytes'].includes(type);

/** Names of all structs that a type refers to, itself included. Throws for unknown and for recursive types. */
function reach(types: Types, type: string, path: readonly string[], into: Set<string>): void {
  const array = ARRAY.exec(type);
  if (array?.[1] !== undefined) {
    reach(types, array[1], path, into);
    return;
  }
  if (isAtomic(type)) return;
  const members = Object.hasOwn(types, type) ? types[type] : undefined;
  if (members === undefined) throw refuse(`types.${type}`, 'is not defined');
  if (path.includes(type) || path.length > MAX_DEPTH)
    throw refuse(`types.${type}`, 'refers to itself, or is too deep');
  into.add(type);
  for (const member of members) reach(types, member.type, [...path, type], into);
}

function typeHash(types: Types, type: string): Uint8Array {
  const used = new Set<string>();
  reach(types, type, [], used);
  used.delete(type);
  const text = [type, ...[...used].sort()]
    .map((name) => `${name}(${(types[name] ?? []).map((m) => `${m.type} ${m.name}`).join(',')})`)
    .join('');
  return keccak_256(utf8ToBytes(text));
}

const word = (value: bigint): Uint8Array =>
  hexToBytes(BigInt.asUintN(256, value).toString(16).padStart(64, '0'));

function integer(value: unknown, type: string, field: string): bigint {
  const [, unsigned, bits = '256'] = INTEGER.exec(type) ?? [];
  let number: bigint;
  // A JSON number beyond 2^53 has lost digits before anybody saw it.
  if (typeof value === 'number' && Number.isSafeInteger(value)) number = BigInt(value);
  else if (
    typeof value === 'string' &&
    /^(?:-?(?:0|[1-9]\d{0,77})|0x[0-9a-fA-F]{1,64})$/.test(value)
  )
    number = BigInt(value);
  else throw refuse(field, `must be a whole number (${type}), as text when it is large`);
  const size = Number(bits);
  const fits =
    unsigned === 'u'
      ? number >= 0n && BigInt.asUintN(size, number) === number
      : BigInt.asIntN(size, number) === number;
  if (!fits) throw refuse(field, `is out of range for ${type}`);
  return number;
}

function hexValue(value: unknown, bytes: number | undefined, field: string): string {
  if (typeof value !== 'string' || !/^0x(?:[0-9a-fA-F]{2})*$/.test(value))
    throw refuse(field, 'must be bytes as 0x…');
  if (bytes !== undefined && value.length !== 2 + bytes * 2)
    throw refuse(field, `must have ${bytes} bytes`);
  return value.toLowerCase();
}

/** Collects the words while it reads. */
class Reader {
  readonly words: { label: string; value: string }[] = [];
  readonly #types: Types;
  constructor(types: Types) {
    this.#types = types;
  }

  #say(label: string, value: string): void {
    if (this.words.length >= MAX_LEAVES) throw refuse(label, `more than ${MAX_LEAVES} values`);
    this.words.push({ label, value });
  }

  /** The value and its 32-byte encoding within the struct above it. */
  value(type: string, value: unknown, field: string): { read: TypedValue; encoded: Uint8Array } {
    const [, element, length] = ARRAY.exec(type) ?? [];
    if (element !== undefined) return this.#array(element, length, value, field);
    if (INTEGER.test(type)) {
      const read = integer(value, type, field);
      this.#say(field, read.toString());
      return { read, encoded: word(read) };
    }
    const fixed = FIXED.exec(type)?.[1];
    if (fixed !== undefined || type === 'bytes' || type === 'address') {
      const size = type === 'address' ? 20 : fixed === undefined ? undefined : Number(fixed);
      const read = hexValue(value, size, field);
      this.#say(field, read);
      const bytes = hexToBytes(read.slice(2));
      if (type === 'bytes') return { read, encoded: keccak_256(bytes) };
      const encoded = new Uint8Array(32);
      // Byte strings are padded behind, an address is a number.
      encoded.set(bytes, type === 'address' ? 12 : 0);
      return { read, encoded };
    }
    if (type === 'bool') {
      if (typeof value !== 'boolean') throw refuse(field, 'must be true or false');
      this.#say(field, String(value));
      return { read: value, encoded: word(value ? 1n : 0n) };
    }
    if (type === 'string') {
      if (typeof value !== 'string') throw refuse(field, 'must be text');
      requireReadable(value, field);
      this.#say(field, value);
      return { read: value, encoded: keccak_256(utf8ToBytes(value)) };
    }
    const { read, hash } = this.struct(type, value, field);
    return { read, encoded: hash };
  }

  #array(element: string, length: string | undefined, value: unknown, field: string) {
    if (!Array.isArray(value)) throw refuse(field, 'must be a list');
    if (length !== undefined && value.length !== Number(length))
      throw refuse(field, `must have ${length} elements`);
    if (value.length === 0) this.#say(field, '(none)');
    const items = value.map((item, i) => this.value(element, item, `${field}[${i}]`));
    return {
      read: items.map(({ read }) => read),
      encoded: keccak_256(concatBytes(...items.map(({ encoded }) => encoded))),
    };
  }

  struct(type: string, value: unknown, field: string): { read: TypedStruct; hash: Uint8Array } {
    const members = this.#types[type] ?? [];
    const source = object(value, field || type);
    exactly(
      source,
      members.map(({ name }) => name),
      field || type,
    );
    const read: Record<string, TypedValue> = Object.create(null);
    const parts = [typeHash(this.#types, type)];
    if (members.length === 0) this.#say(field || type, '(empty)');
    for (const member of members) {
      const label = field === '' ? member.name : `${field}.${member.name}`;
      const { read: one, encoded } = this.value(member.type, source[member.name], label);
      read[member.name] = one;
      parts.push(encoded);
    }
    return { read, hash: keccak_256(concatBytes(...parts)) };
  }
}

/**
 * Reads the JSON of typed data. The domain must name a chain and a contract, since a signature without them is good
 * everywhere. Throws `InvalidInput` with the field, also for members that are missing or not part of their type.
 */
export function readTypedData(json: string): TypedData {
  let parsed: unknown;
  try {
    parsed = JSON.parse(json);
  } catch {
    throw refuse('json', 'is no JSON');
  }
  const source = object(parsed, 'json');
  exactly(source, ['types', 'primaryType', 'domain', 'message'], 'json');
  const types = readTypes(source.types);
  const { primaryType } = source;
  if (
    typeof primaryType !== 'string' ||
    primaryType === 'EIP712Domain' ||
    !Object.hasOwn(types, primaryType)
  )
    throw refuse('primaryType', 'is not one of the types');
  reach(types, primaryType, [], new Set());

  const domain = object(source.domain, 'domain');
  const members = DOMAIN.filter(({ name }) => Object.hasOwn(domain, name));
  for (const name of ['chainId', 'verifyingContract'])
    if (!Object.hasOwn(domain, name)) throw refuse(`domain.${name}`, 'is missing');
  const declared = types.EIP712Domain;
  if (declared !== undefined && JSON.stringify(declared) !== JSON.stringify(members))
    throw refuse('types.EIP712Domain', "is not what the domain holds, in EIP-712's order");
  const domainReader = new Reader({ EIP712Domain: members });
  const separator = domainReader.struct('EIP712Domain', domain, 'domain');

  const reader = new Reader(types);
  const message = reader.struct(primaryType, source.message, '');
  return {
    primaryType,
    types,
    domain: separator.read as TypedData['domain'],
    message: message.read,
    digest: keccak_256(concatBytes(Uint8Array.of(0x19, 0x01), separator.hash, message.hash)),
    words: [{ label: 'Type', value: primaryType }, ...domainReader.words, ...reader.words],
  };
}
