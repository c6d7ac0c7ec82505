/**
 * The one form of PSBT (BIP-174, BIP-371, version 0) that a party reads. Two encodings of one meaning, or fields that
 * one reader sees and another ignores, are how a signer is deceived; so exactly this is taken and all else refused:
 *
 * global map:  UNSIGNED_TX (0x00): version 2, lock time 0, each sequence 0xfffffffd, empty scriptSigs
 * input map:   WITNESS_UTXO (0x01) with the wallet's own script, and at most SIGHASH_TYPE (0x03) = 0 (DEFAULT)
 * output map:  empty
 *
 * Amounts may come from WITNESS_UTXO alone, since a BIP-341 signature commits to the amounts and scripts of all inputs:
 * one lie and the signature is void. Hence NON_WITNESS_UTXO is not needed, and is refused with the rest.
 */
import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js';
import { Transaction } from '@scure/btc-signer';
import { RawPSBTV0 } from '@scure/btc-signer/psbt.js';
import { RawOldTx } from '@scure/btc-signer/script.js';
import { KeysagaError } from '../../schema/contracts/errors.ts';

export type PsbtInput = {
  /** Display order. */
  readonly txid: string;
  readonly vout: number;
  /** Sats. */
  readonly amount: bigint;
  readonly script: Uint8Array;
};
export type PsbtOutput = { readonly amount: bigint; readonly script: Uint8Array };
export type Psbt = {
  readonly inputs: readonly PsbtInput[];
  readonly outputs: readonly PsbtOutput[];
  /** Witness data is no part of it, so it is known before anything is signed. Display order. */
  readonly txid: string;
};

/** Replace-by-fee is on (BIP-125), relative lock time is off (BIP-68: bit 31). */
export const SEQUENCE = 0xfffffffd;
export const VERSION = 2;
export const LOCK_TIME = 0;
/** 21 million coins, in sats. */
export const MAX_MONEY = 2_100_000_000_000_000n;
/** Bounds the work that a stranger's bytes can cause; a standard transaction stays below 400,000 weight units. */
const MAX_BYTES = 400_000;

/** `rule` names the reason, e.g. for a test or an audit entry. */
export const malformed = (rule: string, message: string, cause?: unknown): KeysagaError =>
  new KeysagaError(
    'TransactionMalformed',
    message,
    { field: 'bytes', rule },
    cause === undefined ? {} : { cause },
  );

export const doubleSha256 = (bytes: Uint8Array): Uint8Array => sha256(sha256(bytes));
/** Hash in display order, as explorers and RPC print it. */
export const displayHash = (bytes: Uint8Array): string => bytesToHex(doubleSha256(bytes).reverse());
export const outpoint = (input: { txid: string; vout: number }): string =>
  `${input.txid}:${input.vout}`;

const unsignedTx = (inputs: readonly PsbtInput[], outputs: readonly PsbtOutput[]) => ({
  version: VERSION,
  inputs: inputs.map(({ txid, vout }) => ({
    txid: hexToBytes(txid),
    index: vout,
    finalScriptSig: new Uint8Array(),
    sequence: SEQUENCE,
  })),
  outputs: outputs.map(({ amount, script }) => ({ amount, script })),
  lockTime: LOCK_TIME,
});

/** The transaction without signatures, as `@scure/btc-signer` works on it. */
export function signerTransaction(
  inputs: readonly PsbtInput[],
  outputs: readonly PsbtOutput[],
): Transaction {
  const tx = new Transaction({
    version: VERSION,
    lockTime: LOCK_TIME,
    // What outputs may be is the codec's decision; the library would refuse to hash unknown scripts.
    allowUnknownOutputs: true,
    disableScriptCheck: true,
  });
  for (const { txid, vout, amount, script } of inputs) {
    tx.addInput({ txid, index: vout, sequence: SEQUENCE, witnessUtxo: { amount, script } });
  }
  for (const output of outputs) tx.addOutput({ ...output });
  return tx;
}

/** Inputs and outputs in the order given. The caller has ordered and judged them. */
export const encodePsbt = (
  inputs: readonly PsbtInput[],
  outputs: readonly PsbtOutput[],
): Uint8Array => signerTransaction(inputs, outputs).toPSBT(0);

const inputFields: Readonly<Record<string, string>> = {
  nonWitnessUtxo: 'non-witness-utxo',
  partialSig: 'signature-present',
  tapKeySig: 'signature-present',
  tapScriptSig: 'signature-present',
  finalScriptSig: 'final-present',
  finalScriptWitness: 'final-present',
  tapLeafScript: 'script-path',
  tapMerkleRoot: 'script-path',
  redeemScript: 'script-path',
  witnessScript: 'script-path',
};

/** Refuses every field but the named ones; a keyed field counts even when its list is empty. */
function onlyFields(
  map: Readonly<Record<string, unknown>>,
  allowed: readonly string[],
  where: string,
  rules: Readonly<Record<string, string>> = {},
): void {
  for (const [field, value] of Object.entries(map)) {
    if (value === undefined || allowed.includes(field)) continue;
    throw malformed(rules[field] ?? 'unexpected-field', `PSBT ${where} holds ${field}`);
  }
}

/** The library's declarations elide the fields of the transaction inside a PSBT. */
type RawTransaction = {
  readonly version: number;
  readonly lockTime: number;
  readonly inputs: readonly {
    readonly txid: Uint8Array;
    readonly index: number;
    readonly finalScriptSig: Uint8Array;
    readonly sequence: number;
  }[];
  readonly outputs: readonly PsbtOutput[];
};

const equal = (a: Uint8Array, b: Uint8Array): boolean =>
  a.length === b.length && a.every((byte, i) => byte === b[i]);

const money = (amount: bigint, where: string): bigint => {
  if (amount < 0n || amount > MAX_MONEY) {
    throw malformed('amount-range', `${where} is outside 0 to 21 million coins`);
  }
  return amount;
};

/** @throws KeysagaError `TransactionMalformed`; `details.rule` says which rule of the form is broken. */
export function decodePsbt(bytes: Uint8Array, script: Uint8Array): Psbt {
  if (bytes.length > MAX_BYTES)
    throw malformed('too-large', 'the PSBT is larger than 400,000 bytes');
  let raw: ReturnType<typeof RawPSBTV0.decode>;
  let again: Uint8Array;
  try {
    raw = RawPSBTV0.decode(bytes);
    again = RawPSBTV0.encode(raw);
  } catch (cause) {
    throw malformed('psbt', 'not a version 0 PSBT', cause);
  }
  const tx: RawTransaction | undefined = raw.global.unsignedTx;
  if (tx === undefined) throw malformed('psbt', 'the PSBT has no unsigned transaction');
  onlyFields(raw.global, ['unsignedTx'], 'global map');
  raw.inputs.forEach((map, i) => {
    onlyFields(map, ['witnessUtxo', 'sighashType'], `input ${i}`, inputFields);
  });
  raw.outputs.forEach((map, i) => {
    onlyFields(map, [], `output ${i}`);
  });

  if (tx.version !== VERSION) throw malformed('version', `transaction version is not ${VERSION}`);
  if (tx.lockTime !== LOCK_TIME) throw malformed('lock-time', 'the lock time is not 0');
  if (tx.inputs.length === 0) throw malformed('no-inputs', 'the transaction has no inputs');
  if (tx.outputs.length === 0) throw malformed('no-outputs', 'the transaction has no outputs');
  if (raw.inputs.length !== tx.inputs.length || raw.outputs.length !== tx.outputs.length) {
    throw malformed('map-count', 'the PSBT has more maps than inputs and outputs');
  }

  const seen = new Set<string>();
  const inputs = tx.inputs.map((input, i): PsbtInput => {
    const map = raw.inputs[i];
    if (input.finalScriptSig.length > 0) {
      throw malformed('final-present', `input ${i} has a scriptSig`);
    }
    if (input.sequence !== SEQUENCE) {
      throw malformed('sequence', `input ${i} has another sequence than ${SEQUENCE}`);
    }
    if (map?.sighashType !== undefined && map.sighashType !== 0) {
      throw malformed('sighash-type', `input ${i} asks for another signature hash than DEFAULT`);
    }
    const utxo = map?.witnessUtxo;
    if (utxo === undefined) throw malformed('no-witness-utxo', `input ${i} has no witness UTXO`);
    if (!equal(utxo.script, script)) {
      throw malformed('foreign-input', `input ${i} spends an output that is not the wallet's`);
    }
    const entry = {
      txid: bytesToHex(input.txid),
      vout: input.index,
      amount: money(utxo.amount, `input ${i}`),
      script: utxo.script,
    };
    if (seen.has(outpoint(entry))) throw malformed('duplicate-input', `input ${i} is there twice`);
    seen.add(outpoint(entry));
    return entry;
  });
  const outputs = tx.outputs.map(
    (output, i): PsbtOutput => ({
      amount: money(output.amount, `output ${i}`),
      script: output.script,
    }),
  );
  money(
    inputs.reduce((sum, { amount }) => sum + amount, 0n),
    'the sum of inputs',
  );
  money(
    outputs.reduce((sum, { amount }) => sum + amount, 0n),
    'the sum of outputs',
  );
  // Last, so that a known fault gets its own name: order of fields, lengths in long form, anything left over.
  if (!equal(again, bytes))
    throw malformed('not-canonical', 'the PSBT is not in canonical encoding');
  return { inputs, outputs, txid: displayHash(RawOldTx.encode(unsignedTx(inputs, outputs))) };
}
