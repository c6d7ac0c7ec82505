#!/usr/bin/env node
/**
 * Verifies the document of `npm start -- --once --json` and shares no code with keysaga: Node's own crypto for SHA-256
 * and Ed25519, everything else written here from the standards (RFC 8785, BIP-173/350, BIP-340, BIP-341, Solana's
 * transaction format, the Yellow Paper, SEC 1, EIP-55, EIP-155, EIP-1559). It trusts nothing in the document that it can
 * recompute.
 *
 *   node test/verify/independent-verifier.mjs [FILE]     reads stdin without FILE; exit 0: everything verifies
 */
import { createHash, createPublicKey, verify as verifySignature } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

class Refusal extends Error {}
function check(condition, what) {
  if (!condition) throw new Refusal(what);
}

const sha256 = (...parts) => {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest();
};
function fromHex(text, what) {
  check(
    typeof text === 'string' && /^(?:[0-9a-f]{2})*$/.test(text),
    `${what} is not lower-case hex`,
  );
  return Buffer.from(text, 'hex');
}

/** RFC 8785 for what the documents hold: objects, arrays and strings. Keys sort by UTF-16 code units. */
function canonical(value) {
  if (typeof value === 'string') return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  check(typeof value === 'object' && value !== null, 'a signed object holds only strings');
  const names = Object.keys(value).sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
  return `{${names.map((name) => `${JSON.stringify(name)}:${canonical(value[name])}`).join(',')}}`;
}
const signedForm = (type, value) => Buffer.from(`keysaga/${type}/v1\n${canonical(value)}`, 'utf8');

/** RFC 8032 by OpenSSL. */
function ed25519(publicKey, message, signature) {
  if (publicKey.length !== 32 || signature.length !== 64) return false;
  const der = Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), publicKey]);
  return verifySignature(
    null,
    message,
    createPublicKey({ key: der, format: 'der', type: 'spki' }),
    signature,
  );
}

// secp256k1 and BIP-340, with plain big integers: nothing here is secret, so nothing needs constant time.
const P = 2n ** 256n - 2n ** 32n - 977n;
const N = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
const G = {
  x: 0x79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798n,
  y: 0x483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8n,
};
const mod = (a, m = P) => ((a % m) + m) % m;
function power(base, exponent) {
  let result = 1n;
  for (let b = mod(base), e = exponent; e > 0n; e >>= 1n, b = (b * b) % P)
    if (e & 1n) result = (result * b) % P;
  return result;
}
const inverse = (a) => power(a, P - 2n);
/** Affine; null is the point at infinity. */
function add(a, b) {
  if (a === null) return b;
  if (b === null) return a;
  if (a.x === b.x && mod(a.y + b.y) === 0n) return null;
  const slope =
    a.x === b.x ? mod(3n * a.x * a.x * inverse(2n * a.y)) : mod((b.y - a.y) * inverse(b.x - a.x));
  const x = mod(slope * slope - a.x - b.x);
  return { x, y: mod(slope * (a.x - x) - a.y) };
}
function multiply(point, scalar) {
  let result = null;
  for (let p = point, k = scalar; k > 0n; k >>= 1n, p = add(p, p))
    if (k & 1n) result = add(result, p);
  return result;
}
const integer = (bytes) => BigInt(`0x${Buffer.from(bytes).toString('hex') || '0'}`);
function tagged(tag, ...parts) {
  const prefix = sha256(Buffer.from(tag, 'utf8'));
  return sha256(prefix, prefix, ...parts);
}
/** The point with this x coordinate and an even y. */
function liftX(x) {
  if (x >= P) return null;
  const square = mod(x * x * x + 7n);
  const y = power(square, (P + 1n) / 4n);
  if (mod(y * y) !== square) return null;
  return { x, y: y & 1n ? P - y : y };
}
export function bip340(publicKey, message, signature) {
  if (publicKey.length !== 32 || signature.length !== 64) return false;
  const point = liftX(integer(publicKey));
  const r = integer(signature.subarray(0, 32));
  const s = integer(signature.subarray(32));
  if (point === null || r >= P || s >= N) return false;
  const e = integer(tagged('BIP0340/challenge', signature.subarray(0, 32), publicKey, message)) % N;
  const R = add(multiply(G, s), multiply({ x: point.x, y: mod(-point.y) }, e));
  return R !== null && (R.y & 1n) === 0n && R.x === r;
}

const ALPHABET_58 = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz';
function base58(bytes) {
  let value = integer(bytes);
  let text = '';
  for (; value > 0n; value /= 58n) text = ALPHABET_58[Number(value % 58n)] + text;
  for (const byte of bytes) {
    if (byte !== 0) break;
    text = `1${text}`;
  }
  return text;
}

const ALPHABET_32 = 'qpzry9x8gf2tvdw0s3jn54khce6mua7l';
/** Script of a segwit version 1 address with 32 bytes (BIP-350). */
function taprootScript(address) {
  const at = address.lastIndexOf('1');
  const prefix = address.slice(0, at);
  const data = [...address.slice(at + 1)].map((c) => ALPHABET_32.indexOf(c));
  check(at > 0 && data.length > 6 && !data.includes(-1), `${address} is not bech32`);
  const expanded = [
    ...[...prefix].map((c) => c.charCodeAt(0) >> 5),
    0,
    ...[...prefix].map((c) => c.charCodeAt(0) & 31),
  ];
  let sum = 1;
  for (const value of [...expanded, ...data]) {
    const top = sum >>> 25;
    sum = ((sum & 0x1ffffff) << 5) ^ value;
    [0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3].forEach((generator, i) => {
      if ((top >>> i) & 1) sum ^= generator;
    });
  }
  const bech32m = sum >>> 0 === 0x2bc830a3;
  const bech32 = sum === 1;
  check(bech32m || bech32, `${address} has a wrong checksum`);
  const version = data[0];
  check((version === 0) === bech32, `${address} mixes segwit version and checksum`);
  let bits = 0;
  let count = 0;
  const program = [];
  for (const value of data.slice(1, -6)) {
    bits = (bits << 5) | value;
    count += 5;
    if (count >= 8) {
      count -= 8;
      program.push((bits >> count) & 0xff);
    }
    bits &= (1 << count) - 1;
  }
  check(bits === 0 && count < 5, `${address} has non-zero padding`);
  check(program.length >= 2 && program.length <= 40, `${address} has a bad program length`);
  return {
    prefix,
    script: Buffer.from([version === 0 ? 0 : 0x50 + version, program.length, ...program]),
  };
}

class Reader {
  constructor(bytes) {
    this.bytes = bytes;
    this.at = 0;
  }
  take(count) {
    check(this.at + count <= this.bytes.length, 'the transaction is cut off');
    this.at += count;
    return this.bytes.subarray(this.at - count, this.at);
  }
  byte() {
    return this.take(1)[0];
  }
  /** Bitcoin's CompactSize. */
  size() {
    const first = this.byte();
    if (first < 0xfd) return first;
    if (first === 0xfd) return this.take(2).readUInt16LE();
    if (first === 0xfe) return this.take(4).readUInt32LE();
    return Number(this.take(8).readBigUInt64LE());
  }
  /** Solana's compact-u16. */
  short() {
    let value = 0;
    for (let shift = 0; shift < 21; shift += 7) {
      const byte = this.byte();
      value |= (byte & 0x7f) << shift;
      if ((byte & 0x80) === 0) return value;
    }
    throw new Refusal('a compact-u16 is too long');
  }
  end() {
    check(this.at === this.bytes.length, 'the transaction has trailing bytes');
  }
}
const withSize = (bytes) => {
  check(bytes.length < 0xfd, 'a script is unusually long');
  return Buffer.concat([Buffer.from([bytes.length]), bytes]);
};

function parseBitcoin(bytes) {
  const reader = new Reader(bytes);
  const version = reader.take(4);
  check(reader.byte() === 0 && reader.byte() === 1, 'no segwit transaction');
  const bodyFrom = reader.at;
  const inputs = Array.from({ length: reader.size() }, () => {
    const outpoint = reader.take(36);
    const script = reader.take(reader.size());
    return { outpoint, script, sequence: reader.take(4) };
  });
  const outputs = Array.from({ length: reader.size() }, () => {
    const amount = reader.take(8);
    return { amount, script: reader.take(reader.size()) };
  });
  const body = bytes.subarray(bodyFrom, reader.at);
  for (const input of inputs)
    input.witness = Array.from({ length: reader.size() }, () => reader.take(reader.size()));
  const lockTime = reader.take(4);
  reader.end();
  const id = sha256(sha256(version, body, lockTime))
    .reverse()
    .toString('hex');
  return { version, inputs, outputs, lockTime, id };
}

/** BIP-341, key path, SIGHASH_DEFAULT. */
function taprootDigest(tx, spent, index) {
  const amounts = spent.map(({ amount }) => {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64LE(amount);
    return bytes;
  });
  const position = Buffer.alloc(4);
  position.writeUInt32LE(index);
  return tagged(
    'TapSighash',
    Buffer.from([0, 0]),
    tx.version,
    tx.lockTime,
    sha256(...tx.inputs.map(({ outpoint }) => outpoint)),
    sha256(...amounts),
    sha256(...spent.map(({ script }) => withSize(script))),
    sha256(...tx.inputs.map(({ sequence }) => sequence)),
    sha256(...tx.outputs.flatMap(({ amount, script }) => [amount, withSize(script)])),
    Buffer.from([0]),
    position,
  );
}

function verifyBitcoin(transfer, wallet) {
  const { intent } = transfer;
  const publicKey = fromHex(transfer.publicKey, 'publicKey');
  const own = Buffer.concat([Buffer.from([0x51, 32]), publicKey]);
  const address = taprootScript(wallet.address);
  check(own.equals(address.script), 'the wallet’s address is not that of its public key');
  const tx = parseBitcoin(fromHex(transfer.rawTransaction, 'rawTransaction'));
  check(tx.id === transfer.transactionId, 'the transaction id is not that of the bytes');
  check(
    Array.isArray(transfer.spentOutputs) && transfer.spentOutputs.length === tx.inputs.length,
    'spentOutputs does not match the inputs',
  );
  const spent = transfer.spentOutputs.map(({ amount, script }) => ({
    amount: BigInt(amount),
    script: fromHex(script, 'script'),
  }));
  tx.inputs.forEach((input, i) => {
    check(spent[i].script.equals(own), `input ${i} does not spend the wallet’s own output`);
    check(
      input.script.length === 0 && input.witness.length === 1 && input.witness[0].length === 64,
      `input ${i} is no key-path spend with the default hash type`,
    );
    check(
      bip340(publicKey, taprootDigest(tx, spent, i), input.witness[0]),
      `the signature of input ${i} does not verify`,
    );
  });
  const destination = taprootScript(intent.destination);
  check(destination.prefix === address.prefix, 'the destination is of another network');
  const paid = tx.outputs.filter(({ script }) => script.equals(destination.script));
  check(
    paid.length === 1 && paid[0].amount.readBigUInt64LE() === BigInt(intent.amount),
    'the destination does not get exactly the amount',
  );
  for (const { script } of tx.outputs)
    check(script.equals(destination.script) || script.equals(own), 'an output pays somebody else');
  const fee =
    spent.reduce((sum, { amount }) => sum + amount, 0n) -
    tx.outputs.reduce((sum, { amount }) => sum + amount.readBigUInt64LE(), 0n);
  check(fee >= 0n && fee <= BigInt(intent.feeCap), `the fee ${fee} is above the cap`);
  return tx.inputs.length;
}

const SYSTEM = '11111111111111111111111111111111';
const COMPUTE_BUDGET = 'ComputeBudget111111111111111111111111111111';
const LAMPORTS_PER_SIGNATURE = 5000n;

function verifySolana(transfer, wallet) {
  const { intent } = transfer;
  const publicKey = fromHex(transfer.publicKey, 'publicKey');
  check(base58(publicKey) === wallet.address, 'the wallet’s address is not its public key');
  const bytes = fromHex(transfer.rawTransaction, 'rawTransaction');
  const reader = new Reader(bytes);
  const signatures = Array.from({ length: reader.short() }, () => reader.take(64));
  const message = bytes.subarray(reader.at);
  let first = reader.byte();
  if (first & 0x80) {
    check(first === 0x80, 'an unknown message version');
    first = reader.byte();
  }
  const versioned = message[0] === 0x80;
  const [required] = [first, reader.take(2)];
  const keys = Array.from({ length: reader.short() }, () => reader.take(32));
  reader.take(32);
  const instructions = Array.from({ length: reader.short() }, () => {
    const program = base58(keys[reader.byte()]);
    const accounts = [...reader.take(reader.short())].map((i) => base58(keys[i]));
    return { program, accounts, data: reader.take(reader.short()) };
  });
  if (versioned) check(reader.short() === 0, 'the message uses address lookup tables');
  reader.end();
  check(signatures.length === required && required >= 1, 'a signature is missing');
  for (const [i, signature] of signatures.entries())
    check(ed25519(keys[i], message, signature), `signature ${i} does not verify`);
  check(
    keys.slice(0, required).some((key) => key.equals(publicKey)),
    'the wallet did not sign',
  );
  check(
    base58(signatures[0]) === transfer.transactionId,
    'the transaction id is not the first signature',
  );

  let transferred = 0;
  let units = 200_000n * BigInt(instructions.length);
  let price = 0n;
  instructions.forEach(({ program, accounts, data }, i) => {
    if (program === COMPUTE_BUDGET && data[0] === 2) units = BigInt(data.readUInt32LE(1));
    else if (program === COMPUTE_BUDGET && data[0] === 3) price = data.readBigUInt64LE(1);
    else if (program === SYSTEM && data.readUInt32LE(0) === 4)
      check(i === 0, 'AdvanceNonce is not the first instruction');
    else if (program === SYSTEM && data.readUInt32LE(0) === 2) {
      transferred += 1;
      check(accounts[0] === wallet.address, 'somebody else pays');
      check(accounts[1] === intent.destination, 'the destination is not the intent’s');
      check(data.readBigUInt64LE(4) === BigInt(intent.amount), 'the amount is not the intent’s');
    } else throw new Refusal(`instruction ${i} (${program}) does something else`);
  });
  check(
    instructions[0]?.program === SYSTEM && instructions[0].data.readUInt32LE(0) === 4,
    'the transaction stands on no durable nonce',
  );
  check(transferred === 1, 'there is not exactly one transfer');
  const fee = LAMPORTS_PER_SIGNATURE * BigInt(required) + (units * price + 999_999n) / 1_000_000n;
  check(fee <= BigInt(intent.feeCap), `the fee ${fee} is above the cap`);
  return signatures.length;
}

// Keccak-256 as Ethereum has it: FIPS 202 with the older padding.
const LANE = (1n << 64n) - 1n;
const ROTATIONS = [];
const ROUND_CONSTANTS = [];
{
  let [x, y] = [1, 0];
  ROTATIONS[0] = 0;
  for (let t = 0; t < 24; t++) {
    ROTATIONS[x + 5 * y] = (((t + 1) * (t + 2)) / 2) % 64;
    [x, y] = [y, (2 * x + 3 * y) % 5];
  }
  let register = 1;
  for (let round = 0; round < 24; round++) {
    let constant = 0n;
    for (let j = 0; j < 7; j++) {
      if (register & 1) constant |= 1n << (2n ** BigInt(j) - 1n);
      register = (register << 1) ^ (register & 0x80 ? 0x171 : 0);
    }
    ROUND_CONSTANTS.push(constant);
  }
}
const rotate = (lane, by) =>
  by === 0 ? lane : ((lane << BigInt(by)) | (lane >> BigInt(64 - by))) & LANE;
function permute(state) {
  for (const constant of ROUND_CONSTANTS) {
    const columns = [0, 1, 2, 3, 4].map((x) =>
      [0, 5, 10, 15, 20].reduce((sum, y) => sum ^ state[x + y], 0n),
    );
    for (let i = 0; i < 25; i++) state[i] ^= columns[(i + 4) % 5] ^ rotate(columns[(i + 1) % 5], 1);
    const moved = [];
    for (let x = 0; x < 5; x++)
      for (let y = 0; y < 5; y++)
        moved[y + 5 * ((2 * x + 3 * y) % 5)] = rotate(state[x + 5 * y], ROTATIONS[x + 5 * y]);
    for (let i = 0; i < 25; i++) {
      const row = i - (i % 5);
      state[i] = moved[i] ^ (~moved[row + ((i + 1) % 5)] & LANE & moved[row + ((i + 2) % 5)]);
    }
    state[0] ^= constant;
  }
}
export function keccak256(bytes) {
  const rate = 136;
  const padded = Buffer.alloc(bytes.length + rate - (bytes.length % rate));
  Buffer.from(bytes).copy(padded);
  padded[bytes.length] ^= 0x01;
  padded[padded.length - 1] ^= 0x80;
  const state = Array.from({ length: 25 }, () => 0n);
  for (let block = 0; block < padded.length; block += rate) {
    for (let lane = 0; lane < rate / 8; lane++)
      state[lane] ^= padded.readBigUInt64LE(block + 8 * lane);
    permute(state);
  }
  const digest = Buffer.alloc(32);
  for (let lane = 0; lane < 4; lane++) digest.writeBigUInt64LE(state[lane], 8 * lane);
  return digest;
}

/** One RLP item and where it ends: a buffer, or a list of items. Only the shortest spelling is RLP. */
function rlpItem(bytes, from = 0) {
  const first = bytes[from];
  check(first !== undefined, 'the transaction is cut off');
  if (first < 0x80) return { item: bytes.subarray(from, from + 1), end: from + 1 };
  const list = first >= 0xc0;
  const short = first - (list ? 0xc0 : 0x80);
  const size = short > 55 ? short - 55 : 0;
  const length = size === 0 ? short : Number(integer(bytes.subarray(from + 1, from + 1 + size)));
  check(size === 0 || (length > 55 && bytes[from + 1] !== 0), 'a length is not in its RLP form');
  const start = from + 1 + size;
  const end = start + length;
  check(end <= bytes.length, 'the transaction is cut off');
  if (!list) {
    check(length !== 1 || bytes[start] >= 0x80, 'a byte is not in its RLP form');
    return { item: bytes.subarray(start, end), end };
  }
  const items = [];
  for (let at = start; at < end; ) {
    const next = rlpItem(bytes.subarray(0, end), at);
    items.push(next.item);
    at = next.end;
  }
  return { item: items, end };
}
function rlpList(items) {
  const body = Buffer.concat(
    items.map((item) => {
      if (Array.isArray(item)) return rlpList(item);
      if (item.length === 1 && item[0] < 0x80) return item;
      return Buffer.concat([rlpHeader(0x80, item.length), item]);
    }),
  );
  return Buffer.concat([rlpHeader(0xc0, body.length), body]);
}
function rlpHeader(base, length) {
  if (length <= 55) return Buffer.from([base + length]);
  const digits = length.toString(16);
  const size = Buffer.from(digits.length % 2 ? `0${digits}` : digits, 'hex');
  return Buffer.concat([Buffer.from([base + 55 + size.length]), size]);
}
const scalar = (item, what) => {
  check(Buffer.isBuffer(item) && (item.length === 0 || item[0] !== 0), `${what} is no RLP integer`);
  return item.length === 0 ? 0n : integer(item);
};
/** Minimal big-endian, as RLP writes integers. */
const minimal = (value) => {
  const digits = value === 0n ? '' : value.toString(16);
  return Buffer.from(digits.length % 2 ? `0${digits}` : digits, 'hex');
};

/** A compressed point (SEC 1, 2.3.4). */
function decompress(bytes) {
  check(bytes.length === 33 && (bytes[0] === 2 || bytes[0] === 3), 'the key is not compressed');
  const even = liftX(integer(bytes.subarray(1)));
  check(even !== null, 'the public key is not on the curve');
  return bytes[0] === 2 ? even : { x: even.x, y: P - even.y };
}
function inverseModN(value) {
  let [a, b, u, v] = [mod(value, N), N, 1n, 0n];
  while (a > 1n) {
    const quotient = b / a;
    [a, b, u, v] = [b - quotient * a, a, v - quotient * u, u];
    if (a === 0n) return 0n;
  }
  return mod(u, N);
}
/** ECDSA by SEC 1, 4.1.4, with s in the lower half (EIP-2) and the parity of R's y. */
export function ecdsa(publicKey, digest, r, s, parity) {
  if (r <= 0n || r >= N || s <= 0n || s > N / 2n) return false;
  const w = inverseModN(s);
  const R = add(
    multiply(G, mod(integer(digest) * w, N)),
    multiply(decompress(publicKey), mod(r * w, N)),
  );
  return R !== null && R.x === r && R.y % 2n === parity;
}
function eip55(address) {
  const lower = address.toString('hex');
  const hash = keccak256(Buffer.from(lower, 'ascii')).toString('hex');
  const letters = [...lower].map((c, i) =>
    Number.parseInt(hash[i], 16) > 7 ? c.toUpperCase() : c,
  );
  return `0x${letters.join('')}`;
}
const bytes32 = (value) => Buffer.from(value.toString(16).padStart(64, '0'), 'hex');

/** EIP-1559, or a legacy transaction with EIP-155: what was signed, and with what. */
function parseEthereum(bytes) {
  const typed = bytes[0] === 2;
  check(typed || bytes[0] >= 0xc0, 'an unknown transaction type');
  const { item: fields, end } = rlpItem(bytes, typed ? 1 : 0);
  check(end === bytes.length, 'the transaction has trailing bytes');
  check(Array.isArray(fields) && fields.length === (typed ? 12 : 9), 'a field is missing');
  const [v, r, s] = fields.slice(-3).map((item) => scalar(item, 'the signature'));
  if (typed) {
    const [chainId, , , price, gas, to, value, data, accessList] = fields;
    check(Array.isArray(accessList) && accessList.length === 0, 'it has an access list');
    check(v <= 1n, 'the parity is neither 0 nor 1');
    const digest = keccak256(Buffer.concat([Buffer.from([2]), rlpList(fields.slice(0, 9))]));
    return {
      chainId: scalar(chainId, 'chain id'),
      price,
      gas,
      to,
      value,
      data,
      digest,
      r,
      s,
      parity: v,
    };
  }
  check(v >= 37n, 'the transaction is not bound to a chain (EIP-155)');
  const chainId = (v - 35n) / 2n;
  const [, price, gas, to, value, data] = fields;
  const empty = Buffer.alloc(0);
  const digest = keccak256(rlpList([...fields.slice(0, 6), minimal(chainId), empty, empty]));
  return { chainId, price, gas, to, value, data, digest, r, s, parity: (v - 35n) % 2n };
}

function verifyEthereum(transfer, wallet) {
  const { intent } = transfer;
  const publicKey = fromHex(transfer.publicKey, 'publicKey');
  const { x, y } = decompress(publicKey);
  check(
    eip55(keccak256(Buffer.concat([bytes32(x), bytes32(y)])).subarray(12)) === wallet.address,
    'the wallet’s address is not that of its public key',
  );
  const bytes = fromHex(transfer.rawTransaction, 'rawTransaction');
  const tx = parseEthereum(bytes);
  check(
    `0x${keccak256(bytes).toString('hex')}` === transfer.transactionId,
    'the transaction id is not that of the bytes',
  );
  check(
    `eip155:${tx.chainId}` === transfer.chain,
    'the transaction is for another chain than the intent',
  );
  check(ecdsa(publicKey, tx.digest, tx.r, tx.s, tx.parity), 'the signature does not verify');
  check(intent.asset === 'native' && tx.data.length === 0, 'it does more than pay');
  check(
    Buffer.isBuffer(tx.to) && tx.to.length === 20 && eip55(tx.to) === intent.destination,
    'the destination is not the intent’s',
  );
  check(scalar(tx.value, 'the value') === BigInt(intent.amount), 'the amount is not the intent’s');
  const fee = scalar(tx.gas, 'gas') * scalar(tx.price, 'the price');
  check(fee <= BigInt(intent.feeCap), `the fee ${fee} is above the cap`);
  return 1;
}

function verifyApprovals(transfer, quorum) {
  const names = new Set();
  const keys = new Set();
  for (const { approver, publicKey, signedMessage, signature } of transfer.approvals) {
    const message = fromHex(signedMessage, 'signedMessage');
    check(
      ed25519(fromHex(publicKey, 'publicKey'), message, fromHex(signature, 'signature')),
      `the approval of ${approver} does not verify`,
    );
    const text = message.toString('utf8');
    const at = text.indexOf('\n');
    const approval = JSON.parse(text.slice(at + 1));
    check(
      message.equals(signedForm('approval', approval)) &&
        text.slice(0, at) === 'keysaga/approval/v1',
      `the approval of ${approver} is not in its canonical form`,
    );
    check(approval.intentDigest === transfer.intentDigest, `${approver} approved another intent`);
    check(
      approval.approver === approver && approval.decision === 'approve',
      `${approver} signed something else`,
    );
    check(
      Date.parse(approval.validUntil) > Date.parse(approval.at),
      `the approval of ${approver} ends before it begins`,
    );
    names.add(approver);
    keys.add(publicKey);
  }
  check(Math.min(names.size, keys.size) >= quorum, `${names.size} approvals, ${quorum} are needed`);
  return names.size;
}

/** Throws what does not verify. Answers with a line for each transfer. `quorum`: approvals expected of each. */
export function verifyDocument(document, { quorum = 2, wallets: atLeast = 2 } = {}) {
  check(typeof document.version === 'string', 'the version is missing');
  const wallets = new Map(document.wallets.map((wallet) => [wallet.id, wallet]));
  check(wallets.size === document.wallets.length && wallets.size >= atLeast, 'wallets are missing');
  check(document.transfers.length >= atLeast, 'transfers are missing');
  const lines = document.transfers.map((transfer) => {
    const { intent } = transfer;
    const named = (what) => `${transfer.workflowId}: ${what}`;
    try {
      const wallet = wallets.get(transfer.walletId);
      check(wallet !== undefined, 'its wallet is not in the document');
      check(
        intent.walletId === wallet.id &&
          intent.chain === wallet.chain &&
          transfer.chain === wallet.chain,
        'wallet, intent and transfer name different chains or wallets',
      );
      check(transfer.publicKey === wallet.publicKey, 'its public key is not the wallet’s');
      check(
        transfer.workflowId === `transfer/${intent.requestId}`,
        'the workflow id is not that of the request',
      );
      check(
        sha256(signedForm('intent', intent)).toString('hex') === transfer.intentDigest,
        'the intent digest is wrong',
      );
      const approvals = verifyApprovals(transfer, quorum);
      check(
        Number.isInteger(transfer.confirmations) && transfer.confirmations >= 1,
        'it is not confirmed',
      );
      const family = transfer.chain.split(':')[0];
      const rules = new Map([
        ['bip122', verifyBitcoin],
        ['solana', verifySolana],
        ['eip155', verifyEthereum],
      ]).get(family);
      check(rules !== undefined, `no rules for ${transfer.chain}`);
      const signatures = rules(transfer, wallet);
      return named(`${approvals} approvals and ${signatures} transaction signatures verify`);
    } catch (error) {
      throw new Refusal(named(error.message));
    }
  });
  return lines;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  try {
    for (const line of verifyDocument(JSON.parse(readFileSync(process.argv[2] ?? 0, 'utf8'))))
      console.log(line);
  } catch (error) {
    console.error(`does not verify: ${error.message}`);
    process.exitCode = 1;
  }
}
