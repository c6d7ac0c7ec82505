/** `keysaga wallet create | list | show | addresses | balance | export | verify` */
import { Command, InvalidArgumentError } from 'commander';
import type { KeySummary, KeysagaClient, Wallet } from '../../client/index.ts';
import { networkName } from '../../core/assets.ts';
import { parseWith } from '../../core/parse.ts';
import type { ClientConfig } from '../../schema/contracts/config.ts';
import { isKeysagaError, KeysagaError } from '../../schema/contracts/errors.ts';
import { GenerateKeyRequest } from '../../schema/contracts/key.ts';
import { contextOf, leaf } from '../command.ts';
import { sagaLink } from '../context.ts';
import { EXIT } from '../exit-codes.ts';
import { type Io, table, writeLine } from '../io.ts';
import { keygenLine } from '../words.ts';
import { addressesCommand, balanceCommand } from './wallet-addresses.ts';
import { exportCommand, verifyCommand } from './wallet-file.ts';

/** A network by its CAIP-2 id or by the short name that the configuration gives it. */
export function networkOf(config: ClientConfig, name: string): string {
  if (name.includes(':')) return name;
  const found = config.networks?.[name];
  if (found !== undefined) return found;
  throw new KeysagaError(
    'InvalidInput',
    `network: ${name} is no CAIP-2 id and no short name here.`,
    {
      field: 'network',
      known: Object.keys(config.networks ?? {}),
    },
  );
}

const wholeNumber = (text: string): number => {
  if (!/^\d{1,4}$/.test(text)) throw new InvalidArgumentError('a whole number is needed');
  return Number(text);
};

export const walletJson = (wallet: Wallet) => ({
  id: wallet.walletId,
  chain: wallet.network,
  protocol: wallet.key.protocol,
  threshold: wallet.key.threshold,
  parties: wallet.key.parties,
  publicKey: wallet.key.publicKey,
  address: wallet.address,
  epoch: wallet.key.epoch,
  policyId: wallet.key.policyId,
  certificates: wallet.certificates.length,
  activated: wallet.activated,
});

type CreateOptions = {
  readonly network: string;
  readonly threshold?: number;
  readonly parties?: string;
  readonly protocol?: string;
  readonly policy?: string;
  readonly wait: boolean;
  readonly json?: boolean;
};

/** The request that a `wallet create` makes; absent options come from the configuration. */
export function keyRequest(
  id: string,
  options: Omit<CreateOptions, 'wait'>,
  config: ClientConfig,
): GenerateKeyRequest {
  const parties =
    options.parties?.split(',').map((name) => name.trim()) ??
    config.directory.map(({ party }) => party);
  return parseWith(
    GenerateKeyRequest,
    {
      requestId: id,
      network: networkOf(config, options.network),
      ...(options.protocol === undefined ? {} : { protocol: options.protocol }),
      threshold: options.threshold ?? config.threshold ?? Math.floor(parties.length / 2) + 1,
      parties,
      policyId: options.policy ?? config.policyId,
    },
    'wallet',
  );
}

async function followed(io: Io, client: KeysagaClient, id: string): Promise<void> {
  for await (const status of client.watchKeygen(id, {
    onUnavailable: (error) => writeLine(io.stderr, error.message),
  }))
    writeLine(io.stderr, keygenLine(status));
}

/** A row of the list. A wallet whose certificates do not hold is named without its address, and the rest is shown. */
async function listed(io: Io, client: KeysagaClient, key: KeySummary) {
  const bare = { id: `${key.requestId}`, chain: key.request?.network ?? '' };
  if (key.execution !== 'COMPLETED')
    return { ...bare, state: key.execution === 'RUNNING' ? key.phase : 'Failed' };
  try {
    return { ...walletJson(await client.wallet(key.requestId)), state: 'Active' };
  } catch (error) {
    if (!isKeysagaError(error, 'CertificateInvalid')) throw error;
    process.exitCode = EXIT.refused;
    writeLine(io.stderr, `${key.requestId}: ${error.message}`);
    return { ...bare, state: 'Refused', refused: error.details.field ?? '' };
  }
}

export function walletCommand(io: Io): Command {
  const create = leaf('create', 'Generate a threshold key; the id becomes the wallet’s id')
    .argument('<id>', '1 to 64 of a-z 0-9 . _ -')
    .requiredOption(
      '--network <network>',
      'CAIP-2 id, or bitcoin | solana | ethereum for the local stack',
    )
    .option('--threshold <t>', 'parties that must sign together', wholeNumber)
    .option('--parties <names>', 'comma-separated; default: all that are pinned')
    .option(
      '--protocol <name>',
      'default: chosen by the network’s scheme; dkls23 on Bitcoin makes a P2WPKH wallet',
    )
    .option('--policy <id>', 'the policy that rules it')
    .option('--no-wait', 'return once the saga has started')
    .action(async (id: string, options: CreateOptions) => {
      const context = contextOf(io, options);
      await context.withClient(async (client, { config }) => {
        const request = keyRequest(id, options, config);
        const started = await client.generateKey(request);
        const link = sagaLink(config, started.workflowId);
        if (!options.wait)
          return context.print(
            { ...started, link },
            `started ${started.workflowId}${link === undefined ? '' : `\n${link}`}`,
          );
        await followed(io, client, id);
        const wallet = await client.wallet(id, { wait: true, as: request });
        context.print(walletJson(wallet), walletText(wallet, context.style));
      });
    });

  const list = leaf(
    'list',
    'All wallets; addresses are shown once every party’s certificate was checked',
  ).action(async (options: { json?: boolean }) => {
    const context = contextOf(io, options);
    await context.withClient(async (client) => {
      const keys = await client.keys();
      const rows = await Promise.all(keys.map((key) => listed(io, client, key)));
      const text = rows.map((row) => [
        row.id,
        row.chain === '' ? '' : networkName(row.chain),
        row.state,
        'address' in row ? `${row.threshold} of ${row.parties.length}` : '',
        'address' in row ? row.address : '',
      ]);
      context.print(
        rows,
        rows.length === 0
          ? 'no wallets yet'
          : table(['wallet', 'network', 'state', 'key', 'address'], text, context.style),
      );
    });
  });

  const show = leaf('show', 'One wallet, with the certificates that were checked')
    .argument('<id>')
    .action(async (id: string, options: { json?: boolean }) => {
      const context = contextOf(io, options);
      await context.withClient(async (client) => {
        const wallet = await client.wallet(id);
        context.print(walletJson(wallet), walletText(wallet, context.style));
      });
    });

  return new Command('wallet')
    .description('Create, list, show and verify wallets; their deposit addresses')
    .addCommand(create)
    .addCommand(list)
    .addCommand(show)
    .addCommand(addressesCommand(io))
    .addCommand(balanceCommand(io))
    .addCommand(exportCommand(io))
    .addCommand(verifyCommand(io));
}

export function walletText(wallet: Wallet, style: Parameters<typeof table>[2]): string {
  const { key } = wallet;
  const rows: [string, string][] = [
    ['wallet', wallet.walletId],
    ['network', `${networkName(wallet.network)} (${wallet.network})`],
    ['address', wallet.address],
    ['key', `${key.threshold} of ${key.parties.length}, ${key.protocol}, epoch ${key.epoch}`],
    ['public key', key.publicKey],
    ['parties', key.parties.join(', ')],
    ['certified', `by all ${wallet.certificates.length}, checked against the pinned keys`],
    ['active at', `${wallet.activated.join(', ')} (by the saga’s word)`],
    ['policy', `${key.policyId} ${key.policyHash}`],
  ];
  return table(
    [],
    rows.map(([name, value]) => [style.dim(name), value]),
    style,
  );
}
