/** What a party is owed when it did not answer in time: input of the `deliverUndo` workflow. */
import * as z from 'zod';
import { AbortRequest, ActivateRequest, DestroyRequest } from './party.ts';
import { AttemptId, PartyId, RequestId } from './primitives.ts';

/** One delivery; `activate` is not an undo, but waits for its party in the same way. */
export const OwedAction = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('abort'), request: AbortRequest }),
  z.strictObject({ kind: z.literal('destroy'), request: DestroyRequest }),
  z.strictObject({ kind: z.literal('activate'), request: ActivateRequest }),
]);
export type OwedAction = z.infer<typeof OwedAction>;

export const DeliverUndoInput = z.strictObject({
  requestId: RequestId,
  party: PartyId,
  attempt: AttemptId,
  actions: z.array(OwedAction).min(1).max(4),
  /** Parties that certified and kept their share: they destroy it on this party's signed `never`. */
  kept: z.array(PartyId).max(16),
});
export type DeliverUndoInput = z.infer<typeof DeliverUndoInput>;

/** How each action ended, in order. */
export const DeliverUndoResult = z.strictObject({ outcomes: z.array(z.string()) });
export type DeliverUndoResult = z.infer<typeof DeliverUndoResult>;
