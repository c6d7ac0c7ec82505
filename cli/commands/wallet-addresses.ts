/** `keysaga wallet addresses | balance`: deposit addresses, derived here, and what lies at them. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import {
  type AccountBalance,
  depositAddress,
  type KeysagaClient,
  type Wallet,
  xpubOf,
} from '../../client/index.ts';
import { formatAmount } from '../../core/assets.ts';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import { contextOf, leaf } from '../command.ts';
import { type Io, table } from '../io.ts';

/** As many as one question to the coordinator takes. */
const AT_ONCE = 100;

const index = (text: string): number => {
  if (!/^\d{1,10}$/.test(text)) throw new InvalidArgumentError('a whole number is needed');
  return Number(text);
};

type Reading = { readonly asset: string; readonly new?: boolean; readonly rescan?: boolean };

/** Asks for any number of addresses; each answer was compared with what is derived here. */
async function balances(
  client: KeysagaClient,
  wallet: Wallet,
  paths: readonly string[],
  { asset, ...options }: Reading,
): Promise<AccountBalance[]> {
  const history = options.rescan === true ? 'all' : options.new === true ? 'none' : undefined;
  const found: AccountBalance[] = [];
  for (let at = 0; at < paths.length; at += AT_ONCE)
    found.push(
      ...(await client.balances(wallet, paths.slice(at, at + AT_ONCE), {
        asset,
        ...(history === undefined ? {} : { history }),
      })),
    );
  return found;
}

const asset = () =>
  new Option('--asset <id>', 'what is counted: native, or a token’s id').default('native');
const rescan = () =>
  new Option('--rescan', 'Bitcoin: read the blocks since the wallet was made once more');

export const addressesCommand = (io: Io): Command =>
  leaf('addresses', 'Deposit addresses of a wallet, derived here from its certified key')
    .argument('<id>')
    .option('--from <index>', 'the first', index, 0)
    .option('--count <n>', 'how many', index, 10)
    .option('--branch <path>', 'the path below which they count', 'm/0')
    .option('--balances', 'ask the coordinator what lies at each; it follows them from then on')
    .addOption(
      new Option(
        '--new',
        'with --balances, Bitcoin: nobody was given them yet, so no old block need be read',
      ).conflicts('rescan'),
    )
    .addOption(rescan())
    .addOption(asset())
    .action(
      async (
        id: string,
        options: Reading & {
          from: number;
          count: number;
          branch: string;
          balances?: boolean;
          json?: boolean;
        },
      ) => {
        const context = contextOf(io, options);
        if (options.count < 1 || options.count > 1000)
          throw new KeysagaError('InvalidInput', 'count: 1 to 1000 at once', { field: 'count' });
        await context.withClient(async (client) => {
          const wallet = await client.wallet(id);
          const xpub = xpubOf(wallet);
          const derived = Array.from({ length: options.count }, (_, i) =>
            depositAddress(wallet, `${options.branch}/${options.from + i}`),
          );
          const paths = derived.map(({ path }) => path);
          const rows: readonly (Partial<AccountBalance> & { path: string; address: string })[] =
            options.balances === true ? await balances(client, wallet, paths, options) : derived;
          const text = rows.map(({ path, address, balance }) => [
            path,
            address,
            ...(balance === undefined
              ? []
              : [formatAmount(wallet.network, options.asset, balance)]),
          ]);
          const heads = ['path', 'address', ...(options.balances === true ? ['balance'] : [])];
          context.print(
            { id, xpub, addresses: rows },
            `${context.style.dim('xpub')} ${xpub}\n${table(heads, text, context.style)}`,
          );
        });
      },
    );

export const balanceCommand = (io: Io): Command =>
  leaf('balance', 'What lies at a wallet’s own address, or at a deposit address, on chain')
    .argument('<id>')
    .option('--path <path>', 'a deposit address such as m/0/7', 'm')
    .addOption(rescan())
    .addOption(asset())
    .action(async (id: string, options: Reading & { path: string; json?: boolean }) => {
      const context = contextOf(io, options);
      await context.withClient(async (client) => {
        const wallet = await client.wallet(id);
        const [one] = await balances(client, wallet, [options.path], options);
        if (one === undefined) throw new KeysagaError('Internal', 'No balance was answered.');
        context.print(
          { id, asset: options.asset, ...one },
          `${formatAmount(wallet.network, options.asset, one.balance)} at ${one.address}`,
        );
      });
    });
