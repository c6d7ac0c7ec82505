/** The codec against BIP-341's own vectors: addresses of output keys, key-path digests. */
import { readFileSync } from 'node:fs';
import { schnorr } from '@noble/curves/secp256k1.js';
import { Transaction } from '@scure/btc-signer';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createBitcoinCodec } from '../../../chains/bitcoin/codec.ts';
import {
  hex,
  MAINNET,
  REGTEST,
  randomTxid,
  rawPsbt,
  type TxIn,
  type TxOut,
  taprootDigest,
  testKey,
  unhex,
  unsignedOf,
} from './support.ts';

type Vectors = {
  scriptPubKey: {
    intermediary: { tweakedPubkey: string };
    expected: { scriptPubKey: string; bip350Address: string };
  }[];
  keyPathSpending: {
    given: { rawUnsignedTx: string; utxosSpent: { scriptPubKey: string; amountSats: number }[] };
    inputSpending: {
      given: { txinIndex: number; hashType: number; internalPrivkey: string };
      intermediary: { tweakedPrivkey: string; sigHash: string };
      expected: { witness: string[] };
    }[];
  }[];
};
const vectors: Vectors = JSON.parse(
  readFileSync(new URL('../../vectors/bip341-wallet.json', import.meta.url), 'utf8'),
);

describe('BIP-341 wallet test vectors', () => {
  it('gives the address of each tweaked output key without tweaking it again', () => {
    const codec = createBitcoinCodec(MAINNET);
    expect(vectors.scriptPubKey.length).toBeGreaterThanOrEqual(7);
    for (const { intermediary, expected } of vectors.scriptPubKey) {
      const { tweakedPubkey } = intermediary;
      expect(expected.scriptPubKey).toBe(`5120${tweakedPubkey}`);
      expect(codec.address(unhex(tweakedPubkey))).toBe(expected.bip350Address);
      expect(() => codec.checkAddress(expected.bip350Address)).not.toThrow();
    }
  });

  it('hashes every key-path spend as the vectors say, all seven hash types', () => {
    let seen = 0;
    for (const { given, inputSpending } of vectors.keyPathSpending) {
      const tx = Transaction.fromRaw(unhex(given.rawUnsignedTx), {
        allowUnknownOutputs: true,
        allowUnknownInputs: true,
        disableScriptCheck: true,
      });
      const scripts = given.utxosSpent.map(({ scriptPubKey }) => unhex(scriptPubKey));
      const amounts = given.utxosSpent.map(({ amountSats }) => BigInt(amountSats));
      for (const { given: g, intermediary, expected } of inputSpending) {
        const digest = tx.preimageWitnessV1(g.txinIndex, scripts, g.hashType, amounts);
        expect(hex(digest)).toBe(intermediary.sigHash);
        const signature = unhex(expected.witness[0] ?? '').subarray(0, 64);
        const output = scripts[g.txinIndex]?.subarray(2) ?? new Uint8Array();
        expect(schnorr.verify(signature, digest, output)).toBe(true);
        seen++;
      }
    }
    expect(seen).toBe(7);
  });

  it("this test's own digest agrees with the vectors for SIGHASH_DEFAULT", () => {
    let seen = 0;
    for (const { given, inputSpending } of vectors.keyPathSpending) {
      const tx = Transaction.fromRaw(unhex(given.rawUnsignedTx), {
        allowUnknownOutputs: true,
        allowUnknownInputs: true,
        disableScriptCheck: true,
      });
      const inputs = given.utxosSpent.map(({ scriptPubKey, amountSats }, i) => {
        const { txid, index, sequence } = tx.getInput(i);
        if (txid === undefined || index === undefined || sequence === undefined) throw new Error();
        return {
          txid: hex(txid),
          vout: index,
          sequence,
          amount: BigInt(amountSats),
          script: unhex(scriptPubKey),
        };
      });
      const outputs = Array.from({ length: tx.outputsLength }, (_, i) => {
        const { amount, script } = tx.getOutput(i);
        if (amount === undefined || script === undefined) throw new Error();
        return { amount, script };
      });
      for (const { given: g, intermediary } of inputSpending) {
        if (g.hashType !== 0) continue;
        const options = { version: tx.version, lockTime: tx.lockTime };
        expect(hex(taprootDigest(g.txinIndex, inputs, outputs, options))).toBe(
          intermediary.sigHash,
        );
        seen++;
      }
    }
    expect(seen).toBe(1);
  });
});

describe('messages', () => {
  const key = testKey();
  const codec = createBitcoinCodec(REGTEST);
  const amount = fc.bigInt(1_000n, 10n ** 12n);
  const input = fc.record({ vout: fc.nat(0xffff), amount });
  const witness = (version: number) =>
    fc
      .uint8Array({ minLength: 20, maxLength: 20 })
      .map((hash) => Uint8Array.from([version, 20, ...hash]));
  const output = fc.record({ amount, script: fc.oneof(witness(0), fc.constant(key.script)) });

  it('are the digests that the BIP describes, for any inputs and outputs', () => {
    fc.assert(
      fc.property(
        fc.array(input, { minLength: 1, maxLength: 6 }),
        fc.array(output, { minLength: 1, maxLength: 4 }),
        (some, outputs: TxOut[]) => {
          const inputs: TxIn[] = some.map((one) => ({
            ...one,
            txid: randomTxid(),
            script: key.script,
          }));
          const unsigned = unsignedOf(rawPsbt({ inputs, outputs }));
          expect(codec.messages(unsigned, key.publicKey).map(hex)).toEqual(
            inputs.map((_, i) => hex(taprootDigest(i, inputs, outputs))),
          );
        },
      ),
      { numRuns: 60 },
    );
  });
});
