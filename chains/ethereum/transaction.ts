/**
 * The two unsigned payloads that a party reads, both in RLP (Yellow Paper, appendix B):
 *
 * - EIP-1559: 0x02 ‖ rlp([chainId, nonce, maxPriorityFeePerGas, maxFeePerGas, gasLimit, to, value, data, accessList])
 * - EIP-155:  rlp([nonce, gasPrice, gasLimit, to, value, data, chainId, 0, 0])
 *
 * What is signed is keccak-256 of exactly these bytes. Two encodings of one meaning are how a signer is deceived, so the
 * bytes must be what this file would write for what it read; other types (access lists, blobs, delegations) are refused.
 */
import { concatBytes, hexToBytes } from '@noble/hashes/utils.js';
import { fromRlp, toRlp } from 'viem/utils';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import type { EthereumNetwork } from './networks.ts';

export type Fees =
  | {
      readonly type: 'eip1559';
      readonly maxFeePerGas: bigint;
      readonly maxPriorityFeePerGas: bigint;
    }
  | { readonly type: 'legacy'; readonly gasPrice: bigint };

export type Transaction = {
  readonly chainId: bigint;
  readonly nonce: bigint;
  readonly gasLimit: bigint;
  /** 20 bytes. */
  readonly to: Uint8Array;
  /** Wei. */
  readonly value: bigint;
  readonly data: Uint8Array;
  readonly fees: Fees;
};

/** `rule` names the reason, e.g. for a test or an audit entry. */
export const malformed = (rule: string, message: string, cause?: unknown): KeysagaError =>
  new KeysagaError(
    'TransactionMalformed',
    message,
    { field: 'bytes', rule },
    cause === undefined ? {} : { cause },
  );

/** A transfer needs some 200; it bounds the work that a stranger's bytes can cause. */
const MAX_BYTES = 1024;
/** EIP-2681: a nonce stays below 2^64 − 1. */
const MAX_NONCE = 2n ** 64n - 2n;
/** EIP-7825: no transaction may have more gas. */
const MAX_GAS = 2n ** 24n;
const MAX_WORD = 2n ** 256n - 1n;
const NONE = new Uint8Array();

/** The most that a unit of gas costs, wei. */
export const pricePerGas = (fees: Fees): bigint =>
  fees.type === 'legacy' ? fees.gasPrice : fees.maxFeePerGas;
/** The most that validators can take, wei. */
export const feeOf = ({ gasLimit, fees }: Transaction): bigint => gasLimit * pricePerGas(fees);

/** What is charged before anything runs (EIP-2028): less gas than that would burn the fee and pay nobody. */
export const intrinsicGas = (data: Uint8Array): bigint =>
  data.reduce((sum, byte) => sum + (byte === 0 ? 4n : 16n), 21_000n);

/** Big-endian without leading zeros; zero is empty. */
export function quantity(value: bigint): Uint8Array {
  if (value === 0n) return NONE;
  const hex = value.toString(16);
  return hexToBytes(hex.length % 2 === 0 ? hex : `0${hex}`);
}

const EIP1559 = Uint8Array.of(2);

/** The payload's fields; `signature` is [yParity or v, r, s] of a signed transaction, absent for the unsigned payload. */
export function serialize(
  { chainId, nonce, gasLimit, to, value, data, fees }: Transaction,
  signature?: readonly [bigint, bigint, bigint],
): Uint8Array {
  if (fees.type === 'legacy') {
    const body = [nonce, fees.gasPrice, gasLimit].map(quantity);
    const end = (signature ?? [chainId, 0n, 0n]).map(quantity);
    return toRlp([...body, to, quantity(value), data, ...end], 'bytes');
  }
  const { maxFeePerGas, maxPriorityFeePerGas } = fees;
  const body = [chainId, nonce, maxPriorityFeePerGas, maxFeePerGas, gasLimit].map(quantity);
  const end = (signature ?? []).map(quantity);
  const list = [...body, to, quantity(value), data, [], ...end];
  return concatBytes(EIP1559, toRlp(list, 'bytes'));
}

type Rlp = Uint8Array | readonly Rlp[];

function fields(bytes: Uint8Array): readonly Rlp[] {
  let decoded: Rlp;
  try {
    decoded = fromRlp(bytes, 'bytes') as Rlp;
  } catch (cause) {
    throw malformed('rlp', 'not RLP', cause);
  }
  if (decoded instanceof Uint8Array) throw malformed('rlp', 'the payload is no list');
  return decoded;
}

const string = (field: Rlp | undefined, name: string): Uint8Array => {
  if (field instanceof Uint8Array) return field;
  throw malformed('field-kind', `${name} is a list`);
};
function integer(field: Rlp | undefined, name: string, most: bigint, rule: string): bigint {
  const bytes = string(field, name);
  if (bytes[0] === 0) throw malformed('leading-zero', `${name} has a leading zero`);
  // Before BigInt: whatever is longer than 32 bytes is too large.
  const value =
    bytes.length > 32 ? MAX_WORD + 1n : bytes.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
  if (value > most) throw malformed(rule, `${name} is out of range`);
  return value;
}

const wei = (field: Rlp | undefined, name: string) => integer(field, name, MAX_WORD, 'fee-range');

function readEip1559(list: readonly Rlp[]): Transaction {
  if (list.length === 12) throw malformed('signature-present', 'the payload is signed');
  if (list.length !== 9) throw malformed('field-count', 'an EIP-1559 payload has nine fields');
  const [chainId, nonce, priority, max, gas, to, value, data, accessList] = list;
  const maxPriorityFeePerGas = wei(priority, 'maxPriorityFeePerGas');
  const maxFeePerGas = wei(max, 'maxFeePerGas');
  if (!Array.isArray(accessList)) throw malformed('field-kind', 'the access list is no list');
  if (accessList.length > 0) throw malformed('access-list', 'the access list is not empty');
  if (maxPriorityFeePerGas > maxFeePerGas)
    throw malformed('priority-fee', 'maxPriorityFeePerGas is above maxFeePerGas');
  return {
    ...common(chainId, nonce, gas, to, value, data),
    fees: { type: 'eip1559', maxFeePerGas, maxPriorityFeePerGas },
  };
}

function readLegacy(list: readonly Rlp[]): Transaction {
  // Without the chain id in the payload (before EIP-155) a transaction is good on every chain.
  if (list.length === 6) throw malformed('no-chain-id', 'the payload names no chain (EIP-155)');
  if (list.length !== 9) throw malformed('field-count', 'an EIP-155 payload has nine fields');
  const [nonce, gasPrice, gas, to, value, data, chainId, r, s] = list;
  if (string(r, 'r').length > 0 || string(s, 's').length > 0)
    throw malformed('signature-present', 'the payload is signed');
  return {
    ...common(chainId, nonce, gas, to, value, data),
    fees: { type: 'legacy', gasPrice: wei(gasPrice, 'gasPrice') },
  };
}

function common(
  chainId: Rlp | undefined,
  nonce: Rlp | undefined,
  gas: Rlp | undefined,
  to: Rlp | undefined,
  value: Rlp | undefined,
  data: Rlp | undefined,
): Omit<Transaction, 'fees'> {
  const target = string(to, 'to');
  if (target.length === 0) throw malformed('contract-creation', 'it creates a contract');
  if (target.length !== 20) throw malformed('to', 'to is no address');
  return {
    chainId: integer(chainId, 'chainId', MAX_WORD, 'chain-id'),
    nonce: integer(nonce, 'nonce', MAX_NONCE, 'nonce-range'),
    gasLimit: integer(gas, 'gasLimit', MAX_GAS, 'gas-limit'),
    to: target,
    value: integer(value, 'value', MAX_WORD, 'value-range'),
    data: string(data, 'data'),
  };
}

const equal = (a: Uint8Array, b: Uint8Array): boolean =>
  a.length === b.length && a.every((byte, i) => byte === b[i]);

/** @throws KeysagaError `TransactionMalformed` (`details.rule` says which rule is broken), `ChainMismatch`. */
export function parseTransaction(network: EthereumNetwork, bytes: Uint8Array): Transaction {
  if (bytes.length > MAX_BYTES) throw malformed('too-large', 'the payload is over 1,024 bytes');
  const first = bytes[0];
  if (first === undefined) throw malformed('empty', 'there are no bytes');
  // EIP-2718: a first byte up to 0x7f is a type, from 0xc0 on a legacy list.
  if (first !== 2 && first < 0xc0)
    throw malformed('transaction-type', `transactions of type ${first} are not signed`);
  const transaction =
    first === 2 ? readEip1559(fields(bytes.subarray(1))) : readLegacy(fields(bytes));
  if (transaction.chainId !== network.chainId) {
    throw new KeysagaError('ChainMismatch', 'the transaction is for another chain', {
      field: 'chainId',
      expected: network.chainId.toString(),
      actual: transaction.chainId.toString().slice(0, 80),
    });
  }
  if (pricePerGas(transaction.fees) === 0n) throw malformed('fee-range', 'it offers no fee');
  if (transaction.gasLimit < intrinsicGas(transaction.data))
    throw malformed('gas-limit', 'its gas does not carry even its own bytes');
  // Last, so that a known fault gets its own name: lengths in long form, single bytes with a prefix, anything left over.
  if (!equal(serialize(transaction), bytes))
    throw malformed('not-canonical', 'the payload is not in canonical encoding');
  return transaction;
}
