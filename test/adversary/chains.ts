/** The adversary's own builders of transactions: they can spell everything that a chain can do, honest or not. */
import { randomBytes } from 'node:crypto';
import { schnorr } from '@noble/curves/secp256k1.js';
import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js';
import { base58 } from '@scure/base';
import { Transaction } from '@scure/btc-signer';
import { bitcoinNetwork } from '../../chains/bitcoin/networks.ts';
import { encodePsbt, type PsbtInput, type PsbtOutput } from '../../chains/bitcoin/psbt.ts';
import { addressOf, addressScript } from '../../chains/bitcoin/script.ts';
import { advanceNonce, transfer, unitLimit, unitPrice } from '../../chains/solana/instructions.ts';
import { compileMessage, type Instruction } from '../../chains/solana/message.ts';
import type { Anchor } from '../../schema/contracts/intent.ts';
import type { UnsignedTransaction } from '../../schema/contracts/transaction.ts';
import { BITCOIN, SOLANA } from '../support/parties.ts';
import { provenNonce } from '../support/solana-plans.ts';
import { ethereum, segwit } from './chains-ecdsa.ts';
import { COIN, FEE, type Kit, type KitName } from './kit.ts';

export type { Built, Kit, Plan, Resource } from './kit.ts';
export { FEE };

const LIMIT = 10_000;

const solana: Kit = {
  name: 'solana',
  network: SOLANA,
  elsewhere: 'solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp',
  protocol: 'frost-ed25519',
  unit: 1n,
  extras: ['foreign'],
  pointBytes: 32,
  resource() {
    const { account, value, preimage } = provenNonce();
    return { anchor: { kind: 'solana-nonce', account, value } as Anchor, id: preimage };
  },
  destination: () => base58.encode(randomBytes(32)),
  build(key, { resource, payments, fee = FEE, extra, blockhash }) {
    const { anchor, id } = resource;
    if (anchor.kind !== 'solana-nonce') throw new Error('not a nonce');
    const wallet = hexToBytes(key.publicKey);
    const value = blockhash?.value ?? hexToBytes(anchor.value);
    const foreign: Instruction = {
      program: base58.decode('MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr'),
      accounts: [],
      data: Buffer.from('more'),
    };
    const bytes = compileMessage(wallet, value, [
      ...(blockhash?.advance === false
        ? []
        : [advanceNonce(base58.decode(anchor.account), wallet)]),
      unitLimit(LIMIT),
      ...(fee > 5_000n ? [unitPrice(((fee - 5_000n) * 1_000_000n) / BigInt(LIMIT))] : []),
      ...payments.map(({ to, amount }) => transfer(wallet, base58.decode(to), amount)),
      ...(extra === undefined ? [] : [foreign]),
    ]);
    const unsigned = {
      network: SOLANA,
      format: 'solana-message',
      bytes: bytesToHex(bytes),
      nonceProof: { account: anchor.account, value: bytesToHex(value), preimage: id },
    } as UnsignedTransaction;
    return { unsigned, messages: [bytes] };
  },
};

const bitcoin: Kit = {
  name: 'bitcoin',
  network: BITCOIN,
  elsewhere: 'bip122:000000000019d6689c085ae165831e93',
  protocol: 'frost-bip340',
  unit: 1n,
  extras: ['data'],
  pointBytes: 33,
  resource() {
    const txid = randomBytes(32).toString('hex');
    return { anchor: { kind: 'bitcoin-outpoint', txid, vout: '1' } as Anchor, id: txid };
  },
  destination: () =>
    addressOf(bitcoinNetwork(BITCOIN), schnorr.getPublicKey(schnorr.utils.randomSecretKey())),
  build(key, { resource, payments, fee = FEE, extra }) {
    const network = bitcoinNetwork(BITCOIN);
    const script = addressScript(network, key.address);
    const inputs: PsbtInput[] = [{ txid: resource.id, vout: 1, amount: COIN, script }];
    const outputs: PsbtOutput[] = payments.map(({ to, amount }) => ({
      amount,
      script: addressScript(network, to),
    }));
    if (extra !== undefined)
      outputs.push({ amount: 0n, script: Uint8Array.of(0x6a, 2, 0x6b, 0x73) });
    const paid = outputs.reduce((sum, { amount }) => sum + amount, 0n);
    if (COIN - paid - fee > 0n) outputs.push({ amount: COIN - paid - fee, script });
    const unsigned = {
      network: BITCOIN,
      format: 'bitcoin-psbt',
      bytes: bytesToHex(encodePsbt(inputs, outputs)),
    } as UnsignedTransaction;
    return { unsigned, messages: sighashes(inputs, outputs) };
  },
};

/** BIP-341 digests by the library alone, for SIGHASH_DEFAULT. */
function sighashes(inputs: readonly PsbtInput[], outputs: readonly PsbtOutput[]): Uint8Array[] {
  const tx = new Transaction({ version: 2, allowUnknownOutputs: true, disableScriptCheck: true });
  for (const { txid, vout, amount, script } of inputs)
    tx.addInput({ txid, index: vout, sequence: 0xfffffffd, witnessUtxo: { amount, script } });
  for (const output of outputs) tx.addOutput({ ...output });
  return inputs.map((_, i) =>
    tx.preimageWitnessV1(
      i,
      inputs.map(({ script }) => script),
      0,
      inputs.map(({ amount }) => amount),
    ),
  );
}

export const KITS: Readonly<Record<KitName, Kit>> = { bitcoin, solana, ethereum, segwit };
