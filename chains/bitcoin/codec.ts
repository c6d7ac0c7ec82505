/**
 * Pure codec of Bitcoin transfers (BIP-174): Taproot key path for BIP-340 keys (BIP-341, BIP-371), P2WPKH for ECDSA keys
 * (BIP-141, BIP-143), told apart by the public key's length. Parties judge bytes with it alone, clients derive addresses.
 * `psbt.ts` states the encoding that is taken.
 *
 * How outputs are named:
 * - the wallet's own script, at or above dust → `change`. A transfer to the wallet's own address therefore shows only
 *   `change` and no `pay`: whoever judges an intent whose destination is the wallet itself must expect that.
 * - an address's script, at or above dust → `pay`.
 * - everything else (OP_RETURN, bare keys and multisig, pay-to-anchor, unknown programs, dust) → `other`.
 */
import { schnorr, secp256k1 } from '@noble/curves/secp256k1.js';
import { bytesToHex, concatBytes, hexToBytes } from '@noble/hashes/utils.js';
import type { Transaction } from '@scure/btc-signer';
import type {
  DecodedTransaction,
  TransactionCodec,
  TransactionEffect,
} from '../../core/ports/blockchain.ts';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import type { SignedTransaction, UnsignedTransaction } from '../../schema/contracts/transaction.ts';
import { attachMessage } from './message.ts';
import { type BitcoinNetwork, bitcoinNetwork } from './networks.ts';
import {
  ALL,
  DEFAULT,
  decodePsbt,
  malformed,
  outpoint,
  type Psbt,
  type PsbtOutput,
  signerTransaction,
} from './psbt.ts';
import {
  addressOf,
  addressScript,
  dustLimit,
  isWitnessKeyHash,
  scriptAddress,
  scriptCode,
  walletScript,
} from './script.ts';

/** Entry of `conflictKeys` for an outpoint. */
export const conflictKey = (input: { txid: string; vout: number }): string =>
  `bitcoin:${outpoint(input)}`;

/** @throws KeysagaError `ChainMismatch`, `TransactionMalformed`, `InvalidInput` (`publicKey`). */
export function readPsbt(
  network: BitcoinNetwork,
  unsigned: UnsignedTransaction,
  publicKey: Uint8Array,
): Psbt {
  if (unsigned.network !== network.id) {
    throw new KeysagaError('ChainMismatch', 'the transaction is for another network', {
      field: 'network',
      expected: network.id,
    });
  }
  if (unsigned.format !== 'bitcoin-psbt' || unsigned.nonceProof !== undefined) {
    throw new KeysagaError('TransactionMalformed', 'not a Bitcoin PSBT', {
      field: 'format',
      rule: 'format',
    });
  }
  // Upper-case hex would be a second spelling of the same bytes.
  if (!/^(?:[0-9a-f]{2})*$/.test(unsigned.bytes)) throw malformed('hex', 'not lower-case hex');
  return decodePsbt(hexToBytes(unsigned.bytes), walletScript(publicKey));
}

function effectOf(
  network: BitcoinNetwork,
  own: string,
  output: PsbtOutput,
  index: number,
): TransactionEffect {
  const address = scriptAddress(network, output.script);
  if (address === undefined) {
    const kind = output.script[0] === 0x6a ? 'data (OP_RETURN)' : 'a script without an address';
    return { kind: 'other', description: `output ${index}: ${output.amount} sats to ${kind}` };
  }
  if (output.amount < dustLimit(output.script)) {
    return { kind: 'other', description: `output ${index}: dust (${output.amount} sats)` };
  }
  return address === own
    ? { kind: 'change', address, amount: output.amount }
    : { kind: 'pay', destination: address, asset: 'native', amount: output.amount };
}

const digests = (tx: Transaction, psbt: Psbt): Uint8Array[] => {
  const scripts = psbt.inputs.map(({ script }) => script);
  const amounts = psbt.inputs.map(({ amount }) => amount);
  return psbt.inputs.map(({ script, amount }, i) =>
    isWitnessKeyHash(script)
      ? tx.preimageWitnessV0(i, scriptCode(script), ALL, amount)
      : tx.preimageWitnessV1(i, scripts, DEFAULT, amounts),
  );
};

/** Puts a checked signature into an input. */
function place(
  tx: Transaction,
  i: number,
  message: Uint8Array,
  signature: Uint8Array | undefined,
  publicKey: Uint8Array,
): void {
  const refuse = (why: string) =>
    new KeysagaError('SignatureInvalid', `the signature of input ${i} ${why}`, {
      field: `signatures.${i}`,
    });
  if (publicKey.length === 32) {
    // 65 bytes would carry a signature hash type of its own.
    if (signature?.length !== 64 || !schnorr.verify(signature, message, publicKey))
      throw refuse('does not verify against the output key');
    tx.updateInput(i, { tapKeySig: signature }, true);
    return;
  }
  // r ‖ s, or with a recovery id behind, for which Bitcoin has no use.
  if (signature?.length !== 64 && signature?.length !== 65) throw refuse('is not r ‖ s');
  const compact = signature.subarray(0, 64);
  const options = { prehash: false, lowS: true };
  let der: Uint8Array;
  try {
    if (!secp256k1.verify(compact, message, publicKey, options)) throw refuse('does not verify');
    der = secp256k1.Signature.fromBytes(compact, 'compact').toBytes('der');
  } catch {
    throw refuse('does not verify against the key, or s is high (BIP-146)');
  }
  tx.updateInput(i, { partialSig: [[publicKey, concatBytes(der, Uint8Array.of(ALL))]] }, true);
}

export type BitcoinCodec = TransactionCodec & {
  readonly family: 'bitcoin';
  /** Id that the transaction will have once it is signed. Errors as of `decode`. */
  transactionId(unsigned: UnsignedTransaction, publicKey: Uint8Array): string;
};

/** @throws KeysagaError `ChainUnsupported` for an unknown CAIP-2 id. */
export function createBitcoinCodec(networkId: string): BitcoinCodec {
  const network = bitcoinNetwork(networkId);
  return {
    network: network.id,
    family: 'bitcoin',
    curve: 'secp256k1',
    scheme: 'bip340',
    schemes: ['bip340', 'ecdsa'],
    message: { script: walletScript, attach: attachMessage },

    address: (publicKey) => addressOf(network, publicKey),

    checkAddress(address) {
      addressScript(network, address);
    },

    decode(unsigned, publicKey): DecodedTransaction {
      const psbt = readPsbt(network, unsigned, publicKey);
      const from = addressOf(network, publicKey);
      const paid = psbt.inputs.reduce((sum, { amount }) => sum + amount, 0n);
      const received = psbt.outputs.reduce((sum, { amount }) => sum + amount, 0n);
      if (received > paid) throw malformed('negative-fee', 'outputs exceed inputs');
      return {
        network: network.id,
        from,
        effects: psbt.outputs.map((output, i) => effectOf(network, from, output, i)),
        fee: paid - received,
        conflictKeys: psbt.inputs.map(conflictKey),
      };
    },

    messages(unsigned, publicKey) {
      const psbt = readPsbt(network, unsigned, publicKey);
      return digests(signerTransaction(psbt.inputs, psbt.outputs), psbt);
    },

    attach(unsigned, publicKey, signatures): SignedTransaction {
      const psbt = readPsbt(network, unsigned, publicKey);
      const tx = signerTransaction(psbt.inputs, psbt.outputs);
      if (signatures.length !== psbt.inputs.length) {
        throw new KeysagaError('SignatureInvalid', 'one signature per input is needed', {
          field: 'signatures',
          expected: psbt.inputs.length,
          got: signatures.length,
        });
      }
      digests(tx, psbt).forEach((message, i) => {
        place(tx, i, message, signatures[i], publicKey);
      });
      tx.finalize();
      if (tx.id !== psbt.txid) {
        throw new KeysagaError('Internal', 'the finished transaction has another id');
      }
      return {
        network: network.id,
        id: tx.id,
        bytes: bytesToHex(tx.extract()),
        spentOutputs: psbt.inputs.map(({ amount, script }) => ({
          amount: amount.toString(),
          script: bytesToHex(script),
        })),
      };
    },

    transactionId: (unsigned, publicKey) => readPsbt(network, unsigned, publicKey).txid,
  };
}
