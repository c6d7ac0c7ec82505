/**
 * The one form of PSBT (BIP-174, BIP-371, version 0) that a party reads. Two encodings of one meaning, or fields that
 * one reader sees and another ignores, are how a signer is deceived; so exactly this is taken and all else refused:
 *
 * global map:  UNSIGNED_TX (0x00): version 2, lock time 0, each sequence 0xfffffffd, empty scriptSigs
 * input map:   of a Taproot wallet: WITNESS_UTXO (0x01) with the wallet's own script, and at most SIGHASH_TYPE (0x03) = 0
 *              (DEFAULT); of a P2WPKH wallet: NON_WITNESS_UTXO (0x00), and at most SIGHASH_TYPE (0x03) = 1 (ALL)
 * output map:  empty
 *
 * A Taproot wallet's amounts may come from WITNESS_UTXO alone, since a BIP-341 signature commits to the amounts and scripts
 * of all inputs: one lie and the signature is void. A BIP-143 signature commits only to its own input's amount, so lies
 * about the others would hide a fee. Hence every P2WPKH input carries its previous transaction (without witnesses), which
 * must hash to the outpoint's id, and amount and script are read from it; a second source of them is refused.
 */
import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js';
import { Transaction } from '@scure/btc-signer';
import { RawPSBTV0 } from '@scure/btc-signer/psbt.js';
import { RawOldTx } from '@scure/btc-signer/script.js';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import { isWitnessKeyHash } from './script.ts';

export type PsbtInput = {
  /** Display order. */
  readonly txid: string;
  readonly vout: number;
  /** Sats. */
  readonly amount: bigint;
  readonly script: Uint8Array;
  /** P2WPKH: the transaction that made the output, serialised without witnesses. */
  readonly previous?: Uint8Array;
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
/** Signature hash types: BIP-341's DEFAULT, and ALL of BIP-143. */
export const DEFAULT = 0;
export const ALL = 1;
/** 21 million coins, in sats. */
export const MAX_MONEY = 2_100_000_000_000_000n;
/** Bounds the work that a stranger's bytes can cause; a standard transaction stays below 400,000 weight units. */
const MAX_BYTES = 400_000;
/** With a previous transaction for each input; the largest standard one has 100,000 bytes. */
const MAX_BYTES_WITH_PREVIOUS = 2_000_000;

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

/** @throws KeysagaError `StateConflict` when the caller has not fetched it. */
function previousOf(previous: Uint8Array | undefined, txid: string): Uint8Array {
  if (previous !== undefined) return previous;
  throw new KeysagaError('StateConflict', 'a P2WPKH input lacks its previous transaction', {
    field: 'inputs',
    txid,
  });
}

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
  for (const { txid, vout, amount, script, previous } of inputs) {
    const utxo = isWitnessKeyHash(script)
      ? { nonWitnessUtxo: previousOf(previous, txid) }
      : { witnessUtxo: { amount, script } };
    tx.addInput({ txid, index: vout, sequence: SEQUENCE, ...utxo });
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
  witnessUtxo: 'witness-utxo',
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

/** What the library reads of a NON_WITNESS_UTXO. */
type RawPrevious = {
  readonly version: number;
  readonly segwitFlag?: boolean;
  readonly inputs: readonly unknown[];
  readonly outputs: readonly PsbtOutput[];
  readonly lockTime: number;
};

/** The output that an input spends, from the transaction that made it. The id is the hash of exactly these bytes. */
function readPrevious(
  value: unknown,
  txid: string,
  vout: number,
  i: number,
): PsbtOutput & { readonly previous: Uint8Array } {
  if (value === undefined)
    throw malformed('no-previous', `input ${i} lacks its previous transaction`);
  const transaction = value as RawPrevious;
  // Witnesses are no part of the id, so they would be bytes that nothing vouches for.
  if (transaction.segwitFlag)
    throw malformed('previous-witness', `the previous transaction of input ${i} has witnesses`);
  const previous = RawOldTx.encode(transaction as Parameters<typeof RawOldTx.encode>[0]);
  if (displayHash(previous) !== txid)
    throw malformed('previous-id', `input ${i} spends another transaction than it shows`);
  const output = transaction.outputs[vout];
  if (output === undefined)
    throw malformed(
      'previous-output',
      `the previous transaction of input ${i} has no output ${vout}`,
    );
  return { ...output, previous };
}

/** @throws KeysagaError `TransactionMalformed`; `details.rule` says which rule of the form is broken. */
export function decodePsbt(bytes: Uint8Array, script: Uint8Array): Psbt {
  const keyHash = isWitnessKeyHash(script);
  const most = keyHash ? MAX_BYTES_WITH_PREVIOUS : MAX_BYTES;
  if (bytes.length > most) throw malformed('too-large', `the PSBT is larger than ${most} bytes`);
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
    const utxo = keyHash ? 'nonWitnessUtxo' : 'witnessUtxo';
    onlyFields(map, [utxo, 'sighashType'], `input ${i}`, inputFields);
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
    if (map?.sighashType !== undefined && map.sighashType !== (keyHash ? ALL : DEFAULT)) {
      const only = keyHash ? 'ALL' : 'DEFAULT';
      throw malformed('sighash-type', `input ${i} asks for another signature hash than ${only}`);
    }
    const txid = bytesToHex(input.txid);
    const made = keyHash ? readPrevious(map?.nonWitnessUtxo, txid, input.index, i) : undefined;
    const utxo = made ?? map?.witnessUtxo;
    if (utxo === undefined) throw malformed('no-witness-utxo', `input ${i} has no witness UTXO`);
    if (!equal(utxo.script, script)) {
      throw malformed('foreign-input', `input ${i} spends an output that is not the wallet's`);
    }
    const entry: PsbtInput = {
      txid,
      vout: input.index,
      amount: money(utxo.amount, `input ${i}`),
      script: utxo.script,
      ...(made === undefined ? {} : { previous: made.previous }),
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
