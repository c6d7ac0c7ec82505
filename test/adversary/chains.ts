/** The adversary's own builder of transactions: it can spell everything that a chain can do, honest or not. */
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
import type { KeyDescriptor } from '../../schema/contracts/key.ts';
import type { UnsignedTransaction } from '../../schema/contracts/transaction.ts';
import { BITCOIN, SOLANA } from '../support/parties.ts';
import { provenNonce } from '../support/solana-plans.ts';

export type Built = {
  readonly unsigned: UnsignedTransaction;
  /** What a signature must cover to be worth something on chain, computed here. */
  readonly messages: readonly Uint8Array[];
};

/** What only one transaction can consume: a nonce account at a value, or outputs of the wallet's. */
export type Resource = { readonly anchor: Anchor; readonly id: string };

export type Plan = {
  readonly resource: Resource;
  /** Payments in order; the honest plan has one. */
  readonly payments: readonly { readonly to: string; readonly amount: bigint }[];
  /** Smallest unit; default 10,000. */
  readonly fee?: bigint;
  /** Something beside the payments that no intent names. */
  readonly extra?: 'foreign' | 'data';
  /** Solana: this blockhash in the nonce's place, with or without the first instruction. */
  readonly blockhash?: { readonly value: Uint8Array; readonly advance: boolean };
};

export type Kit = {
  readonly name: 'bitcoin' | 'solana';
  readonly network: string;
  readonly protocol: string;
  /** Bytes of a group element in a protocol message. */
  readonly pointBytes: number;
  resource(): Resource;
  destination(): string;
  build(key: KeyDescriptor, plan: Plan): Built;
};

export const FEE = 10_000n;
const LIMIT = 10_000;

const solana: Kit = {
  name: 'solana',
  network: SOLANA,
  protocol: 'frost-ed25519',
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

/** What every coin of these plans holds, in sats: enough for every amount of the cases. */
const COIN = 500_000_000n;

const bitcoin: Kit = {
  name: 'bitcoin',
  network: BITCOIN,
  protocol: 'frost-bip340',
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

export const KITS = { bitcoin, solana } as const;
