/** What `npm start` ends with: the JSON document, and the table. */
import type { Wallet } from '../../client/index.ts';
import { formatAmount, networkName } from '../../core/assets.ts';
import { bytesToHex } from '../../core/signed.ts';
import { signedBytes } from '../../schema/contracts/canonical.ts';
import { KeysagaError } from '../../schema/contracts/errors.ts';
import type { TransferStatus } from '../../schema/contracts/saga.ts';
import { workflowId } from '../../schema/contracts/temporal.ts';
import { formatMs } from '../amounts.ts';
import { type Style, table } from '../io.ts';
import { VERSION } from '../version.ts';
import { payment } from '../words.ts';

export type Done = { readonly wallet: Wallet; readonly status: TransferStatus };

/** One wallet and its transfer in the document's own fields; later chains and protocols add rows, not fields. */
function transferJson({ wallet, status }: Done) {
  const { intent, intentDigest, transaction, confirmations, phasesMs } = status;
  if (transaction === undefined)
    throw new KeysagaError(
      'Internal',
      `Transfer ${intent.requestId} completed without its signed bytes.`,
    );
  return {
    workflowId: workflowId.transfer(intent.requestId),
    walletId: wallet.walletId,
    chain: wallet.network,
    intent,
    intentDigest,
    approvals: status.approvals
      .filter(({ approval }) => approval.decision === 'approve')
      .map(({ approval, publicKey, signature }) => ({
        approver: approval.approver,
        publicKey,
        signedMessage: bytesToHex(signedBytes('approval', approval)),
        signature,
      })),
    rawTransaction: transaction.bytes,
    ...(transaction.spentOutputs === undefined ? {} : { spentOutputs: transaction.spentOutputs }),
    publicKey: wallet.key.publicKey,
    transactionId: transaction.id,
    confirmations,
    phasesMs,
  };
}

export const reportJson = (done: readonly Done[]) => ({
  version: VERSION,
  wallets: done.map(({ wallet }) => ({
    id: wallet.walletId,
    chain: wallet.network,
    protocol: wallet.key.protocol,
    publicKey: wallet.key.publicKey,
    address: wallet.address,
  })),
  transfers: done.map(transferJson),
});
export type Report = ReturnType<typeof reportJson>;

const total = (phases: Readonly<Record<string, number>>): number =>
  Object.values(phases).reduce((sum, ms) => sum + ms, 0);

/** Ids are too long for columns, so each transfer is a block of its own. */
export function reportTable(
  done: readonly Done[],
  linkOf: (id: string) => string | undefined,
  style: Style,
): string {
  return done
    .map(({ wallet, status }) => {
      const { intent, phasesMs } = status;
      const waited = phasesMs.AwaitingApprovals ?? 0;
      const link = linkOf(workflowId.transfer(intent.requestId));
      const rows: [string, string][] = [
        [
          'wallet',
          `${wallet.walletId}, ${wallet.key.threshold} of ${wallet.key.parties.length} ${wallet.key.protocol} on ${networkName(wallet.network)}`,
        ],
        ['address', wallet.address],
        ['paid', payment(intent)],
        ['transaction', status.transactionId ?? ''],
        ['confirmations', String(status.confirmations)],
        [
          'saga time',
          `${formatMs(total(phasesMs))}, of which ${formatMs(waited)} waiting for approvals`,
        ],
        ...(link === undefined ? [] : [['Temporal UI', link] as [string, string]]),
      ];
      return table(
        [],
        rows.map(([name, text]) => [
          style.dim(name),
          name === 'transaction' ? style.bold(text) : text,
        ]),
        style,
      );
    })
    .join('\n\n');
}

/** The sagas while they wait. */
export function waitingTable(waiting: readonly TransferStatus[], style: Style): string {
  return table(
    ['transfer', 'pays', 'approvals', 'waits for'],
    waiting.map(({ intent, approvals, quorum, missing }) => [
      intent.requestId,
      formatAmount(intent.chain, intent.asset, intent.amount),
      `${approvals.length} of ${quorum}`,
      missing.join(', '),
    ]),
    style,
  );
}
