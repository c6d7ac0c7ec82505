/** Sagas in words: the board of `watch`, and the short lines of lists and logs. */
import { formatAmount, networkName } from '../core/assets.ts';
import { describeIntent } from '../core/intent.ts';
import { describeMessageIntent } from '../core/messages/intent.ts';
import { describePayout } from '../core/payout.ts';
import type { TransferIntent } from '../schema/contracts/intent.ts';
import type { MessageIntent } from '../schema/contracts/message.ts';
import type { PayoutIntent } from '../schema/contracts/payout.ts';
import type {
  KeygenStatus,
  PartyProgress,
  TransferPhase,
  TransferStatus,
} from '../schema/contracts/saga.ts';
import { formatMs } from './amounts.ts';
import { type Style, table } from './io.ts';

const PATH: readonly TransferPhase[] = [
  'Initiated',
  'AwaitingApprovals',
  'Preparing',
  'Signing',
  'Broadcasting',
  'Confirming',
  'Completed',
];

/** `0.001 BTC (100000 sats) to bcrt1…` */
export const payment = (intent: TransferIntent): string =>
  `${formatAmount(intent.chain, intent.asset, intent.amount)} to ${intent.destination}`;

/** Every signed field, one a line. */
export const intentLines = (
  intent: TransferIntent | MessageIntent | PayoutIntent,
  style: Style,
): string =>
  table(
    [],
    described(intent).map(({ label, value }) => [style.dim(label), value]),
    style,
  );

const described = (intent: TransferIntent | MessageIntent | PayoutIntent) =>
  'message' in intent
    ? describeMessageIntent(intent)
    : 'lines' in intent
      ? describePayout(intent)
      : describeIntent(intent);

export const decidedBy = (
  status: Pick<TransferStatus, 'approvals'>,
  decision: 'approve' | 'reject',
): string[] =>
  status.approvals
    .filter(({ approval }) => approval.decision === decision)
    .map(({ approval }) => approval.approver);

const approvalsText = (status: TransferStatus): string => {
  const given = decidedBy(status, 'approve');
  const rejected = decidedBy(status, 'reject');
  return [
    `${given.length} of ${status.quorum || '?'}`,
    ...(given.length === 0 ? [] : [`given ${given.join(', ')}`]),
    ...(status.phase === 'AwaitingApprovals' && status.missing.length > 0
      ? [`missing ${status.missing.join(', ')}`]
      : []),
    ...(rejected.length === 0 ? [] : [`rejected by ${rejected.join(', ')}`]),
  ].join('; ');
};

/** Segments side by side, in lines of at most `width` visible characters. */
function wrapped(
  segments: readonly { text: string; paint: (text: string) => string }[],
  joint: string,
  width: number,
): string {
  const lines: string[] = [];
  let used = 0;
  for (const { text, paint } of segments) {
    const joined = used > 0 && used + joint.length + text.length <= width;
    if (joined) lines.push(`${lines.pop()}${joint}${paint(text)}`);
    else {
      if (used > 0) lines.push(`${lines.pop()}${joint.trimEnd()}`);
      lines.push(paint(text));
    }
    used = (joined ? used + joint.length : 0) + text.length;
  }
  return lines.join('\n');
}

function phaseTrail(status: TransferStatus, style: Style): string {
  const { phase, phasesMs } = status;
  const timed = (name: string): string =>
    phasesMs[name] === undefined ? name : `${name} ${formatMs(phasesMs[name])}`;
  if (!PATH.includes(phase)) {
    const passed = Object.keys(phasesMs).filter((name) => name !== phase);
    return wrapped(
      [
        ...passed.map((name) => ({ text: timed(name), paint: style.dim })),
        { text: phase, paint: style.yellow },
      ],
      ' > ',
      84,
    );
  }
  const at = PATH.indexOf(phase);
  return wrapped(
    PATH.map((name, i) => {
      if (i < at || phase === 'Completed') return { text: timed(name), paint: style.green };
      return {
        text: name,
        paint: i === at ? (text: string) => style.bold(style.cyan(text)) : style.dim,
      };
    }),
    ' > ',
    84,
  );
}

const MARK = { waiting: '.', done: 'ok', failed: 'FAILED' } as const;
/** As on the Temporal UI's board: an answer this long after the first of its step is marked. */
const LATE_MS = 5_000;
const lateness = (lagMs = 0): string =>
  lagMs > LATE_MS ? ` ${Math.round(lagMs / 1_000)} s late` : '';
/** Parties × steps. */
export function progressTable(rows: readonly PartyProgress[], style: Style): string {
  const steps = rows[0]?.steps.map(({ name }) => name) ?? [];
  const paint = { waiting: style.dim, done: style.green, failed: style.red };
  return table(
    ['', ...steps],
    rows.map((row) => [
      row.party,
      ...row.steps.map(({ state, lagMs }) => paint[state](`${MARK[state]}${lateness(lagMs)}`)),
    ]),
    style,
  );
}
const indent = (text: string, by: number): string => text.split('\n').join(`\n${' '.repeat(by)}`);

/** The live board: what a person wants to know without opening the Temporal UI. */
export function transferBoard(status: TransferStatus, elapsedMs: number, style: Style): string {
  const { intent } = status;
  const rows: [string, string][] = [
    ['pays', payment(intent)],
    ['from', `${intent.walletId} on ${networkName(intent.chain)}`],
    ['phase', phaseTrail(status, style)],
    ...(status.waitingFor === '' ? [] : [['waits for', status.waitingFor] as [string, string]]),
    ['approvals', approvalsText(status)],
    ...(status.parties.length === 0
      ? []
      : [
          [
            'parties',
            `${status.attempts > 1 ? `attempt ${status.attempts}\n` : ''}${progressTable(status.parties, style)}`,
          ] as [string, string],
        ]),
    ['digest', status.intentDigest],
    ...(status.transactionId === undefined
      ? []
      : [
          ['transaction', status.transactionId] as [string, string],
          ['confirmations', String(status.confirmations)] as [string, string],
        ]),
    ...(status.voidTransactionId === undefined
      ? []
      : [['void', status.voidTransactionId] as [string, string]]),
    ...(status.cancelRequested ? [['cancel', 'requested'] as [string, string]] : []),
    ...status.undos
      .filter(({ state }) => state === 'running' || state === 'done' || state === 'owed')
      .map(({ step, state, tries }): [string, string] => [
        'undo',
        `${step}: ${state}${tries > 1 ? `, try ${tries}` : ''}`,
      ]),
    ...status.refusedMessages.map(({ code, message }): [string, string] => [
      'not counted',
      `${code}: ${message}`,
    ]),
    ...(status.failure === undefined
      ? []
      : [
          ['failure', style.red(`${status.failure.code}: ${status.failure.message}`)] as [
            string,
            string,
          ],
        ]),
  ];
  const width = Math.max(...rows.map(([name]) => name.length));
  const title = `${style.bold(`transfer ${intent.requestId}`)}  ${style.dim(formatMs(elapsedMs))}`;
  return [
    title,
    ...rows.map(([name, text]) => `  ${style.dim(name.padEnd(width))}  ${indent(text, width + 4)}`),
  ].join('\n');
}

const stepOf = (rows: readonly PartyProgress[]): string => {
  const done = rows.flatMap(({ steps }) => steps).filter(({ state }) => state === 'done').length;
  const all = rows.flatMap(({ steps }) => steps).length;
  return all === 0 ? '' : `, ${done} of ${all} party steps`;
};

/** One line for a log or a task. */
export function transferLine(status: TransferStatus): string {
  switch (status.phase) {
    case 'AwaitingApprovals':
      return `waits for approvals: ${approvalsText(status)}`;
    case 'Preparing':
    case 'Signing':
      return `${status.phase}${stepOf(status.parties)}${status.waitingFor === '' ? '' : ` (${status.waitingFor})`}`;
    case 'Confirming':
    case 'Completed':
      return `${status.phase}: ${status.transactionId ?? ''}, ${status.confirmations} confirmations`;
    case 'Failed':
    case 'Compensating':
      return `${status.phase}${status.failure === undefined ? '' : `: ${status.failure.code}: ${status.failure.message}`}`;
    default:
      return `${status.phase}${status.waitingFor === '' ? '' : `: ${status.waitingFor}`}`;
  }
}

export const keygenLine = (status: KeygenStatus): string =>
  `${status.phase}${stepOf(status.parties)}${status.waitingFor === '' ? '' : ` (${status.waitingFor})`}${
    status.failure === undefined ? '' : `: ${status.failure.code}: ${status.failure.message}`
  }`;
