#!/usr/bin/env node
/**
 * Verifies the document of `npm start -- --once --json` and shares no code with keysaga: Node's own crypto for SHA-256
 * and Ed25519, everything else written here from the standards (RFC 8785, BIP-173/350, BIP-340, BIP-341, Solana's
 * transaction format). It trusts nothing in the document that it can recompute.
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
      check(family === 'bip122' || family === 'solana', `no rules for ${transfer.chain}`);
      const signatures =
        family === 'bip122' ? verifyBitcoin(transfer, wallet) : verifySolana(transfer, wallet);
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
