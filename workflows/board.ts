/**
 * The board an operator reads in the Temporal UI (`setCurrentDetails`): Markdown without table borders, so lists
 * and padded cells in a code fence, and text marks instead of colours.
 */
import { isPayout, type PaymentIntent } from '../core/ports/payment.ts';
import type { MessageStatus } from '../schema/contracts/message-saga.ts';
import type { LineGroup } from '../schema/contracts/payout-saga.ts';
import type {
  FailureInfo,
  KeygenStatus,
  PartyProgress,
  TransferStatus,
  UndoStatus,
} from '../schema/contracts/saga.ts';
import { plain } from '../schema/contracts/summaries.ts';
import { QUORUM_LAG_ALERT_MS } from './progress.ts';

const MARKS = { waiting: '.', done: 'ok', failed: 'FAILED' } as const;

/** Answers that kept the others waiting: the quorum's lag. */
function lagLines(rows: readonly PartyProgress[]): string[] {
  const late = rows.flatMap(({ party, steps }) =>
    steps
      .filter(({ lagMs }) => (lagMs ?? 0) > QUORUM_LAG_ALERT_MS)
      .map(({ name, lagMs }) => `- ${name}: ${party} came ${seconds(lagMs ?? 0)} after the first`),
  );
  return late.length === 0 ? [] : ['', '**ALERT: quorum lag**', ...late];
}

/** Parties × steps in padded cells. */
export function progressTable(rows: readonly PartyProgress[]): string {
  const first = rows[0];
  if (first === undefined) return '';
  const table = [
    ['party', ...first.steps.map(({ name }) => name)],
    ...rows.map(({ party, steps }) => [party, ...steps.map(({ state }) => MARKS[state])]),
  ];
  const widths = table[0]?.map((_, column) =>
    Math.max(...table.map((row) => (row[column] ?? '').length)),
  );
  const text = table.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths?.[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
  return ['```', ...text, '```'].join('\n');
}

/** A code span: escapes do not work in one, so what could end it is taken out. */
const code = (text: string): string => `\`${text.replace(/[`\p{Cc}]/gu, '').slice(0, 200)}\``;

const undoLine = ({ step, state, tries, lastError }: UndoStatus): string =>
  `- ${plain(step)}: ${state === 'owed' ? '**owed**, delivered on its return' : state}` +
  `${tries > 1 ? `, try ${tries}` : ''}${lastError === undefined ? '' : ` (${plain(lastError)})`}`;

function undoLines(undos: readonly UndoStatus[]): string[] {
  const shown = undos.filter(({ state }) => state !== 'registered' && state !== 'not-needed');
  return shown.length === 0 ? [] : ['', '**Undo**', ...shown.map(undoLine)];
}
const failureLines = (failure: FailureInfo | undefined): string[] =>
  failure === undefined
    ? []
    : [
        '',
        `**Failure** ${failure.code}: ${plain(failure.message)}${failure.party ? ` (${failure.party})` : ''}`,
      ];

const phases = (spent: Readonly<Record<string, number>>): string[] => {
  const rows = Object.entries(spent).map(([phase, ms]) => `${phase} ${seconds(ms)}`);
  return rows.length === 0 ? [] : ['', `**Time** ${rows.join(', ')}`];
};
const seconds = (ms: number): string =>
  ms < 10_000
    ? `${ms} ms`
    : ms < 600_000
      ? `${Math.round(ms / 1000)} s`
      : `${Math.round(ms / 60_000)} min`;

/** Who approved, who is missing, who rejected. */
function approvalLines(
  { approvals, quorum, missing }: Pick<TransferStatus, 'approvals' | 'quorum' | 'missing'>,
  recounted: readonly string[] = [],
): string[] {
  const given = approvals
    .filter(({ approval }) => approval.decision === 'approve')
    .map(({ approval }) => approval.approver);
  const rejected = approvals
    .filter(({ approval }) => approval.decision === 'reject')
    .map(({ approval }) => approval.approver);
  return [
    `**Approvals** ${given.length} of ${quorum || '?'}`,
    ...recounted,
    `- given: ${given.length === 0 ? 'none' : given.join(', ')}`,
    `- missing: ${missing.length === 0 ? 'none' : missing.map((name) => plain(name)).join(', ')}`,
    ...(rejected.length === 0 ? [] : [`- rejected by: ${rejected.join(', ')}`]),
  ];
}

const attemptLines = ({ parties, attempts }: Pick<TransferStatus, 'parties' | 'attempts'>) =>
  parties.length === 0
    ? []
    : ['', `**Attempt** ${attempts}`, progressTable(parties), ...lagLines(parties)];

const refusedLines = ({ refusedMessages }: Pick<TransferStatus, 'refusedMessages'>) =>
  refusedMessages.length === 0
    ? []
    : [
        '',
        '**Messages that do not count**',
        ...refusedMessages.map(({ at, code, message }) => `- ${at} ${code}: ${plain(message)}`),
      ];

export function messageBoard(status: MessageStatus): string {
  const { intent, signed } = status;
  return [
    `**Phase** ${status.phase}${status.waitingFor ? ` – ${plain(status.waitingFor, 400)}` : ''}`,
    '',
    `**Message** (${intent.message.kind}) signed by ${intent.walletId}`,
    '',
    ...approvalLines(status),
    ...attemptLines(status),
    '',
    `**Intent digest** ${code(status.intentDigest)}`,
    ...(signed === undefined ? [] : ['', `**Signature** ${code(signed.signature)}`]),
    ...(status.pivotPassed && status.phase !== 'Completed'
      ? ['', 'Past the pivot: the signature may be out.']
      : []),
    ...(status.cancelRequested ? ['', '**Cancel requested**'] : []),
    ...undoLines(status.undos),
    ...failureLines(status.failure),
    ...refusedLines(status),
    ...phases(status.phasesMs),
  ].join('\n');
}

/** A transfer's status; of a payout with the lines' fates. */
export type PaymentStatus = Omit<TransferStatus, 'intent'> & {
  readonly intent: PaymentIntent;
  readonly lines?: LineGroup[];
};

/** Which lines, and what became of them. */
const groupLines = (groups: readonly LineGroup[] | undefined): string[] =>
  groups === undefined
    ? []
    : [
        '',
        '**Lines**',
        ...groups.map(
          ({ from, to, fate, transactionId }) =>
            `- ${from === to ? from : `${from} to ${to}`}: ${fate}${transactionId === undefined ? '' : ` ${code(transactionId)}`}`,
        ),
      ];

const paymentLine = (intent: PaymentIntent): string =>
  isPayout(intent)
    ? `**Payout** ${intent.total} ${plain(intent.asset)} from ${intent.walletId} to ${intent.lines.length} destinations`
    : `**Transfer** ${intent.amount} ${plain(intent.asset)} from ${intent.walletId} to ${plain(intent.destination)}`;

export function transferBoard(status: PaymentStatus): string {
  const { intent } = status;
  return [
    `**Phase** ${status.phase}${status.waitingFor ? ` – ${plain(status.waitingFor, 400)}` : ''}`,
    '',
    paymentLine(intent),
    '',
    ...approvalLines(
      status,
      status.policy?.recounted === true
        ? [`- counted again under version ${status.policy.version} of ${status.policy.policyId}`]
        : [],
    ),
    ...attemptLines(status),
    '',
    `**Intent digest** ${code(status.intentDigest)}`,
    ...(status.transactionId === undefined
      ? []
      : [
          '',
          `**Transaction** ${code(status.transactionId)}, ${status.confirmations} confirmations`,
        ]),
    ...groupLines(status.lines),
    ...(status.voidTransactionId === undefined
      ? []
      : ['', `**Void transaction** ${code(status.voidTransactionId)}`]),
    ...(status.pivotPassed && status.phase !== 'Completed'
      ? ['', 'Past the pivot: only a transaction that is final on chain ends this transfer.']
      : []),
    ...(status.cancelRequested ? ['', '**Cancel requested**'] : []),
    ...undoLines(status.undos),
    ...failureLines(status.failure),
    ...refusedLines(status),
    ...phases(status.phasesMs),
  ].join('\n');
}

export function keygenBoard(status: KeygenStatus): string {
  const { request } = status;
  return [
    `**Phase** ${status.phase}${status.waitingFor ? ` – ${plain(status.waitingFor, 400)}` : ''}`,
    '',
    `**Key** ${request.requestId}: ${request.threshold} of ${request.parties.length} on ${request.network}`,
    ...(status.address === undefined
      ? []
      : [
          '',
          `**Address** ${code(status.address)} (unchecked here: \`keysaga wallet show\` checks it)`,
        ]),
    '',
    `**Certificates** ${status.certificates} of ${request.parties.length}`,
    '',
    `**Active at** ${status.activated.length === 0 ? 'none' : status.activated.join(', ')}`,
    ...(status.parties.length === 0
      ? []
      : ['', progressTable(status.parties), ...lagLines(status.parties)]),
    ...undoLines(status.undos),
    ...failureLines(status.failure),
    ...phases(status.phasesMs),
  ].join('\n');
}
