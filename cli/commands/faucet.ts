/** `keysaga faucet <wallet> [amount]`: money of the local chains. */
import type { Command } from 'commander';
import { depositAddress } from '../../client/index.ts';
import { formatAmount, networkFamily } from '../../core/assets.ts';
import { attachStack, type StackAccess } from '../../dev/stack/index.ts';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import { parseAmount } from '../amounts.ts';
import { contextOf, leaf } from '../command.ts';
import type { Io } from '../io.ts';

export const FAUCET_DEFAULTS = {
  bitcoin: '10000000',
  solana: '2000000000',
  ethereum: '1000000000000000000',
} as const;

/** Pays and has it confirmed. Throws `ChainUnsupported` for a network that the local stack does not run. */
export async function payFromFaucet(
  stack: StackAccess,
  network: string,
  address: string,
  amount: string,
): Promise<string> {
  if (stack.record.bitcoin?.network === network) {
    const id = await stack.bitcoin.faucet(address, BigInt(amount));
    await stack.bitcoin.mine(1);
    return id;
  }
  if (stack.record.solana?.network === network) return stack.solana.faucet(address, BigInt(amount));
  const { ethereum } = stack.record;
  if (ethereum?.network === network) {
    const id = await stack.ethereum.faucet(address, BigInt(amount));
    // Another's node mines by itself, or not at all.
    if (!ethereum.external) await stack.ethereum.mine(1);
    return id;
  }
  throw new KeysagaError('ChainUnsupported', `The local stack has no faucet for ${network}.`, {
    field: 'network',
  });
}

type FaucetOptions = { readonly path?: string; readonly json?: boolean };

export const faucetCommand = (io: Io): Command =>
  leaf('faucet', 'Fund a wallet from the local chain’s faucet (local stack only)')
    .argument('<wallet>')
    .argument('[amount]', '0.1btc, 2sol, 1eth, or smallest units')
    .option('--path <path>', 'pay a deposit address of it such as m/0/7')
    .action(async (id: string, amount: string | undefined, options: FaucetOptions) => {
      const context = contextOf(io, options);
      await context.withClient(async (client, { dataDir }) => {
        if (dataDir === undefined)
          throw new KeysagaError('PartMissing', 'Faucets are there on the local stack only.', {
            field: 'KEYSAGA_CONFIG',
          });
        const wallet = await client.wallet(id);
        const address =
          options.path === undefined
            ? wallet.address
            : depositAddress(wallet, options.path).address;
        const family = networkFamily(wallet.network);
        const units =
          amount === undefined
            ? FAUCET_DEFAULTS[family ?? 'bitcoin']
            : parseAmount(amount, wallet.network, 'amount');
        const transactionId = await payFromFaucet(
          attachStack(dataDir),
          wallet.network,
          address,
          units,
        );
        context.print(
          { walletId: id, address, amount: units, transactionId },
          `paid ${formatAmount(wallet.network, 'native', units)} to ${address}\n${transactionId}`,
        );
      });
    });
