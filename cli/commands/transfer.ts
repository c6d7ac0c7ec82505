/** `keysaga transfer`, `transfers`, `watch` and `cancel`. */
import { randomBytes } from 'node:crypto';
import type { Command } from 'commander';
import {
  anchorDemandedBy,
  anchoredOn,
  anchorRequestFor,
  type KeysagaClient,
  type TransferFilter,
  type Wallet,
} from '../../client/index.ts';
import { formatAmount } from '../../core/assets.ts';
import { parseIntent } from '../../core/intent.ts';
import type { TransferIntent } from '../../schema/contracts/intent.ts';
import { formatMs, parseAmount, parseSpan } from '../amounts.ts';
import { contextOf, leaf } from '../command.ts';
import { COMMAND, sagaLink } from '../context.ts';
import { EXIT } from '../exit-codes.ts';
import { type Io, table } from '../io.ts';
import { liveBoard } from '../live.ts';
import { intentLines } from '../words.ts';

export type IntentOptions = {
  readonly to: string;
  readonly amount: string;
  readonly feeCap: string;
  readonly memo?: string;
  /** The deposit address that pays. */
  readonly path?: string;
  readonly requestId?: string;
  readonly expires: string;
};

/** Time first, so that ids sort; enough randomness that two never meet. */
export const freshRequestId = (prefix: string, now = new Date()): string =>
  `${prefix}-${now.toISOString().slice(0, 19).replace(/[-:T]/g, '')}-${randomBytes(3).toString('hex')}`;

/** Throws `InvalidInput` naming the option. */
export function intentFor(
  wallet: Pick<Wallet, 'walletId' | 'network'>,
  options: IntentOptions,
  now: number,
): TransferIntent {
  return parseIntent({
    requestId: options.requestId ?? freshRequestId('t', new Date(now)),
    walletId: wallet.walletId,
    chain: wallet.network,
    destination: options.to,
    asset: 'native',
    amount: parseAmount(options.amount, wallet.network, 'amount'),
    feeCap: parseAmount(options.feeCap, wallet.network, 'fee-cap'),
    issuedAt: new Date(now).toISOString(),
    expiresAt: new Date(now + parseSpan(options.expires, 'expires')).toISOString(),
    ...(options.memo === undefined ? {} : { memo: options.memo }),
    ...(options.path === undefined ? {} : { path: options.path }),
  });
}

/**
 * With a request id that exists already, the intent of the first call is meant: the times in it differ, and a repeated
 * call must not become another intent. What the caller does name has to be the same.
 */
async function sameAgain(client: KeysagaClient, intent: TransferIntent): Promise<TransferIntent> {
  const status = await client.status(intent.requestId).catch(() => undefined);
  if (status === undefined) return intent;
  const { issuedAt, expiresAt, anchor } = status.intent;
  return { ...intent, issuedAt, expiresAt, ...(anchor === undefined ? {} : { anchor }) };
}

/** Does the policy want an anchor? When nobody can say now, the transfer begins without one, and is told. */
export const demanded = (
  client: KeysagaClient,
  intent: Pick<TransferIntent, 'walletId' | 'chain' | 'asset' | 'amount'>,
): Promise<boolean> =>
  client.policy({ walletId: intent.walletId }).then(
    (policy) => anchorDemandedBy(policy, intent),
    () => false,
  );

export function transferCommand(io: Io): Command {
  return leaf('transfer', 'Start a transfer; it waits until enough approvers have signed')
    .requiredOption('--wallet <id>', 'wallet to pay from')
    .requiredOption('--to <address>', 'destination')
    .requiredOption('--amount <amount>', '0.001btc, 1.5sol, 0.2eth, or smallest units')
    .requiredOption('--fee-cap <amount>', 'the highest network fee that the approvers agree to')
    .option('--path <path>', 'pay from a deposit address such as m/0/7 (wallet addresses)')
    .option('--memo <text>', 'for the people who approve; never on chain')
    .option('--request-id <id>', 'the same id is the same transfer; default: a new one')
    .option('--expires <time>', 'how long it may be approved and signed: 30m, 24h, 7d', '24h')
    .option(
      '--anchor',
      'lease an output or a nonce first, which the intent then names and must spend: it is paid at most once, whoever is corrupt; done unasked where the policy demands it',
    )
    .option('--watch', 'stay and follow it')
    .action(
      async (
        options: IntentOptions & {
          wallet: string;
          watch?: boolean;
          json?: boolean;
          anchor?: boolean;
        },
      ) => {
        const context = contextOf(io, options);
        await context.withClient(async (client, { config }) => {
          const wallet = await client.wallet(options.wallet);
          const drafted = intentFor(wallet, options, Date.now());
          const meant =
            options.requestId === undefined ? drafted : await sameAgain(client, drafted);
          const anchored =
            meant.anchor === undefined &&
            (options.anchor === true || (await demanded(client, meant)));
          const intent = anchored
            ? anchoredOn(meant, await client.anchor(anchorRequestFor(meant)))
            : meant;
          const started = await client.transfer(intent);
          const link = sagaLink(config, started.workflowId);
          if (options.watch !== true || !context.json)
            context.print(
              { ...started, intent, ...(link === undefined ? {} : { link }) },
              [
                `${started.fresh ? 'started' : 'known already:'} transfer ${context.style.bold(intent.requestId)}`,
                intentLines(intent, context.style),
                ...(link === undefined ? [] : [link]),
                `approve it with: ${COMMAND} approve ${intent.requestId} --as <approver>`,
              ].join('\n'),
            );
          if (options.watch === true)
            await watchTransfer(io, client, intent.requestId, context.json);
        });
      },
    );
}

/** Follows to the end; the exit code says how it ended. */
async function watchTransfer(
  io: Io,
  client: KeysagaClient,
  requestId: string,
  json: boolean,
): Promise<void> {
  const board = liveBoard(io, json);
  try {
    for await (const status of client.watch(requestId, {
      onUnavailable: (error) => board.notice(error.message),
    }))
      board.show(status);
  } finally {
    board.close();
  }
  // Throws the typed reason of a transfer that failed.
  await client.result(requestId);
}

export const watchCommand = (io: Io): Command =>
  leaf('watch', 'Follow a transfer to its end (with --json: one status a line)')
    .argument('<transfer>', 'its request id')
    .action((id: string, options: { json?: boolean }) => {
      const context = contextOf(io, options);
      return context.withClient((client) => watchTransfer(io, client, id, context.json));
    });

export const cancelCommand = (io: Io): Command =>
  leaf('cancel', 'Ask for a transfer’s end: undone before its pivot, voided after it')
    .argument('<transfer>', 'its request id')
    .action(async (id: string, options: { json?: boolean }) => {
      const context = contextOf(io, options);
      await context.withClient(async (client) => {
        const receipt = await client.cancel(id);
        context.print(receipt, `${receipt.path}: ${receipt.message}`);
        if (!receipt.accepted) process.exitCode = EXIT.refused;
      });
    });

export const transfersCommand = (io: Io): Command =>
  leaf('transfers', 'Transfers, newest first')
    .option('--wallet <id>', 'only this wallet’s')
    .option('--open', 'only those that have not ended')
    .action(async (options: { wallet?: string; open?: boolean; json?: boolean }) => {
      const context = contextOf(io, options);
      const filter: TransferFilter = {
        ...(options.wallet === undefined ? {} : { walletId: options.wallet }),
        ...(options.open === undefined ? {} : { open: options.open }),
      };
      await context.withClient(async (client) => {
        const found = await client.transfers(filter);
        const rows = found.map((one) => [
          one.requestId,
          one.intent?.walletId ?? '',
          one.execution === 'RUNNING' || one.phase === 'Completed' || one.phase === 'Failed'
            ? one.phase
            : one.execution,
          one.intent === undefined
            ? ''
            : formatAmount(one.intent.chain, one.intent.asset, one.intent.amount),
          one.closedAt === undefined
            ? one.waitingFor.join(', ')
            : formatMs(Date.parse(one.closedAt) - Date.parse(one.startedAt)),
        ]);
        context.print(
          found,
          found.length === 0
            ? 'no transfers'
            : table(
                ['transfer', 'wallet', 'phase', 'pays', 'waits for / took'],
                rows,
                context.style,
              ),
        );
      });
    });
