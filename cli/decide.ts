/** An approver's decision: shown in words, signed on this machine, handed in as a signal, and seen to count. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { KeysagaClient } from '../client/index.ts';
import { signApproval } from '../core/approvals.ts';
import { intentDigest } from '../core/intent.ts';
import { messageIntentDigest } from '../core/messages/intent.ts';
import { verifySigned } from '../core/signed.ts';
import type { Decision, SignedApproval } from '../schema/contracts/approval.ts';
import { isErrorCode, isKeysagaError, KeysagaError } from '../schema/contracts/errors.ts';
import type { MessageStatus } from '../schema/contracts/message-saga.ts';
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

/** What waits for approvers: a transfer or a message. Their request ids are one space. */
export type Decidable = TransferStatus | MessageStatus;

/** Throws `NotFound` when neither is known under this id. */
async function decidable(client: KeysagaClient, requestId: string): Promise<Decidable> {
  try {
    return await client.status(requestId);
  } catch (error) {
    if (!isKeysagaError(error, 'NotFound')) throw error;
    return client.messageStatus(requestId).catch((other: unknown) => {
      throw isKeysagaError(other, 'NotFound') ? error : other;
    });
  }
}
const isMessage = (status: Decidable): status is MessageStatus => 'message' in status.intent;

const OPEN: ReadonlySet<string> = new Set(['Initiated', 'AwaitingApprovals', 'Preparing']);

/**
 * Throws `StateConflict` when nobody can decide any more, what the saga refused the decision with, or `TimeLimit` when
 * it is not seen to count in time (it may count later: the signal is in the history).
 */
export async function decide(client: KeysagaClient, options: DecideOptions): Promise<Decided> {
  const { requestId, decision } = options;
  const before = await decidable(client, requestId);
  const message = isMessage(before);
  if (!OPEN.has(before.phase))
    throw new KeysagaError(
      'StateConflict',
      `The ${message ? 'message' : 'transfer'} is ${before.phase}; decisions are closed.`,
      {
        state: before.phase,
      },
    );
  // From here on only this object is shown, and only its digest is signed.
  await options.show(before);
  const digest = isMessage(before)
    ? messageIntentDigest(before.intent)
    : intentDigest(before.intent);
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
  if (message) await client.signalMessageDecision(requestId, signed);
  else await client.signalDecision(requestId, signed);
  return { signed, status: await counted(client, before, signed, options.timeoutMs ?? 30_000) };
}

async function counted(
  client: KeysagaClient,
  before: Decidable,
  signed: SignedApproval,
  timeoutMs: number,
): Promise<Decidable> {
  const known = new Set(before.refusedMessages.map((one) => JSON.stringify(one)));
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const { requestId } = before.intent;
    const status = isMessage(before)
      ? await client.messageStatus(requestId)
      : await client.status(requestId);
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
