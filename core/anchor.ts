/**
 * Anchors before their transfer: what is leased to a request id so that its intent can name it. The lease itself is a row
 * beside the events; from the transfer's beginning on it is the transfer's, and ends as its other leases do.
 */
import { KeysagaError } from '../schema/contracts/errors.ts';
import type { DomainEvent, EventData } from '../schema/contracts/events.ts';
import type { AnchorRequest, LeasedAnchor } from '../schema/contracts/intent.ts';
import type { RequestId } from '../schema/contracts/primitives.ts';
import { MAX_INTENT_LIFETIME_MS } from './intent.ts';
import type { Fold, Lease } from './ports/ledger.ts';
import type { PaymentIntent } from './ports/payment.ts';
import { anchorResource } from './rules/effects.ts';

/** The lease outlives the intent by this much: a transfer that begins in its last moment still finds it. */
export const ANCHOR_MARGIN_MS = 600_000;

type Leased = EventData<'keysaga.anchor.leased.v1'>;
export type AnchorState = { readonly leased: Leased | null; readonly givenBack: boolean };

export const anchorFold: Fold<AnchorState> = {
  name: 'anchor',
  schemaVersion: 1,
  initial: { leased: null, givenBack: false },
  apply: (state, event) => {
    if (event.type === 'keysaga.anchor.leased.v1') return { ...state, leased: event.data };
    if (event.type === 'keysaga.anchor.given-back.v1') return { ...state, givenBack: true };
    return state;
  },
};

/**
 * When a lease for this request ends. Throws `IntentExpired` (`expiresAt`), or `InvalidInput` (`expiresAt`) when no
 * intent may live that long.
 */
export function anchorUntil(request: AnchorRequest, now: number): string {
  const expires = Date.parse(request.expiresAt);
  if (expires <= now)
    throw new KeysagaError('IntentExpired', `The intent ends at ${request.expiresAt}.`, {
      field: 'expiresAt',
    });
  if (expires > now + MAX_INTENT_LIFETIME_MS)
    throw new KeysagaError('InvalidInput', 'An intent lives at most 90 days.', {
      field: 'expiresAt',
    });
  return new Date(expires + ANCHOR_MARGIN_MS).toISOString();
}

/**
 * What is leased to this request id already, for the same wallet. Throws `StateConflict` once it was given back, since a
 * late try must not lease what nobody will give back, and `RequestConflict` (`walletId`).
 */
export function leasedBefore(
  { leased, givenBack }: AnchorState,
  request: Pick<AnchorRequest, 'requestId' | 'walletId'>,
): LeasedAnchor | undefined {
  const { requestId } = request;
  if (givenBack)
    throw new KeysagaError(
      'StateConflict',
      `The anchor of ${requestId} was given back; ask for one under a new request id.`,
      { field: 'anchor', requestId },
    );
  if (leased === null) return undefined;
  if (leased.walletId !== request.walletId)
    throw new KeysagaError('RequestConflict', `${requestId} has an anchor of another wallet.`, {
      field: 'walletId',
      requestId,
    });
  return { anchor: leased.anchor, until: leased.until };
}

/** Nothing when it was given back before. */
export const giveBack = (
  state: AnchorState,
  requestId: RequestId,
  reason: string,
): DomainEvent[] =>
  state.givenBack
    ? []
    : [{ type: 'keysaga.anchor.given-back.v1', data: { requestId, reason: reason.slice(0, 200) } }];

/**
 * May this intent begin? An anchored one only while its anchor is leased to its own request id, for its own wallet:
 * otherwise a transfer could hold what another one needs, for as long as people take to decide. `leases` are the request
 * id's rows, locked by the caller. Throws `StateConflict` (`anchor`).
 */
export function requireAnchorLeased(
  intent: PaymentIntent,
  address: string,
  leases: readonly Lease[],
): void {
  if (intent.anchor === undefined) return;
  const resource = anchorResource(intent.anchor, intent.chain, address);
  const held = leases.some(
    (lease) =>
      lease.state === 'held' &&
      lease.resource === resource &&
      lease.walletId === intent.walletId &&
      lease.network === intent.chain,
  );
  if (held) return;
  throw new KeysagaError(
    'StateConflict',
    'The anchor is not leased to this request: ask for one under its request id first.',
    { field: 'anchor', requestId: intent.requestId, resource },
  );
}

/** Must this payment be anchored under the policy's limit for its asset? */
export const anchorDemanded = (anchorFrom: string | undefined, amount: string | bigint): boolean =>
  anchorFrom !== undefined && BigInt(amount) >= BigInt(anchorFrom);
