/** `keysaga message sign | show`: text and typed data that a wallet signs, with the same approvals as a transfer. */
import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import type { Wallet } from '../../client/index.ts';
import { networkFamily } from '../../core/assets.ts';
import { parseMessageIntent } from '../../core/messages/intent.ts';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import type { MessageIntent } from '../../schema/contracts/message.ts';
import { parseSpan } from '../amounts.ts';
import { contextOf, leaf } from '../command.ts';
import { COMMAND, sagaLink } from '../context.ts';
import { type Io, table } from '../io.ts';
import { decidedBy, intentLines } from '../words.ts';
import { freshRequestId } from './transfer.ts';

type SignOptions = {
  readonly wallet: string;
  readonly text?: string;
  readonly typedData?: string;
  readonly memo?: string;
  readonly requestId?: string;
  readonly expires: string;
  readonly json?: boolean;
};

/** The kind follows from the wallet's network. Throws `InvalidInput` naming the option. */
function messageOf(
  { network }: Pick<Wallet, 'network'>,
  { text, typedData }: SignOptions,
): unknown {
  const wrong = (message: string): never => {
    throw new KeysagaError('InvalidInput', message, { field: 'text' });
  };
  if ((text === undefined) === (typedData === undefined))
    wrong('Say what is signed: --text <text> or --typed-data <file>.');
  if (text === undefined)
    return { kind: 'eip712', json: readFileSync(typedData as string, 'utf8') };
  return { kind: networkFamily(network) === 'bitcoin' ? 'bip322' : 'eip191', text };
}

const signCommand = (io: Io): Command =>
  leaf('sign', 'Ask for a message to be signed; it waits until enough approvers have signed')
    .requiredOption('--wallet <id>', 'wallet that signs')
    .option('--text <text>', 'what is signed: EIP-191 on Ethereum, BIP-322 on Bitcoin')
    .option(
      '--typed-data <file>',
      'EIP-712 as JSON; the policy must list its chain, contract and type',
    )
    .option('--memo <text>', 'for the people who approve; not part of the message')
    .option('--request-id <id>', 'the same id is the same message; default: a new one')
    .option('--expires <time>', 'how long it may be approved and signed: 30m, 24h, 7d', '24h')
    .action(async (options: SignOptions) => {
      const context = contextOf(io, options);
      await context.withClient(async (client, { config }) => {
        const wallet = await client.wallet(options.wallet);
        const now = Date.now();
        const drafted = parseMessageIntent({
          requestId: options.requestId ?? freshRequestId('m', new Date(now)),
          walletId: wallet.walletId,
          chain: wallet.network,
          message: messageOf(wallet, options),
          issuedAt: new Date(now).toISOString(),
          expiresAt: new Date(now + parseSpan(options.expires, 'expires')).toISOString(),
          ...(options.memo === undefined ? {} : { memo: options.memo }),
        });
        const intent = options.requestId === undefined ? drafted : await sameAgain(drafted);
        const started = await client.signMessage(intent);
        const link = sagaLink(config, started.workflowId);
        context.print(
          { ...started, intent, ...(link === undefined ? {} : { link }) },
          [
            `${started.fresh ? 'started' : 'known already:'} message ${context.style.bold(intent.requestId)}`,
            intentLines(intent, context.style),
            ...(link === undefined ? [] : [link]),
            `approve it with: ${COMMAND} approve ${intent.requestId} --as <approver>`,
          ].join('\n'),
        );

        /** A repeated call means the intent of the first, whose times differ. */
        async function sameAgain(again: MessageIntent): Promise<MessageIntent> {
          const first = await client.messageStatus(again.requestId).catch(() => undefined);
          if (first === undefined) return again;
          const { issuedAt, expiresAt } = first.intent;
          return { ...again, issuedAt, expiresAt };
        }
      });
    });

const showCommand = (io: Io): Command =>
  leaf('show', 'A message in words, who has approved it, and its signature')
    .argument('<message>', 'its request id')
    .action(async (id: string, options: { json?: boolean }) => {
      const context = contextOf(io, options);
      await context.withClient(async (client) => {
        const status = await client.messageStatus(id);
        const { style } = context;
        const { signed, failure } = status;
        const given = decidedBy(status, 'approve');
        const rows = [
          ['Phase', `${status.phase}${status.waitingFor === '' ? '' : ` – ${status.waitingFor}`}`],
          ['Approvals', `${given.length} of ${status.quorum || '?'} ${given.join(', ')}`.trim()],
          ...(signed === undefined
            ? []
            : [
                ['Digest', signed.digest],
                ['Signature', signed.signature],
              ]),
          ...(failure === undefined ? [] : [['Failure', `${failure.code}: ${failure.message}`]]),
        ];
        context.print(
          status,
          [
            intentLines(status.intent, style),
            table(
              [],
              rows.map(([label = '', value = '']) => [style.dim(label), value]),
              style,
            ),
          ].join('\n'),
        );
      });
    });

export const messageCommand = (io: Io): Command =>
  new Command('message')
    .description('Messages that a wallet signs')
    .addCommand(signCommand(io))
    .addCommand(showCommand(io));
