/** The adversary's builders for ECDSA wallets: an Ethereum account, and Bitcoin's P2WPKH. */
import { randomBytes } from 'node:crypto';
import { secp256k1 } from '@noble/curves/secp256k1.js';
import { keccak_256 } from '@noble/hashes/sha3.js';
import { bytesToHex, concatBytes, hexToBytes } from '@noble/hashes/utils.js';
import { Transaction } from '@scure/btc-signer';
import { RawOldTx } from '@scure/btc-signer/script.js';
import { toRlp } from 'viem/utils';
import { bitcoinNetwork } from '../../chains/bitcoin/networks.ts';
import {
  displayHash,
  encodePsbt,
  type PsbtInput,
  type PsbtOutput,
} from '../../chains/bitcoin/psbt.ts';
import { addressOf, addressScript } from '../../chains/bitcoin/script.ts';
import { addressBytes } from '../../chains/ethereum/address.ts';
import { encodeTransfer } from '../../chains/ethereum/erc20.ts';
import { quantity } from '../../chains/ethereum/transaction.ts';
import type { Anchor } from '../../schema/contracts/intent.ts';
import type { UnsignedTransaction } from '../../schema/contracts/transaction.ts';
import { someAccount } from '../support/ethereum-plans.ts';
import { BITCOIN, ETHEREUM } from '../support/parties.ts';
import { COIN, type Extra, FEE, type Kit } from './kit.ts';

const GAS = 25_000n;
/** No two plans of a run have a nonce in common unless they mean to. */
let nonce = 0n;

/** Wei in a unit: 100,000 of them are the cap for a void. */
const UNIT = 200_000_000_000n;

/** Call data of somebody else's choice, and a token transfer beside the ether. */
const callData = (extra: Extra | undefined): Uint8Array => {
  if (extra === 'call') return hexToBytes('deadbeef');
  if (extra === 'token') return encodeTransfer(addressBytes(someAccount(), 'destination'), 1n);
  return new Uint8Array();
};

export const ethereum: Kit = {
  name: 'ethereum',
  network: ETHEREUM,
  elsewhere: 'eip155:1',
  protocol: 'dkls23',
  unit: UNIT,
  extras: ['call', 'token', 'access-list', 'creation'],
  pointBytes: 33,
  resource() {
    const id = `${nonce++}`;
    return { anchor: { kind: 'ethereum-nonce', nonce: id } as Anchor, id };
  },
  destination: someAccount,
  build(key, { resource, payments, fee = FEE * UNIT, extra }) {
    const [payment = { to: key.address, amount: 0n }, ...more] = payments;
    if (more.length > 0) throw new Error('a transaction pays one account');
    const list = [
      quantity(BigInt(ETHEREUM.slice('eip155:'.length))),
      quantity(BigInt(resource.id)),
      quantity(1n),
      quantity(fee / GAS),
      quantity(GAS),
      extra === 'creation' ? new Uint8Array() : addressBytes(payment.to, 'destination'),
      quantity(payment.amount),
      callData(extra),
      extra === 'access-list' ? [[randomBytes(20), [randomBytes(32)]]] : [],
    ];
    const bytes = concatBytes(Uint8Array.of(2), toRlp(list as Uint8Array[], 'bytes'));
    const unsigned = {
      network: ETHEREUM,
      format: 'ethereum-rlp',
      bytes: bytesToHex(bytes),
    } as UnsignedTransaction;
    return { unsigned, messages: [keccak_256(bytes)] };
  },
};

/** A transaction that nobody has seen, with an output of `COIN` for this script in second place. */
const previousFor = (script: Uint8Array): Uint8Array =>
  RawOldTx.encode({
    version: 2,
    inputs: [
      {
        txid: new Uint8Array(randomBytes(32)),
        index: 0,
        finalScriptSig: new Uint8Array(),
        sequence: 0xffffffff,
      },
    ],
    outputs: [
      { amount: 1_000n, script: Uint8Array.of(0x51) },
      { amount: COIN, script },
    ],
    lockTime: 0,
  });

export const segwit: Kit = {
  name: 'segwit',
  network: BITCOIN,
  elsewhere: 'bip122:000000000019d6689c085ae165831e93',
  protocol: 'dkls23',
  unit: 1n,
  extras: ['data'],
  pointBytes: 33,
  resource({ address }) {
    const previous = previousFor(addressScript(bitcoinNetwork(BITCOIN), address));
    const txid = displayHash(previous);
    return {
      anchor: { kind: 'bitcoin-outpoint', txid, vout: '1' } as Anchor,
      id: bytesToHex(previous),
    };
  },
  destination: () =>
    addressOf(
      bitcoinNetwork(BITCOIN),
      secp256k1.getPublicKey(secp256k1.utils.randomSecretKey(), true),
    ),
  build(key, { resource, payments, fee = FEE, extra }) {
    const network = bitcoinNetwork(BITCOIN);
    const script = addressScript(network, key.address);
    const previous = hexToBytes(resource.id);
    const txid = displayHash(previous);
    const inputs: PsbtInput[] = [{ txid, vout: 1, amount: COIN, script, previous }];
    const outputs: PsbtOutput[] = payments.map(({ to, amount }) => ({
      amount,
      script: addressScript(network, to),
    }));
    if (extra !== undefined)
      outputs.push({ amount: 0n, script: Uint8Array.of(0x6a, 2, 0x6b, 0x73) });
    const paid = outputs.reduce((sum, { amount }) => sum + amount, 0n);
    outputs.push({ amount: COIN - paid - fee, script });
    const unsigned = {
      network: BITCOIN,
      format: 'bitcoin-psbt',
      bytes: bytesToHex(encodePsbt(inputs, outputs)),
    } as UnsignedTransaction;
    return { unsigned, messages: sighashes(inputs, outputs) };
  },
};

/** BIP-143 digests by the library alone, for SIGHASH_ALL. */
function sighashes(inputs: readonly PsbtInput[], outputs: readonly PsbtOutput[]): Uint8Array[] {
  const tx = new Transaction({ version: 2, allowUnknownOutputs: true, disableScriptCheck: true });
  for (const { txid, vout, amount, script } of inputs)
    tx.addInput({ txid, index: vout, sequence: 0xfffffffd, witnessUtxo: { amount, script } });
  for (const output of outputs) tx.addOutput({ ...output });
  return inputs.map(({ script, amount }, i) => {
    const code = concatBytes(hexToBytes('76a914'), script.subarray(2), hexToBytes('88ac'));
    return tx.preimageWitnessV0(i, code, 1, amount);
  });
}
