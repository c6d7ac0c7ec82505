/** An approver's decision: shown in words, signed on this machine, handed in as a signal, and seen to count. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { KeysagaClient } from '../client/index.ts';
import { signApproval } from '../core/approvals.ts';
import { messageIntentDigest } from '../core/messages/intent.ts';
import { paymentDigest } from '../core/payout.ts';
import { verifySigned } from '../core/signed.ts';
import type { Decision, SignedApproval } from '../schema/contracts/approval.ts';
import { isErrorCode, isKeysagaError, KeysagaError } from '../schema/contracts/errors.ts';
import type { MessageStatus } from '../schema/contracts/message-saga.ts';
import type { PayoutStatus } from '../schema/contracts/payout-saga.ts';
import { ApproverId } from '../schema/contracts/primitives.ts';
import type { TransferStatus } from '../schema/contracts/saga.ts';
import type { OpenKey } from './keyfile.ts';

export type DecideOptions = {
  readonly requestId: string;
  readonly decision: Decision;
  /** Called with what is to be signed, before the key is asked for; throws to break off. */
  readonly show: (status: Decidable) => Promise<void>;
  /** Opens the key. */
  readonly key: () => Promise<OpenKey>;
  /** Milliseconds for which the approval is valid. */
  readonly validForMs: number;
  /** How long to wait until it is seen to count; default 30 s. */
  readonly timeoutMs?: number;
};
export type Decided = { readonly signed: SignedApproval; readonly status: Decidable };

/** What waits for approvers: a transfer, a payout or a message. Their request ids are one space. */
export type Decidable = TransferStatus | PayoutStatus | MessageStatus;

/** How a kind is asked, and what its approvals name. */
type Kind = {
  readonly name: string;
  readonly status: (client: KeysagaClient, requestId: string) => Promise<Decidable>;
  readonly signal: (
    client: KeysagaClient,
    requestId: string,
    signed: SignedApproval,
  ) => Promise<void>;
};
const KINDS: readonly [Kind, ...Kind[]] = [
  {
    name: 'transfer',
    status: (client, id) => client.status(id),
    signal: (client, id, signed) => client.signalDecision(id, signed),
  },
  {
    name: 'payout',
    status: (client, id) => client.payoutStatus(id),
    signal: (client, id, signed) => client.signalPayoutDecision(id, signed),
  },
  {
    name: 'message',
    status: (client, id) => client.messageStatus(id),
    signal: (client, id, signed) => client.signalMessageDecision(id, signed),
  },
];
/** Of what is shown, computed here. */
const digestOf = ({ intent }: Decidable): string =>
  'message' in intent ? messageIntentDigest(intent) : paymentDigest(intent);

const OPEN: ReadonlySet<string> = new Set(['Initiated', 'AwaitingApprovals', 'Preparing']);

/**
 * The one that can still be decided: a request of another kind under the same id has failed, and must not hide it. Throws
 * `NotFound` when none is known under this id.
 */
async function decidable(
  client: KeysagaClient,
  requestId: string,
): Promise<{ readonly kind: Kind; readonly before: Decidable }> {
  let first: unknown;
  let closed: { readonly kind: Kind; readonly before: Decidable } | undefined;
  for (const kind of KINDS)
    try {
      const found = { kind, before: await kind.status(client, requestId) };
      if (OPEN.has(found.before.phase)) return found;
      closed ??= found;
    } catch (error) {
      if (!isKeysagaError(error, 'NotFound')) throw error;
      first ??= error;
    }
  if (closed !== undefined) return closed;
  throw first;
}

/**
 * Throws `StateConflict` when nobody can decide any more, what the saga refused the decision with, or `TimeLimit` when
 * it is not seen to count in time (it may count later: the signal is in the history).
 */
export async function decide(client: KeysagaClient, options: DecideOptions): Promise<Decided> {
  const { requestId, decision } = options;
  const { kind, before } = await decidable(client, requestId);
  if (!OPEN.has(before.phase))
    throw new KeysagaError(
      'StateConflict',
      `The ${kind.name} is ${before.phase}; decisions are closed.`,
      {
        state: before.phase,
      },
    );
  // From here on only this object is shown, and only its digest is signed.
  await options.show(before);
  const digest = digestOf(before);
  const key = await options.key();
  const now = Date.now();
  let signed: SignedApproval;
  try {
    signed = signApproval(
      {
        intentDigest: digest,
        approver: ApproverId.parse(key.name),
        decision,
        at: new Date(now).toISOString(),
        validUntil: new Date(now + options.validForMs).toISOString(),
      },
      key.seed,
    );
  } finally {
    key.seed.fill(0);
  }
  if (!verifySigned('approval', signed.approval, signed.publicKey, signed.signature))
    throw new KeysagaError('SignatureInvalid', 'The fresh signature does not verify.');
  await kind.signal(client, requestId, signed);
  const look = () => kind.status(client, requestId);
  return { signed, status: await counted(look, before, signed, options.timeoutMs ?? 30_000) };
}

async function counted(
  look: () => Promise<Decidable>,
  before: Decidable,
  signed: SignedApproval,
  timeoutMs: number,
): Promise<Decidable> {
  const known = new Set(before.refusedMessages.map((one) => JSON.stringify(one)));
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const status = await look();
    if (status.approvals.some(({ signature }) => signature === signed.signature)) return status;
    // The refusals name the approver they are about where there is one; others' troubles are not ours.
    const { approver } = signed.approval;
    const refusal = status.refusedMessages.find(
      (one) =>
        !known.has(JSON.stringify(one)) &&
        (one.message.includes(approver) || one.code !== 'ApprovalDuplicate'),
    );
    if (refusal !== undefined)
      throw new KeysagaError(
        isErrorCode(refusal.code) ? refusal.code : 'ApprovalInvalid',
        refusal.message,
        { approver },
      );
    if (Date.now() > deadline)
      throw new KeysagaError(
        'TimeLimit',
        'The decision was handed in, but is not seen to count yet.',
        {
          approver,
          remedy:
            'Look again with `keysaga watch`: the signal is in the history and will be judged.',
        },
      );
    await sleep(100);
  }
}
