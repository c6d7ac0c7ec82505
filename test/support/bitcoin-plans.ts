/** Bitcoin transactions over made-up outputs, for tests that need bytes and no node. */
import { randomBytes } from 'node:crypto';
import { schnorr } from '@noble/curves/secp256k1.js';
import { createBitcoinCodec } from '../../chains/bitcoin/codec.ts';
import { bitcoinNetwork } from '../../chains/bitcoin/networks.ts';
import { encodePsbt, type PsbtOutput } from '../../chains/bitcoin/psbt.ts';
import { addressScript } from '../../chains/bitcoin/script.ts';
import { sortInputs, sortOutputs } from '../../chains/bitcoin/selection.ts';
import { bytesToHex } from '../../core/signed.ts';
import type { Anchor } from '../../schema/contracts/intent.ts';
import type { KeyDescriptor } from '../../schema/contracts/key.ts';
import type { UnsignedTransaction } from '../../schema/contracts/transaction.ts';

export type Coin = { readonly txid: string; readonly vout: number; readonly amount: bigint };

/** An output that pays the wallet, as far as bytes can tell. */
export const coin = (amount = 100_000n): Coin => ({
  txid: randomBytes(32).toString('hex'),
  vout: 0,
  amount,
});
export const anchorOf = ({ txid, vout }: Coin): Anchor => ({
  kind: 'bitcoin-outpoint',
  txid,
  vout: `${vout}`,
});

export const someBitcoinAddress = (network: string): string =>
  createBitcoinCodec(network).address(schnorr.getPublicKey(schnorr.utils.randomSecretKey()));

type Pay = { readonly to: string; readonly amount: bigint };

/** Spends exactly these; `pays` by address, and what is left but the fee comes back to the wallet. */
export const spend = (
  key: KeyDescriptor,
  coins: readonly Coin[],
  pays: readonly Pay[],
  fee = 1_000n,
): UnsignedTransaction =>
  transaction(key, coins, pays, {
    fee,
    arrange: (paid, change) => sortOutputs([...paid, ...change]),
  });

/** The same with `pays` in their order, and the change last or, if named, elsewhere. */
export const spendInOrder = (
  key: KeyDescriptor,
  coins: readonly Coin[],
  pays: readonly Pay[],
  { fee = 1_000n, changeTo = key.address }: { fee?: bigint; changeTo?: string } = {},
): UnsignedTransaction =>
  transaction(key, coins, pays, { fee, changeTo, arrange: (paid, change) => [...paid, ...change] });

function transaction(
  key: KeyDescriptor,
  coins: readonly Coin[],
  pays: readonly Pay[],
  {
    fee,
    changeTo = key.address,
    arrange,
  }: {
    fee: bigint;
    changeTo?: string;
    arrange: (paid: readonly PsbtOutput[], change: readonly PsbtOutput[]) => readonly PsbtOutput[];
  },
): UnsignedTransaction {
  const script = (address: string) => addressScript(bitcoinNetwork(key.network), address);
  const own = script(key.address);
  const inputs = coins.map((c) => ({ ...c, script: own }));
  const change =
    inputs.reduce((sum, { amount }) => sum + amount, 0n) -
    pays.reduce((sum, { amount }) => sum + amount, 0n) -
    fee;
  const outputs = pays.map(({ to, amount }) => ({ script: script(to), amount }));
  return {
    network: key.network,
    format: 'bitcoin-psbt',
    bytes: bytesToHex(
      encodePsbt(
        sortInputs(inputs),
        arrange(outputs, change > 0n ? [{ script: script(changeTo), amount: change }] : []),
      ),
    ),
  };
}
