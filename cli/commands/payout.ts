/** `keysaga payout start | show | cancel`: a list of payments with one approval, paid by one transaction. */
import { Command } from 'commander';
import { anchoredOn, anchorRequestFor, type KeysagaClient } from '../../client/index.ts';
import { eachLine, parsePayout, sumOf } from '../../core/payout.ts';
import type { PayoutIntent } from '../../schema/contracts/payout.ts';
import { parseAmount, parseSpan } from '../amounts.ts';
import { contextOf, leaf } from '../command.ts';
import { COMMAND, sagaLink } from '../context.ts';
import { EXIT } from '../exit-codes.ts';
import { type Io, table } from '../io.ts';
import { readPayoutFile } from '../payout-file.ts';
import { decidedBy, intentLines } from '../words.ts';
import { demanded, freshRequestId } from './transfer.ts';

type PayoutOptions = {
  readonly wallet: string;
  readonly feeCap: string;
  readonly memo?: string;
  readonly path?: string;
  readonly anchor?: boolean;
  readonly requestId?: string;
  readonly expires: string;
  readonly json?: boolean;
};

/** A repeated call means the list of the first, whose times differ. */
async function sameAgain(client: KeysagaClient, again: PayoutIntent): Promise<PayoutIntent> {
  const first = await client.payoutStatus(again.requestId).catch(() => undefined);
  if (first === undefined) return again;
  const { issuedAt, expiresAt, anchor } = first.intent;
  return { ...again, issuedAt, expiresAt, ...(anchor === undefined ? {} : { anchor }) };
}

/** On an anchor where one is asked for, or the policy demands it for the total. */
async function anchored(
  client: KeysagaClient,
  intent: PayoutIntent,
  asked: boolean,
): Promise<PayoutIntent> {
  const payment = { ...intent, amount: intent.total };
  if (intent.anchor !== undefined || !(asked || (await demanded(client, payment)))) return intent;
  return anchoredOn(intent, await client.anchor(anchorRequestFor(payment)));
}

const startCommand = (io: Io): Command =>
  leaf('start', 'Start a payout; it waits until enough approvers have signed the whole list')
    .argument('<file>', 'CSV with columns destination, amount and reference, or JSON')
    .requiredOption('--wallet <id>', 'wallet to pay from')
    .requiredOption('--fee-cap <amount>', 'the highest network fee, for everything together')
    .option('--path <path>', 'pay from a deposit address such as m/0/7 (wallet addresses)')
    .option('--memo <text>', 'for the people who approve; never on chain')
    .option('--request-id <id>', 'the same id is the same payout; default: a new one')
    .option('--expires <time>', 'how long it may be approved and signed: 30m, 24h, 7d', '24h')
    .option('--anchor', 'as of a transfer; done unasked where the policy demands it')
    .action(async (file: string, options: PayoutOptions) => {
      const context = contextOf(io, options);
      await context.withClient(async (client, { config }) => {
        const { walletId, network } = await client.wallet(options.wallet);
        const list = readPayoutFile(file, network);
        const now = Date.now();
        const draft = {
          requestId: options.requestId ?? freshRequestId('p', new Date(now)),
          walletId,
          chain: network,
          asset: 'native',
          lines: list.lines,
          total: sumOf(list.lines),
          feeCap: parseAmount(options.feeCap, network, 'fee-cap'),
          issuedAt: new Date(now).toISOString(),
          expiresAt: new Date(now + parseSpan(options.expires, 'expires')).toISOString(),
          ...(options.memo === undefined ? {} : { memo: options.memo }),
          ...(options.path === undefined ? {} : { path: options.path }),
        };
        const drafted = list.located(() => parsePayout(draft));
        const meant = options.requestId === undefined ? drafted : await sameAgain(client, drafted);
        const intent = await anchored(client, meant, options.anchor === true);
        const started = await client.payout(intent);
        const link = sagaLink(config, started.workflowId);
        context.print(
          { ...started, intent, ...(link === undefined ? {} : { link }) },
          [
            `${started.fresh ? 'started' : 'known already:'} payout ${context.style.bold(intent.requestId)}`,
            intentLines(intent, context.style),
            ...(link === undefined ? [] : [link]),
            `approve it with: ${COMMAND} approve ${intent.requestId} --as <approver>`,
          ].join('\n'),
        );
      });
    });

const showCommand = (io: Io): Command =>
  leaf('show', 'A payout: who has approved it, and what became of each line')
    .argument('<payout>', 'its request id')
    .action(async (id: string, options: { json?: boolean }) => {
      const context = contextOf(io, options);
      await context.withClient(async (client) => {
        const status = await client.payoutStatus(id);
        const { style } = context;
        const { failure } = status;
        const given = decidedBy(status, 'approve');
        const lines = eachLine(status.intent, status.lines);
        const rows = [
          ['Phase', `${status.phase}${status.waitingFor === '' ? '' : ` – ${status.waitingFor}`}`],
          ['Approvals', `${given.length} of ${status.quorum || '?'} ${given.join(', ')}`.trim()],
          ['Confirmations', String(status.confirmations)],
          ...(failure === undefined ? [] : [['Failure', `${failure.code}: ${failure.message}`]]),
        ];
        context.print(
          { ...status, eachLine: lines },
          [
            intentLines(status.intent, style),
            table(
              [],
              rows.map(([label = '', value = '']) => [style.dim(label), value]),
              style,
            ),
            table(
              ['line', 'fate', 'transaction'],
              lines.map(({ line, fate, transactionId }) => [
                String(line),
                fate,
                transactionId ?? '',
              ]),
              style,
            ),
          ].join('\n'),
        );
      });
    });

const cancelPayoutCommand = (io: Io): Command =>
  leaf('cancel', 'Ask for a payout’s end: undone before its pivot, voided after it')
    .argument('<payout>', 'its request id')
    .action(async (id: string, options: { json?: boolean }) => {
      const context = contextOf(io, options);
      await context.withClient(async (client) => {
        const receipt = await client.cancelPayout(id);
        context.print(receipt, `${receipt.path}: ${receipt.message}`);
        if (!receipt.accepted) process.exitCode = EXIT.refused;
      });
    });

export const payoutCommand = (io: Io): Command =>
  new Command('payout')
    .description('Lists of payments that are approved as one')
    .addCommand(startCommand(io))
    .addCommand(showCommand(io))
    .addCommand(cancelPayoutCommand(io));
