/** `keysaga wallet export | verify`: a wallet's certificates as a file, and their check without any server. */
import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import {
  pinnedCommittees,
  pinnedKeys,
  readClientConfig,
  type VerifiedWallet,
  verifyWalletFile,
  walletFile,
} from '../../client/index.ts';
import { networkName } from '../../core/assets.ts';
import { writeAtomic } from '../../dev/files.ts';
import { dataFolder } from '../../dev/paths.ts';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import { contextOf, leaf } from '../command.ts';
import { clientConfigFile } from '../context.ts';
import { type Env, type Io, type Style, table } from '../io.ts';

function readJsonFile(path: string, field: string): unknown {
  let text: string;
  try {
    // 0: standard input.
    text = readFileSync(path === '-' ? 0 : path, 'utf8');
  } catch (cause) {
    throw new KeysagaError('InvalidInput', `${path} cannot be read.`, { field }, { cause });
  }
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new KeysagaError('InvalidInput', `${path} is not JSON.`, { field }, { cause });
  }
}

/** From `--parties`, else the configuration, of which nothing but the file is needed. */
const pins = (env: Env, parties: string | undefined): unknown =>
  parties === undefined
    ? readClientConfig(env.KEYSAGA_CONFIG || clientConfigFile(dataFolder(env)))
    : readJsonFile(parties, 'parties');

export const exportCommand = (io: Io): Command =>
  new Command('export')
    .description('Write a wallet’s key and certificates to a file that `wallet verify` checks')
    .argument('<id>')
    .option('--out <path>', 'default: stdout')
    .action(async (id: string, options: { out?: string }) => {
      const context = contextOf(io, { json: options.out === undefined });
      await context.withClient(async (client) => {
        // Checked before it is handed on, too.
        const file = walletFile(await client.wallet(id));
        if (options.out !== undefined)
          writeAtomic(options.out, `${JSON.stringify(file, null, 2)}\n`, 0o644);
        context.print(file, `written to ${options.out}`);
      });
    });

export const verifyCommand = (io: Io): Command =>
  leaf('verify', 'Check a wallet’s certificates against pinned party keys; with --file offline')
    .argument('<id>')
    .option('--file <path>', 'what `wallet export` wrote; - for stdin; default: ask the server')
    .option(
      '--parties <path>',
      'pinned keys: JSON array of { party, publicKey }, or a client configuration; default: the configured ones',
    )
    .action(async (id: string, options: { file?: string; parties?: string; json?: boolean }) => {
      const context = contextOf(io, options);
      const pinned = pins(io.env, options.parties);
      const file =
        options.file === undefined
          ? await context.withClient(async (client) => walletFile(await client.wallet(id)))
          : readJsonFile(options.file, 'file');
      const verified = verifyWalletFile(id, file, pinnedKeys(pinned), pinnedCommittees(pinned));
      const { walletId, network, address, checks } = verified;
      context.print(
        { verified: true, id: walletId, chain: network, address, checks },
        verifiedText(verified, context.style),
      );
    });

export function verifiedText(wallet: VerifiedWallet, style: Style): string {
  const rows = wallet.checks.map(({ what, value, by }) => [style.dim(what), value, by]);
  return [
    table(['checked', 'value', 'why'], rows, style),
    '',
    `${style.green('verified')} ${wallet.walletId} on ${networkName(wallet.network)}: ${wallet.address}`,
  ].join('\n');
}
