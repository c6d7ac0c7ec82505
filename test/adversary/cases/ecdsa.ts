/** What only the transactions of ECDSA wallets could hide. */
import { hexToBytes } from '@noble/hashes/utils.js';
import { RawPSBTV0 } from '@scure/btc-signer/psbt.js';
import type { RawOldTx } from '@scure/btc-signer/script.js';
import { COIN, FEE } from '../kit.ts';
import { intentOf, isRefused, isSigned, payment, wallet } from '../tools.ts';
import { type Case, ETHEREUM_ONLY, SEGWIT_ONLY } from './case.ts';

export const ecdsaCases: readonly Case[] = [
  {
    id: 'bytes-of-another-chain',
    title: 'has the same account pay on another chain',
    chains: ETHEREUM_ONLY,
    async run(field, kit) {
      const from = await wallet(field, kit);
      const paid = await payment(field, from, kit);
      await isSigned(field, paid);
      const next = await payment(field, from, kit);
      const { bytes } = next.built.unsigned;
      // 0x827a69 is chain id 31337; the same length, so that the list's header stands.
      const other = bytes.replace('827a69', '822105');
      if (other === bytes) throw new Error('the chain id is not where it was');
      const unsigned = { ...next.built.unsigned, bytes: other as never };
      await isRefused(
        field,
        { ...next, request: { ...next.request, unsigned } },
        { code: 'ChainMismatch', field: 'chainId' },
      );
    },
  },
  {
    id: 'token-for-ether',
    title: 'has a token moved where ether was approved',
    chains: ETHEREUM_ONLY,
    async run(field, kit) {
      const from = await wallet(field, kit);
      await isSigned(field, await payment(field, from, kit));
      const intent = intentOf(from, kit);
      const payments = [{ to: intent.destination, amount: 0n }];
      await isRefused(
        field,
        await payment(field, from, kit, { intent, plan: { payments, extra: 'token' } }),
        { code: 'TransactionMismatch', field: 'destination' },
      );
    },
  },
  {
    id: 'lie-about-an-input',
    title: 'lies about what an input holds, so that the rest becomes a fee',
    chains: SEGWIT_ONLY,
    async run(field, kit) {
      const from = await wallet(field, kit);
      await isSigned(field, await payment(field, from, kit));
      // Half of the coin is fee, but the parties are shown a coin of half the size.
      const next = await payment(field, from, kit, { plan: { fee: COIN / 2n + FEE } });
      const psbt = RawPSBTV0.decode(hexToBytes(next.built.unsigned.bytes));
      const shown = psbt.inputs[0]?.nonWitnessUtxo as Parameters<typeof RawOldTx.encode>[0];
      for (const output of shown.outputs) output.amount /= 2n;
      const smaller = Buffer.from(RawPSBTV0.encode(psbt)).toString('hex');
      const unsigned = { ...next.built.unsigned, bytes: smaller as never };
      const request = { ...next.request, unsigned };
      await isRefused(
        field,
        { ...next, request },
        { code: 'TransactionMalformed', field: 'bytes' },
      );
    },
  },
];
