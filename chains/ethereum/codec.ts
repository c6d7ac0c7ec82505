/**
 * Pure codec of Ethereum transfers: parties judge bytes with it alone, clients derive addresses. `transaction.ts` states
 * the encodings that are taken.
 *
 * What a transaction may do, one of:
 * - `pay` native: value to somebody else, no data;
 * - `pay` token: no value, data exactly `transfer(address,uint256)`, to the token's contract;
 * - nothing at all (the void): to the wallet itself, no value, no data. It has no effects but consumes its nonce.
 * Everything else is refused by name.
 */
import { keccak_256 } from '@noble/hashes/sha3.js';
import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js';
import type {
  DecodedTransaction,
  TransactionCodec,
  TransactionEffect,
} from '../../core/ports/blockchain.ts';
import { erc20Asset } from '../../schema/contracts/asset.ts';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import type { SignedTransaction, UnsignedTransaction } from '../../schema/contracts/transaction.ts';
import { addressBytes, addressOf, checksummed, isReserved } from './address.ts';
import { decodeTransfer } from './erc20.ts';
import { attachMessage } from './message.ts';
import { type EthereumNetwork, ethereumNetwork } from './networks.ts';
import { recoverable } from './signature.ts';
import { feeOf, malformed, parseTransaction, serialize, type Transaction } from './transaction.ts';

/** Entry of `conflictKeys`: nonces are counted per account. */
export const conflictKey = (address: string, nonce: bigint): string =>
  `ethereum:${address}:${nonce}`;

/** @throws KeysagaError `ChainMismatch`, `TransactionMalformed`. */
export function readUnsigned(network: EthereumNetwork, unsigned: UnsignedTransaction): Transaction {
  if (unsigned.network !== network.id) {
    throw new KeysagaError('ChainMismatch', 'the transaction is for another network', {
      field: 'network',
      expected: network.id,
    });
  }
  if (unsigned.format !== 'ethereum-rlp' || unsigned.nonceProof !== undefined) {
    throw new KeysagaError('TransactionMalformed', 'not an Ethereum payload', {
      field: 'format',
      rule: 'format',
    });
  }
  // Upper-case hex would be a second spelling of the same bytes.
  if (!/^(?:[0-9a-f]{2})*$/.test(unsigned.bytes)) throw malformed('hex', 'not lower-case hex');
  return parseTransaction(network, hexToBytes(unsigned.bytes));
}

function effectsOf(
  network: EthereumNetwork,
  own: string,
  { to, value, data }: Transaction,
): TransactionEffect[] {
  const target = checksummed(to);
  if (data.length === 0) {
    if (target === own) {
      if (value > 0n) throw malformed('self-payment', 'it pays the wallet itself');
      return [];
    }
    if (isReserved(to)) throw malformed('reserved-address', 'nobody owns what is sent there');
    if (value === 0n) throw malformed('empty-call', 'it neither pays nor calls');
    return [{ kind: 'pay', destination: target, asset: 'native', amount: value }];
  }
  const transfer = decodeTransfer(data);
  if (typeof transfer === 'string')
    throw malformed(transfer, 'its data is not exactly transfer(address,uint256)');
  if (value > 0n) throw malformed('call-value', 'a token transfer that also sends coins');
  // A call to an account without code succeeds and does nothing.
  if (target === own || isReserved(to)) throw malformed('token-address', 'there is no token there');
  if (transfer.amount === 0n) throw malformed('empty-transfer', 'it transfers nothing');
  const destination = checksummed(transfer.to);
  if (destination === target)
    throw malformed('token-itself', "tokens to the token's own contract are lost");
  if (isReserved(transfer.to))
    throw malformed('reserved-address', 'nobody owns what is sent there');
  return [
    {
      kind: 'pay',
      destination,
      asset: erc20Asset(network.id, target),
      amount: transfer.amount,
    },
  ];
}

export type EthereumCodec = TransactionCodec & { readonly family: 'ethereum' };

/** @throws KeysagaError `ChainUnsupported` for an unknown CAIP-2 id. */
export function createEthereumCodec(networkId: string): EthereumCodec {
  const network = ethereumNetwork(networkId);
  const read = (unsigned: UnsignedTransaction, publicKey: Uint8Array) => {
    const from = addressOf(publicKey);
    const transaction = readUnsigned(network, unsigned);
    return { from, transaction, effects: effectsOf(network, from, transaction) };
  };
  return {
    network: network.id,
    family: 'ethereum',
    curve: 'secp256k1',
    scheme: 'ecdsa',
    message: { attach: attachMessage },

    address: addressOf,

    checkAddress(address) {
      if (isReserved(addressBytes(address, 'destination'))) {
        throw new KeysagaError('InvalidInput', 'nobody owns what is sent to this address', {
          field: 'destination',
        });
      }
    },

    decode(unsigned, publicKey): DecodedTransaction {
      const { from, transaction, effects } = read(unsigned, publicKey);
      return {
        network: network.id,
        from,
        effects,
        fee: feeOf(transaction),
        conflictKeys: [conflictKey(from, transaction.nonce)],
      };
    },

    messages(unsigned, publicKey) {
      read(unsigned, publicKey);
      return [keccak_256(hexToBytes(unsigned.bytes))];
    },

    attach(unsigned, publicKey, signatures): SignedTransaction {
      const { transaction } = read(unsigned, publicKey);
      if (signatures.length !== 1) {
        throw new KeysagaError('SignatureInvalid', 'one signature is needed', {
          field: 'signatures',
          expected: 1,
          got: signatures.length,
        });
      }
      const digest = keccak_256(hexToBytes(unsigned.bytes));
      const { r, s, yParity } = recoverable(digest, signatures[0], publicKey);
      // EIP-155: v carries the chain id; typed transactions carry the parity alone.
      const v =
        transaction.fees.type === 'legacy'
          ? network.chainId * 2n + 35n + BigInt(yParity)
          : BigInt(yParity);
      const bytes = serialize(transaction, [v, r, s]);
      return {
        network: network.id,
        id: `0x${bytesToHex(keccak_256(bytes))}`,
        bytes: bytesToHex(bytes),
      };
    },
  };
}
